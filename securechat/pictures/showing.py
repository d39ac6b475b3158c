"""A picture for a terminal of so many cells: how large to decode it, and what to write."""

import os
from collections.abc import Mapping
from typing import Final

from securechat.pictures.blocks import blocks, coloured, shaded
from securechat.pictures.kitty import placed
from securechat.pictures.pixels import Pixels
from securechat.pictures.sixel import MAX_COLOURS, MAX_SIZE, sixel
from securechat.pictures.terminal import Drawing, Way, has_true_colour, through

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
        across, down = cells_of(pixels, drawing)
        return through(placed(pixels, columns=across, rows=down), tmux="TMUX" in environment) + "\n"
    drawn = blocks(pixels, columns=columns, rows=rows)
    if environment.get("NO_COLOR"):
        return shaded(drawn) + "\n"
    return coloured(drawn, true_colour=has_true_colour(environment)) + "\n"
