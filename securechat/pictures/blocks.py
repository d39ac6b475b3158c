"""Pictures as text: a cell is two pixels, its upper half in one colour on another. All terminals draw it."""

from typing import Final, NamedTuple

from securechat.pictures.pixels import Pixels, scaled, size_within

HALF: Final = "▀"
SHADES: Final = " .:-=+*#%@"
"""From dark to light, for who wants no colours."""

_CUBE: Final = (0, 95, 135, 175, 215, 255)
"""What a level of the 6 x 6 x 6 colours of older terminals is."""


class Run(NamedTuple):
    """Cells of a row that are alike; without ``lower`` their lower half is empty."""

    cells: int
    upper: bytes
    lower: bytes | None


def blocks(pixels: Pixels, *, columns: int, rows: int) -> list[list[Run]]:
    """Return a picture as rows of cells, at most so many; none where there is no room."""
    if columns < 1 or rows < 1:
        return []
    width, height = size_within(pixels.width, pixels.height, most=(columns, 2 * rows))
    small = scaled(pixels, width, height)
    lines = [_colours(small.row(y)) for y in range(height)]
    if height % 2:
        lines.append([])
    return [_runs(upper, lower) for upper, lower in zip(lines[::2], lines[1::2], strict=True)]


def coloured(drawn: list[list[Run]], *, true_colour: bool) -> str:
    """Return it as lines for a terminal; each ends in its own colours."""
    colour = _true if true_colour else _of_cube
    lines = []
    for row in drawn:
        cells = "".join(
            f"\x1b[38;{colour(run.upper)};{'49' if run.lower is None else f'48;{colour(run.lower)}'}m"
            f"{HALF * run.cells}"
            for run in row
        )
        lines.append(f"{cells}\x1b[0m")
    return "\n".join(lines)


def shaded(drawn: list[list[Run]]) -> str:
    """Return it as lines without any colour."""
    return "\n".join("".join(_shade(run) * run.cells for run in row) for row in drawn)


def _runs(upper: list[bytes], lower: list[bytes]) -> list[Run]:
    found: list[Run] = []
    for at, over in enumerate(upper):
        under = lower[at] if lower else None
        if found and found[-1][1:] == (over, under):
            found[-1] = Run(found[-1].cells + 1, over, under)
        else:
            found.append(Run(1, over, under))
    return found


def _colours(row: bytes) -> list[bytes]:
    return [row[at : at + 3] for at in range(0, len(row), 3)]


def _true(colour: bytes) -> str:
    return "2;" + ";".join(map(str, colour))


def _of_cube(colour: bytes) -> str:
    red, green, blue = (min(range(6), key=lambda at: abs(_CUBE[at] - level)) for level in colour)
    return f"5;{16 + 36 * red + 6 * green + blue}"


def _shade(run: Run) -> str:
    colours = [run.upper] if run.lower is None else [run.upper, run.lower]
    light = sum(299 * red + 587 * green + 114 * blue for red, green, blue in colours) // (1000 * len(colours))
    return SHADES[light * len(SHADES) // 256]
