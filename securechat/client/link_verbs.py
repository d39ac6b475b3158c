"""The part of `Client` that lets new devices in."""

import asyncio
import contextlib

from securechat.client.archive_keeping import ArchiveKeeper
from securechat.client.boxes import BoxRefused
from securechat.client.device_name import own_name
from securechat.client.engine import Engine
from securechat.client.errors import ClientError, Disconnected, RefusedByServer, Unreachable
from securechat.client.events import LinkOffer, Notice
from securechat.client.naming import names_of, rename
from securechat.client.verbs import FIRST_LOOK_SECONDS
from securechat.membership.linking import read_code


class LinkVerbs:
    """New devices of one account; `Client` is one."""

    _engine: Engine
    _keeper: ArchiveKeeper

    async def link_offer(self, code: str) -> LinkOffer:
        """Take the code that a new device shows, and say which device that is. It is tried once.

        :raises CodeRefused: it is no such code; nothing was tried
        :raises LinkOver, LinkExpired: it opens nothing; the request it was tried on is over
        """
        read_code(code)  # a slip is told here, before anything is waited for
        await self._look_first()
        return await self._engine.approver.match(code)

    async def approve_link(self, number: int, password: str) -> LinkOffer:
        """Put the device into the account and pass on what opens it.

        :param number: of the offer
        :param password: the account's, typed for this: it opens the account key
        :raises WrongPassword: nothing was changed; it may be typed again
        :raises LinkOver, LinkExpired, Disconnected: it is not in, or the text says what is left of it
        """
        await self._look_first()
        return await self._engine.approver.approve(number, password)

    async def _device_has_come(self, offer: LinkOffer) -> None:
        """Call it what it calls itself, and see that it gets the history."""
        self._keeper.let_in()
        try:
            named = await names_of(self._engine)
            own = self._engine.device.client
            await rename(self._engine, {own: named.get(own) or own_name(), offer.device: offer.name})
        except BoxRefused as refused:
            self._engine.tell(Notice("names_refused", str(refused)))
        except (Disconnected, Unreachable, RefusedByServer):
            pass  # it is in; what it is called can be said later

    async def decline_link(self, number: int) -> None:
        """Send the device away."""
        await self._engine.approver.decline(number)

    async def _look_first(self) -> None:
        """Hear of what waits, if we just opened; what is stored is known without a server too."""
        with contextlib.suppress(TimeoutError, ClientError):
            async with asyncio.timeout(FIRST_LOOK_SECONDS):
                await self._engine.caught_up()
                await self._engine.approver.look()
