"""A picture that somebody asked to see, as large as the screen allows."""

import os
import secrets
from collections.abc import Callable
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Region
from textual.screen import ModalScreen
from textual.strip import Strip

from securechat.locale.catalogue import tr
from securechat.pictures import kitty
from securechat.pictures.pixels import Pixels, size_within
from securechat.pictures.showing import cells_of
from securechat.pictures.sixel import sixel
from securechat.pictures.terminal import Drawing, Way, through
from securechat.tui.paint import BLANK, Line, Painted, Role, line
from securechat.tui.picture_lines import picture_lines, virtual_lines
from securechat.tui.rows import Rows
from securechat.tui.wrap import clean

Write = Callable[[str], None]
"""Sends the terminal a sequence of ours."""


class Drawn(Painted):
    """The picture in cells: half-blocks, or the cells in which the terminal shows it."""

    def __init__(self, pixels: Pixels, drawing: Drawing, write: Write) -> None:
        super().__init__(id="picture")
        self._pixels = pixels
        self._drawing = drawing
        self._way = drawing.way
        self._write = write
        self._number = secrets.randbelow(0xFFFFFF) + 1
        self._lines: list[Line] = []
        self._is_covered = False
        """Whether the picture goes over the half-blocks as soon as they are drawn."""

    def row(self, y: int) -> Line:
        return self._lines[y] if y < len(self._lines) else BLANK

    def on_resize(self, event: events.Resize) -> None:
        columns, rows = event.size.width, event.size.height
        if columns < 1 or rows < 1:
            return
        if self._way is Way.KITTY:
            self._lines = self._virtual(columns, min(rows, kitty.MAX_CELLS))
        else:
            self._lines = picture_lines(self._pixels, columns=columns, rows=rows)
        self.refresh()

    def render_lines(self, crop: Region) -> list[Strip]:
        """Wherever the half-blocks are drawn, the picture goes over them again."""
        if self._way is Way.SIXEL and not self._is_covered:
            self._is_covered = self.call_after_refresh(self._lay_over)
        return super().render_lines(crop)

    def on_unmount(self) -> None:
        if self._way is Way.KITTY:
            self._write(through(kitty.forgotten(self._number), tmux=_in_tmux()))

    def _virtual(self, columns: int, rows: int) -> list[Line]:
        across, down = size_within(*cells_of(self._pixels, self._drawing), most=(columns, rows))
        sent = kitty.virtual(self._pixels, self._number, columns=across, rows=down)
        self._write(through(sent, tmux=_in_tmux()))
        return virtual_lines(self._number, columns=across, rows=down)

    def _lay_over(self) -> None:
        """Draw over the half-blocks; a picture that does not fit stays in them."""
        self._is_covered = False
        if not self.is_attached:
            return
        region = self.content_region
        across, down = cells_of(self._pixels, self._drawing)
        if across <= region.width and down <= region.height:
            self._write(f"\x1b7\x1b[{region.y + 1};{region.x + 1}H{sixel(self._pixels)}\x1b8")


class PictureView(ModalScreen[None]):
    """Shows one picture until a key is pressed that leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,ctrl+c,q,enter,space", "leave")]

    def __init__(self, name: str, pixels: Pixels, drawing: Drawing, write: Write) -> None:
        super().__init__()
        self._called = name
        self._drawn = Drawn(pixels, drawing, write)

    def compose(self) -> ComposeResult:
        with Vertical(classes="picture"):
            title = Rows([line((clean(self._called), Role.NAME), (f"  {tr('Esc goes back')}", Role.DIM))])
            title.styles.height = 1
            yield title
            yield self._drawn

    def action_leave(self) -> None:
        self.dismiss(None)


def _in_tmux() -> bool:
    return "TMUX" in os.environ
