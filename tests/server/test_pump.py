"""What one connection may hold, and what is left of it afterwards: nothing (O-01, O-03, O-08)."""

import asyncio
import ssl
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from securechat.protocol import messages as m
from securechat.protocol.limits import MAX_QUEUED
from securechat.server import listener, memory, tls
from securechat.server.app import App
from securechat.server.reading import ENOUGH_QUEUED
from securechat.server.session import Session
from securechat.server.tls import READ_BUFFER, RECORD, STRANGERS_READ, TlsPump
from securechat.server.turns import Turns
from tests.client.parts import a_moment
from tests.server.peer import Peer, open_room, registered
from tests.server.running import running_server, until


@asynccontextmanager
async def one_stranger(app: App) -> AsyncIterator[tuple[Peer, TlsPump]]:
    """A connection that has greeted, and the server's end of it."""
    peer = await Peer.connect(app.port)
    (pump,) = app._listener._pumps.values()
    try:
        yield peer, pump
    finally:
        peer._writer.transport.abort()


def session_of(app: App, user: str) -> Session:
    (found,) = [
        each
        for each in app._desk.sessions
        if isinstance(each, Session) and each.caller is not None and each.caller.user == user
    ]
    return found


async def test_o_01_a_stranger_takes_little_of_each_turn(tmp_path: Path) -> None:
    """Sixty who send records of one byte each would hold everybody up for half a second a turn."""
    async with running_server(tmp_path) as app:
        async with one_stranger(app) as (_, pump):
            assert len(pump.get_buffer(-1)) == STRANGERS_READ
        async with registered(app, "alice"):
            (pump,) = [each for each in app._listener._pumps.values() if each._admitted]
            assert len(pump.get_buffer(-1)) == READ_BUFFER


async def test_o_08_what_a_connection_held_goes_with_it(tmp_path: Path) -> None:
    """At once: nobody looks for cycles among a hundred thousand pumps in time."""
    async with running_server(tmp_path) as app:
        async with one_stranger(app) as (_, pump):
            assert pump.visitor.hello == b"", "it is OpenSSL's now"
            assert pump._deadline is not None
            assert pump._ssl is not None
            secrets = weakref.ref(pump._ssl)
        await until(lambda: not app._listener._pumps)
        assert held_by(pump) == [None] * 4, "a timer would keep all of it, and find the connection slow"
        assert app._listener._opening == set()
        assert secrets() is None


def held_by(pump: TlsPump) -> list[object]:
    return [pump._deadline, pump._ssl, pump._stream, pump._transport]


class Watched:
    """An SSLObject that is asked to encrypt."""

    def __init__(self, real: ssl.SSLObject) -> None:
        self._real = real
        self.pieces: list[int] = []

    def write(self, data: bytes) -> int:
        self.pieces.append(len(data))
        return self._real.write(data)


async def test_o_03_openssl_is_given_a_record_at_a_time(tmp_path: Path) -> None:
    """The memory it has taken for its largest output it keeps for the life of the connection."""
    async with running_server(tmp_path) as app, one_stranger(app) as (_, pump):
        assert pump._ssl is not None
        real, watched = pump._ssl, Watched(pump._ssl)
        pump._ssl = watched  # type: ignore[assignment]
        pump.write(b"x" * 100_000)
        pump._ssl = real
        assert sum(watched.pieces) == 100_000
        assert max(watched.pieces) <= RECORD


async def test_o_03_a_goodbye_waits_only_so_long_for_who_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "CLOSE_SECONDS", 0.05)
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        pump = session_of(app, "alice")._pump
        alice._writer.transport.pause_reading()  # type: ignore[attr-defined]
        while pump.queued < 200_000:  # the kernel has taken what it takes, and less than a MiB is left
            pump.write(b"x" * 100_000)
            await a_moment()
        session_of(app, "alice").bid_farewell("silent")
        await until(lambda: not app._listener._pumps)
        alice._writer.transport.abort()


async def test_o_01_memory_is_asked_back_when_a_crowd_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(memory, "CROWD", 3)
    monkeypatch.setattr(listener, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(listener, "give_back", lambda: asked.append(True))
    async with running_server(tmp_path) as app:
        came = [await asyncio.open_connection("127.0.0.1", app.port) for _ in range(3)]
        await until(lambda: app._listener.status().open == 3)
        for _, writer in came:
            writer.transport.abort()
        await until(lambda: bool(asked))


async def test_o_03_what_has_not_left_the_connection_counts_as_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small frames that come in one tick are not written yet, and are as large together."""
    monkeypatch.setattr("securechat.server.session.FLUSH_BYTES", 1 << 30)
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        session, frame = session_of(app, "alice"), b"\x00" * 1_000
        for _ in range(MAX_QUEUED // len(frame)):
            session.deliver(frame)
        assert app.counters.slow_readers == 0
        session.deliver(frame)
        assert app.counters.slow_readers == 1
        await alice.until(lambda: alice.closed is not None)


async def test_o_03_who_leaves_answers_unread_is_read_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers to requests with a name are bounded by nothing else: one is answered, the next comes."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), _ = people
        group, _ = await open_room(*people)
        pump = session_of(app, "alice")._pump
        assert pump._transport is not None
        monkeypatch.setattr(TlsPump, "queued", ENOUGH_QUEUED + 1)
        alice.send(m.SendMessage(group.group_id, 1, group.encrypt(b"x")))
        await until(lambda: pump._transport is not None and not pump._transport.is_reading())
        monkeypatch.undo()
        for user in ("alice", "bob"):
            session_of(app, user).writable()
        assert await alice.ask(m.Ping()) == m.Done()


async def test_o_05_who_is_held_or_behind_is_read_on_when_neither_is_so_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        session = session_of(app, "alice")
        session._hold()
        session.writable()
        assert not is_read(session), "held, though it reads what it is sent"
        assert session._held is not None
        session._held.cancel()
        with monkeypatch.context() as patch:
            patch.setattr(Turns, "is_full", True)
            session._let_go()
            assert not is_read(session), "as much waits here as may"
            session._held.cancel()
        with monkeypatch.context() as patch:
            patch.setattr(TlsPump, "queued", ENOUGH_QUEUED + 1)
            session._let_go()
            assert not is_read(session), "held no more, and yet it reads nothing"
        session.writable()
        assert is_read(session)
        assert await alice.ask(m.Ping()) == m.Done()


def is_read(session: Session) -> bool:
    return session._pump._transport is not None and session._pump._transport.is_reading()
