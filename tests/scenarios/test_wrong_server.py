"""Another server answers at a known address: nothing is lost, and who waits is told (T-05)."""

import asyncio
from pathlib import Path

import pytest

from securechat.client.client import Client
from securechat.client.errors import HolderRefused, ServerChanged
from securechat.client.events import Disconnected, MessageState
from securechat.client.forwarding import connected
from tests.scenarios.world import World


async def another_server(world: World, folder: Path) -> None:
    """Put a new server, with its own data and identity, behind the same port."""
    await world.stop_server()
    world.folder = folder
    await world.start_server()


async def test_whoever_waits_for_a_changed_server_is_told_and_nothing_is_lost(
    world: World, tmp_path: Path
) -> None:
    alice = await world.register("alice")
    await world.register("bob")
    before = world.folder
    await another_server(world, tmp_path / "another")

    async with await Client.open(alice.home, "alice", alice.password, trust=world.trust) as client:
        message = await client.send("@bob", "kept")
        for waiting in (
            client.acknowledged(message.local_id, 20),
            client.caught_up(),
            client.drained(20),
            client.create_room("#team"),
        ):
            with pytest.raises(ServerChanged):
                await waiting
        with pytest.raises(HolderRefused, match="has changed from") as refused:
            async with connected(alice.home.profile("alice")) as face:
                await face.acknowledged((await face.send("@bob", "kept too")).local_id, 20)
        assert refused.value.exit_code == 4
        assert (await anext(aiter(client.events()))) == Disconnected(str(refused.value), None)
        assert client.status().queued == 2

    await another_server(world, before)
    await alice.open()
    assert await alice.client.drained(20)
    assert [m.state for m in alice.client.messages("@bob")] == [MessageState.SENT, MessageState.SENT]


async def test_a_session_that_ends_while_one_waits_ends_the_waiting(world: World, tmp_path: Path) -> None:
    (alice,) = await world.join("alice")
    await alice.client.caught_up()
    await world.stop_server()
    message = await alice.client.send("@bob", "kept")
    waiting = asyncio.ensure_future(alice.client.acknowledged(message.local_id, 20))
    world.folder = tmp_path / "another"
    await world.start_server()

    with pytest.raises(ServerChanged):
        await waiting
