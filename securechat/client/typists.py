"""Who is typing: told when it begins and when it ends; nothing of it is stored.

A sign lasts six seconds and is given at most every five; how often somebody sends it changes
nothing here.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from securechat.client.events import Event, MessageReceived, Typing

LASTS_SECONDS: Final = 6.0
EVERY_SECONDS: Final = 5.0

MAX_LATE: Final = 10
"""Seconds between the server's date of a sign and ours: what is older, or of another clock, is not told."""

MOST: Final = 1000
"""People who are typing at once, in all conversations."""


class Typists:
    """Lets events through and adds the ends of those that nobody ended."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self._ends: dict[tuple[str, str], asyncio.TimerHandle] = {}

    def is_news(self, event: Event) -> bool:
        """Whether an event is to be told; a message ends its sender's typing."""
        if isinstance(event, MessageReceived):
            self._end((event.message.conversation, event.message.sender))
        if not isinstance(event, Typing):
            return True
        who = (event.conversation, event.user)
        known = self._ends.pop(who, None)
        if known is not None:
            known.cancel()
        if not event.on:
            return known is not None
        if known is None and len(self._ends) >= MOST:
            return False
        loop = asyncio.get_running_loop()
        self._ends[who] = loop.call_later(LASTS_SECONDS, self._end, who)
        return known is None

    def close(self) -> None:
        for end in self._ends.values():
            end.cancel()
        self._ends.clear()

    def _end(self, who: tuple[str, str]) -> None:
        known = self._ends.pop(who, None)
        if known is not None:
            known.cancel()
            self._tell(Typing(*who, on=False))
