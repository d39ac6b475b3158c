"""Requests with a name are decided once, whatever is sent twice (Q-05, D-06)."""

import asyncio
from pathlib import Path

import pytest

from securechat.protocol import messages as m
from securechat.protocol.limits import ANSWERS_KEPT
from securechat.server.errors import Refusal
from securechat.server.session import Session
from tests.server.peer import Peer, WasRefused, open_room, publish, refusal, registered
from tests.server.running import running_server


async def test_q_05_sent_twice_it_is_appended_once(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alices_keys, alice), (_, bob) = people
        group, _ = await open_room(*people)
        body = m.SendMessage(group.group_id, 1, group.encrypt(b"once"))
        assert await alice.ask(body) == m.Appended(2)
        again = await Peer.connect(app.port)
        await again.log_in(alices_keys)
        for _ in range(100):
            assert await again.ask(body, alice.name) == m.Appended(2)
        fetched = await again.ask(m.Fetch(group.group_id, 2))
        assert isinstance(fetched, m.Entries)
        assert (len(fetched.entries), fetched.head) == (1, 2)
        assert len(await bob.entries(1)) == 1
        await again.close()


async def test_q_05_two_clients_use_the_same_names_and_each_gets_its_own_answer(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        body = m.ClaimKeyPackages("alice", 3)
        assert await alice.ask(body, 1) == m.ClaimedKeyPackages("alice", [])
        assert (await refusal(bob, m.ClaimKeyPackages("nobody", 3), 1)).code == "unknown_user"
        assert await alice.ask(body, 1) == m.ClaimedKeyPackages("alice", [])


async def test_q_05_the_answer_survives_a_restart(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alices_keys, alice), _ = people
        group, _ = await open_room(*people)
        body = m.SendMessage(group.group_id, 1, group.encrypt(b"once"))
        await alice.ask(body)
        name = alice.name
    async with running_server(tmp_path) as app:
        again = await Peer.connect(app.port)
        assert (await again.log_in(alices_keys)).high_water == name
        assert await again.ask(body, name) == m.Appended(2)
        await again.close()


async def test_a_refusal_is_kept_like_an_answer(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        body = m.ClaimKeyPackages("nobody", 3)
        first = await refusal(alice, body, 1)
        second = await refusal(alice, body, 1)
        assert first.code == second.code == "unknown_user"


async def test_d_06_the_same_name_for_something_else_is_a_conflict(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), _ = people
        group, _ = await open_room(*people)
        await alice.ask(m.SendMessage(group.group_id, 1, group.encrypt(b"one")))
        no = await refusal(alice, m.SendMessage(group.group_id, 1, group.encrypt(b"two")), alice.name)
        assert (no.code, no.head) == ("conflict", alice.name)


async def test_a_name_is_never_skipped(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        no = await refusal(alice, m.ClaimKeyPackages("alice", 3), 2)
        assert (no.code, no.head) == ("out_of_order", 0)
        assert await alice.ask(m.ClaimKeyPackages("alice", 3), 1) == m.ClaimedKeyPackages("alice", [])


async def test_the_last_answers_are_kept_and_older_ones_said_to_be_forgotten(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        body = m.ClaimKeyPackages("alice", 3)
        for request_id in [alice.send(body) for _ in range(ANSWERS_KEPT + 1)]:
            await alice.answer(request_id)
        assert (await refusal(alice, body, 1)).code == "forgotten"
        assert await alice.ask(body, 2) == m.ClaimedKeyPackages("alice", [])


async def test_requests_sent_at_once_are_decided_in_their_order(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), _ = people
        group, _ = await open_room(*people)
        asked = []
        for number in range(20):
            asked.append(alice.send(m.SendMessage(group.group_id, 1, group.encrypt(b"%d" % number))))
            if number % 5 == 0:  # one that has to be judged first, between those that need not
                asked.append(alice.send(m.PublishKeyPackages()))
            if number == 7:
                asked.append(alice.send(m.Propose(group.group_id, 1, b"nonsense")))
        said = await asyncio.gather(
            *(alice.answer(request_id) for request_id in asked), return_exceptions=True
        )
        assert [a.sequence for a in said if isinstance(a, m.Appended)] == list(range(2, 22))
        assert [no.code for no in said if isinstance(no, WasRefused)] == ["refused_message"]


async def test_a_busy_server_decides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alices_keys, alice)]:
        await publish(alice, alices_keys)

        def full(*_: object) -> None:
            raise Refusal("busy")

        with monkeypatch.context() as patched:
            patched.setattr("securechat.server.directory._account", full)
            assert (await refusal(alice, m.ClaimKeyPackages("alice", 3), 2)).code == "busy"
        assert await alice.ask(m.ClaimKeyPackages("alice", 3), 2) == m.ClaimedKeyPackages("alice", [])


async def test_a_mistake_in_the_busy_path_costs_one_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), _ = people
        group, _ = await open_room(*people)
        body = m.SendMessage(group.group_id, 1, group.encrypt(b"x"))
        with monkeypatch.context() as patched:
            patched.setattr("securechat.server.delivery.check_message", lambda _: 1 / 0)
            assert (await refusal(alice, body, alice.name + 1)).code == "internal"
        assert await alice.ask(body, alice.name + 1) == m.Appended(2)


async def test_who_cannot_be_told_stops_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        at_alice, at_bob = await open_room(*people)
        broken = next(
            session for session in app._desk.sessions if session.caller and session.caller.user == "alice"
        )
        decided = Session.decided

        def tell(session: Session, request_id: int, answer: bytes) -> None:
            if session is broken:
                raise ZeroDivisionError
            decided(session, request_id, answer)

        monkeypatch.setattr(Session, "decided", tell)
        alice.send(m.SendMessage(at_alice.group_id, 1, at_alice.encrypt(b"unanswered")))
        answer = await bob.ask(m.SendMessage(at_bob.group_id, 1, at_bob.encrypt(b"answered")))
        assert isinstance(answer, m.Appended)


async def test_a_mistake_of_ours_is_logged_and_told_by_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        monkeypatch.setattr("securechat.server.directory._account", lambda *_: 1 / 0)
        no = await refusal(alice, m.ClaimKeyPackages("alice", 3), 1)
        assert no.code == "internal"
        assert no.text.split()[1] in caplog.text
        assert "Traceback" not in no.text
        monkeypatch.undo()
        assert await alice.ask(m.ClaimKeyPackages("alice", 3), 1) == m.ClaimedKeyPackages("alice", [])
