"""Sockets of people who never log in, in a process of their own: `python -m tests.faults.strangers JSON`.

They come from many loopback addresses (127.x.y.z). Each line it prints is a fact, as JSON.
"""

import asyncio
import contextlib
import hashlib
import json
import random
import selectors
import socket
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.membership.login import Purpose, login_to_sign
from securechat.membership.signing import new_key, public_of
from securechat.protocol import messages as m
from securechat.protocol.client_connection import ClientConnection, Greeted, RefusedEvent, Responded
from tests.server.peer import client_context

GIVE_UP: Final = 30.0
"""Seconds after which a socket that is still open counts as one that was never closed."""

DRIP: Final = 1.0
"""Seconds between two bytes of somebody slow."""

NONCE: Final = b"n" * 32

PORTS: Final = 200
"""Sockets from one address: below the cap of an address where a test raises it."""


@dataclass
class Order:
    """What the parent asks for."""

    what: str
    port: int
    count: int = 0
    """Sockets, or cycles."""
    kinds: tuple[str, ...] = ("silent", "drip")
    sources: int = 0
    """Addresses they come from; 0: one for each 200."""
    seed: int = 1
    seconds: float = 60.0
    rate: float = 1_000.0
    users: list[tuple[str, str]] = field(default_factory=list)
    """Accounts that exist, with the seed of their login key (hexadecimal)."""


def say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def address(number: int) -> str:
    """The number-th loopback address; 127.0.0.x is left to others."""
    return f"127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"


def client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with contextlib.suppress(ssl.SSLWantReadError):
        client_context().wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()


# Sockets that wait to be closed.


@dataclass
class Held:
    """One socket, and what it sends byte by byte."""

    socket: socket.socket
    opened: float
    kind: str
    drips: Iterator[bytes] | None = None


