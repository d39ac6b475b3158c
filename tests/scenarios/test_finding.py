"""Somebody looks for what was said, keeps marks on it, and finds all of it after a restart."""

from datetime import date

import pytest

from securechat.client.errors import Forbidden, IdentityChanged, UnknownConversation, UnknownUser
from tests.scenarios.world import World


async def test_what_was_said_is_found_on_both_sides_and_after_a_restart(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "lunch at the harbour?")
    await bob.hears("lunch at the harbour?")
    await bob.says("@alice", "東京で会いましょう")
    await alice.hears("東京で会いましょう")

    assert [message.text for message in bob.client.search("harb")] == ["lunch at the harbour?"]
    assert [message.sender for message in alice.client.search("東京", conversation="@bob")] == ["bob"]
    with pytest.raises(UnknownConversation):
        alice.client.search("lunch", conversation="@carol")

    await alice.close()
    await alice.open()
    (found,) = alice.client.search("LUNCH")
    assert found.own
    assert alice.client.at_date("@bob", date(2020, 1, 1)) == found.local_id


async def test_a_list_shows_what_is_unread_and_what_was_set_after_a_restart(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "one")
    await alice.says("@bob", "two\nlines")
    await bob.hears("two\nlines")
    bob.client.set_draft("@alice", "three, or")
    bob.client.set_notify("@alice", "mentions")
    kept = bob.client.bookmark(bob.client.messages("@alice")[0].id[:12])
    with pytest.raises(Forbidden):
        bob.client.set_notify("@alice", "loud")  # type: ignore[arg-type]  # as a program might

    await bob.close()
    await bob.open()

    (shown,) = bob.client.conversations()
    assert shown == bob.client.conversation("@alice")
    assert (shown.unread, shown.last, shown.notify) == (2, "two", "mentions")
    assert shown.draft == bob.client.draft("@alice") == "three, or"
    assert bob.client.bookmarks() == [kept]
    bob.client.mark_shown([message.local_id for message in bob.client.unshown(9)])
    assert bob.client.conversation("@alice").unread == 0


async def test_d_04_a_compared_number_marks_the_one_key_it_was_of(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "hello")
    await bob.hears("hello")
    number = alice.client.fingerprint("@bob").safety_number
    assert number is not None

    with pytest.raises(UnknownUser):
        alice.client.set_verified("@carol", number)
    with pytest.raises(IdentityChanged):
        alice.client.set_verified("@bob", "00000")
    with pytest.raises(IdentityChanged):
        alice.client.set_verified("@bob", number[:4])
    assert not alice.client.conversation("@bob").verified
    alice.client.set_verified("@bob", number[:11])
    assert alice.client.conversation("@bob").verified
    assert not bob.client.conversation("@alice").verified

    with alice.client._engine.changes.change() as change:
        change.db.execute("UPDATE contact SET changed_to = ?", (b"k" * 32,))
    assert not alice.client.conversation("@bob").verified
    with pytest.raises(IdentityChanged):
        alice.client.set_verified("@bob", number)


async def test_who_reads_along_and_who_is_known(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "hello")
    await bob.hears("hello")
    await bob.client.create_room("#team")

    (known,) = alice.client.contacts()
    assert (known.user, known.verified, known.changed, known.conversations) == (
        "bob",
        False,
        False,
        ("@bob",),
    )
    assert known.safety_number == alice.client.fingerprint("@bob").safety_number
    assert [(info.user, info.this, info.conversations) for info in bob.client.devices()] == [
        ("alice", False, ("@alice",)),
        ("bob", True, ("#team", "@alice")),
    ]
    assert [info.user for info in bob.client.devices("#team")] == ["bob"]
