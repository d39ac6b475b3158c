"""The session against a server that does what the test says."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from securechat.client import session as session_module
from securechat.client.backoff import Backoff
from securechat.client.config import Home
from securechat.client.errors import (
    Disconnected,
    RefusedByServer,
    Replaced,
    ServerChanged,
    ServerUntrusted,
    UnknownUser,
    refusal,
)
from securechat.client.intents import LONGEST_WAIT
from securechat.client.link import Link
from securechat.client.session import (
    Credentials,
    Session,
    SessionEvent,
    SessionLost,
    SessionReady,
)
from securechat.client.trust import Pin, Trust
from securechat.membership.login import Purpose, login_to_sign
from securechat.membership.signing import new_key, public_of, verify_signed
from securechat.protocol.frames import encode_frame, encode_value
from securechat.protocol.messages import (
    Account,
    Acknowledged,
    Appended,
    CountKeyPackages,
    Delivered,
    Done,
    Entry,
    GetAccount,
    InboxDelivered,
    KeyPackageCount,
    LogIn,
    Ping,
    PublishKeyPackages,
    Refused,
    RequestBody,
    SendMessage,
)
from securechat.protocol.server_connection import Acked, ServerConnection
from tests.client.certificates import self_signed
from tests.client.rogue import DROP, SILENCE, Reply, Rogue, running, welcome

GROUP = bytes(16)
DEVICE_KEY = new_key()
ENTRY = Entry(1, "message", 1, "c" * 16, 1_700_000_000, b"sealed")


class FakeClock:
    """Waits no time at all; remembers what it was asked to wait."""

    def __init__(self) -> None:
        self.waited: list[float] = []
        self.frozen = False

    async def pause(self, seconds: float) -> None:
        self.waited.append(seconds)
        if self.frozen:
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)


@pytest.fixture
async def rogue(tmp_path: Path) -> AsyncIterator[Rogue]:
    async with running(Rogue(self_signed(tmp_path), domain="example.org")) as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def new_session(rogue: Rogue, home: Path, clock: FakeClock) -> Session:
    credentials = Credentials(
        user="alice",
        client="c" * 16,
        server=Pin(public_of(rogue.identity), "example.org"),
        device_key=DEVICE_KEY,
    )
    return Session(
        rogue.address, Trust(), Home(home), credentials, source=random.Random(1), pause=clock.pause
    )


@asynccontextmanager
async def running_session(rogue: Rogue, home: Path, clock: FakeClock) -> AsyncIterator[Session]:
    session = new_session(rogue, home, clock)
    session.start()
    try:
        yield session
    finally:
        await session.close()


async def until(session: Session, kind: type[SessionEvent]) -> SessionEvent:
    while True:
        event = await session.events.get()
        if isinstance(event, kind):
            return event


async def test_a_known_device_logs_in_bound_to_this_connection(
    rogue: Rogue, tmp_path: Path, clock: FakeClock
) -> None:
    """T-06: relayed over another certificate, the same signature proves nothing."""
    async with running_session(rogue, tmp_path, clock) as session:
        ready = await session.events.get()

    assert isinstance(ready, SessionReady)
    assert ready.fingerprint == rogue.fingerprint
    (login,) = (body for body in rogue.asked if isinstance(body, LogIn))
    for certificate_hash, holds in ((rogue.certificate_hash, True), (bytes(32), False)):
        challenge = login_to_sign(
            purpose=Purpose.DEVICE,
            domain="example.org",
            user="alice",
            client="c" * 16,
            server_nonce=ready.hello.nonce,
            client_nonce=login.client_nonce,
            certificate_hash=certificate_hash,
        )
        assert verify_signed(public_of(DEVICE_KEY), challenge, signature=login.signature) is holds


async def test_answers_reach_who_asked(rogue: Rogue, tmp_path: Path, clock: FakeClock) -> None:
    def script(body: RequestBody) -> Reply:
        match body:
            case GetAccount("bob"):
                return Account("bob", b"statement")
            case GetAccount():
                return Refused(0, "unknown_user")
            case CountKeyPackages():
                return KeyPackageCount(3, last_resort=True)
            case SendMessage():
                return Appended(7)
            case _:
                return welcome(body)

    rogue.script = script
    async with running_session(rogue, tmp_path, clock) as session:
        await until(session, SessionReady)
        sent = session.send_named(1, encode_value(SendMessage(GROUP, 1, b"sealed")))
        answers = asyncio.gather(session.request(GetAccount("bob")), session.request(CountKeyPackages()))

        assert tuple(await answers) == (Account("bob", b"statement"), KeyPackageCount(3, last_resort=True))
        assert await sent == Appended(7)
        with pytest.raises(UnknownUser):
            await session.request(GetAccount("nobody"))
        assert session._link is not None
        assert session._link._answers == {}, "what was answered is not kept"


async def test_a_link_is_closed_with_its_session(
    rogue: Rogue, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Link] = []
    close = Link.close

    async def noted(link: Link) -> None:
        closed.append(link)
        await close(link)

    monkeypatch.setattr(Link, "close", noted)
    async with running_session(rogue, tmp_path, clock) as session:
        await until(session, SessionReady)
        link = session._link
    assert closed == [link]


async def test_what_was_under_way_is_told_that_the_connection_went(
    rogue: Rogue, tmp_path: Path, clock: FakeClock
) -> None:
    rogue.script = lambda body: SILENCE if isinstance(body, GetAccount) else welcome(body)
    async with running_session(rogue, tmp_path, clock) as session:
        await until(session, SessionReady)
        waiting = asyncio.gather(
            session.request(GetAccount("bob")),
            session.send_named(1, encode_value(PublishKeyPackages())),
            return_exceptions=True,
        )
        rogue.script = lambda body: DROP if isinstance(body, PublishKeyPackages) else welcome(body)

        outcomes = await waiting
        assert [type(outcome) for outcome in outcomes] == [Disconnected, Disconnected]
        await until(session, SessionReady)


async def test_without_a_connection_nothing_is_asked(rogue: Rogue, tmp_path: Path, clock: FakeClock) -> None:
    session = new_session(rogue, tmp_path, clock)

    with pytest.raises(Disconnected):
        await session.request(GetAccount("bob"))
    with pytest.raises(Disconnected):
        await session.send_named(1, encode_value(PublishKeyPackages()))
    session.acknowledge(GROUP, 1)
    await session.close()


async def test_pushes_come_in_order(rogue: Rogue, tmp_path: Path, clock: FakeClock) -> None:
    async with running_session(rogue, tmp_path, clock) as session:
        await until(session, SessionReady)
        rogue.push(encode_frame(Delivered(GROUP, [ENTRY])))
        rogue.push(encode_frame(InboxDelivered([])))
        rogue.push(encode_frame(Delivered(GROUP, [])))

        assert [await session.events.get() for _ in range(3)] == [
            Delivered(GROUP, [ENTRY]),
            InboxDelivered([]),
            Delivered(GROUP, []),
        ]


async def test_what_comes_together_with_the_login_comes_after_it(
    rogue: Rogue, tmp_path: Path, clock: FakeClock
) -> None:
    rogue.with_login = encode_frame(Delivered(GROUP, [ENTRY]))
    async with running_session(rogue, tmp_path, clock) as session:
        first, second = await session.events.get(), await session.events.get()

    assert isinstance(first, SessionReady)
    assert second == Delivered(GROUP, [ENTRY])


async def test_an_owner_that_is_behind_loses_the_connection_and_no_memory(
    rogue: Rogue, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "MAX_WAITING", 1_000_000)
    async with running_session(rogue, tmp_path, clock) as session:
        await until(session, SessionReady)
        large = Entry(1, "message", 1, "c" * 16, 0, bytes(60_000))
        for _ in range(100):
            rogue.push(encode_frame(Delivered(GROUP, [large])))
        with pytest.raises(Disconnected):
            await session.request(GetAccount("bob"))

        assert session.events.waiting < 2_000_000
        await until(session, SessionLost)
        assert session.events.waiting == 0


async def test_acknowledgements_go_out(
    rogue: Rogue, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Acknowledged] = []
    receive = ServerConnection.receive_data

    def listen(connection: ServerConnection, data: bytes) -> object:
        events = receive(connection, data)
        heard.extend(ack for event in events if isinstance(event, Acked) for ack in event.acks)
        return events

    monkeypatch.setattr(ServerConnection, "receive_data", listen)
    async with running_session(rogue, tmp_path, clock) as session:
        await until(session, SessionReady)
        session.acknowledge(GROUP, 5)
        session.acknowledge(b"", 2)
        assert await session.request(Ping()) == Done()

    assert heard == [Acknowledged(GROUP, 5), Acknowledged(b"", 2)]


async def test_a_lost_connection_comes_back_with_growing_jittered_delays(
    rogue: Rogue, tmp_path: Path, clock: FakeClock
) -> None:
    rogue.script = lambda _body: DROP
    expected = Backoff(random.Random(1))
    async with running_session(rogue, tmp_path, clock) as session:
        lost = [await session.events.get() for _ in range(6)]
        rogue.script = welcome
        await until(session, SessionReady)

    assert [event.retry_in for event in lost if isinstance(event, SessionLost)] == [
        expected.next() for _ in range(6)
    ]
    assert [event.retry_in for event in lost if isinstance(event, SessionLost)] == clock.waited[:6]


async def test_after_a_success_the_delays_begin_anew(rogue: Rogue, tmp_path: Path, clock: FakeClock) -> None:
    async with running_session(rogue, tmp_path, clock) as session:
        for _ in range(8):
            await until(session, SessionReady)
            rogue.hang_up("shutdown")
            lost = await until(session, SessionLost)
            assert isinstance(lost, SessionLost)
            assert lost.retry_in is not None
            assert lost.retry_in <= Backoff(random.Random()).next() + 0.5


@pytest.mark.parametrize("code", ["busy", "limited"])
async def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(
    rogue: Rogue, tmp_path: Path, clock: FakeClock, code: str
) -> None:
    rogue.script = lambda _body: Refused(0, code, retry_after=30)
    async with running_session(rogue, tmp_path, clock) as session:
        lost = await session.events.get()

    assert isinstance(lost, SessionLost)
    assert lost.retry_in is not None
    assert lost.retry_in >= 30


async def test_a_connection_that_was_replaced_is_not_fought_over(
    rogue: Rogue, tmp_path: Path, clock: FakeClock
) -> None:
    """Q-03: two that reconnect would push each other out for ever."""
    async with running_session(rogue, tmp_path, clock) as session:
        await until(session, SessionReady)
        rogue.hang_up("replaced")
        lost = await session.events.get()
        assert session._task is not None
        await asyncio.wait([session._task])

    assert isinstance(lost, SessionLost)
    assert isinstance(lost.error, Replaced)
    assert lost.retry_in is None
    assert len(rogue.connections) == 1


async def test_an_account_that_was_closed_is_told_so_and_does_not_knock_again(
    rogue: Rogue, tmp_path: Path, clock: FakeClock
) -> None:
    async with running_session(rogue, tmp_path, clock) as session:
        await until(session, SessionReady)
        rogue.hang_up("disabled")
        lost = await session.events.get()

    assert isinstance(lost, SessionLost)
    assert "closed by whoever runs the server" in str(lost.error)
    assert lost.retry_in is None


async def test_a_device_the_server_does_not_know_is_told_once(
    rogue: Rogue, tmp_path: Path, clock: FakeClock
) -> None:
    rogue.script = lambda _body: Refused(0, "wrong_credentials")
    async with running_session(rogue, tmp_path, clock) as session:
        lost = await session.events.get()

    assert isinstance(lost, SessionLost)
    assert isinstance(lost.error, RefusedByServer)
    assert "does not know this device" in str(lost.error)
    assert lost.retry_in is None


async def test_a_changed_server_gets_no_login_and_no_second_try(
    rogue: Rogue, tmp_path: Path, clock: FakeClock
) -> None:
    """T-05."""
    async with running_session(rogue, tmp_path, clock) as session:
        await until(session, SessionReady)
        rogue.identity = new_key()
        rogue.hang_up("shutdown")
        await until(session, SessionLost)
        lost = await until(session, SessionLost)

    assert isinstance(lost, SessionLost)
    assert isinstance(lost.error, ServerChanged)
    assert lost.retry_in is None
    assert sum(isinstance(body, LogIn) for body in rogue.asked) == 1


async def test_another_domain_is_another_place(rogue: Rogue, tmp_path: Path, clock: FakeClock) -> None:
    """Even a key that the user just vouched for does not move an account to another domain."""
    rogue.domain = "elsewhere.org"
    session = new_session(rogue, tmp_path, clock)
    session._trust = Trust(fingerprint=rogue.fingerprint)
    session.start()
    lost = await session.events.get()
    await session.close()

    assert isinstance(lost, SessionLost)
    assert isinstance(lost.error, ServerUntrusted)
    assert not rogue.asked


@pytest.mark.parametrize(
    "garbage", [b"\xff" * 64, b"\x00\x00\x00\x01\xc1", encode_frame(Delivered(GROUP, []))]
)
async def test_a_server_that_breaks_the_protocol_is_left_and_tried_again(
    rogue: Rogue, tmp_path: Path, clock: FakeClock, garbage: bytes
) -> None:
    async with running_session(rogue, tmp_path, clock) as session:
        await until(session, SessionReady)
        rogue.greets = False
        rogue.first_bytes = garbage
        rogue.hang_up("shutdown")
        await until(session, SessionLost)
        lost = await until(session, SessionLost)
        rogue.greets, rogue.first_bytes = True, b""
        await until(session, SessionReady)

    assert isinstance(lost, SessionLost)
    assert lost.error.exit_code == 3
    assert "\n" not in str(lost.error)


async def test_silence_is_broken_by_pings_and_ends_the_connection(
    rogue: Rogue, tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-04: a half-open connection is given up after the silence the protocol allows."""
    loop = asyncio.get_running_loop()
    real = loop.time
    monkeypatch.setattr(loop, "time", lambda: real() + sum(clock.waited))

    rogue.script = lambda body: SILENCE if isinstance(body, Ping) else welcome(body)
    session = new_session(rogue, tmp_path, clock)
    session.start()
    await until(session, SessionReady)
    lost = await until(session, SessionLost)
    await session.close()

    assert isinstance(lost, SessionLost)
    assert "silent" in str(lost.error)
    assert any(isinstance(body, Ping) for body in rogue.asked)


async def test_a_fault_of_ours_ends_the_session_aloud(
    rogue: Rogue,
    tmp_path: Path,
    clock: FakeClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(*_arguments: object, **_named: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(session_module, "open_trusted", broken)
    async with running_session(rogue, tmp_path, clock) as session:
        lost = await session.events.get()

    assert isinstance(lost, SessionLost)
    assert lost.retry_in is None
    assert "the session broke" in caplog.text


def test_credentials_hide_their_key(rogue: Rogue) -> None:
    """G-01."""
    own = Credentials(user="a", client="c", server=Pin(bytes(32), "d"), device_key=DEVICE_KEY)

    assert "rivate" not in repr(own)


def test_o_05_no_server_is_waited_for_as_long_as_it_likes() -> None:
    assert session_module._asked_delay(refusal("busy", retry_after=7)) == 7
    assert session_module._asked_delay(refusal("busy", retry_after=2**62)) == LONGEST_WAIT
