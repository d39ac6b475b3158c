"""The help: what each key does, and what each command does."""

from typing import Final

from securechat.client.commands import COMMANDS
from securechat.locale.catalogue import mark, tr
from securechat.tui.dialogs import WIDTH
from securechat.tui.keys import KEYS, keys_of
from securechat.tui.paint import Line, Role, line
from securechat.tui.wrap import rows

_COLUMN: Final = 26
_WORDS: Final = WIDTH - 6 - _COLUMN
"""Cells of what a key does: more would be cut at 80 columns."""

SCREEN: Final = {
    "search": ("/search WORDS", mark("search all messages")),
    "date": ("/date 2026-11-22", mark("go to a date")),
    "mentions": ("/mentions", mark("messages that mention you")),
    "bookmarks": ("/bookmarks", mark("bookmarked messages")),
    "bare": ("/bare", mark("messages only, to select them with the mouse")),
    "theme": ("/theme", mark("next theme")),
    "lock": ("/lock", mark("lock the screen")),
}
"""Commands that have a screen of their own: usage, help."""


def help_lines(keys: dict[str, str]) -> list[Line]:
    """Return the help as lines, with the keys as this person has them."""
    drawn = [
        line((tr("Writing"), Role.NAME)),
        *_row(tr("Enter"), tr("sends; Alt+Enter begins another line")),
        *_row("@bob: TEXT", tr("to bob only, wherever you are; //TEXT begins with a slash")),
        *_row("Tab", tr("completes @names, #rooms, /commands and :emoji:")),
        *_row("Ctrl+A E B F W U K Y", tr("as in a shell; so are Alt+B, F, D and Backspace")),
        line(),
        line((tr("Keys"), Role.NAME)),
    ]
    for action, key in KEYS.items():
        drawn += _row(keys_of(keys, action), tr(key.help))
    drawn += [
        *_row("Alt+1 ... Alt+0", tr("the first ten conversations")),
        line(),
        line((tr("Commands"), Role.NAME)),
    ]
    for usage, text in {
        **{name: one for name, one in COMMANDS.items() if name not in SCREEN},
        **SCREEN,
    }.values():
        drawn += _row(usage, tr(text))
    signs = tr("… queued   ✓ stored by the server   ✓✓ delivered   ✓✓ read   ✗ refused")
    return [*drawn, line(), line((tr("Signs"), Role.NAME)), *map(line, rows(signs, WIDTH - 6))]


def _row(left: str, right: str) -> list[Line]:
    first, *more = rows(right, _WORDS)
    further = [line(" " * _COLUMN, row) for row in more]
    if len(left) < _COLUMN:
        return [line((left.ljust(_COLUMN), Role.NEWS), first), *further]
    return [line((left, Role.NEWS)), line(" " * _COLUMN, first), *further]
