"""A port that strangers cannot hold (O-01, O-02), and that gets over a want of descriptors (O-08)."""

import asyncio
import functools
import gc
import logging
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from securechat.protocol import messages as m
from securechat.protocol.frames import encode_frame
from securechat.protocol.limits import LOGIN_SECONDS, STRANGER_SECONDS
from securechat.server import listener, lobby, tls
from securechat.server.app import App
from securechat.server.config import Connections
from securechat.server.listener import ListenerStatus
from tests.server.peer import Peer, Person, client_context, registered
from tests.server.running import running_server, until
from tests.server.test_pump import one_stranger

FEW = Connections(total=12, before_login=6, before_login_per_address=3)


class Stranger:
    """A socket from an address of its own that says what it is told to, and hears when it is closed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    @property
    def is_closed(self) -> bool:
        return self._reader.at_eof() or self._reader.exception() is not None

    async def closed(self) -> None:
        async with asyncio.timeout(20):
            try:
                await self._reader.read()
            except OSError:
                return


@asynccontextmanager
async def strangers(
    app: App, *hosts: str, context: ssl.SSLContext | None = None
) -> AsyncIterator[list[Stranger]]:
    """Connections from these loopback addresses, one after the other."""
    came: list[Stranger] = []
    try:
        for host in hosts:
            count = app.counters.connections_accepted + 1
            opened = await asyncio.open_connection("127.0.0.1", app.port, local_addr=(host, 0), ssl=context)
            came.append(Stranger(*opened))
            await until(functools.partial(have_come, app, count))
        yield came
    finally:
        for stranger in came:
            stranger.writer.transport.abort()


def have_come(app: App, count: int) -> bool:
    return app.counters.connections_accepted >= count


def status(app: App) -> ListenerStatus:
    return app._listener.status()


def hosts(count: int, each: int = 1) -> list[str]:
    return [f"127.0.1.{number + 1}" for number in range(count) for _ in range(each)]


async def test_o_01_an_address_that_holds_too_many_loses_its_own_oldest(tmp_path: Path) -> None:
    async with running_server(tmp_path, connections=FEW) as app:
        async with strangers(app, *hosts(1, each=5), "127.0.2.1") as came:
            await asyncio.gather(came[0].closed(), came[1].closed())
            assert [stranger.is_closed for stranger in came] == [True, True, False, False, False, False]
            assert app.counters.connections_refused["address"] == 2
            assert status(app).before_login == 4
        await until(lambda: status(app) == ListenerStatus(0, 0, 0, 0, 12))


async def test_o_01_somebody_gets_in_while_silent_strangers_hold_every_place(tmp_path: Path) -> None:
    async with running_server(tmp_path, connections=FEW) as app, strangers(app, *hosts(6)) as came:
        alice = await Peer.connect(app.port)
        assert alice.hello is not None
        await alice.register(Person("alice", alice.hello.domain))
        assert await alice.ask(m.Ping()) == m.Done()
        await came[0].closed()
        assert app.counters.connections_refused["strangers"] == 1
        assert status(app).before_login == 5
        await alice.close()


async def test_o_01_somebody_gets_in_while_others_hold_every_place_after_tls(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path, connections=FEW) as app,
        strangers(app, *hosts(3, each=2), context=client_context()),
    ):
        for name in ("alice", "bob"):
            peer = await Peer.connect(app.port)
            assert peer.hello is not None
            await peer.register(Person(name, peer.hello.domain))
            assert await peer.ask(m.Ping()) == m.Done()
            await peer.close()


async def test_o_01_a_login_gives_its_place_back(tmp_path: Path) -> None:
    caps = Connections(total=5, before_login=1, before_login_per_address=1)
    async with running_server(tmp_path, connections=caps) as app:
        people = []
        for name in ("alice", "bob", "carol"):
            peer = await Peer.connect(app.port)
            assert peer.hello is not None
            await peer.register(Person(name, peer.hello.domain))
            people.append(peer)
        assert status(app).before_login == 0
        for peer in people:
            assert await peer.ask(m.Ping()) == m.Done()
            await peer.close()


async def test_o_01_a_login_without_a_device_stays_a_strangers(tmp_path: Path) -> None:
    """One account could hold every place there is by its password alone."""
    async with running_server(tmp_path, connections=FEW) as app:
        peer = await Peer.connect(app.port)
        assert peer.hello is not None
        person = Person("alice", peer.hello.domain)
        await peer.register(person)
        again = await Peer.connect(app.port)
        await again.log_in_with_password(person)
        assert status(app).before_login == 1
        await again.close()
        await peer.close()


async def test_o_01_at_the_cap_on_all_only_strangers_give_way(tmp_path: Path) -> None:
    caps = Connections(total=2, before_login=2, before_login_per_address=2)
    async with running_server(tmp_path, connections=caps) as app:
        people = []
        for name in ("alice", "bob"):
            peer = await Peer.connect(app.port)
            assert peer.hello is not None
            await peer.register(Person(name, peer.hello.domain))
            people.append(peer)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await Peer.connect(app.port)
        assert app.counters.connections_refused["total"] == 1
        for peer in people:
            assert await peer.ask(m.Ping()) == m.Done()
            await peer.close()


async def test_o_01_a_byte_at_a_time_prolongs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lobby, "HANDSHAKE_SECONDS", 0.3)
    async with running_server(tmp_path) as app, strangers(app, "127.0.0.1") as [slow]:
        monkeypatch.delattr(ssl.SSLContext, "wrap_bio")  # half a ClientHello costs no TLS either
        drip = asyncio.create_task(dripping(slow, b"\x16\x03\x01\x02\x00" + b"\x01" * 500))
        await slow.closed()
        drip.cancel()
        assert app.counters.connections_refused["slow"] == 1


async def test_o_01_a_byte_at_a_time_after_tls_prolongs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "STRANGER_SECONDS", 0.3)
    async with (
        running_server(tmp_path) as app,
        strangers(app, "127.0.0.1", context=client_context()) as [slow],
    ):
        drip = asyncio.create_task(dripping(slow, (4_000).to_bytes(4, "big") + b"\x80" * 500))
        await slow.closed()
        drip.cancel()


async def dripping(slow: Stranger, data: bytes) -> None:
    for byte in data:
        slow.writer.write(bytes([byte]))
        await asyncio.sleep(0.02)


async def test_o_01_a_hello_alone_prolongs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "STRANGER_SECONDS", 0.3)
    monkeypatch.setattr(tls, "LOGIN_SECONDS", 60)
    async with running_server(tmp_path) as app:
        peer = await Peer.connect(app.port)
        await peer.until(lambda: peer.closed is not None)
        await peer.close()


async def test_o_01_requests_before_a_login_prolong_it_only_so_far(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app, one_stranger(app) as (peer, pump):
        begun, first = pump._began, ends_at(pump)
        assert first == begun + STRANGER_SECONDS
        await peer.ask(m.PasswordParameters("alice"))
        assert first < ends_at(pump) < begun + LOGIN_SECONDS, "a request prolongs it"
        monkeypatch.setattr(tls, "LOGIN_SECONDS", STRANGER_SECONDS)
        await peer.ask(m.PasswordParameters("alice"))
        assert ends_at(pump) == begun + STRANGER_SECONDS, "and the time in all goes on"


def ends_at(pump: tls.TlsPump) -> float:
    assert pump._deadline is not None
    return pump._deadline.when()


@pytest.mark.parametrize(
    "junk",
    [
        b"\x16\x03\x01\x10\x01" + b"\x01",
        b"\x16\x03\x01\x00\xff" + b"\x01" * 5_000,
        b"\x80\x2e\x01\x00\x02",
        b"GET / HTTP/1.1\r\n",
    ],
    ids=["a record too long", "more than a record", "SSL 2", "HTTP"],
)
async def test_o_02_what_is_no_client_hello_is_closed_unread(
    tmp_path: Path, junk: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app, strangers(app, "127.0.0.1") as [stranger]:
        monkeypatch.delattr(ssl.SSLContext, "wrap_bio")
        stranger.writer.write(junk)
        await stranger.closed()


async def test_o_02_a_long_record_in_the_handshake_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_SECONDS", 60)  # it is not the time that ends it
    async with running_server(tmp_path) as app, strangers(app, "127.0.0.1") as [stranger]:
        stranger.writer.write(client_hello())
        await stranger._reader.readexactly(5)
        stranger.writer.write(b"\x17\x03\x03\x41\x00" + b"\x00" * 16_000)
        await stranger.closed()


def client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        client_context().wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()


async def test_o_01_handshakes_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has logged in does not wait for a hundred strangers' handshakes."""
    begun: list[int] = []
    turn = listener.Listener._begin_handshakes

    def counted(self: listener.Listener) -> None:
        before = len(self._waiting)
        turn(self)
        begun.append(before - len(self._waiting))

    monkeypatch.setattr(listener, "HANDSHAKES_WAITING", 4)
    monkeypatch.setattr(listener.Listener, "_begin_handshakes", counted)
    async with running_server(tmp_path) as app:
        peers = await asyncio.gather(*(Peer.connect(app.port) for _ in range(30)))
        assert sum(begun) == 30
        assert max(begun) <= listener.HANDSHAKES_AT_ONCE
        for peer in peers:
            await peer.close()


