"""The requests without a name of one connection: answered one at a time, in the order they came.

They run beside those with a name (``turns``), and wait while the peer leaves unread what it has asked for.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from msgspec import Raw
from msgspec.structs import replace

from securechat.protocol.server_connection import Requested
from securechat.server.tls import TlsPump

ENOUGH_QUEUED: Final = 256 * 1024
"""Bytes a peer may leave unread before it is read from no more."""

NOTHING: Final = Raw()


class Reading:
    """For the loop's thread. Lives as long as its connection."""

    __slots__ = ("_answer", "_pump", "_task", "_waiting", "_writable")

    def __init__(self, pump: TlsPump, answer: Callable[[Requested], Awaitable[None]]) -> None:
        self._pump = pump
        self._answer = answer
        self._waiting: deque[Requested] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable: asyncio.Event | None = None

    def take(self, requested: Requested) -> None:
        self._waiting.append(replace(requested, raw=NOTHING))  # what only a name needs need not wait here
        if self._task is None:
            self._task = asyncio.create_task(self._work_through())

    def writable(self) -> None:
        """What was queued for the peer has mostly gone."""
        if self._writable is not None:
            self._writable.set()

    def clear(self) -> None:
        """Forget what waits; a hash that waits for its turn is not made for nobody (O-04)."""
        self._waiting.clear()
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()

    async def _work_through(self) -> None:
        try:
            while self._waiting:
                await self._until_writable()
                if self._waiting:  # not cleared by an end meanwhile
                    await self._answer(self._waiting.popleft())
        finally:
            self._task = None

    async def _until_writable(self) -> None:
        while self._pump.queued > ENOUGH_QUEUED and self._waiting:
            self._writable = asyncio.Event()
            await self._writable.wait()
        self._writable = None
