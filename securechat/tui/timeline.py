"""The messages in view: only what can be seen is laid out, and a view around it; that is kept per width.

The view is held by a line of a message, not by a number of rows, so that pages that come in above, another
width, or the true heights of what was out of view do not move what somebody reads. At the end it follows
what comes.
"""

from datetime import tzinfo
from itertools import accumulate
from typing import Final

from msgspec import structs
from textual.message import Message as Posted

from securechat.client.events import Kind, Message
from securechat.tui.message_lines import (
    Place,
    Setting,
    message_lines,
    note_lines,
    place_of,
)
from securechat.tui.paint import BLANK, Line, Painted
from securechat.tui.summary import summary
from securechat.tui.window import Item, Note, Window
from securechat.tui.wrap import clean

NEAR: Final = 40
"""Rows from an end at which the next page is asked for."""

ROWS_UNSEEN: Final = 3
"""Rows of a message that is not laid out yet, as a guess."""

Key = tuple[Item, Place | None, Setting, Message | None]
"""What the rows of an item depend on; last what it answers."""


class Timeline(Painted):
    """Draws a window; asks for more of it when an end comes near."""

    class Wanted(Posted):
        """More is needed: older messages, or newer ones."""

        def __init__(self, *, older: bool) -> None:
            super().__init__()
            self.older = older

    def __init__(
        self,
        *,
        id: str | None = None,  # noqa: A002 - Textual's name
        zone: tzinfo | None = None,
        pictures: bool = False,
    ) -> None:
        super().__init__(id=id)
        self._pictures = pictures
        self.window = Window()
        self.chosen = 0
        """The number of the message that is chosen; 0 for none."""
        self.waits = False
        """Whether a page was asked for and has not come."""
        self._zone = zone
        self._kind, self._others = Kind.DIRECT, 1
        self._whole: set[int] = set()
        """The long messages of which all is shown."""
        self._cache: dict[Key, list[Line]] = {}
        self._keys: list[Key] = []
        self._blocks: list[list[Line] | None] = []
        self._items: list[Item] = []
        self._starts: list[int] = []
        self._height = 0
        self._top = 0
        self._follows = True

    @property
    def is_at_end(self) -> bool:
        """Whether the last message is in view and what comes will be."""
        return self._follows and self.window.at_end

    def show(self, window: Window, *, kind: Kind, others: int, at: int = 0) -> None:
        """Show another conversation, or another part of one, from its end or around a message."""
        self.window, self._kind, self._others = window, kind, others
        self.chosen, self.waits = at, False
        self._whole.clear()
        self._follows = not at
        self._top = 0
        self._take_up()
        if at:
            self._bring_into_view(at)
        self._draw_near(*self._found(self._held()))
        self._look_ahead()

    def changed(self) -> None:
        """Draw the window as it is now; what is in view stays where it is."""
        self._lay_out()
        self._look_ahead()

    def people(self, kind: Kind, others: int) -> None:
        """Say how many could read what we write; they come and go while one reads."""
        if (kind, others) != (self._kind, self._others):
            self._kind, self._others = kind, others
            self.changed()

    def scroll_by(self, by: int) -> None:
        self._top = max(0, min(self._top + by, self._most))
        self._follows = self._top >= self._most
        self._draw_near(*self._found(self._held()))
        self._look_ahead()

    def to_end(self) -> None:
        self._follows = True
        self._draw_near(0, 0)

    def show_whole(self) -> None:
        """Show all of the chosen message, however long it is."""
        self._whole.add(self.chosen)
        self._lay_out()
        self._bring_into_view(self.chosen)

    def choose(self, by: int) -> None:
        """Choose the message before or after the chosen one; from none it is the last in view."""
        messages = self.window.messages
        if not messages:
            return
        at = self.window.index(self.chosen) if self.chosen else None
        at = self._last_in_view() if at is None else max(0, min(at + by, len(messages) - 1))
        self.chosen = messages[at].local_id
        self._lay_out()
        self._bring_into_view(self.chosen)
        self._look_ahead()

    def choose_none(self) -> None:
        self.chosen = 0
        self._lay_out()

    def chosen_message(self) -> Message | None:
        at = self.window.index(self.chosen) if self.chosen else None
        return None if at is None else self.window.messages[at]

    def row(self, y: int) -> Line:
        # What is shorter than the view stands at its bottom, where the next message will be.
        at = self._top + y - max(self.size.height - self._height, 0)
        if not 0 <= at < self._height:
            return BLANK
        block = self._block_at(at)
        lines, within = self._block(block), at - self._starts[block]
        return lines[within] if within < len(lines) else BLANK

    def on_resize(self) -> None:
        self._lay_out()
        self._look_ahead()

    @property
    def _most(self) -> int:
        return max(self._height - self.size.height, 0)

    def _lay_out(self) -> None:
        """Take the window as it is now, and keep the line in view."""
        held = self._held()
        self._take_up()
        self._draw_near(*self._found(held))

    def _take_up(self) -> None:
        """Note what there is to draw; what was drawn and is the same stays."""
        self._items = self.window.items()
        setting = Setting(
            width=self.size.width,
            kind=self._kind,
            others=self._others,
            zone=self._zone,
            pictures=self._pictures,
        )
        by_id = {message.id: message for message in self.window.messages if message.id}
        self._keys = []
        before: Message | None = None
        for item in self._items:
            if isinstance(item, Note):
                self._keys.append((item, None, setting, None))
            else:
                self._keys.append((item, self._place(item, before), setting, by_id.get(item.reply_to)))
                before = item
        self._blocks = [self._cache.get(key) for key in self._keys]
        self._cache = {
            key: block for key, block in zip(self._keys, self._blocks, strict=True) if block is not None
        }
        self._measure()

    def _block(self, at: int) -> list[Line]:
        block = self._blocks[at]
        if block is None:
            key = self._keys[at]
            block = self._blocks[at] = self._cache[key] = _drawn(*key)
        return block

    def _draw_near(self, at: int, above: int) -> None:
        """Lay out what is in view and a view around it: the end, or from a row of a block on."""
        view = self.size.height
        if self._follows:
            self._reach(len(self._blocks) - 1, 2 * view, -1)
        else:
            self._reach(at, above + 2 * view, 1)
            self._reach(at - 1, 2 * view, -1)
        self._measure()
        if self._follows or not self._blocks:
            self._top = self._most
        else:
            self._top = min(self._starts[at] + min(above, len(self._block(at))), self._most)
        self.refresh()

    def _reach(self, at: int, rows: int, step: int) -> None:
        """Lay out blocks from one on, until they have so many rows."""
        while rows > 0 and 0 <= at < len(self._blocks):
            rows -= len(self._block(at))
            at += step

    def _measure(self) -> None:
        ends = list(accumulate(ROWS_UNSEEN if block is None else len(block) for block in self._blocks))
        self._height = ends[-1] if ends else 0
        self._starts = [0, *ends[:-1]] if ends else []

    def _place(self, message: Message, before: Message | None) -> Place:
        return place_of(
            message,
            before,
            zone=self._zone,
            unread=message.local_id == self.window.unread_from,
            chosen=message.local_id == self.chosen,
            answers="",
            whole=message.local_id in self._whole,
        )

    def _held(self) -> tuple[Item, int] | None:
        """The item at the top of the view, and how many of its rows are above."""
        if not self._items or not 0 <= self._top < self._height:
            return None
        block = self._block_at(self._top)
        return self._items[block], self._top - self._starts[block]

    def _found(self, held: tuple[Item, int] | None) -> tuple[int, int]:
        """Where that item is now, and how many of its rows are above the view."""
        if held is not None:
            name = _name(held[0])
            for at, item in enumerate(self._items):
                if _name(item) == name:
                    return at, held[1]
        top = min(self._top, self._most)
        block = self._block_at(top)
        return block, top - self._starts[block] if self._starts else 0

    def _block_at(self, at: int) -> int:
        low, high = 0, len(self._starts) - 1
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._starts[middle] <= at else (low, middle - 1)
        return low

    def _last_in_view(self) -> int:
        """The last message of which a row can be seen, by its place in the window."""
        bottom = min(self._top + self.size.height, self._height) - 1
        for block in range(self._block_at(max(bottom, 0)), -1, -1):
            item = self._items[block] if self._items else None
            if isinstance(item, Message):
                return self.window.index(item.local_id) or 0
        return len(self.window.messages) - 1

    def _bring_into_view(self, local_id: int) -> None:
        held = self._held()
        for at, item in enumerate(self._items):
            if isinstance(item, Message) and item.local_id == local_id:
                self._reach(at, 2 * self.size.height, -1)
                self._reach(at + 1, self.size.height, 1)
                self._measure()
                seen, above = self._found(held)
                start, end = self._starts[at], self._starts[at] + len(self._block(at))
                top = max(min(self._starts[seen] + above, start), min(end - self.size.height, start))
                self._top = max(0, min(top, self._most))
                self._follows = self._top >= self._most
                self._draw_near(*self._found(self._held()))
                return

    def _look_ahead(self) -> None:
        """Ask for the page that somebody is about to scroll into."""
        if self.waits or not self.window.messages:
            return
        if not self.window.at_start and self._top < NEAR:
            self.waits = True
            self.post_message(self.Wanted(older=True))
        elif not self.window.at_end and self._top > self._most - NEAR:
            self.waits = True
            self.post_message(self.Wanted(older=False))


def _name(item: Item) -> tuple[int, int]:
    """What an item is known by, however it changes."""
    return (item.after, item.number) if isinstance(item, Note) else (item.local_id, 0)


def _drawn(item: Item, place: Place | None, setting: Setting, answered: Message | None) -> list[Line]:
    if isinstance(item, Note):
        return note_lines(item.text, setting.width, item.role)
    place = place or Place()
    if answered is not None:
        place = structs.replace(place, answers=f"@{clean(answered.sender)}: {summary(answered)}")
    return message_lines(item, place, setting)
