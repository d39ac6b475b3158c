"""Two people and a room use everything that can be said: replies, changes, reactions, polls, receipts."""

import time

import pytest

from securechat.client import history, records
from securechat.client.compose import Written, frame_for, queue
from securechat.client.errors import Forbidden, UnknownMessage
from securechat.client.events import Invited, Message, MessageChanged, MessageKind, Typing
from securechat.content.message import framed, text_part
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


async def test_a_poll_is_closed_by_who_asked(world: World) -> None:
    alice, bob = await known_to_each_other(world)
    poll = await alice.client.poll("@bob", "Tea?", ["green", "black"])
    await bob.hears("Tea?")
    await bob.client.vote("@alice", poll.id, [1])
    await alice.sees(MessageChanged, lambda event: event.message.id == poll.id)
    with pytest.raises(Forbidden, match="only who wrote"):
        await bob.client.close_poll("@alice", poll.id)

    mine = await alice.client.close_poll("@bob", poll.id)
    theirs = await bob.sees(
        MessageChanged, lambda event: event.message.poll is not None and event.message.poll.closed
    )

    assert mine.poll == theirs.message.poll
    assert mine.poll is not None
    assert mine.poll.options[0].voters == ("bob",)
    for person, to in ((alice, "@bob"), (bob, "@alice")):
        with pytest.raises(Forbidden, match="closed"):
            await person.client.vote(to, poll.id, [2])
    with pytest.raises(Forbidden, match="closed"):
        await alice.client.close_poll("@bob", poll.id)


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


async def test_a_members_words_for_another_are_kept_and_not_shown(world: World) -> None:
    """A malicious client in the group: what it seals is authentic, and counts for itself only."""
    alice, bob = await known_to_each_other(world)
    mine = await said(alice, "@bob", "I owe nothing")
    await bob.hears("I owe nothing")

    engine = bob.client._engine
    record = records.by_name(engine.store.db, "@alice")
    assert record is not None
    with engine.changes.change() as change:
        frame = frame_for(engine.device, record)
        content = framed(text_part("I owe bob 100"), frame, replaces=bytes.fromhex(mine.id))
        queue(change, engine.device, record, Written(content=content, kind="text"), now=0)
        change.wake(record.id)
    await bob.says("@alice", "well?")
    await alice.hears("well?")

    assert [m.text for m in alice.client.timeline("@bob")][-2:] == ["I owe nothing", "well?"]
    (explained,) = alice.client.why("@bob")
    assert [each.code for each in explained.troubles] == ["not_author"]


async def test_a_topic_and_a_name_reach_everybody_in_a_room(world: World) -> None:
    alice, bob, carol = await world.join("alice", "bob", "carol")
    await alice.client.create_room("#team")
    for person in (bob, carol):
        await alice.client.invite("#team", person.name)
        await person.sees(Invited)
        await person.client.join("#team")

    await alice.client.send("#team", "who comes, @Bob?", thread="lunch")
    heard = await bob.hears("who comes, @bob?")
    other = await carol.hears("who comes, @bob?")
    await bob.client.send("#team", "I do", reply_to=heard.message.id)
    answer = await carol.hears("I do")

    assert (heard.message.mentions_me, other.message.mentions_me) == (True, False)
    assert (heard.message.thread, answer.message.thread) == ("lunch", "lunch")
    assert bob.client.conversation("#team").mentions == 1
    assert [m.text for m in carol.client.timeline("#team", thread="lunch")] == ["who comes, @bob?", "I do"]


async def test_it_is_all_there_after_a_restart_and_what_was_unsent_can_be_taken_back(world: World) -> None:
    alice, bob = await known_to_each_other(world)
    asked = await said(alice, "@bob", "lnch?")
    await bob.hears("lnch?")
    await bob.client.react("@alice", asked.id, "👍")
    await alice.sees(MessageChanged, lambda event: bool(event.message.reactions))
    await world.stop_server()
    await alice.client.edit("@bob", asked.id, "lunch?")
    regretted = await alice.client.send("@bob", "you fool")
    await alice.client.delete("@bob", regretted.id)
    before = alice.client.timeline("@bob")
    await alice.close()
    await alice.open()
    assert alice.client.timeline("@bob") == before

    await world.start_server()
    await bob.sees(MessageChanged, lambda event: event.message.text == "lunch?")
    await alice.says("@bob", "last")
    await bob.hears("last")
    assert "you fool" not in bob.heard()


async def test_who_is_not_to_know_is_not_told(world: World) -> None:
    """Receipts and typing: not to a stranger, and not to anybody once they are off."""
    alice, bob = await world.join("alice", "bob")
    hello = await said(alice, "@bob", "hello bob")
    await bob.hears("hello bob")
    bob.client.mark_read("@alice", hello.id)
    assert not await bob.client.typing("@alice", on=True)
    await bob.says("@alice", "hello alice")  # from here on she may know
    await alice.sees(MessageChanged, lambda event: bool(event.message.read_by))

    bob.client.set_receipts(read=False, delivery=False, typing=False)
    assert bob.client.receipts() == {"delivery": False, "read": False, "typing": False}
    again = await said(alice, "@bob", "and now?")
    await bob.hears("and now?")
    bob.client.mark_read("@alice", again.id)
    assert not await bob.client.typing("@alice", on=True)
    assert bob.client._engine.store.value("SELECT count(*) FROM owed_receipt") == 0


async def test_what_cannot_be_done_is_refused_and_nothing_is_sent(world: World) -> None:
    alice, bob = await known_to_each_other(world)
    theirs = alice.client.timeline("@bob")[-1]
    mine = alice.client.timeline("@bob")[0]
    refused = [
        (Forbidden, alice.client.edit("@bob", theirs.id, "x")),
        (Forbidden, alice.client.delete("@bob", theirs.id)),
        (Forbidden, alice.client.edit("@bob", mine.id, " ")),
        (Forbidden, alice.client.react("@bob", mine.id, "not a sign")),
        (Forbidden, alice.client.vote("@bob", mine.id, [1])),
        (Forbidden, alice.client.poll("@bob", "Tea?", ["green"])),
        (Forbidden, alice.client.poll("@bob", "Tea?", ["x"] * 10_000)),
        (Forbidden, alice.client.set_expiry("@bob", 1)),
        (Forbidden, alice.client.send("@bob", "x", thread="x" * 60_000)),
        (UnknownMessage, alice.client.react("@bob", "01" * 32, "👍")),
        (UnknownMessage, alice.client.send("@bob", "x", reply_to="0123")),
    ]
    for kind, asked in refused:
        with pytest.raises(kind):
            await asked

    assert len(alice.client.timeline("@bob")) == 2
    assert not history.waiting(alice.client._engine.store.db, 1)
    del bob
