"""Connections break at the worst moments: nothing twice, nothing lost, nothing sealed twice."""

import asyncio

import pytest

from securechat.client.events import Invited
from securechat.protocol.messages import CreateGroup, Sync
from securechat.protocol.server_connection import Requested
from securechat.server.session import Session as ServerSession
from tests.scenarios.evil import CutLines
from tests.scenarios.world import PATIENCE, World


async def test_a_retry_after_a_lost_answer_is_the_same_bytes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-05: same name, same ciphertext, and bob sees it once."""
    lines = CutLines(monkeypatch)
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "before")

    lines.answers_to_lose = 3
    texts = [f"message {number}" for number in range(5)]
    for text in texts:
        await alice.client.send("@bob", text)
    assert await alice.client.drained(PATIENCE)
    await bob.hears(texts[-1])

    repeated = [bodies for bodies in lines.seen.values() if len(bodies) > 1]
    assert repeated
    assert all(len(set(bodies)) == 1 for bodies in lines.seen.values())
    assert bob.heard() == ["before", *texts]


async def test_a_line_cut_amid_deliveries_shows_each_message_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-03."""
    lines = CutLines(monkeypatch)
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "before")
    await bob.hears("before")

    texts = [f"message {number}" for number in range(30)]
    for number, text in enumerate(texts):
        if number % 10 == 5:
            lines.pushes_to_break = 2
        await alice.client.send("@bob", text)
        await asyncio.sleep(0)
    assert await alice.client.drained(PATIENCE)
    await bob.hears(texts[-1])

    assert bob.heard() == ["before", *texts]
    assert [message.text for message in bob.client.unprinted(100)] == ["before", *texts]


async def test_a_group_made_while_the_line_breaks_is_made_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = CutLines(monkeypatch)
    alice, bob = await world.join("alice", "bob")

    lines.answers_to_lose = 2
    await alice.client.create_room("#team")
    lines.answers_to_lose = 2
    await alice.client.invite("#team", "bob")

    await bob.sees(Invited)
    assert [each.name for each in alice.client.conversations()] == ["#team"]
    assert [member.user for member in alice.client.conversation("#team").members] == ["alice", "bob"]
    assert bob.client.conversations()[0].epoch == alice.client.conversation("#team").epoch


async def test_a_conversation_whose_making_never_arrived_is_made_once_and_keeps_what_was_said(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-01: at the next login its group is not at the server yet, and is not given up for that."""
    alice, bob = await world.join("alice", "bob")
    take = ServerSession._take_request
    lost: list[ServerSession] = []
    waiting: list[Requested] = []
    looked: list[ServerSession] = []

    def late(session: ServerSession, requested: Requested) -> None:
        if isinstance(requested.body, CreateGroup) and not lost:
            lost.append(session)
            session._pump.abort()
            return
        if isinstance(requested.body, CreateGroup) and session not in looked:
            waiting.append(requested)
            return
        take(session, requested)
        if requested.body == Sync():
            looked.append(session)
            while waiting:
                take(session, waiting.pop())

    monkeypatch.setattr(ServerSession, "_take_request", late)
    await alice.client.caught_up()
    await alice.says("@bob", "hello")
    await bob.hears("hello")
    assert lost
    await bob.says("@alice", "hello yourself")
    await alice.hears("hello yourself")
