"""One connection to the server: TLS, our ALPN, Hello; then requests, answers and pushes.

The link moves bytes between a transport and the sans-IO ``ClientConnection`` and gives each answer
to whoever asked. It knows nothing of retries, passwords or conversations.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final, Self, TypedDict, cast

from securechat.client.config import ServerAddress
from securechat.client.errors import (
    ClientError,
    Disconnected,
    Garbled,
    Replaced,
    Unreachable,
    refusal,
)
from securechat.client.tls import (
    Certificate,
)
from securechat.protocol.client_connection import (
    AccountEvent,
    ClientConnection,
    DeliveredEvent,
    Event,
    Greeted,
    InboxEvent,
    LinksEvent,
    RefusedEvent,
    Responded,
)
from securechat.protocol.connection import Closed, State
from securechat.protocol.limits import ALPN, PROTOCOL_VERSION
from securechat.protocol.messages import (
    ACCOUNTS,
    GOODBYES,
    REFUSALS,
    Acknowledged,
    Answer,
    ClientHello,
    RequestBody,
    ServerHello,
)
from securechat.text import sanitise
from securechat.version import __version__

CONNECT_SECONDS: Final = 15
"""For the name, the TCP connection and the TLS handshake over a bad line."""

NEXT_ADDRESS_SECONDS: Final = 0.25
"""How long one address of a host may hold up the next (RFC 8305, section 5)."""

GREETING_SECONDS: Final = 10
"""From the TLS handshake to the server's Hello."""

ACKS_GATHER: Final = 0.1
"""Seconds that acknowledgements wait for a frame to go with. They are cumulative and nobody waits for
them, and one of its own for every message would cost both sides as much as the message."""

MAX_ACKS: Final = 1_024
"""What one frame may say."""

GOODBYE_SECONDS: Final = 2
"""For the last frame and TLS's own goodbye; then the connection is cut."""

Push = DeliveredEvent | InboxEvent | AccountEvent | LinksEvent


class _Patience(TypedDict, total=False):
    happy_eyeballs_delay: float


