"""Connections break at the worst moments: nothing twice, nothing lost, nothing sealed twice."""

import asyncio

import pytest

from securechat.client.events import Invited
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
