"""The client's standing connection: log in, keep alive, lose it, come back.

The session owns one link at a time and a task that renews it. It knows the login, not the
conversations: answers go to who asked, pushes into a queue, in order. What was under way when a
link broke is told `Disconnected`; to ask again is the owner's business (it alone knows what was
stored). Some ends are final: the server is not the one we mean, it does not know this device, or
a newer connection of this very client took over; fighting that one would only make noise (Q-03).
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client.backoff import LONGEST_SECONDS, Backoff
from securechat.client.challenge import device_login
from securechat.client.config import Home, ServerAddress
from securechat.client.connect import open_trusted
from securechat.client.errors import (
    ClientError,
    Disconnected,
    Garbled,
    RefusedByServer,
    Replaced,
    ServerChanged,
    ServerUntrusted,
    StoreDamaged,
    StoreError,
    Unreachable,
    refusal,
)
from securechat.client.intents import asked_wait
from securechat.client.keystore import Keys
from securechat.client.link import Link, Push
from securechat.client.trust import Pin, Trust
from securechat.errors import SecureChatError
from securechat.membership.login import fingerprint
from securechat.protocol.client_connection import AccountEvent, DeliveredEvent, InboxEvent
from securechat.protocol.limits import PING_AFTER, SILENCE_LIMIT
from securechat.protocol.messages import (
    UNDECIDED,
    AccountChanged,
    Acknowledged,
    Answer,
    Delivered,
    InboxDelivered,
    LinksChanged,
    LoggedIn,
    RequestBody,
    ServerHello,
)

LOGIN_SECONDS: Final = 30
"""For the server's answer to a login; it may have a queue."""

UNANSWERED: Final = 40.0
"""Seconds that a request may wait for its answer on a connection that lives, before it is said."""

MAX_WAITING: Final = 32 * 1024 * 1024
"""Bytes of pushes that wait for the owner. More, and the connection ends: what was pushed stays in
the server's log, and after the next login it is fetched piece by piece. Not reading on instead
would hold up the very answers that the owner may be waiting for."""

_ENTRY_OVERHEAD: Final = 512
"""What a decoded entry costs beside its body, generously."""

log = logging.getLogger("securechat.client.session")


@dataclass(frozen=True, slots=True)
class SessionReady:
    """Logged in: requests are taken from here on."""

    logged_in: LoggedIn
    hello: ServerHello

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.hello.identity_key)


@dataclass(frozen=True, slots=True)
class SessionLost:
    """No connection. ``retry_in`` is in seconds; None: there will be no further attempt."""

    error: ClientError
    retry_in: float | None


@dataclass(frozen=True, slots=True)
class SessionStalled:
    """There is a connection, and no answer to what was asked on it; said once for each."""