class Crowd:
    """Opens sockets, drips bytes into some, and notes when each is closed."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._hello = client_hello()
        self._selector = selectors.DefaultSelector()
        self._held: dict[int, Held] = {}
        self._lived: dict[str, list[float]] = {kind: [] for kind in order.kinds}
        self._refused = 0

    def run(self) -> None:
        sources = self._order.sources or max(1, self._order.count // PORTS)
        for number in range(self._order.count):
            self._open(address(number % sources), self._order.kinds[number % len(self._order.kinds)])
            if number % 50 == 0:
                self._look(0)
        say(phase="open", held=len(self._held), refused=self._refused)
        deadline, next_drip = time.monotonic() + GIVE_UP, time.monotonic() + DRIP
        while self._held and time.monotonic() < deadline:
            self._look(max(0.0, next_drip - time.monotonic()))
            if time.monotonic() >= next_drip:
                next_drip += DRIP
                self._drip()
        say(
            phase="closed",
            longest={kind: max(lived, default=0.0) for kind, lived in self._lived.items()},
            closed=sum(map(len, self._lived.values())),
            still_open=len(self._held),
            refused=self._refused,
        )

    def _open(self, source: str, kind: str) -> None:
        opened = time.monotonic()
        made = socket.socket()
        try:
            made.bind((source, 0))
            made.settimeout(20)
            made.connect(("127.0.0.1", self._order.port))
            held = Held(made, opened, kind)
            if kind.startswith("tls"):
                held.socket = client_context().wrap_socket(made)
            held.drips = self._first_words(held)
            held.socket.settimeout(0)
        except OSError:  # closed while it shook hands
            made.close()
            self._refused += 1
            return
        self._held[held.socket.fileno()] = held
        self._selector.register(held.socket.fileno(), selectors.EVENT_READ)

    def _first_words(self, held: Held) -> Iterator[bytes] | None:
        """Send what the kind sends at once; return what it sends byte by byte."""
        match held.kind:
            case "drip":
                return iter([bytes([byte]) for byte in self._hello])
            case "hello":
                held.socket.sendall(self._hello)
            case "tls_frame":
                held.socket.sendall((4096).to_bytes(4, "big") + b"\x80" * 4_000)
            case "tls_drip":
                return iter([b"\x00"] * 2 + [b"\x10", b"\x00"] + [b"\x80"] * 1_000)
            case _:
                pass
        return None

    def _look(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            held = self._held[key.fd]
            with contextlib.suppress(ssl.SSLWantReadError, BlockingIOError):
                try:
                    ended = not held.socket.recv(4096)
                except (ssl.SSLWantReadError, BlockingIOError):
                    raise
                except OSError:
                    ended = True
                if ended:
                    self._close(held)

    def _drip(self) -> None:
        for held in list(self._held.values()):
            byte = next(held.drips, b"") if held.drips is not None else b""
            if byte:
                try:
                    held.socket.send(byte)
                except OSError:
                    self._close(held)

    def _close(self, held: Held) -> None:
        self._lived[held.kind].append(time.monotonic() - held.opened)
        self._selector.unregister(held.socket.fileno())
        del self._held[held.socket.fileno()]
        held.socket.close()


# Connections that come and go.


async def cycles(order: Order) -> None:
    """``count`` connections, some bare, some with TLS and Hello, a few at a time; one fact per twentieth."""
    chance = random.Random(order.seed)
    done: Counter[str] = Counter()
    started = iter(range(order.count))
    step = max(1, order.count // 20)

    async def one_after_the_other(worker: int) -> None:
        for number in started:
            kind = chance.choice(("bare", "bare cut", "tls", "tls cut"))
            done[await come_and_go(order.port, address(worker * 100 + number % 100), kind)] += 1
            if sum(done.values()) % step == 0:
                say(phase="cycles", done=sum(done.values()), kinds=dict(done))

    await asyncio.gather(*(one_after_the_other(worker) for worker in range(8)))
    say(phase="cycled", done=sum(done.values()), kinds=dict(done))


async def come_and_go(port: int, source: str, kind: str) -> str:
    """Connect, say Hello where there is TLS, and go, politely or not; return what came of it."""
    context = client_context() if kind.startswith("tls") else None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0), ssl=context)
        if context is not None:
            writer.write(ClientConnection().data_to_send())
            await reader.readexactly(4)
        if kind.endswith("cut"):
            writer.transport.abort()
        else:
            writer.close()
            await writer.wait_closed()
    except (OSError, asyncio.IncompleteReadError):
        return "refused"
    return kind


# Logins.


class Guesser:
    """One address that logs in by password again and again, over connections that stay while they may."""

    def __init__(self, order: Order, number: int, results: Counter[str]) -> None:
        self._order = order
        self._source = address(number)
        self._chance = random.Random(order.seed + number)
        self._results = results
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._connection = ClientConnection()
        self._hello: m.ServerHello | None = None
        self._key = new_key()

    async def guess(self) -> None:
        """One attempt; ``results`` says what came of it."""
        try:
            async with asyncio.timeout(20):
                if self._writer is None:
                    await self._connect()
                self._results[await self._attempt()] += 1
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            self._results["lost"] += 1
            self.close()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
        self._writer = None

    async def _connect(self) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._order.port, local_addr=(self._source, 0), ssl=client_context()
        )
        self._connection = ClientConnection()
        for event in await self._events():
            if isinstance(event, Greeted):
                self._hello = event.hello

    async def _attempt(self) -> str:
        """Nobody's name, somebody's with a wrong password, somebody's with the right one."""
        what = self._chance.choice(("nobody", "wrong", "right"))
        user, secret = self._chance.choice(self._order.users)
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret)) if what == "right" else self._key
        if what == "nobody":
            user = f"nobody{self._chance.randrange(10**9)}"
        self._connection.request(
            m.LogInWithPassword(user, public_of(key), NONCE, key.sign(self._challenge(user)))
        )
        events = await self._events()
        answers = [event for event in events if isinstance(event, Responded | RefusedEvent)]
        if len(answers) < len(events) or isinstance(answers[0], Responded):
            self.close()  # let in, or said goodbye to
        if not answers:
            return "closed"
        return "let in" if isinstance(answers[0], Responded) else answers[0].refusal.code

    def _challenge(self, user: str) -> bytes:
        assert self._writer is not None
        assert self._hello is not None
        shown = self._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return login_to_sign(
            purpose=Purpose.PASSWORD,
            domain=self._hello.domain,
            user=user,
            client="",
            server_nonce=self._hello.nonce,
            client_nonce=NONCE,
            certificate_hash=hashlib.sha256(shown).digest(),
        )

    async def _events(self) -> list[Any]:
        """Send what is due and wait for what it brings."""
        assert self._reader is not None
        assert self._writer is not None
        self._writer.write(self._connection.data_to_send())
        while True:
            data = await self._reader.read(65_536)
            events = self._connection.receive_data(data) if data else self._connection.receive_eof()
            if events or not data:
                return events


async def logins(order: Order) -> None:
    """``rate`` attempts a second for ``seconds``, spread over ``count`` connections."""
    results: Counter[str] = Counter()
    guessers = [Guesser(order, number, results) for number in range(order.count)]
    idle = asyncio.Queue[Guesser]()
    for guesser in guessers:
        idle.put_nowait(guesser)
    tasks: set[asyncio.Task[None]] = set()

    async def attempt(guesser: Guesser) -> None:
        await guesser.guess()
        idle.put_nowait(guesser)

    loop = asyncio.get_running_loop()
    begun, made = loop.time(), 0
    while loop.time() - begun < order.seconds:
        due = int((loop.time() - begun) * order.rate)
        while made < due and not idle.empty():
            task = loop.create_task(attempt(idle.get_nowait()))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            made += 1
        await asyncio.sleep(0.005)
    await asyncio.gather(*tasks)
    for guesser in guessers:
        guesser.close()
    say(phase="logins", attempts=made, seconds=loop.time() - begun, results=dict(results))


LATER: Final[dict[str, Callable[[Order], Coroutine[Any, Any, None]]]] = {"cycles": cycles, "logins": logins}


def main() -> None:
    given = json.loads(sys.argv[1])
    order = Order(**{**given, "kinds": tuple(given["kinds"])})
    if order.what == "crowd":
        Crowd(order).run()
    else:
        asyncio.run(LATER[order.what](order))


if __name__ == "__main__":
    main()
