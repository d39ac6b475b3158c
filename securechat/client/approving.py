"""Let a new device in: the side that has been there (D-05; `membership/linking.py` is the law).

What a new device asks is answered by itself, with a key drawn for it; no secret of ours is in that. What
opens the account waits for a person, who types the code that the new device shows, once, and then the
password. Each step is stored before it is said (`link_requests`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from securechat.client import link_requests
from securechat.client.carriage import NOT_NOW
from securechat.client.change import Change, Changes
from securechat.client.device import Clock, Device
from securechat.client.device_name import own_name, shown_name
from securechat.client.errors import LinkExpired, LinkOver, RefusedByServer
from securechat.client.events import LinkOffer, Notice
from securechat.client.keystore import Keys, load_keys, open_account_key
from securechat.client.letting_in import LettingIn, Opened, meeting_of, offer_of
from securechat.client.link_requests import LinkRequest, LinkStep
from securechat.membership.linking import LinkRefused, Newcomer, answer_link, read_code
from securechat.membership.passwords import stretch
from securechat.mls.codec import encode
from securechat.protocol.messages import (
    Answer,
    AnswerLink,
    GetLinks,
    Links,
    NewDevice,
    OpenedLink,
    RequestBody,
)
from securechat.text import sanitise

MAX_ANSWERED: Final = 12
"""Requests that one device answers in an hour, whatever the server asks: each is a guess of 40 bits."""

_WRONG: Final = (
    "this is not the code of the device that asks; the request is over, so that nobody can guess."
    " Begin again on the new device"
)
_NONE: Final = (
    "no new device waits for its code here. The code counts on a device that was online when it was shown:"
    " give `securechat link` again on the new one"
)
_OLD: Final = "this code is older than five minutes and opens nothing any more; begin again on the new device"
_CHANGED: Final = "the password was changed on another device, and not here; let the new one in there"


class Approver:
    """Follows the requests of the account's new devices."""

    def __init__(
        self,
        changes: Changes,
        ask: Callable[[RequestBody], Awaitable[Answer]],
        device: Device,
        clock: Clock,
        refresh: Callable[[str], Awaitable[None]],
        *,
        name: str = "",
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Follow nothing yet.

        :param refresh: looks up the newest statement of a user
        """
        self._changes = changes
        self._ask = ask
        self._device = device
        self._clock = clock
        seen = link_requests.seen_as(changes.db, device.client)
        self._name = name or (own_name() if seen is None else seen[0])
        self._looking = asyncio.Lock()
        self._letting_in = LettingIn(changes, ask, device, clock, refresh, pause=pause)

    def when_one_has_come(self, do: Callable[[LinkOffer], Awaitable[None]]) -> None:
        """Have this done for each device that was let in, also by a process that ended before."""
        self._letting_in.come = do

    async def look(self) -> None:
        """Ask which new devices there are, answer who has not been, and finish what was approved."""
        async with self._looking:
            answer = await self._ask(GetLinks())
            if not isinstance(answer, Links):
                raise TypeError("the connection holds answers to their kinds")
            self._forget(answer.links)
            for opened in answer.links:
                await self._follow(opened)
            for request in link_requests.in_steps(self._changes.db, LinkStep.APPROVED):
                await self._letting_in.go_on(request)

    async def match(self, typed: str) -> LinkOffer:
        """Take a code that a person has typed: it is tried once.

        :raises CodeRefused: it is none; nothing was tried
        :raises LinkOver, LinkExpired: it opens nothing; what it was tried on is over
        """
        code = read_code(typed)
        open_ones = link_requests.in_steps(self._changes.db, LinkStep.REVEALED, LinkStep.MATCHED)
        alive = [each for each in open_ones if each.is_alive(self._clock())]
        if not alive:
            raise LinkExpired(_OLD) if open_ones else LinkOver(_NONE)
        for request in alive:
            if request.newcomer is not None and meeting_of(request, self._device).has_code(code):
                with self._changes.change() as change:
                    link_requests.set_matched(change.db, request.number)
                return offer_of(request)
        await self._letting_in.drop(*alive)
        raise LinkOver(_WRONG)

    async def approve(self, number: int, password: str) -> LinkOffer:
        """Let in the device whose code was typed; costs an Argon2id.

        :raises WrongPassword: nothing was changed; it may be typed again while the code's time runs
        :raises LinkOver, LinkExpired: it was not let in
        """
        request = link_requests.by_number(self._changes.db, number)
        if request is None or request.step is not LinkStep.MATCHED or request.newcomer is None:
            raise LinkOver(_NONE)
        if not request.is_alive(self._clock()):
            raise LinkExpired(_OLD)
        keys = load_keys(self._changes.store)
        if request.newcomer.salt != keys.login_salt:
            await self._letting_in.drop(request)
            raise LinkOver(_CHANGED)
        opened = await asyncio.to_thread(_opened, keys, password)
        async with self._looking:
            # Whatever was waited for: declined, or tried on with another code, it is not let in any more.
            request = link_requests.by_number(self._changes.db, number)
            if request is None or request.step is not LinkStep.MATCHED:
                raise LinkOver(_NONE)
            if not request.is_alive(self._clock()):
                raise LinkExpired(_OLD)
            await self._letting_in.change(request, keys, opened)
        return offer_of(request)

    async def decline(self, number: int) -> None:
        """End a request: the person does not want it."""
        request = link_requests.by_number(self._changes.db, number)
        if request is not None and request.step is not LinkStep.OVER:
            await self._letting_in.drop(request)

    # What comes from the server.

    def _forget(self, opened: list[OpenedLink]) -> None:
        """End what has gone from the server, and what is too old."""
        there, now = {each.link for each in opened}, self._clock()
        waiting = link_requests.in_steps(
            self._changes.db, LinkStep.ANSWERED, LinkStep.REVEALED, LinkStep.MATCHED
        )
        gone = [each.number for each in waiting if each.link not in there or not each.is_alive(now)]
        if gone:
            with self._changes.change() as change:
                link_requests.end(change.db, gone)

    async def _follow(self, opened: OpenedLink) -> None:
        request = link_requests.by_link(self._changes.db, opened.link)
        if request is None:
            await self._meet(opened)
        elif request.step is LinkStep.ANSWERED and opened.device is None:
            await self._answer(request)
        elif request.step is LinkStep.ANSWERED and opened.device is not None:
            await self._take(request, self._newcomer(opened.device), opened)

    async def _meet(self, opened: OpenedLink) -> None:
        """Answer a device that has told nothing yet; of one that has, only its name is kept."""
        now = int(self._clock())
        with self._changes.change() as change:
            if opened.device is not None:
                _note(change, opened, opened.device)
                return
            if link_requests.answered_lately(change.db, now) >= MAX_ANSWERED:
                return
            side = answer_link(
                domain=self._device.domain,
                user=self._device.user,
                commitment=opened.commitment,
                client=self._device.client,
                name=self._name,
            )
            link_requests.note_answer(
                change.db,
                opened.link,
                side,
                answered=now,
                opened=opened.opened,
                address=sanitise(opened.address),
            )
        request = link_requests.by_link(self._changes.db, opened.link)
        if request is not None:
            await self._answer(request)

    async def _answer(self, request: LinkRequest) -> None:
        """Send what is stored; the same again does no harm."""
        key = _public(request.secret)
        try:
            await self._ask(AnswerLink(request.link, request.name, key))
        except RefusedByServer as no:
            if no.code in NOT_NOW:
                raise  # and all is looked at again; else it is too late: somebody else's, or over

    async def _take(self, request: LinkRequest, newcomer: Newcomer, opened: OpenedLink) -> None:
        with self._changes.change() as change:
            link_requests.set_revealed(change.db, request.number, encode(newcomer))
        revealed = link_requests.by_number(self._changes.db, request.number)
        if revealed is None:
            return
        try:
            meeting_of(revealed, self._device)
        except LinkRefused as refused:
            await self._letting_in.drop(revealed)
            with self._changes.change() as change:
                text = f"a request to link a device to {self._device.user} was refused: {refused}"
                change.tell(Notice("link_refused", text))
            return
        with self._changes.change() as change:
            if opened.device is not None:
                _note(change, opened, opened.device)
            change.tell(Notice("link_asked", _asked(offer_of(revealed))))

    def _newcomer(self, said: NewDevice) -> Newcomer:
        """What was revealed, as of our own account: the server has no say in whose it is."""
        return Newcomer(
            self._device.domain.encode(),
            self._device.user.encode(),
            said.client.encode(),
            said.device_key,
            said.name.encode(),
            tuple(said.suites),
            said.salt,
            said.key,
            said.nonce,
        )


def _note(change: Change, opened: OpenedLink, device: NewDevice) -> None:
    link_requests.note_seen(
        change.db,
        client=device.client,
        name=shown_name(device.name),
        address=sanitise(opened.address),
        now=change.now,
    )


def _public(secret: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()


def _asked(offer: LinkOffer) -> str:
    return (
        f"a new device {offer.name} asks to be linked to your account (from {offer.address}, as the server"
        " says). If it is yours, type the code that it shows: /devices approve CODE. If not, somebody knows"
        " your password: change it"
    )


def _opened(keys: Keys, password: str) -> Opened:
    stretched = stretch(password, domain=keys.domain, user=keys.user, salt=keys.login_salt)
    account_key = open_account_key(
        stretched.vault_key, keys.account_key_sealed, domain=keys.domain, user=keys.user
    )
    return Opened(account_key, stretched.vault_key)
