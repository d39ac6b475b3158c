"""Two people and a room use everything that can be said: replies, changes, reactions, polls, receipts."""

import time

from securechat.client.events import Message, MessageChanged, MessageKind, Typing
from tests.scenarios.world import PATIENCE, Person, World


async def known_to_each_other(world: World) -> tuple[Person, Person]:
    """Have both written to each other once, so that they may know of each other."""
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "hello bob")
    await bob.hears("hello bob")
    await bob.says("@alice", "hello alice")
    await alice.hears("hello alice")
    return alice, bob


async def said(person: Person, to: str, text: str) -> Message:
    message = await person.client.send(to, text)
    return await person.client.acknowledged(message.local_id, PATIENCE)


async def test_a_text_is_answered_changed_and_withdrawn(world: World) -> None:
    alice, bob = await known_to_each_other(world)
    asked = await said(alice, "@bob", "lnch?")
    await bob.hears("lnch?")

    answer = await bob.client.send("@alice", "yes", reply_to=asked.id[:12])
    heard = await alice.hears("yes")
    await alice.client.edit("@bob", asked.id, "lunch?")
    changed = await bob.sees(MessageChanged, lambda event: event.message.text == "lunch?")
    await bob.client.delete("@alice", answer.id)
    gone = await alice.sees(MessageChanged, lambda event: event.message.deleted)

    assert heard.message.reply_to == asked.id
    assert (changed.message.id, bool(changed.message.edited)) == (asked.id, True)
    assert (gone.message.id, gone.message.text) == (answer.id, "")
    assert [m.text for m in alice.client.timeline("@bob")] == [m.text for m in bob.client.timeline("@alice")]
    assert alice.heard() == ["hello alice", "yes"]


async def test_a_reaction_comes_and_goes_and_is_no_message(world: World) -> None:
    alice, bob = await known_to_each_other(world)
    asked = await said(alice, "@bob", "lunch?")
    await bob.hears("lunch?")

    await bob.client.react("@alice", asked.id, "👍")
    liked = await alice.sees(MessageChanged, lambda event: bool(event.message.reactions))
    await bob.client.react("@alice", asked.id, "👍", on=False)
    await alice.sees(
        MessageChanged, lambda event: event.message.id == asked.id and not event.message.reactions
    )

    assert [(each.text, each.users) for each in liked.message.reactions] == [("👍", ("bob",))]
    assert alice.client.unprinted(10) == alice.client.unshown(10) != []
    assert alice.heard() == ["hello alice"]


async def test_a_poll_counts_one_vote_of_each(world: World) -> None:
    alice, bob = await known_to_each_other(world)
    poll = await alice.client.poll("@bob", "Tea?", ["green", "black"])
    heard = await bob.hears("Tea?")
    assert heard.message.kind is MessageKind.POLL

    await bob.client.vote("@alice", poll.id, [1])
    await bob.client.vote("@alice", poll.id, [2])
    counted = await alice.sees(
        MessageChanged,
        lambda event: event.message.poll is not None and event.message.poll.options[1].voters == ("bob",),
    )

    assert counted.message.poll is not None
    assert counted.message.poll.options[0].voters == ()


async def test_a_message_is_sent_stored_delivered_and_read(world: World) -> None:
    alice, bob = await known_to_each_other(world)

    message = await said(alice, "@bob", "are you there?")
    await bob.hears("are you there?")
    had = await alice.sees(
        MessageChanged, lambda event: event.message.id == message.id and bool(event.message.delivered_to)
    )
    bob.client.mark_read("@alice", message.id)
    read = await alice.sees(
        MessageChanged, lambda event: event.message.id == message.id and bool(event.message.read_by)
    )

    assert (had.message.delivered_to, had.message.read_by) == (("bob",), ())
    assert (read.message.delivered_to, read.message.read_by) == (("bob",), ("bob",))
    assert all(text in ("hello alice", "hello bob", "are you there?") for text in alice.heard() + bob.heard())


async def test_who_types_is_seen_until_the_message_comes(world: World) -> None:
    alice, bob = await known_to_each_other(world)

    assert await alice.client.typing("@bob", on=True)
    assert not await alice.client.typing("@bob", on=True)
    begun = await bob.sees(Typing)
    await alice.says("@bob", "there")
    ended = await bob.sees(Typing, lambda event: not event.on)

    assert begun == Typing("@alice", "alice", on=True)
    assert ended == Typing("@alice", "alice", on=False)


async def test_what_was_read_disappears_on_both_sides(world: World) -> None:
    """L-04: nothing of it is left in the store, and its time runs from when it was read or sent."""
    ahead = 0.0
    people = [await world.register(name) for name in ("alice", "bob")]
    for person in people:
        person.clock = lambda: time.time() + ahead
        await person.open()
    alice, bob = people
    await alice.says("@bob", "hello bob")
    await bob.hears("hello bob")
    await bob.says("@alice", "hello alice")
    await alice.client.set_expiry("@bob", 60)
    await bob.hears("(messages disappear 1 minute after they are read from now on)")
    assert bob.client.conversation("@alice").expires_after == 60

    secret = await said(bob, "@alice", "burn this")
    await alice.hears("burn this")
    alice.client.mark_read("@bob", secret.id)
    ahead = 61.0
    await alice.says("@bob", "and now?")
    await bob.hears("and now?")
    for person in people:
        await person.sees(
            MessageChanged, lambda event: event.message.id == secret.id and event.message.deleted
        )

    assert "burn this" not in [m.text for m in alice.client.timeline("@bob") + bob.client.timeline("@alice")]
