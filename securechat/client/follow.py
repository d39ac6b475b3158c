"""Messages for a consumer that must lose none: told until they are acknowledged, also by the next process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from securechat.client.events import (
    Disconnected,
    Event,
    Joined,
    Message,
    MessageReceived,
    Notice,
    Undecryptable,
)
from securechat.client.face import Face

WINDOW: Final = 100
"""Messages told and not acknowledged; more wait until some are."""


class Follower:
    """What others said and nobody acknowledged, oldest first, then what comes; each told once here."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._told: set[int] = set()
        self._waiting: list[Message] = []
        self._stirred = asyncio.Event()
        self._stirred.set()
        self._ended = False
        self._failure: Exception | None = None

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        """Return the next message.

        :raises ClientError: nothing more will come, as the session or the holder has ended
        """
        while not self._waiting:
            await self._stirred.wait()
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            self._stirred.clear()
            window = await self._face.unprinted(WINDOW)
            self._waiting = [message for message in window if message.local_id not in self._told]
            self._told = {message.local_id for message in window}
        return self._waiting.pop(0)

    async def acknowledge(self, local_ids: list[int]) -> None:
        """Say that these were dealt with: they never come again, here or elsewhere."""
        await self._face.mark_printed(local_ids)
        self.stir()

    def stir(self) -> None:
        """Look again: something was acknowledged or came."""
        self._stirred.set()

    async def watch(self, events: AsyncIterator[Event]) -> None:
        """Look again at each event that may have brought messages; runs as long as there are any."""
        try:
            async for event in events:
                match event:
                    case MessageReceived() | Undecryptable() | Joined() | Notice(code="events_dropped"):
                        self.stir()
                    case Disconnected(retry_in=None):
                        await self._face.caught_up()  # raises what ended the session
            self._ended = True
        except Exception as failure:  # noqa: BLE001 - a task's root: who waits for a message is told
            self._failure = failure
        self.stir()


@asynccontextmanager
async def following(face: Face) -> AsyncIterator[Follower]:
    """Follow an account's messages while the block runs."""
    follower = Follower(face)
    watching = asyncio.create_task(follower.watch(await face.events()), name="follower")
    try:
        yield follower
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
