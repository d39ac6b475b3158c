"""The part of a conversation that is in memory: a run of its messages, by their place in the store.

Pages come in at either end as somebody scrolls, and the far end is let go of, so that memory does not
grow with the history. Words of ours stand between the messages where they were said.
"""

from bisect import bisect_left
from collections import deque
from typing import Final

from msgspec import Struct

from securechat.client.events import Message
from securechat.tui.paint import Role

PAGE: Final = 100
MOST: Final = 600
"""Messages kept in memory: several screens at both ends of the one in view."""

MAX_NOTES: Final = 100
"""Words of ours that are kept: what a person can still be looking for."""


class Note(Struct, frozen=True):
    """Words of ours, said after the message with this number."""

    after: int
    number: int
    text: str
    role: Role = Role.DIM


Item = Message | Note


class Window:
    """Messages in their order, and whether there are more at the ends."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.at_start = False
        self.at_end = True
        self.unread_from = 0
        """The first message that was not read when the conversation was opened; 0 for none."""
        self._notes: deque[Note] = deque(maxlen=MAX_NOTES)
        self._numbers = 0

    @property
    def first(self) -> int:
        return self.messages[0].local_id if self.messages else 0

    @property
    def last(self) -> int:
        return self.messages[-1].local_id if self.messages else 0

    @property
    def notes(self) -> list[Note]:
        return list(self._notes)

    def items(self) -> list[Item]:
        """Return messages and notes in the order they are drawn."""
        notes = [note for note in self._notes if note.after >= self.first or self.at_start]
        if not self.at_end:
            notes = [note for note in notes if note.after < self.last]
        if not notes:
            return list(self.messages)
        placed: list[tuple[int, int, Item]] = [(one.local_id, 0, one) for one in self.messages]
        placed += [(note.after, note.number, note) for note in notes]
        return [item for _, _, item in sorted(placed, key=lambda part: part[:2])]

    def start(self, messages: list[Message], *, wanted: int) -> None:
        """Begin with a page; ``wanted`` is how many were asked for."""
        self.messages = _ordered(messages)
        self.at_start = len(messages) < wanted
        self.at_end = True

    def add_before(self, page: list[Message], *, wanted: int) -> None:
        """Put an older page in front."""
        known = {message.local_id for message in self.messages}
        self.messages = _ordered([one for one in page if one.local_id not in known] + self.messages)
        self.at_start = len(page) < wanted
        if len(self.messages) > MOST:
            del self.messages[MOST:]
            self.at_end = False

    def add_after(self, page: list[Message], *, wanted: int) -> None:
        """Put a newer page behind."""
        known = {message.local_id for message in self.messages}
        self.messages = _ordered(self.messages + [one for one in page if one.local_id not in known])
        self.at_end = len(page) < wanted
        self._trim_front()

    def put(self, message: Message) -> bool:
        """Take a message as it is now: changed in its place, new only where the window is at its end."""
        at = self.index(message.local_id)
        if at is not None:
            changed = self.messages[at] != message
            self.messages[at] = message
            return changed
        if not self.at_end or message.local_id < self.last:
            return False
        self.messages.append(message)
        self._trim_front()
        return True

    def tell(self, text: str, role: Role = Role.DIM) -> None:
        """Say something after the last message there is."""
        self._numbers += 1
        self._notes.append(Note(self.last if self.at_end else 2**62, self._numbers, text, role))

    def take_notes(self, other: "Window") -> None:
        """Say after the last message what another window said."""
        for note in other.notes:
            self.tell(note.text, note.role)

    def forget_notes(self) -> None:
        self._notes.clear()

    def index(self, local_id: int) -> int | None:
        at = bisect_left(self.messages, local_id, key=lambda one: one.local_id)
        found = at < len(self.messages) and self.messages[at].local_id == local_id
        return at if found else None

    def _trim_front(self) -> None:
        if len(self.messages) > MOST:
            del self.messages[: len(self.messages) - MOST]
            self.at_start = False


def _ordered(messages: list[Message]) -> list[Message]:
    return sorted(messages, key=lambda one: one.local_id)
