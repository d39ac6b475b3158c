"""Pictures by kitty's graphics protocol: pixels in base64, so that nothing of a file reaches the terminal.

In a place of its own a picture stands where the cursor is. Among the text of a full screen it is *virtual*:
cells with a placeholder character show it wherever they are drawn, in tmux too.
"""

import zlib
from base64 import b64encode
from typing import Final

from securechat.pictures.pixels import Pixels

PLACEHOLDER: Final = "\U0010eeee"
CHUNK: Final = 4096
"""Bytes of base64 in one sequence: what the protocol allows."""

MAX_CELLS: Final = 60
"""Rows of a virtual picture, and columns that say their number: as many as `_NUMBERS` has."""

_RANGES: Final = (
    *((0x305, 0x305), (0x30D, 0x30E), (0x310, 0x310), (0x312, 0x312), (0x33D, 0x33F), (0x346, 0x346)),
    *((0x34A, 0x34C), (0x350, 0x352), (0x357, 0x357), (0x35B, 0x35B), (0x363, 0x36F), (0x483, 0x487)),
    *((0x592, 0x595), (0x597, 0x599), (0x59C, 0x5A1), (0x5A8, 0x5A9), (0x5AB, 0x5AC), (0x5AF, 0x5AF)),
    *((0x5C4, 0x5C4), (0x610, 0x617)),
)
"""The protocol's marks that stand for numbers, from 0: how a placeholder says which part it shows."""

_NUMBERS: Final = "".join(chr(code) for first, last in _RANGES for code in range(first, last + 1))


def placed(pixels: Pixels, *, columns: int, rows: int) -> str:
    """Return what draws a picture at the cursor, in so many cells; the cursor is behind its last row then."""
    return _sent(pixels, f"a=T,c={columns},r={rows},q=2")


def virtual(pixels: Pixels, number: int, *, columns: int, rows: int) -> str:
    """Return what makes a picture known, for placeholders in so many cells to show.

    :param number: 1 to 2**24 - 1; the placeholders have it as their colour
    """
    return _sent(pixels, f"a=T,U=1,i={number},c={columns},r={rows},q=2")


def forgotten(number: int) -> str:
    return f"\x1b_Ga=d,d=I,i={number},q=2\x1b\\"


def cells(row: int, columns: int) -> str:
    """Return a row of placeholders; each is as wide as a cell."""
    found = []
    for column in range(columns):
        where = _NUMBERS[row] + _NUMBERS[column] if column < MAX_CELLS else ""
        found.append(PLACEHOLDER + where)  # one without follows the one before it
    return "".join(found)


def colour_of(number: int) -> bytes:
    return number.to_bytes(3, "big")


def _sent(pixels: Pixels, how: str) -> str:
    data = b64encode(zlib.compress(pixels.rgb)).decode()
    chunks = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    first = f"{how},f=24,o=z,s={pixels.width},v={pixels.height},"
    last = len(chunks) - 1
    return "".join(
        f"\x1b_G{first if at == 0 else ''}m={int(at < last)};{chunk}\x1b\\" for at, chunk in enumerate(chunks)
    )
