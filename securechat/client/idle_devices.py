"""Offering its owner a device that was not seen for long, to be taken off the account (M-17).

It is an offer: when a device was last seen is the server's word, so nothing is removed by itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from securechat.client import records
from securechat.client.engine import Engine
from securechat.client.errors import ClientError
from securechat.client.events import OwnDevice
from securechat.client.notes import tell_account
from securechat.client.own_devices import to_type
from securechat.client.tasks import Tasks

CODE: Final = "device_idle"
"""Of the notice; and the counter with the time (seconds since 1970) at which it was told last."""

OFFER_EVERY: Final = 7 * 86_400
"""Seconds between two offers."""

SETTLES: Final = 5.0
"""Seconds that an account is open before it looks: what is over by then has nobody who reads."""

LOOK_EVERY: Final = 86_400.0


class IdleDevices:
    """Looks once a day while the account is open, and offers once a week."""

    def __init__(
        self,
        engine: Engine,
        own_devices: Callable[[], Awaitable[list[OwnDevice]]],
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._engine = engine
        self._own_devices = own_devices
        self._pause = pause
        self._tasks = Tasks(lambda _: None)

    def start(self) -> None:
        self._tasks.spawn(self._run(), "idle devices")

    async def close(self) -> None:
        await self._tasks.close()

    async def _run(self) -> None:
        while True:
            try:
                await self._engine.caught_up()
                await self._pause(SETTLES)
                await self.look()
            except ClientError:
                pass  # whoever needs the server is told what is wrong with it; this can be said tomorrow
            await self._pause(LOOK_EVERY)

    async def look(self) -> None:
        """Offer what was not seen for long, if nothing was offered lately; raises as `own_devices`."""
        changes = self._engine.changes
        now = int(self._engine.clock())
        if 0 <= now - records.counter(changes.db, CODE) < OFFER_EVERY:
            return
        devices = await self._own_devices()
        idle = [each for each in devices if each.idle]
        if not idle:
            return
        with changes.change() as change:
            records.set_counter(change.db, CODE, now)
            for each in idle:
                called, typed = each.name or each.device[:8], to_type(each, devices)
                days = (now - each.seen) // 86_400
                tell_account(
                    change,
                    CODE,
                    f"your device {called} was last seen {days} days ago, as the server says: if it is gone,"
                    f" take it off with /devices revoke {typed}; else keep it",
                )
