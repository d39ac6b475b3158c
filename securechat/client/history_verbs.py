"""The part of `Client` that keeps the account's history for its other devices."""

import asyncio
import contextlib

from securechat.client.archive_keeping import ArchiveKeeper
from securechat.client.archive_status import ArchiveStatus
from securechat.client.engine import Engine
from securechat.client.errors import Disconnected, NotAMember
from securechat.client.shared_history import most
from securechat.client.verbs import FIRST_LOOK_SECONDS, Verbs
from securechat.membership.room import room_of


class HistoryVerbs:
    """The archive of one account, and what its rooms hand to newcomers; `Client` has them."""

    _engine: Engine
    _keeper: ArchiveKeeper
    _verbs: Verbs

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

    async def room_history(self, name: str, *, last: int | None = None) -> int:
        """Return how many of the last messages of a room who comes in is handed; set before, if asked.

        :param last: none 0, all 65535 (as many as one may hand over)
        :raises NotAMember, Forbidden, RefusedByServer: it stays as it is
        :raises Unreachable: not done yet; it is, once the server is there
        """
        if last is not None:
            await self._verbs.hand_over(name, last)
        record = self._verbs.record(name)
        public = self._engine.groups.public(self._engine.store.db, record.id)
        if public is None:
            raise NotAMember(record.name)
        return most(room_of(public.context))
