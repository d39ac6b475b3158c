"""Connections of one client, of many, and what they are told (Q-03, O-02, O-03)."""

import asyncio
from pathlib import Path

import pytest

from securechat.membership.room import Kind
from securechat.protocol import messages as m
from securechat.protocol.frames import encode_frame
from securechat.protocol.limits import MAX_FRAME, MAX_FRAME_BEFORE_LOGIN, MAX_IN_FLIGHT, MAX_QUEUED
from securechat.server.app import App
from securechat.server.session import Session
from tests.client.parts import a_moment
from tests.protocol.examples import request
from tests.server.peer import Peer, Person, open_room, registered
from tests.server.running import running_server


async def test_q_03_the_newest_connection_of_a_client_wins(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (bobs_keys, bob) = people
        group, _ = await open_room(*people)
        newer = await Peer.connect(app.port)
        await newer.log_in(bobs_keys)
        await bob.until(lambda: bob.closed is not None)
        assert bob.closed is not None
        assert bob.closed.code == "replaced"
        await alice.ask(m.SendMessage(group.group_id, 1, group.encrypt(b"hi")))
        assert [entry.sequence for entry in await newer.entries(1)] == [2]
        await newer.close()


async def test_q_03_what_an_older_connection_asked_is_known_to_the_newer(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alices_keys, alice), _ = people
        group, _ = await open_room(*people)
        newer = await Peer.connect(app.port)
        for number in range(20):
            alice.send(m.SendMessage(group.group_id, 1, group.encrypt(b"%d" % number)))
        answer = await newer.log_in(alices_keys)
        fetched = await newer.ask(m.Fetch(group.group_id, 2))
        assert isinstance(fetched, m.Entries)
        decided = answer.high_water - (alice.name - 20)
        assert len(fetched.entries) == decided, "every name up to the mark, and none above it, is in the log"
        await newer.close()


async def test_q_03_cut_off_in_the_middle_one_reads_on_without_hole_or_double(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (bobs_keys, bob) = people
        group, _ = await open_room(*people)
        messages = [group.encrypt(b"x") for _ in range(60)]
        seen: list[int] = []
        async with asyncio.TaskGroup() as sending:
            sending.create_task(send_many(alice, group.group_id, messages))
            for _ in range(6):
                seen += await read_on_and_break_off(app, bobs_keys, group.group_id, len(seen) + 2)
        seen += await read_on_and_break_off(app, bobs_keys, group.group_id, len(seen) + 2)
        assert seen == list(range(2, 62))
        assert bob.closed is not None


async def read_on_and_break_off(app: App, person: Person, group: bytes, start: int) -> list[int]:
    """Read what there is from ``start``, then lose the connection without a word."""
    back = await Peer.connect(app.port)
    await back.log_in(person)
    fetched = await back.ask(m.Fetch(group, start))
    assert isinstance(fetched, m.Entries)
    back._writer.transport.abort()
    return [entry.sequence for entry in fetched.entries if isinstance(entry, m.Entry)]


async def send_many(peer: Peer, group: bytes, messages: list[bytes]) -> None:
    for message in messages:
        await peer.ask(m.SendMessage(group, 1, message))


async def test_acknowledgements_are_cumulative_and_stay_possible(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        group, _ = await open_room(*people)
        await send_many(alice, group.group_id, [group.encrypt(b"x") for _ in range(4)])
        for sequence, cursor in ((3, 3), (2, 3), (99, 3), (5, 5)):
            bob.connection.acknowledge(
                [m.Acknowledged(group.group_id, sequence), m.Acknowledged(b"?" * 16, 1)]
            )
            bob.flush()
            app._riders.leave()
            await settled(bob, app)
            assert await bob.ask(m.Sync()) == m.Synced([m.GroupStatus(group.group_id, 1, 5, 1, 2, cursor)])


async def settled(peer: Peer, app: App) -> None:
    """Wait until acknowledgements that were sent before are in the database."""
    await peer.ask(m.Ping())
    app._riders.leave()
    await app._writer.find(lambda _db: None)


async def test_the_sender_is_answered_and_not_told_its_own_message(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        at_alice, at_bob = await open_room(*people, kind=Kind.DIRECT)
        await alice.ask(m.SendMessage(at_alice.group_id, 1, at_alice.encrypt(b"one")))
        await bob.entries(1)
        await bob.ask(m.SendMessage(at_bob.group_id, 1, at_bob.encrypt(b"two")))
        await alice.entry(3)
        assert [entry.sequence for entry in alice.pushed_entries()] == [1, 3]
        assert [entry.sequence for entry in bob.pushed_entries()] == [2]


@pytest.mark.parametrize("length", [2**32 - 1, 2**30, MAX_FRAME_BEFORE_LOGIN + 1])
async def test_o_02_a_stranger_with_a_long_frame_is_closed(tmp_path: Path, length: int) -> None:
    async with running_server(tmp_path) as app:
        peer = await Peer.connect(app.port)
        peer.write_raw(length.to_bytes(4, "big") + b"x" * 100)
        await peer.until(lambda: peer.closed is not None)
        assert peer.closed is not None
        assert peer.closed.code == "protocol_error"
        await peer.close()


@pytest.mark.parametrize("length", [2**32 - 1, 2**30, MAX_FRAME + 1])
async def test_o_02_a_client_with_a_long_frame_is_closed(tmp_path: Path, length: int) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        alice.write_raw(length.to_bytes(4, "big") + b"x" * 100)
        await alice.until(lambda: alice.closed is not None)


async def test_o_02_a_flood_of_tiny_frames_before_login_ends_it(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        peer = await Peer.connect(app.port)
        ping = [encode_frame(request(m.Ping(), number)) for number in range(1, 1001)]
        peer.write_raw(b"".join(ping) + b"\x00\x00\x00\x01\x80" * 100_000)
        await peer.until(lambda: peer.closed is not None)
        assert app.connections == 0
        await peer.close()


async def test_o_02_more_requests_at_once_than_agreed_end_the_connection(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        first = alice.connection._last_id + 1
        alice.write_raw(
            b"".join(encode_frame(request(m.Ping(), first + number)) for number in range(MAX_IN_FLIGHT * 20))
        )
        await alice.until(lambda: alice.closed is not None)
        assert await bob.ask(m.Ping()) == m.Done(), "the others go on"


async def test_o_03_who_stops_reading_is_let_go_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securechat.server.session.MAX_QUEUED", 256 * 1024)
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "carol") as people:
        (_, alice), (bobs_keys, bob), (_, carol) = people
        group, _, _ = await open_room(*people)
        bob._writer.transport.pause_reading()  # type: ignore[attr-defined]
        sealed = group.encrypt(b"x" * 50_000)
        last = 1
        while app.connections == 3:
            answer = await alice.ask(m.SendMessage(group.group_id, 1, sealed))
            assert isinstance(answer, m.Appended)
            last = answer.sequence
            assert last < 2_000, "the slow reader was never let go"
        await carol.entry(last)
        back = await Peer.connect(app.port)
        await back.log_in(bobs_keys)
        assert await back.ask(m.Sync()) == m.Synced([m.GroupStatus(group.group_id, 1, last, 1, 2, 1)])
        await back.close()
        bob._writer.transport.abort()


async def test_o_03_what_waits_for_a_stopped_reader_never_exceeds_a_mib_in_all_layers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting: list[int] = []
    deliver = Session.deliver

    def counted(session: Session, frame: bytes) -> None:
        deliver(session, frame)
        waiting.append(held(session))

    monkeypatch.setattr(Session, "deliver", counted)
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "carol") as people:
        (_, alice), (_, bob), (_, carol) = people
        group, _, _ = await open_room(*people)
        bob._writer.transport.pause_reading()  # type: ignore[attr-defined]
        # Many at once, so that some wait in the connection and have not reached the transport yet.
        while app.counters.slow_readers == 0:
            asked = [
                alice.send(m.SendMessage(group.group_id, 1, group.encrypt(b"x" * 65_000))) for _ in range(10)
            ]
            for request_id in asked:
                await alice.answer(request_id)
            assert len(waiting) < 2_000, "the slow reader was never let go"
        assert 900 * 1024 < max(waiting) <= MAX_QUEUED
        assert await carol.ask(m.Ping()) == m.Done()
        bob._writer.transport.abort()


def held(session: Session) -> int:
    """Bytes that our own layers hold for a peer: frames, OpenSSL's records, the transport's buffer."""
    pump = session._pump
    return sum(map(len, session._connection._outgoing)) + pump._outgoing.pending + pump.queued


async def test_o_03_who_asks_and_does_not_read_waits(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        group, _ = await open_room(*people)
        sealed = group.encrypt(b"x" * 60_000)
        await send_many(alice, group.group_id, [sealed] * 4)
        bob._writer.transport.pause_reading()  # type: ignore[attr-defined]
        asked = [bob.send(m.Fetch(group.group_id, 2)) for _ in range(MAX_IN_FLIGHT)]
        (session,) = [each for each in app._desk.sessions if each.caller and each.caller.user == "bob"]
        assert isinstance(session, Session)
        async with asyncio.timeout(20):
            while session._reading._writable is None:
                await a_moment()
        assert session._reading._waiting, "some are not looked up yet"
        assert session._pump.queued <= 2 * MAX_FRAME + 256 * 1024
        bob._writer.transport.resume_reading()  # type: ignore[attr-defined]
        for request_id in asked:
            assert isinstance(await bob.answer(request_id), m.Entries)
