"""Put a new device into the account, and leave it what opens that: once a person has said yes (D-05).

First the account lists the device, then the device gets its keys: in the other order there could be a
device that has everything and is listed nowhere. Both are stored before the first is sent.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client import handing_over, link_requests, statements
from securechat.client.carriage import NOT_NOW
from securechat.client.change import Changes
from securechat.client.device import Clock, Device
from securechat.client.device_name import shown_name
from securechat.client.errors import ClientError, Disconnected, LinkOver, RefusedByServer
from securechat.client.events import LinkOffer, Notice
from securechat.client.keystore import Keys
from securechat.client.link_requests import LinkRequest
from securechat.client.patience import seconds_until_again
from securechat.membership.account import next_statement
from securechat.membership.linking import VERSION, LinkPayload, Meeting, Newcomer
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.statement import StatementRefused
from securechat.names import parse_client_uri
from securechat.protocol.frames import decode_request, encode_value
from securechat.protocol.messages import (
    AddedDevice,
    Answer,
    ChangeAccount,
    CloseLink,
    Devices,
    FinishLink,
    GetDevices,
    RequestBody,
)

ATTEMPTS: Final = 3
"""To change the account, where another device of it does the same."""

COMES_WITHIN: Final = (0.0, 1.0, 4.0)
"""Seconds between the looks whether a device that took its keys has logged in."""

_GONE: Final = (
    "the new device waits no longer. The account lists it already, and it has no keys: `devices` shows it,"
    " and `devices revoke` takes it off"
)
_LATE: Final = (
    "a device that you let in did not get its keys in time; if `devices` shows it,"
    " `devices revoke` takes it off"
)
_NOT_IN: Final = (
    "the server did not take the new device in time: it is not in your account, and nothing was changed;"
    " begin again on the new device"
)
_GOES_ON: Final = (
    "the connection broke while the new device was let in: that goes on by itself with the next one, within"
    " the code's five minutes"
)
_RACED: Final = (
    "another device changed your account at the same time: the new one is not in it, and nothing else was"
    " changed; begin again on the new device"
)


@dataclass(frozen=True, slots=True)
class Opened:
    """What the password opens, for the time of one approval."""

    account_key: Ed25519PrivateKey = field(repr=False)
    vault_key: bytes = field(repr=False)


class LettingIn:
    """For `approving`, which knows whom."""

    def __init__(
        self,
        changes: Changes,
        ask: Callable[[RequestBody], Awaitable[Answer]],
        device: Device,
        clock: Clock,
        refresh: Callable[[str], Awaitable[None]],
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._changes = changes
        self._ask = ask
        self._device = device
        self._clock = clock
        self._refresh = refresh
        self._pause = pause
        self.come: Callable[[LinkOffer], Awaitable[None]] = _nothing_more

    async def change(self, request: LinkRequest, keys: Keys, opened: Opened) -> None:
        """Sign the account's next statement and send it; once more if another device was faster.

        :raises LinkOver: it is not in, or the text says what is left of it
        :raises Disconnected, RefusedByServer: that is not known now; `go_on` finds out
        """
        for _ in range(ATTEMPTS):
            body, sealed = self._signed(request, keys, opened)
            with self._changes.change() as change:
                link_requests.set_approved(
                    change.db, request.number, change=encode_value(body), sealed=sealed
                )
            try:
                return await self._finish(replace(request, change=encode_value(body), sealed=sealed))
            except _Stale:
                pass
            except Disconnected:
                raise Disconnected(_GOES_ON) from None
        await self.drop(request)
        raise LinkOver(_RACED)

    async def go_on(self, request: LinkRequest) -> None:
        """Finish what was approved before the line broke or the process ended; what came of it is said.

        :raises Disconnected, RefusedByServer: it cannot be known now
        """
        problem = ""
        try:
            await self._finish(request)
        except LinkOver as over:
            problem = str(over)
        except _Stale:
            await self.drop(request)
            problem = _RACED
        if problem:
            with self._changes.change() as change:
                change.tell(Notice("link_refused", problem))

    async def drop(self, *requests: LinkRequest) -> None:
        """End requests for good, and let who asked know."""
        self._end(*requests)
        for each in requests:
            with contextlib.suppress(ClientError):  # it is over here; there it is in five minutes
                await self._ask(CloseLink(each.link))

    def _signed(self, request: LinkRequest, keys: Keys, opened: Opened) -> tuple[ChangeAccount, bytes]:
        newcomer = _newcomer_of(request)
        previous = statements.newest_bytes(self._changes.db, keys.user) or keys.statement
        suites = tuple(suite for suite in PRODUCT_SUITES if suite in newcomer.suites)
        try:
            made = next_statement(
                opened.account_key,
                previous=previous,
                issued_at=int(self._clock()),
                add=[(newcomer.client.decode(), newcomer.device_key, suites)],
            )
        except StatementRefused as refused:
            raise LinkOver(str(refused)) from None
        (added,) = made.added
        payload = LinkPayload(
            VERSION, added.credential, made.statement, keys.account_key_sealed, keys.account_secret, ()
        )
        body = ChangeAccount(made.statement, [AddedDevice(added.client, added.device_key, added.credential)])
        return body, meeting_of(request, self._device).seal(payload, opened.vault_key)

    async def _finish(self, request: LinkRequest) -> None:
        """Have the account list the device, and then leave what opens it: in this order (decision 17).

        :raises LinkOver: the request is over, and the device not in, or the text says what is left of it
        :raises _Stale: the account has another statement, and that one does not list it
        """
        try:
            self._check_time(request)
            await self._list(request)
            await self._leave(request)
        except _Late:
            await self._see_what_became_of(request)
        self._end_well(request)
        await self.come(offer_of(request))

    async def _list(self, request: LinkRequest) -> None:
        body = decode_request(request.change)
        if not isinstance(body, ChangeAccount):
            raise TypeError("what was approved is a change of the account")
        try:
            await self._patiently(request, body)
        except RefusedByServer as no:
            if no.code != "stale_statement":
                await self.drop(request)
                raise LinkOver(str(no)) from None
            # It was taken if a later one lists the device: then just the answer was lost.
            await self._refresh(self._device.user)
            if not self._is_listed(request):
                raise _Stale from None
        else:
            # What we know of our account now is the server's word, held to ours; it may come later.
            await self._if_it_has_time(self._refresh(self._device.user))

    async def _leave(self, request: LinkRequest) -> None:
        try:
            await self._patiently(request, FinishLink(request.link, request.sealed))
        except RefusedByServer:
            if not await self._has_come(request):
                self._end(request)
                raise LinkOver(_GONE) from None

    def _check_time(self, request: LinkRequest) -> None:
        if not request.is_alive(self._clock()):
            raise _Late

    async def _see_what_became_of(self, request: LinkRequest) -> None:
        """Look, after its time, whether the device is in; what was sent may have come there all the same.

        :raises LinkOver: it is not, and the request has ended
        """
        await self._refresh(self._device.user)
        is_listed = self._is_listed(request)
        if not await self._has_come(request):
            self._end(request)
            raise LinkOver(_LATE if is_listed else _NOT_IN)

    async def _patiently(self, request: LinkRequest, body: RequestBody) -> None:
        """Ask until the server has time for it.

        :raises _Late: it had none as long as the code's five minutes run
        """
        for failures in itertools.count(1):
            try:
                await self._ask(body)
            except RefusedByServer as no:
                wait = seconds_until_again(failures, asked=no.retry_after)
                if no.code not in NOT_NOW:
                    raise
                if not request.is_alive(self._clock() + wait):
                    raise _Late from None
                await self._pause(wait)
            else:
                return

    def _is_listed(self, request: LinkRequest) -> bool:
        """Whether the account has the device, as its newest statement says."""
        statement = statements.newest(self._changes.db, self._device.user)
        if statement is None:
            return False
        name = _newcomer_of(request).client.decode()
        return any(parse_client_uri(each.client).name == name for each in statement.devices)

    async def _has_come(self, request: LinkRequest) -> bool:
        """Whether the device has logged in: then it has what was left for it, whatever we were told."""
        if not self._is_listed(request):
            return False
        for wait in COMES_WITHIN:
            await self._pause(wait)
            answer = await self._ask(GetDevices())
            rows = answer.devices if isinstance(answer, Devices) else []
            if any(each.client == _newcomer_of(request).client.decode() and each.seen for each in rows):
                return True
        return False

    async def _if_it_has_time(self, asking: Awaitable[None]) -> None:
        try:
            await asking
        except RefusedByServer as no:
            if no.code not in NOT_NOW:
                raise

    def _end_well(self, request: LinkRequest) -> None:
        """The device is in: it is to have what was said before, too."""
        with self._changes.change() as change:
            link_requests.end(change.db, [request.number])
            handing_over.owe(change.db, _newcomer_of(request).client.decode(), change.now)

    def _end(self, *requests: LinkRequest) -> None:
        with self._changes.change() as change:
            link_requests.end(change.db, [each.number for each in requests])


async def _nothing_more(_offer: LinkOffer) -> None:
    """Whoever knows what else a device that has come gets, says so."""


class _Late(Exception):
    """The code's five minutes are over, and it is not known whether the new device is in."""


class _Stale(Exception):
    """Another device changed the account meanwhile, and does not list the new one."""


def meeting_of(request: LinkRequest, device: Device) -> Meeting:
    """What we have in common with the new device. Raises as `LinkRequest.meeting`."""
    return request.meeting(domain=device.domain, user=device.user, client=device.client)


def offer_of(request: LinkRequest) -> LinkOffer:
    """Who asks, as a person is asked about it."""
    newcomer = _newcomer_of(request)
    return LinkOffer(
        number=request.number,
        name=shown_name(newcomer.name.decode()),
        device=newcomer.client.decode(),
        address=request.address,
        asked=request.opened,
    )


def _newcomer_of(request: LinkRequest) -> Newcomer:
    if request.newcomer is None:
        raise LookupError(request.number)
    return request.newcomer
