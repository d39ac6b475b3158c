"""Pictures as sixels: bands of six rows, in each the columns of one colour after those of another."""

import re
from typing import Final

from securechat.pictures.pixels import CHANNELS, Pixels

MAX_COLOURS: Final = 64
"""Every terminal that draws sixels has at least so many registers."""

MAX_SIZE: Final = (800, 600)
"""Pixels: what is made here in a moment, and a terminal draws without a pause."""

BAND: Final = 6

_EMPTY: Final = 63
"""A column of a band with nothing in it; each of the six pixels adds its bit."""

_REPEATED: Final = re.compile(rb"(.)\1{3,254}", re.DOTALL)


def sixel(pixels: Pixels) -> str:
    """Return the sequence that draws a picture at the cursor.

    :raises ValueError: more colours than there are registers
    """
    palette = {colour: number for number, colour in enumerate(sorted(set(pixels.colours())))}
    if len(palette) > MAX_COLOURS:
        raise ValueError("more colours than registers")
    registers = "".join(f"#{number};2;{_percent(colour)}" for colour, number in palette.items())
    bands = "-".join(_band(pixels, palette, top) for top in range(0, pixels.height, BAND))
    return f'\x1bP0;1q"1;1;{pixels.width};{pixels.height}{registers}{bands}\x1b\\'


def _percent(colour: bytes) -> str:
    return ";".join(str(round(level * 100 / 255)) for level in colour)


def _band(pixels: Pixels, palette: dict[bytes, int], top: int) -> str:
    columns: dict[bytes, bytearray] = {}
    for bit, y in enumerate(range(top, min(top + BAND, pixels.height))):
        row = pixels.row(y)
        for x in range(pixels.width):
            colour = row[x * CHANNELS : (x + 1) * CHANNELS]
            if colour not in columns:
                columns[colour] = bytearray([_EMPTY]) * pixels.width
            columns[colour][x] += 1 << bit
    return "$".join(f"#{palette[colour]}{_short(bytes(drawn))}" for colour, drawn in columns.items())


def _short(drawn: bytes) -> str:
    shorter = _REPEATED.sub(lambda run: b"!%d%c" % (len(run[0]), run[1][0]), drawn)
    return shorter.decode("ascii")
