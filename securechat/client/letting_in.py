"""Put a new device into the account, and leave it what opens that: once a person has said yes (D-05).

First the account lists the device, then the device gets its keys: in the other order there could be a
device that has everything and is listed nowhere. Both are stored before the first is sent.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client import link_requests, statements
from securechat.client.change import Changes
from securechat.client.device import Clock, Device
from securechat.client.device_name import shown_name
from securechat.client.errors import LinkOver, RefusedByServer
from securechat.client.events import LinkOffer, Notice
from securechat.client.keystore import Keys
from securechat.client.link_requests import LinkRequest
from securechat.membership.account import next_statement
from securechat.membership.linking import VERSION, LinkPayload, Meeting, Newcomer
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.statement import StatementRefused
from securechat.protocol.frames import decode_request, encode_value
from securechat.protocol.messages import AddedDevice, Answer, ChangeAccount, FinishLink, RequestBody

ATTEMPTS: Final = 3
"""To change the account, where another device of it does the same."""

_GONE: Final = (
    "the new device waits no longer. The account lists it already, and it has no keys: `devices` shows it,"
    " and `devices revoke` takes it off"
)
_LATE: Final = (
    "a device that you let in did not get its keys in time; if `devices` shows it,"
    " `devices revoke` takes it off"
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
    ) -> None:
        self._changes = changes
        self._ask = ask
        self._device = device
        self._clock = clock
        self._refresh = refresh

    async def change(self, request: LinkRequest, keys: Keys, opened: Opened) -> None:
        """Sign the account's next statement and send it; once more if another device was faster."""
        for left in reversed(range(ATTEMPTS)):
            body, sealed = self._signed(request, keys, opened)
            with self._changes.change() as change:
                link_requests.set_approved(
                    change.db, request.number, change=encode_value(body), sealed=sealed
                )
            approved = replace(request, change=encode_value(body), sealed=sealed)
            try:
                await self.finish(approved, last=not left)
            except _Stale:
                await self._refresh(self._device.user)
            else:
                return

    async def go_on(self, request: LinkRequest) -> None:
        """Finish what was approved by a process that ended before; too late it is only said."""
        problem = ""
        if request.is_alive(self._clock()):
            try:
                await self.finish(request)
            except LinkOver as over:
                problem = str(over)
        else:
            self._end(request)
            problem = _LATE
        if problem:
            with self._changes.change() as change:
                change.tell(Notice("link_refused", problem))

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

    async def finish(self, request: LinkRequest, *, last: bool = True) -> None:
        """Have the account list the device, and then leave what opens it: in this order (decision 17)."""
        body = decode_request(request.change)
        if not isinstance(body, ChangeAccount):
            raise TypeError("what was approved is a change of the account")
        try:
            await self._ask(body)
            await self._refresh(
                self._device.user
            )  # what we know of our account now is the server's word, held to ours
            await self._ask(FinishLink(request.link, request.sealed))
        except RefusedByServer as no:
            if no.code == "stale_statement" and not last:
                raise _Stale from None
            self._end(request)
            raise LinkOver(_GONE if no.code == "no_link" else str(no)) from None
        with self._changes.change() as change:
            link_requests.end(change.db, [request.number])

    def _end(self, request: LinkRequest) -> None:
        with self._changes.change() as change:
            link_requests.end(change.db, [request.number])


class _Stale(Exception):
    """Another device changed the account meanwhile."""


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
