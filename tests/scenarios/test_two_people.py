"""Two people talk: at once, after a while, both first, and with a server that goes away."""

import asyncio

import pytest

from securechat.client.errors import KeyUsed
from securechat.client.events import MessageReceived, MessageState
from tests.scenarios.world import PATIENCE, World


async def test_bob_sees_what_alice_says_and_answers(world: World) -> None:
    alice, bob = await world.join("alice", "bob")

    await alice.says("@bob", "hello bob")
    received = await bob.hears("hello bob")
    await bob.says("@alice", "hello alice")
    answer = await alice.hears("hello alice")

    assert (received.message.conversation, received.message.sender) == ("@alice", "alice")
    assert (answer.message.conversation, answer.message.sender) == ("@bob", "bob")
    assert alice.client.fingerprint("@bob").safety_number == bob.client.fingerprint("@alice").safety_number
    assert alice.client.fingerprint("@bob").epoch_code == bob.client.fingerprint("@alice").epoch_code


async def test_what_is_said_while_bob_is_away_comes_in_order_and_once(world: World) -> None:
    """Q-03."""
    alice, bob = await world.join("alice", "bob")
    await bob.close()
    texts = [f"message {number}" for number in range(40)]
    for text in texts:
        await alice.client.send("@bob", text)
    assert await alice.client.drained(PATIENCE)

    await bob.open()
    await bob.hears(texts[-1])
    assert bob.heard() == texts
    await bob.close()
    await bob.open()
    await alice.says("@bob", "and now?")
    await bob.hears("and now?")
    assert bob.heard() == [*texts, "and now?"]


async def test_bob_who_never_opened_his_client_can_be_written_to(world: World) -> None:
    (alice,) = await world.join("alice")
    bob = await world.register("bob")

    await alice.says("@bob", "welcome")
    await bob.open()

    await bob.hears("welcome")


async def test_both_open_at_once_and_have_one_conversation(world: World) -> None:
    alice, bob = await world.join("alice", "bob")

    await asyncio.gather(alice.client.send("@bob", "me first"), bob.client.send("@alice", "no, me"))
    await bob.hears("me first")
    await alice.hears("no, me")

    assert len(alice.client.conversations()) == len(bob.client.conversations()) == 1
    assert alice.client.fingerprint("@bob").epoch_code == bob.client.fingerprint("@alice").epoch_code


async def test_a_restarted_server_costs_no_message(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "before")
    await bob.hears("before")

    await world.stop_server()
    queued = await alice.client.send("@bob", "meanwhile")
    await world.start_server()

    acknowledged = await alice.client.acknowledged(queued.local_id, PATIENCE)
    await bob.hears("meanwhile")
    assert acknowledged.state is MessageState.SENT
    assert bob.heard() == ["before", "meanwhile"]


async def test_a_key_of_the_callers_own_sends_once(world: World) -> None:
    alice, bob = await world.join("alice", "bob")

    first = await alice.client.send("@bob", "once", key="job-7")
    again = await alice.client.send("@Bob", "once more?", key="job-7")
    with pytest.raises(KeyUsed, match="@bob has this key already"):
        await alice.client.send("@carol", "once", key="job-7")
    await alice.says("@bob", "last")
    await bob.hears("last")

    assert again.local_id == first.local_id
    assert bob.heard() == ["once", "last"]


async def test_unprinted_is_what_others_said_until_it_is_marked(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "read me")
    await bob.hears("read me")

    (message,) = bob.client.unprinted(10)
    bob.client.mark_printed([message.local_id])

    assert message.text == "read me"
    assert bob.client.unprinted(10) == []
    assert isinstance(bob.events[-1], MessageReceived)
