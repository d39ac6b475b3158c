"""A QR code as lines of a terminal. What it says stands beside it as text.

Two modules are one cell: a half-block of light. So it is as it should be on a dark terminal; with
colours it is so on every one, without them inverted on a light one, which most scanners read too.
"""

from itertools import zip_longest
from typing import Final

BORDER: Final = 2
"""Light modules around it. Four are the standard's; with two, the code to verify by fits 19 rows."""

_CELLS: Final = {(1, 1): " ", (0, 1): "▀", (1, 0): "▄", (0, 0): "█"}
"""(upper, lower) module, 1 is dark -> the cell."""

_WHITE_ON_BLACK: Final = "\x1b[38;5;231;48;5;16m"
_AS_BEFORE: Final = "\x1b[0m"


def qr_lines(text: str, *, colours: bool = False) -> list[str]:
    """Return a QR code of a text, a line for two rows of modules; capitals and digits make a small one.

    :param colours: white on black, whatever the terminal's own are
    """
    import segno  # noqa: PLC0415 - most of what is typed draws none

    code = segno.make_qr(text, error="l", boost_error=True)
    rows = [list(row) for row in code.matrix_iter(border=BORDER)]
    lines = [
        "".join(_CELLS[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip_longest(rows[::2], rows[1::2], fillvalue=[1] * len(rows[0]))
    ]
    return [f"{_WHITE_ON_BLACK}{line}{_AS_BEFORE}" for line in lines] if colours else lines
