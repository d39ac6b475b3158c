"""Pictures as lines of the screen: pieces of plain text like everything that is drawn, with an ink each."""

from collections.abc import Sequence
from typing import Final

from securechat.client.events import Message
from securechat.pictures import kitty, small_png
from securechat.pictures.blocks import HALF, blocks
from securechat.pictures.decoder import MAX_FILE
from securechat.pictures.kinds import FORMATS
from securechat.pictures.pixels import Pixels
from securechat.tui.paint import Ink, Line, Piece, Role

COLUMNS: Final = 24
ROWS: Final = 8
"""Cells of a thumbnail among the messages: enough to tell one picture from another."""


def thumbnail_lines(thumbnail: bytes, width: int) -> list[Line]:
    """Draw a thumbnail; nothing for what is none."""
    pixels = small_png.read(thumbnail) if thumbnail else None
    return [] if pixels is None else picture_lines(pixels, columns=min(COLUMNS, width), rows=ROWS)


def picture_lines(pixels: Pixels, *, columns: int, rows: int) -> list[Line]:
    """Draw a picture in at most so many cells."""
    return [
        tuple(Piece(HALF * run.cells, Role.TEXT, Ink(run.upper, run.lower)) for run in row)
        for row in blocks(pixels, columns=columns, rows=rows)
    ]


def virtual_lines(number: int, *, columns: int, rows: int) -> list[Line]:
    """Draw the cells that show a picture which the terminal was given under this number."""
    ink = Ink(kitty.colour_of(number))
    return [(Piece(kitty.cells(row, columns), Role.TEXT, ink),) for row in range(rows)]


def picture_in(messages: Sequence[Message], which: str = "") -> Message | None:
    """Return the last of these messages whose file may be a picture; with ``which`` the one so named.

    :param which: the beginning of an id, or a number on this machine; then any file will do
    """
    for message in reversed(messages):
        if message.file is None or message.deleted or message.file.size > MAX_FILE:
            continue
        if which and (message.id.startswith(which.lower()) or str(message.local_id) == which):
            return message
        if not which and (message.file.thumbnail or message.file.content_type in FORMATS):
            return message
    return None