class Link(asyncio.Protocol):
    """One connection, from TLS to its end. Made by `connect`; `connect.open_trusted` judges it."""

    def __init__(self, address: ServerAddress, push: Callable[[Push], None] | None = None) -> None:
        self._address = address
        self._push = push
        self._loop = asyncio.get_running_loop()
        self._connection = ClientConnection(
            ClientHello([PROTOCOL_VERSION], [ACCOUNTS], f"securechat/{__version__}")
        )
        self._transport: asyncio.Transport | None = None
        self._certificate: Certificate | None = None
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._asked: dict[int, float] = {}
        self._greeted: asyncio.Future[ServerHello] = self._loop.create_future()
        self._ended: asyncio.Future[ClientError] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._flushing = False
        self._acks: dict[bytes, int] = {}
        self._acks_due: asyncio.TimerHandle | None = None
        self.last_sent = self.last_received = self._loop.time()

    # --- for the owner ---------------------------------------------------------------------------

    @property
    def certificate(self) -> Certificate:
        """The certificate that was served on this connection."""
        assert self._certificate is not None  # noqa: S101 - a link is handed out after the handshake
        return self._certificate

    @property
    def hello(self) -> ServerHello:
        return self._greeted.result()

    @property
    def is_open(self) -> bool:
        return not self._ended.done()

    @property
    def waits_since(self) -> float | None:
        """When the first request without an answer was made, by the loop's clock; None: all have one."""
        return next(iter(self._asked.values()), None)

    @property
    def is_logged_in(self) -> bool:
        return self._connection.state is State.LOGGED_IN

    async def request(self, body: RequestBody) -> Answer:
        """Ask something that changes nothing (or a step of the login) and wait for the answer.

        :raises RefusedByServer: a definite no
        :raises Disconnected: the connection went before the answer came
        """
        return await self._expect(lambda: self._connection.request(body))

    def send_named(self, name: int, body: bytes) -> "asyncio.Future[Answer]":
        """Send a stored request, byte for byte; the future has its answer, or raises as `request`."""
        return self._expect(lambda: self._connection.request_encoded(body, name))

    def acknowledge(self, acks: list[Acknowledged]) -> None:
        """Say, with the next frame or soon, what is stored; on a connection that has ended nothing."""
        if not self.is_open:
            return
        for ack in acks:
            self._acks[ack.group] = max(ack.sequence, self._acks.get(ack.group, 0))
        if self._acks_due is None:
            self._acks_due = self._loop.call_later(ACKS_GATHER, self._acknowledge_now)

    def ping(self) -> None:
        """Ask for a sign of life; whatever comes counts as one."""
        if self.is_open:
            answer = self._expect(self._connection.ping)
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def ended(self) -> ClientError:
        """Wait for the end; return why."""
        return await asyncio.shield(self._ended)

    def fail(self, reason: ClientError) -> None:
        """End the connection for a reason of ours."""
        self._say_acks()
        self._connection.close()
        self._flush()
        self._end(reason)

    async def close(self) -> None:
        """Say goodbye and wait until the connection is gone. Closing twice is harmless."""
        self.fail(Disconnected("the connection was closed"))
        if self._transport is None:
            return
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await asyncio.shield(self._gone)
        except TimeoutError:
            self._transport.abort()
            await self._gone

    async def greeted(self) -> ServerHello:
        """Wait for the server's Hello.

        :raises Unreachable: what answers does not speak our protocol
        """
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                return await asyncio.shield(self._greeted)
        except TimeoutError:
            raise Unreachable(f"what answers at {self._address} says nothing of ours") from None

    # --- for the transport -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have all of asyncio.Transport but its name.
        self._transport = cast("asyncio.Transport", transport)
        tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
        # A server without our ALPN completes the handshake all the same (T-03).
        if tls.selected_alpn_protocol() != ALPN:
            self._end(Unreachable(f"what answers at {self._address} is not a securechat server"))
            return
        self._certificate = Certificate(tls.getpeercert(binary_form=True) or b"")
        self._flush()

    def data_received(self, data: bytes) -> None:
        self.last_received = self._loop.time()
        for event in self._connection.receive_data(data):
            self._take(event)
        self._flush_soon()

    def eof_received(self) -> None:
        for event in self._connection.receive_eof():
            self._take(event)

    def connection_lost(self, exc: Exception | None) -> None:
        text = f": {exc.strerror}" if isinstance(exc, OSError) and exc.strerror else ""
        self._end(Disconnected(f"the connection to {self._address} was lost{text}"))
        if not self._gone.done():
            self._gone.set_result(None)

    # --- inside ----------------------------------------------------------------------------------

    def _take(self, event: Event) -> None:
        match event:
            case Greeted():
                if not self._greeted.done():
                    self._greeted.set_result(event.hello)
            case Responded():
                self._asked.pop(event.id, None)
                if (answer := self._answers.pop(event.id, None)) and not answer.done():
                    answer.set_result(event.answer)
            case RefusedEvent():
                self._asked.pop(event.id, None)
                if (answer := self._answers.pop(event.id, None)) and not answer.done():
                    answer.set_exception(_refused(event))
            case DeliveredEvent() | InboxEvent() | AccountEvent() | LinksEvent():
                if self._push is not None:
                    self._push(event)
            case Closed():
                self._flush()
                self._end(_farewell(self._address, event))

    def _expect(self, ask: Callable[[], int]) -> "asyncio.Future[Answer]":
        answer: asyncio.Future[Answer] = self._loop.create_future()
        if self._ended.done():
            answer.set_exception(Disconnected(f"there is no connection to {self._address}"))
            return answer
        number = ask()
        self._answers[number], self._asked[number] = answer, self._loop.time()
        self._flush_soon()
        return answer

    def _flush_soon(self) -> None:
        """One write per tick, however many requests were made in it."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        data = self._connection.data_to_send()
        if data and self._acks:
            self._say_acks()
            data += self._connection.data_to_send()
        if data and self._transport is not None and not self._ended.done():
            self.last_sent = self._loop.time()
            self._transport.write(data)

    def _acknowledge_now(self) -> None:
        self._say_acks()
        self._flush()

    def _say_acks(self) -> None:
        if self._acks_due is not None:
            self._acks_due.cancel()
            self._acks_due = None
        waiting, self._acks = [Acknowledged(*ack) for ack in self._acks.items()], {}
        if self._connection.state is State.LOGGED_IN:
            for start in range(0, len(waiting), MAX_ACKS):
                self._connection.acknowledge(waiting[start : start + MAX_ACKS])

    def _end(self, reason: ClientError) -> None:
        """The one place where a link ends: everybody who waits is told why."""
        if self._ended.done():
            return
        self._ended.set_result(reason)
        if self._acks_due is not None:
            self._acks_due.cancel()
        if not self._greeted.done():
            self._greeted.set_exception(_before_hello(self._address, reason))
            self._greeted.exception()  # nobody may be waiting any more
        answers, self._answers = self._answers, {}
        for answer in answers.values():
            if not answer.done():
                answer.set_exception(Disconnected(str(reason)))
        if self._transport is not None:
            self._transport.close()

    @classmethod
    async def connect(
        cls, address: ServerAddress, context: ssl.SSLContext, push: Callable[[Push], None] | None = None
    ) -> Self:
        """Connect and shake hands; nothing but ClientHello is sent.

        :raises ssl.SSLCertVerificationError: the context asks for an authority, and none vouches
        :raises Unreachable: there is no server, or not one of ours
        """
        link = cls(address, push)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await link._loop.create_connection(
                    lambda: link,
                    address.host,
                    address.port,
                    ssl=context,
                    server_hostname=address.host,
                    **_patience(link._loop, address.host),
                )
        except ssl.SSLCertVerificationError:
            raise
        except (OSError, ssl.SSLError, TimeoutError) as problem:
            raise Unreachable(f"cannot reach {address}: {_network_reason(problem)}") from problem
        return link


def _patience(loop: asyncio.AbstractEventLoop, host: str) -> _Patience:
    """Let one dead address of a host not hold up the next; uvloop has no word for it.

    A numeric address has no next one, and the race leaks its socket when it is cancelled (Python 3.11).
    """
    if not isinstance(loop, asyncio.BaseEventLoop) or _is_numeric(host):
        return {}
    return {"happy_eyeballs_delay": NEXT_ADDRESS_SECONDS}


def _is_numeric(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _refused(event: RefusedEvent) -> ClientError:
    no = event.refusal
    own = REFUSALS.get(no.code) == no.text
    text = no.text if own or not no.text else quoted(no.text)
    return refusal(no.code, text, head=no.head, detail=no.detail, retry_after=no.retry_after)


def _farewell(address: ServerAddress, closed: Closed) -> ClientError:
    """Say what a connection's last event means to its owner."""
    if closed.code == "replaced":
        return Replaced("this device connected a second time; this connection gives way to the newer one")
    if closed.code in (
        "disabled",
        "revoked",
    ):  # final: the next login would be refused, and could not say why
        return refusal("forbidden", GOODBYES[closed.code])
    said = sanitise(quoted(closed.text) if closed.theirs and closed.text else closed.text)
    if not said:
        said = closed.code if closed.code in GOODBYES else "of no reason that is known here"
    if closed.code == "protocol_error" and not closed.theirs:
        return Garbled(f"the connection to {address} ended: {said}")
    return Disconnected(f"the connection to {address} ended: {said}")


def quoted(words: str) -> str:
    """Return the server's own words as such: nobody is to take them for ours (S, P8)."""
    inside = words.replace('"', "'")
    return f'the server says: "{inside}"'


def _before_hello(address: ServerAddress, reason: ClientError) -> ClientError:
    if isinstance(reason, Unreachable):
        return reason
    return Unreachable(f"no securechat server greets at {address} ({reason})")


def _network_reason(problem: Exception) -> str:
    match problem:
        case TimeoutError():
            return "nothing answers in time"
        case socket.gaierror():
            return "there is no host of this name"
        case ssl.SSLError():
            return "what answers there does not speak TLS 1.3 as we do"
        case OSError() if "Connect call failed" in str(problem):
            return "nothing listens there"  # so asyncio says it, of one address or of several
        case _:
            reason = problem.strerror if isinstance(problem, OSError) else None
            return (reason or "the connection failed").lower()
