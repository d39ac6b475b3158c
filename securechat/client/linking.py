"""Come to an account as a new device: the side that asks (D-05; `membership/linking.py` is the law).

Until an old device has let this one in, nothing of it is on the disk: whatever ends the request, the
same command begins anew. What comes then is held to the account key that the typed password opens,
and is stored whole before the server is told that it arrived.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client import handing_over
from securechat.client.challenge import device_login
from securechat.client.config import Home, ProfileFolder, ServerAddress
from securechat.client.connect import open_trusted
from securechat.client.errors import (
    ClientError,
    Disconnected,
    LinkExpired,
    LinkOver,
    LinkUntrusted,
    ProfileExists,
    RefusedByServer,
    Unreachable,
    WrongPassword,
)
from securechat.client.first_keys import leave_key_packages
from securechat.client.keystore import Keys, open_account_key
from securechat.client.link_requests import note_seen
from securechat.client.lock import ProfileLock
from securechat.client.new_profile import make_profile, remove_if_empty
from securechat.client.password_line import PasswordLine
from securechat.client.patience import seconds_until_again
from securechat.client.private_files import check_private_folder, make_folder
from securechat.client.session import LOGIN_SECONDS
from securechat.client.store import ClientStore, remove_store
from securechat.client.trust import Trust
from securechat.membership.identity import new_local_id
from securechat.membership.linking import (
    LIFETIME,
    LinkPayload,
    LinkRefused,
    Meeting,
    NewSide,
    Sibling,
    ask_to_link,
    check_payload,
)
from securechat.membership.passwords import normalise
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.signing import new_key, public_of
from securechat.names import fold_user
from securechat.protocol.messages import (
    UNDECIDED,
    Answer,
    CloseLink,
    GetLink,
    LinkStanding,
    NewDevice,
    OpenLink,
    RequestBody,
    RevealLink,
)
from securechat.text import sanitise

POLL_SECONDS: Final = 0.5
"""Between two looks at the request: a person waits, and it keeps the line open."""

RETRY_SECONDS: Final = 3.0
"""Between two attempts where there is no line."""

GATHER_SECONDS: Final = 1.0
"""How long other devices may still answer after the first: then nobody may any more."""

PARTING_SECONDS: Final = 3
"""For taking back a request that nobody waits for."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """No device of the account has answered yet."""


@dataclass(frozen=True, slots=True)
class Compare:
    """The code to type on a device, for each that has answered: its name and the code."""

    codes: tuple[tuple[str, str], ...]


Progress = Waiting | Compare


@dataclass(frozen=True, slots=True)
class Linked:
    """An account that this machine has now; ``by`` is the name of the device that let it in."""

    user: str
    domain: str
    server: ServerAddress
    name: str
    by: str


async def link_device(  # noqa: PLR0913 - who, where, and what a test holds still
    home: Home,
    server: ServerAddress,
    user: str,
    password: str,
    trust: Trust,
    *,
    name: str,
    tell: Callable[[Progress], None],
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Linked:
    """Ask an account's devices to let this machine in, and wait for a person, five minutes at most.

    :param name: what the person calls this machine
    :param clock: monotonic, in seconds
    :raises NameRefused, PasswordRefused, ProfileExists: before anything is connected
    :raises LinkOver, LinkExpired, LinkUntrusted: it was not let in; nothing is left behind
    :raises ServerUntrusted, ServerChanged, RefusedByServer, Unreachable, Disconnected: likewise
    """
    folded = fold_user(user)
    normalise(password)
    home.make()
    profile = home.profile(folded)
    make_folder(profile.folder)
    check_private_folder(profile.folder)
    with ProfileLock(profile):
        try:
            if profile.exists:
                raise ProfileExists(folded)
            remove_store(profile.database)  # without its account file it was never whole
            line = PasswordLine(home, server, trust, folded)
            try:
                await line.open(password)
                request = _Request(line, folded, name, pause, clock)
                store, keys, by = await _let_in(request, profile, server, password, tell)
            finally:
                await line.close()
            with contextlib.closing(store):
                await _leave_keys(home, server, trust, store, keys)
            return Linked(folded, keys.domain, server, name, by)
        finally:
            remove_if_empty(profile)


async def _let_in(
    request: "_Request",
    profile: ProfileFolder,
    server: ServerAddress,
    password: str,
    tell: Callable[[Progress], None],
) -> tuple[ClientStore, Keys, str]:
    """Have a device let us in, and store what it passes, before we say that it came."""
    try:
        meeting, payload = await request.run(tell)
        keys = request.keys_from(payload, server)
        store = await asyncio.to_thread(make_profile, profile, keys, password)
        with store.transaction() as db:
            note_seen(db, client=keys.client, name=request.name, address="", now=int(time.time()))
            handing_over.wait(db, int(time.time()))
    finally:
        await request.end()
    return store, keys, _shown(meeting.sibling.name.decode())


class _Request:
    """One request, from its promise to its end."""

    def __init__(
        self,
        line: PasswordLine,
        user: str,
        name: str,
        pause: Callable[[float], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self._line = line
        self._user = user
        self.name = name
        self._pause = pause
        self._clock = clock
        self._ends = clock() + LIFETIME
        self._link = b""
        self._device_key: Ed25519PrivateKey = new_key()
        self._new: NewSide = ask_to_link(
            domain=line.pin.domain,
            user=user,
            client=new_local_id(),
            device_key=public_of(self._device_key),
            name=name,
            suites=PRODUCT_SUITES,
            salt=line.salt,
        )

    async def run(self, tell: Callable[[Progress], None]) -> tuple[Meeting, LinkPayload]:
        self._link = (await self._ask(OpenLink(self._new.newcomer.commitment))).link
        standing = await self._ask(GetLink(self._link))
        if not standing.answers:
            tell(Waiting())
            await self._until(lambda standing: bool(standing.answers))
        await self._pause(GATHER_SECONDS)
        meetings = self._meet(await self._ask(GetLink(self._link)))
        # From here on an answer could be chosen by what we say: none counts any more.
        await self._ask(RevealLink(self._link, self._device()))
        tell(Compare(tuple((_shown(met.sibling.name.decode()), met.code) for met in meetings.values())))
        standing = await self._until(lambda standing: bool(standing.sealed))
        meeting = meetings.get(standing.sealed_by)
        if meeting is None:
            raise LinkUntrusted("a device that no code was shown for says that it lets this one in")
        try:
            return meeting, meeting.open(standing.sealed, self._line.keys.vault_key)
        except LinkRefused as refused:
            raise LinkUntrusted(str(refused)) from None

    def keys_from(self, payload: LinkPayload, server: ServerAddress) -> Keys:
        """Take what came only as our own account's: the typed password opens its key."""
        newcomer, pin = self._new.newcomer, self._line.pin
        try:
            account_key = open_account_key(
                self._line.keys.vault_key, payload.account_key_sealed, domain=pin.domain, user=self._user
            )
            check_payload(payload, newcomer, public_of(account_key))
        except WrongPassword:
            raise LinkUntrusted(
                "what came for this device is not sealed by your password: somebody else made it"
            ) from None
        except LinkRefused as refused:
            raise LinkUntrusted(str(refused)) from None
        return Keys(
            user=self._user,
            client=newcomer.client.decode(),
            domain=pin.domain,
            server=server,
            server_key=pin.identity_key,
            login_salt=self._line.salt,
            device_key=self._device_key,
            account_key=public_of(account_key),
            account_key_sealed=payload.account_key_sealed,
            credential=payload.credential,
            statement=payload.statement,
            registered=True,
            account_secret=payload.account_secret,
        )

    async def end(self) -> None:
        """Take the request back, or say that what it was for is stored; it ends by itself otherwise."""
        if self._link:
            with contextlib.suppress(ClientError, TimeoutError):
                async with asyncio.timeout(PARTING_SECONDS):
                    await self._line.ask(CloseLink(self._link))

    def _meet(self, standing: LinkStanding) -> dict[str, Meeting]:
        """What we have in common with each device that has answered, by its client id."""
        met: dict[str, Meeting] = {}
        for each in standing.answers:
            with contextlib.suppress(LinkRefused):  # it is none of ours, whoever put it there
                met[each.client] = self._new.meet(Sibling(each.client.encode(), each.name.encode(), each.key))
        if not met:
            raise LinkUntrusted("what answered is no device of yours; nothing was told to it")
        return met

    def _device(self) -> NewDevice:
        said = self._new.newcomer
        return NewDevice(
            said.client.decode(),
            said.device_key,
            said.name.decode(),
            list(said.suites),
            said.salt,
            said.key,
            said.nonce,
        )

    async def _until(self, holds: Callable[[LinkStanding], bool]) -> LinkStanding:
        while True:
            standing = await self._ask(GetLink(self._link))
            if holds(standing):
                return standing
            await self._pause(POLL_SECONDS)

    async def _answer(self, body: RequestBody) -> Answer:
        """Ask until there is an answer: lines break, and servers are started anew, while a person types.

        Where nothing is begun yet a server that has no time is the person's business, and told.
        """
        refusals = 0
        while self._clock() < self._ends:
            try:
                return await self._line.ask(body)
            except (Disconnected, Unreachable):
                await self._pause(RETRY_SECONDS)
            except RefusedByServer as no:
                if no.code not in UNDECIDED or not self._link:
                    raise
                refusals += 1
                await self._pause(seconds_until_again(refusals, asked=no.retry_after))
        raise LinkExpired(_EXPIRED)

    async def _ask(self, body: RequestBody) -> LinkStanding:
        try:
            standing = await self._answer(body)
        except RefusedByServer as no:
            if no.code != "no_link":
                raise
            raise LinkOver(_LOST) from None
        if not isinstance(standing, LinkStanding):
            raise TypeError("the connection holds answers to their kinds")
        if standing.refused:
            raise LinkOver(_REFUSED)
        return standing


_EXPIRED: Final = (
    "the code is older than five minutes and opens nothing any more; give the same command again"
)
_REFUSED: Final = (
    "your other device ended the request: a wrong code was typed there, or it was declined;"
    " give the same command again"
)
_LOST: Final = "the server no longer has the request; give the same command again"


async def _leave_keys(
    home: Home, server: ServerAddress, trust: Trust, store: ClientStore, keys: Keys
) -> None:
    """Log in as the device that we are now and leave keys to add it by; the next opening does it too."""
    with contextlib.suppress(ClientError, TimeoutError):
        link = await open_trusted(server, home, trust)
        try:
            login = device_login(
                link, keys.device_key, domain=keys.domain, user=keys.user, client=keys.client
            )
            async with asyncio.timeout(LOGIN_SECONDS):
                await link.request(login)
            await leave_key_packages(link, store, keys, now=int(time.time()))
        finally:
            await link.close()


def _shown(name: str) -> str:
    return sanitise(name, limit=40)
