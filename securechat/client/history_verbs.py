"""The part of `Client` that keeps the account's history for its other devices."""

import asyncio
import contextlib

from securechat.client.archive_keeping import ArchiveKeeper
from securechat.client.archive_status import ArchiveStatus
from securechat.client.engine import Engine
from securechat.client.errors import Disconnected
from securechat.client.verbs import FIRST_LOOK_SECONDS


class HistoryVerbs:
    """The archive of one account; `Client` has it."""

    _engine: Engine
    _keeper: ArchiveKeeper

    async def archive(self, *, on: bool | None = None) -> ArchiveStatus:
        """Return how the archive stands; turned on or off before, if asked, for all devices of the account.

        Off: all of it at the server is deleted, now or as soon as the server is there.

        :raises ArchiveDamaged, FileRefused, RefusedByServer: what is in its way
        """
        if on is not None:
            self._keeper.turn(on=on)
        with contextlib.suppress(TimeoutError, Disconnected):
            async with asyncio.timeout(FIRST_LOOK_SECONDS):
                await self._engine.caught_up()
                await (self._keeper.look() if on is None else self._keeper.now())
        return self._keeper.status()
