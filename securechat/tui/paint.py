"""What is drawn, before it has a colour: lines of pieces, each with a role; and the widget that draws them.

A piece's text is plain: nothing in it is markup, a link or a style. Roles get their colours from the
theme (`screen.tcss`); whatever a role means is said by the text as well, so that no colour is needed.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from functools import lru_cache
from typing import ClassVar, Final, NamedTuple

from rich.cells import cell_len
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from securechat.tui.wrap import cut


class Role(StrEnum):
    TEXT = "text"
    DIM = "dim"
    NAME = "name"
    OWN = "own"
    GOOD = "good"
    WARN = "warn"
    NEWS = "news"
    RULE = "rule"
    CHOSEN = "chosen"


class Ink(NamedTuple):
    """Colours of a picture's cells, three bytes each; behind them is the theme's where it is None."""

    front: bytes
    behind: bytes | None = None


class Piece(NamedTuple):
    """Some text in one role. Remote text in it has passed the sanitiser.

    Only what shows a picture has an ink.
    """

    text: str
    role: Role = Role.TEXT
    ink: Ink | None = None


Line = tuple[Piece, ...]

BLANK: Final[Line] = ()


def line(*parts: str | tuple[str, Role]) -> Line:
    """Return a line: bare strings are plain text."""
    return tuple(Piece(part) if isinstance(part, str) else Piece(*part) for part in parts)


def plain(drawn: Line) -> str:
    """Return the text of a line without its roles."""
    return "".join(piece.text for piece in drawn)


def fitted(drawn: Line, width: int) -> Line:
    """Return as much of a line as fits."""
    found: list[Piece] = []
    left = width
    for piece in drawn:
        size = cell_len(piece.text)
        if size > left:
            if left > 0:
                found.append(
                    piece._replace(text=cut(piece.text, left) if piece.ink is None else piece.text[:left])
                )
            break
        found.append(piece)
        left -= size
    return tuple(found)


@lru_cache(maxsize=4096)
def _inked(ink: Ink) -> Style:
    behind = None if ink.behind is None else Color.from_rgb(*ink.behind)
    return Style(color=Color.from_rgb(*ink.front), bgcolor=behind)


class Painted(Widget):
    """A widget that draws lines of pieces, row by row."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"paint--{role}" for role in Role}
    ALLOW_SELECT: ClassVar[bool] = False

    row: Callable[[int], Line]
    """What stands in a row; what is wider than the widget is cut. Each kind of widget has its own."""

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        drawn = fitted(self.row(y), width)
        return Strip(self._segments(drawn)).adjust_cell_length(width, self.rich_style)

    def _segments(self, drawn: Line) -> Iterable[Segment]:
        chosen = any(piece.role is Role.CHOSEN for piece in drawn)
        under = self._style(Role.CHOSEN) if chosen else Style()
        for piece in drawn:
            style = self._style(piece.role) + under if piece.ink is None else _inked(piece.ink)
            yield Segment(piece.text, style)

    def _style(self, role: Role) -> Style:
        return self.get_component_rich_style(f"paint--{role}")
