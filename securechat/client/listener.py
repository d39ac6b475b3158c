"""Events on their way to one listener: in order, bounded, and it is said when some are dropped."""

import asyncio
import sys
from collections import OrderedDict
from collections.abc import AsyncIterator, Iterable
from typing import Final

from securechat.client.events import Event, Message, MessageChanged, Notice

MAX_EVENTS: Final = 10_000
"""Events that wait for a slow listener; the store has everything that is dropped here."""

MAX_BYTES: Final = 8 * 1024 * 1024
"""Of text that waits beside them: one sign outside the basic plane makes 240 kB of a message of 60 kB."""

MUCH: Final = MAX_BYTES // 8
"""From here on of each message only the newest change waits."""


class Listener:
    """One listener's events, in order. The oldest are dropped, and that is said, if it sleeps too long.

    Where much waits, of a message that changes again and again only how it stands now does: who sleeps
    loses nothing by it.
    """

    def __init__(self, earlier: Iterable[Event] = ()) -> None:
        self._waiting: OrderedDict[int, Event] = OrderedDict()
        self._changed: dict[int, int] = {}
        """Where the change of a message waits, by the message's number."""
        self._next = 0
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._dropped = False
        self._ended = False
        self._failure: Exception | None = None
        for event in earlier:
            self.put(event)

    def put(self, event: Event | None) -> None:
        """Add an event; None says that no more come."""
        self._arrived.set()
        if event is None or self._ended:
            self._ended = True
            return
        if isinstance(event, MessageChanged):
            before = self._changed.pop(event.message.local_id, None)
            if before is not None and self._bytes > MUCH:
                self._bytes -= _bytes_of(self._waiting.pop(before))
            self._changed[event.message.local_id] = self._next
        self._waiting[self._next] = event
        self._next += 1
        self._bytes += _bytes_of(event)
        while len(self._waiting) > MAX_EVENTS or (self._bytes > MAX_BYTES and len(self._waiting) > 1):
            self._take()
            self._dropped = True

    def fail(self, failure: Exception) -> None:
        """Say that no more come, and why: raised once what waits was taken."""
        self._failure = failure
        self.put(None)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        if self._dropped:
            self._dropped = False
            return Notice("events_dropped", "some events were dropped here; the messages are in the store")
        while not self._waiting:
            if self._ended:
                raise self._failure or StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._take()

    def _take(self) -> Event:
        place, event = self._waiting.popitem(last=False)
        self._bytes -= _bytes_of(event)
        if isinstance(event, MessageChanged) and self._changed.get(event.message.local_id) == place:
            del self._changed[event.message.local_id]
        return event


def _bytes_of(event: Event) -> int:
    """What is large in an event: the text of its message."""
    message = getattr(event, "message", None)
    if not isinstance(message, Message):
        return 0
    return sys.getsizeof(message.text) + (len(message.file.thumbnail) if message.file is not None else 0)