async def test_o_01_while_many_wait_for_their_handshake_newcomers_wait_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "HANDSHAKES_AT_ONCE", 0)
    monkeypatch.setattr(listener, "HANDSHAKES_WAITING", 2)
    async with running_server(tmp_path) as app, strangers(app, *hosts(3)) as came:
        for stranger in came:
            stranger.writer.write(client_hello())
        await until(lambda: status(app).handshakes_waiting == 3)
        assert not app._listener._calm.is_set()
        monkeypatch.undo()
        peer = await Peer.connect(app.port)
        assert peer.hello is not None, "and come in when it is calm again"
        await peer.close()


def complaints_of_ours(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Not of asyncio: what is left of other tests may be noticed at any time."""
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    return [record for record in records if record.name.startswith("securechat")]


@contextmanager
def few_descriptors(spare: int) -> Iterator[None]:
    """Leave this process so many descriptors more than it has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as probe:
        first_free = probe.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (first_free + spare, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_o_08_without_descriptors_it_waits_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener, "PAUSE_SECONDS", 0.01)
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        clients = [socket.socket() for _ in range(8)]
        with few_descriptors(spare=3):
            for client in clients:
                client.settimeout(0)
                client.connect_ex(("127.0.0.1", app.port))
            await until(lambda: app.counters.connections_refused["descriptors"] > 3)
            for client in clients:
                client.close()
            await until(lambda: status(app).open == 1)
        peer = await Peer.connect(app.port)
        assert peer.hello is not None
        await peer.close()
        assert await alice.ask(m.Ping()) == m.Done()
    complaints = complaints_of_ours(caplog)
    assert len(complaints) == 1, "one line, however often it is tried"
    assert "Too many open files" in complaints[0].getMessage()


async def test_o_08_connections_come_and_go_and_nothing_stays(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice"):
        gc.collect()  # what other tests left open is not to be closed meanwhile
        before = len(asyncio.all_tasks()), descriptors()
        for turn in range(60):
            context = client_context() if turn % 2 else None
            _, writer = await asyncio.open_connection("127.0.0.1", app.port, ssl=context)
            if turn % 4 == 3:
                writer.write(encode_frame(m.ClientHello([1])))
            writer.transport.abort()
        await until(lambda: status(app).open == 1)
        assert app.connections == 1
        assert status(app) == ListenerStatus(1, 0, 0, 0, status(app).most)
        await until(lambda: (len(asyncio.all_tasks()), descriptors()) == before)


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_a_mistake_of_ours_does_not_shut_the_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_server(tmp_path) as app:
        with monkeypatch.context() as patch:
            patch.setattr(listener, "source_of", lambda _: 1 // 0)
            _, writer = await asyncio.open_connection("127.0.0.1", app.port)
            await until(lambda: "letting in failed" in caplog.text)
            writer.close()
        peer = await Peer.connect(app.port)
        assert peer.hello is not None
        await peer.close()
