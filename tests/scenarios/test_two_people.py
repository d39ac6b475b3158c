"""Two people talk."""

from tests.scenarios.world import World


async def test_bob_sees_what_alice_says_and_answers(world: World) -> None:
    alice, bob = await world.join("alice", "bob")

    await alice.says("@bob", "hello bob")
    received = await bob.hears("hello bob")
    await bob.says("@alice", "hello alice")
    answer = await alice.hears("hello alice")

    assert (received.message.conversation, received.message.sender) == ("@alice", "alice")
    assert (answer.message.conversation, answer.message.sender) == ("@bob", "bob")
