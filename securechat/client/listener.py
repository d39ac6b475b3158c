"""Events on their way to one listener: in order, bounded, and it is said when some are dropped."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Final

from securechat.client.events import Event, Notice

MAX_EVENTS: Final = 10_000
"""Events that wait for a slow listener; the store has everything that is dropped here."""


class Listener:
    """One listener's events, in order. The oldest are dropped, and that is said, if it sleeps too long."""

    def __init__(self, earlier: Iterable[Event] = ()) -> None:
        self._waiting: deque[Event | None] = deque(earlier)
        self._arrived = asyncio.Event()
        self._dropped = False
        self._failure: Exception | None = None
        if self._waiting:
            self._arrived.set()

    def put(self, event: Event | None) -> None:
        """Add an event; None says that no more come."""
        if len(self._waiting) >= MAX_EVENTS:
            self._waiting.popleft()
            self._dropped = True
        self._waiting.append(event)
        self._arrived.set()

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
            self._arrived.clear()
            await self._arrived.wait()
        event = self._waiting.popleft()
        if event is None:
            self._waiting.append(None)
            raise self._failure or StopAsyncIteration
        return event
