"""A commit that members refuse in secret: the group goes on (rules.md D, row 2; M-15)."""

import shutil

import pytest

from securechat.client.config import Home
from securechat.client.events import Held, Invited, Notice, Removed, Undecryptable
from tests.scenarios.evil import Flipped
from tests.scenarios.test_rooms import room_of_three
from tests.scenarios.world import PATIENCE, World, in_one_epoch


async def test_a_flipped_bit_in_a_commits_membership_tag_stops_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = Flipped(monkeypatch, "commit")
    alice, bob, carol = await room_of_three(world)
    dave = (await world.join("dave"))[0]

    tags.on = True
    await alice.client.invite("#team", "dave")
    tags.on = False
    for person in (bob, carol):
        await person.sees(Notice, lambda event: event.code == "refused_commit")
        await person.sees(Notice, lambda event: event.code == "rejoined")
        (why,) = person.client.why("#team")
        assert [each.code for each in why.troubles] == ["refused_commit", "rejoined"]
        assert (why.code, why.troubles[0].sender) == ("", "alice")
    await alice.says("#team", "does everybody hear me?")
    await dave.sees(Invited)
    await dave.client.join("#team")
    await bob.says("#team", "bob is back")
    await carol.says("#team", "so is carol")

    assert tags.flipped == 1
    for person in (alice, carol, dave):
        await person.hears("bob is back")
    for person in (alice, bob, dave):
        await person.hears("so is carol")
    assert await in_one_epoch(alice, bob, carol, dave)


async def test_what_was_queued_meanwhile_is_sealed_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags = Flipped(monkeypatch, "commit")
    alice, bob, carol = await room_of_three(world)
    await bob.close()

    tags.on = True
    await alice.client.remove("#team", "carol")
    tags.on = False
    await bob.open()
    queued = await bob.client.send("#team", "written before I knew")

    await bob.client.acknowledged(queued.local_id, PATIENCE)
    await alice.hears("written before I knew")
    assert carol.heard() == []


async def test_a_message_that_cannot_be_decrypted_is_shown_as_such_and_the_stream_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Q-06; and the next message names that the log was altered (rules.md A)."""
    broken = Flipped(monkeypatch, "message")
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "one")
    await bob.hears("one")

    broken.on = True
    await alice.says("@bob", "two")
    broken.on = False
    await bob.sees(Undecryptable, lambda event: (event.conversation, event.sender) == ("@alice", "alice"))
    await alice.says("@bob", "three")
    await bob.hears("three")
    held = await bob.sees(Held)

    assert held.code == "log_altered"
    assert [message.text for message in bob.client.messages("@alice")] == [
        "one",
        "(cannot be decrypted: aead)",
        "three",
    ]
    (why,) = bob.client.why()
    assert (why.conversation, why.code, why.text) == ("@alice", held.code, held.text)
    assert why.since
    (trouble,) = why.troubles
    assert (trouble.sender, trouble.code) == ("alice", "aead")
    await bob.client.release("@alice")
    await bob.says("@alice", "I saw that")
    await alice.hears("I saw that")


async def test_a_copied_profile_never_uses_a_key_twice(world: World) -> None:
    """D-06: the older copy gives up its secrets and joins anew before it sends."""
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "from the original")
    await alice.close()
    shutil.copytree(alice.home.path, world.folder / "copy")
    await alice.open()
    await alice.says("@bob", "after the copy was taken")
    await alice.close()

    alice.home = Home(world.folder / "copy")
    alice.events.clear()
    await alice.open()
    await alice.sees(Notice, lambda event: event.code == "conflict")
    await alice.says("@bob", "from the copy")

    await bob.hears("from the copy")
    assert bob.heard() == ["from the original", "after the copy was taken", "from the copy"]
    assert not any(isinstance(event, Undecryptable | Removed) for event in bob.events)
