"""A picture for a terminal of so many cells: how large to decode it, and what to write."""

import os
from collections.abc import Mapping
from typing import Final

from securechat.pictures.blocks import blocks, coloured, shaded
from securechat.pictures.kitty import MAX_CELLS, cells, colour_of, placed, virtual
from securechat.pictures.pixels import Pixels
from securechat.pictures.sixel import MAX_COLOURS, MAX_SIZE, sixel
from securechat.pictures.terminal import Drawing, Way, has_true_colour, through

NUMBER: Final = 0x5EC4A7
"""Of a virtual picture: the next one takes its place."""

LARGEST: Final = (1600, 1200)
"""Pixels that a terminal is sent: a megabyte or two."""


def box_of(drawing: Drawing, *, columns: int, rows: int) -> tuple[tuple[int, int], int]:
    """Return how large a picture is decoded for these cells, and to how many colours (0: all)."""
    if drawing.way is Way.BLOCKS:
        return (max(columns, 1), max(2 * rows, 1)), 0
    most, colours = (MAX_SIZE, MAX_COLOURS) if drawing.way is Way.SIXEL else (LARGEST, 0)
    across, down = drawing.cell
    return (max(min(columns * across, most[0]), 1), max(min(rows * down, most[1]), 1)), colours


def cells_of(pixels: Pixels, drawing: Drawing) -> tuple[int, int]:
    """Return the cells that a picture takes, across and down, each pixel being one of the terminal's."""
    across, down = drawing.cell
    return -(-pixels.width // across), -(-pixels.height // down)


def shown(
    pixels: Pixels,
    drawing: Drawing,
    *,
    columns: int,
    rows: int,
    environment: Mapping[str, str] = os.environ,
) -> str:
    """Return what draws a picture from the beginning of a line and ends the last; pixels as `box_of` says."""
    if drawing.way is Way.SIXEL:
        return sixel(pixels) + "\n"
    if drawing.way is Way.KITTY:
        return _by_kitty(pixels, drawing, tmux="TMUX" in environment)
    drawn = blocks(pixels, columns=columns, rows=rows)
    if environment.get("NO_COLOR"):
        return shaded(drawn) + "\n"
    return coloured(drawn, true_colour=has_true_colour(environment)) + "\n"


def _by_kitty(pixels: Pixels, drawing: Drawing, *, tmux: bool) -> str:
    """In tmux, which does not know where the terminal outside draws, it is cells that show the picture."""
    across, down = cells_of(pixels, drawing)
    if not tmux:
        return placed(pixels, columns=across, rows=down) + "\n"
    down = min(down, MAX_CELLS)
    sent = through(virtual(pixels, NUMBER, columns=across, rows=down), tmux=True)
    colour = ";".join(map(str, colour_of(NUMBER)))
    return sent + "".join(f"\x1b[38;2;{colour}m{cells(row, across)}\x1b[0m\n" for row in range(down))