SessionEvent = (
    SessionReady | SessionLost | SessionStalled | Delivered | InboxDelivered | AccountChanged | LinksChanged
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a known device logs in with, and the server it belongs to."""

    user: str
    client: str
    server: Pin
    device_key: Ed25519PrivateKey = field(repr=False)

    @classmethod
    def of(cls, keys: Keys) -> "Credentials":
        return cls(
            user=keys.user,
            client=keys.client,
            server=Pin(keys.server_key, keys.domain),
            device_key=keys.device_key,
        )


class EventQueue(asyncio.Queue[SessionEvent]):
    """What the session tells its owner, and how much of it waits."""

    waiting = 0
    """Bytes, roughly."""

    def _put(self, item: SessionEvent) -> None:
        self.waiting += _weight(item)
        super()._put(item)

    def _get(self) -> SessionEvent:
        event = super()._get()
        self.waiting -= _weight(event)
        return event


class Session:
    """Starts with `start`, ends with `close`; in between it is there or on its way back."""

    def __init__(
        self,
        address: ServerAddress,
        trust: Trust,
        home: Home,
        credentials: Credentials,
        *,
        source: random.Random | None = None,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare a session; nothing is connected yet.

        :param source: of the jitter
        :param pause: waits so many seconds: between attempts, and between looks at the clock
        """
        self.events = EventQueue()
        self._address = address
        self._trust = trust
        self._home = home
        self._credentials = credentials
        self._pause = pause
        self._backoff = Backoff(source or random.SystemRandom())
        self._link: Link | None = None
        self._early: list[Push] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect, in the background."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"session of {self._credentials.user}")

    async def close(self) -> None:
        """Say goodbye; no event follows. Closing twice is harmless."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def request(self, body: RequestBody) -> Answer:
        """Ask something that changes nothing.

        :raises RefusedByServer: a definite no
        :raises Disconnected: there is no connection, or it went before the answer came
        """
        return await self._ready_link().request(body)

    def send_named(self, name: int, body: bytes) -> "asyncio.Future[Answer]":
        """Send a stored request, byte for byte. The future has its answer, or raises as `request`."""
        try:
            return self._ready_link().send_named(name, body)
        except Disconnected as gone:
            future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            future.set_exception(gone)
            return future

    def acknowledge(self, group: bytes, sequence: int) -> None:
        """Say that everything of a group (or the inbox: empty) up to here is stored.

        Without a connection nothing is said: the next login shows the server's own cursor.
        """
        if self._link is not None:
            self._link.acknowledge([Acknowledged(group, sequence)])

    def begin_anew(self, reason: ClientError) -> None:
        """Give this connection up and make another: whatever was told on it is told again."""
        if self._link is not None:
            self._link.fail(reason)

    async def _run(self) -> None:
        try:
            while (delay := await self._live_once()) is not None:
                await self._pause(delay)
        except asyncio.CancelledError:
            raise
        except Exception:  # a task's root: the owner must hear that it is over
            log.exception("the session broke")
            self._tell(SessionLost(Disconnected("the connection failed by a fault of ours"), None))

    async def _live_once(self) -> float | None:
        """Connect, log in and stay until the end; return when to try again, if ever."""
        error: ClientError
        try:
            link = await self._open()
            try:
                logged_in = await self._log_in(link)
                self._begin(link, logged_in)
                since = asyncio.get_running_loop().time()
                error = await self._stay(link)
                # A disk that fails at each login, or a server that talks nonsense after it, must not have us
                # log in again at once, for ever.
                if not isinstance(error, StoreError | Garbled) or self._lasted(since):
                    self._backoff.reset()
            finally:
                self._link = None
                self._early.clear()
                await link.close()
        except ClientError as problem:
            error = problem
        delay = None if _is_final(error) else self._backoff.next(at_least=_asked_delay(error))
        self._tell(SessionLost(error, delay))
        return delay

    @staticmethod
    def _lasted(since: float) -> bool:
        return asyncio.get_running_loop().time() - since > LONGEST_SECONDS

    async def _open(self) -> Link:
        try:
            return await open_trusted(
                self._address,
                self._home,
                self._trust,
                account_pin=self._credentials.server,
                push=self._take,
            )
        except ClientError:
            raise
        except SecureChatError as problem:
            raise Unreachable(str(problem)) from problem

    async def _log_in(self, link: Link) -> LoggedIn:
        """Prove the device, bound to this connection's certificate (T-06)."""
        own = self._credentials
        if link.hello.domain != own.server.domain:
            # The key may have been replaced on purpose; another domain is another place.
            raise ServerUntrusted(
                f"the server at {self._address} is {link.hello.domain}; "
                f"the account {own.user} belongs to {own.server.domain}",
                fingerprint=fingerprint(link.hello.identity_key),
            )
        login = device_login(link, own.device_key, domain=own.server.domain, user=own.user, client=own.client)
        try:
            async with asyncio.timeout(LOGIN_SECONDS):
                answer = await link.request(login)
        except TimeoutError:
            raise Unreachable(f"the server at {self._address} does not answer a login") from None
        except RefusedByServer as no:
            if no.code != "wrong_credentials":
                raise
            # It says no more to a stranger; we know that no password was asked for.
            text = f"the server at {self._address} does not know this device of {own.user}"
            raise refusal(no.code, text) from no
        assert isinstance(answer, LoggedIn)  # noqa: S101 - the connection holds answers to their kinds
        return answer

    async def _stay(self, link: Link) -> ClientError:
        """Keep a link alive until it ends; silence for too long is an end too (Q-04)."""
        loop, is_said = asyncio.get_running_loop(), False
        ended = asyncio.ensure_future(link.ended())
        try:
            while not ended.done():
                now = loop.time()
                if now - link.last_received >= SILENCE_LIMIT:
                    link.fail(Disconnected(f"the server at {self._address} has gone silent"))
                elif now - link.last_sent >= PING_AFTER:
                    link.ping()
                if not is_said and now - (link.waits_since or now) >= UNANSWERED:
                    is_said = True
                    self._tell(SessionStalled())
                await self._until(ended, min(PING_AFTER, SILENCE_LIMIT) / 5)
        finally:
            ended.cancel()
        return ended.result()

    async def _until(self, ended: "asyncio.Future[ClientError]", seconds: float) -> None:
        waiting = asyncio.ensure_future(self._pause(seconds))
        try:
            await asyncio.wait((ended, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    def _ready_link(self) -> Link:
        if self._link is None or not self._link.is_open:
            raise Disconnected(f"there is no connection to {self._address}")
        return self._link

    def _begin(self, link: Link, logged_in: LoggedIn) -> None:
        """Tell the owner, first of the login and then of what came together with its answer."""
        self._link = link
        self._tell(SessionReady(logged_in, link.hello))
        early, self._early = self._early, []
        for push in early:
            self._take(push)

    def _take(self, push: Push) -> None:
        if self._link is None:
            self._early.append(push)
        elif isinstance(push, DeliveredEvent):
            self._tell(Delivered(push.group, push.entries))
        elif isinstance(push, InboxEvent):
            self._tell(InboxDelivered(push.entries))
        elif isinstance(push, AccountEvent):
            self._tell(AccountChanged(push.user, push.serial))
        else:
            self._tell(LinksChanged())
        if self.events.waiting > MAX_WAITING and self._link is not None:
            self._link.fail(Disconnected("more came than could be dealt with; the rest is fetched anew"))

    def _tell(self, event: SessionEvent) -> None:
        self.events.put_nowait(event)


def _weight(event: SessionEvent) -> int:
    match event:
        case Delivered():
            return sum(_ENTRY_OVERHEAD + len(entry.body) for entry in event.entries)
        case InboxDelivered():
            return sum(_ENTRY_OVERHEAD + len(entry.welcome.body) for entry in event.entries)
        case _:
            return _ENTRY_OVERHEAD


def _is_final(error: ClientError) -> bool:
    """Whether trying again can only do harm, or ask for the same refusal for ever."""
    match error:
        case ServerUntrusted() | ServerChanged() | Replaced() | StoreDamaged():
            return True
        case RefusedByServer():
            return error.code not in UNDECIDED
        case _:
            return False


def _asked_delay(error: ClientError) -> float:
    return asked_wait(error.retry_after) if isinstance(error, RefusedByServer) else 0.0
