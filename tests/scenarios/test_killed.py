"""Processes are killed, and go on where they were: nothing lost, nothing twice (C-01, C-02)."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.scenarios.processes import ProcessWorld, Sender, a_process_world
from tests.scenarios.world import PATIENCE, without_long_draws


@pytest_asyncio.fixture
async def killable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProcessWorld]:
    without_long_draws(monkeypatch.setattr)
    async with a_process_world(tmp_path) as world:
        yield world


async def test_a_killed_server_costs_no_message_and_shows_none_twice(killable: ProcessWorld) -> None:
    alice, bob = await killable.join("alice", "bob")
    texts = [f"message {number}" for number in range(60)]
    await alice.says("@bob", "before")

    for part in (texts[:20], texts[20:40], texts[40:]):
        for text in part:
            await alice.client.send("@bob", text)
            await asyncio.sleep(0)
        await killable.kill_server()
        await killable.start()
    assert await alice.client.drained(PATIENCE)

    await bob.hears(texts[-1])
    assert bob.heard() == ["before", *texts]


@pytest.mark.parametrize("kill_after", [1, 7, 30])
async def test_a_killed_client_goes_on_where_it_was(killable: ProcessWorld, kill_after: int) -> None:
    (bob,) = await killable.join("bob")
    alice = await killable.register("alice")
    sender = Sender(alice, "@bob", 50)

    await sender.start()
    await sender.says(kill_after)
    await sender.kill()
    again = Sender(alice, "@bob", 50)
    await again.start()

    assert await again.ends() == 0
    await bob.hears("message 49")
    assert bob.heard() == [f"message {number}" for number in range(50)]


async def test_a_receiver_that_is_killed_is_shown_each_message_once(killable: ProcessWorld) -> None:
    """Both ends go through `unprinted`: what was marked before the kill is not printed again."""
    (alice,) = await killable.join("alice")
    bob = await killable.register("bob")
    texts = [f"message {number}" for number in range(30)]
    for text in texts:
        await alice.client.send("@bob", text)
    assert await alice.client.drained(PATIENCE)

    reader = Sender(bob, "@alice", 10)
    await reader.start()
    await reader.says(3)
    await reader.kill()
    await bob.open()
    await bob.client.caught_up()

    assert [message.text for message in bob.client.unprinted(100)] == texts
