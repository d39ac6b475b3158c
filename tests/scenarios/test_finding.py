"""Somebody looks for what was said, keeps marks on it, and finds all of it after a restart."""

from datetime import date
from pathlib import Path

import pytest

from securechat.client.client import Client
from securechat.client.errors import Forbidden, NotTheSame, UnknownConversation, UnknownUser
from securechat.client.events import Identity
from securechat.client.exported import FORMAT, Header, NotImported, Said, line_of, read_said
from securechat.client.exporting import FORMATS
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
    with pytest.raises(NotTheSame, match="not the safety number"):
        alice.client.set_verified("@bob", "00000")
    with pytest.raises(NotTheSame):
        alice.client.set_verified("@bob", number[:4])
    assert not alice.client.conversation("@bob").verified
    alice.client.set_verified("@bob", number[:11])
    assert alice.client.conversation("@bob").verified
    assert not bob.client.conversation("@alice").verified

    with alice.client._engine.changes.change() as change:
        change.db.execute("UPDATE contact SET changed_to = ?", (b"k" * 32,))
    assert alice.client.conversation("@bob").identity is Identity.CHANGED
    alice.client.set_verified("@bob", number)
    assert alice.client.conversation("@bob").verified, "who compared the first one anew knows which is theirs"


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


async def test_l_02_what_is_kept_to_find_and_to_come_back_to_is_in_no_file_in_the_clear(world: World) -> None:
    """Words of the index, drafts, bookmarks and what was imported: open, closed, and after a restart."""
    (alice,) = await world.join("alice")
    alice.client.bring_in(
        Header(format=FORMAT, user="alice", room="@bob", kind="direct"),
        [Said(id="01" * 32, sender="bob", text="canaryword in canarytext", ts=1)],
    )
    alice.client.set_draft("@bob", "canarydraft")
    assert len(alice.client.search("canaryword")) == 1
    alice.client.bookmark(alice.client.search("canaryword")[0].local_id)
    while_open = written_by(alice.home.path)
    await alice.close()
    assert b"canary" not in (while_open + written_by(alice.home.path)).lower()

    await alice.open()
    assert alice.client.bookmarks()[0].verified == "imported"
    assert b"canary" not in written_by(alice.home.path).lower()


async def test_what_a_file_brings_stands_first_and_hinders_no_true_message(world: World) -> None:
    """M-11: whoever made the file may have known a message that was not delivered yet."""
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "the true one")
    await bob.hears("the true one")
    await bob.close()
    await alice.says("@bob", "not delivered yet")
    header = Header(format=FORMAT, user="bob", room="@alice", kind="direct")
    known = [message.id for message in alice.client.messages("@bob")]
    texts = ["a lie", "another lie"]
    said = [Said(id=each, sender="alice", text=text, ts=9) for each, text in zip(known, texts, strict=True)]
    offline = await Client.open(bob.home, "bob", bob.password, trust=world.trust, offline=True)
    assert offline.bring_in(header, said) == 1  # what bob has is left as it is
    assert offline.bring_in(header, said) == 0
    await offline.close()

    await bob.open()
    await bob.hears("not delivered yet")

    shown = [(message.text, message.verified) for message in bob.client.timeline("@alice")]
    assert shown == [("another lie", "imported"), ("the true one", "known"), ("not delivered yet", "known")]
    assert bob.client.conversation("@alice").unread == 2
    assert [message.text for message in bob.client.unprinted(9)] == ["the true one", "not delivered yet"]


async def test_what_is_exported_and_imported_elsewhere_is_the_same(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    for text in ("one", "two\nlines", "東京"):
        await alice.says("@bob", text)
        await bob.hears(text)
    said = alice.client.timeline("@bob")
    lines = [FORMATS["jsonl"].message(message).encode() for message in said]
    batch = [read_said(line, number) for number, line in enumerate(lines, 2)]
    carol = Header(format=FORMAT, user="alice", room="@carol", kind="direct")

    assert alice.client.bring_in(carol, batch[2:]) == 1
    assert alice.client.bring_in(carol, batch[:2]) == 2
    with pytest.raises(NotImported, match="of the account alice"):
        bob.client.bring_in(carol, batch)
    with pytest.raises(NotImported, match="not the name"):
        alice.client.bring_in(Header(format=FORMAT, user="alice", room="@carol", kind="room"), batch)

    again = alice.client.timeline("@carol")
    assert [line_of(each) | THERE for each in again] == [line_of(each) | THERE for each in said]
    assert all(each.own and each.verified == "imported" and each.local_id < 0 for each in again)
    assert alice.client.conversation("@carol").last == "(imported) @alice: 東京"


THERE = {"room": "", "local_id": 0, "verified": "", "state": "", "epoch": 0, "sequence": 0}
"""What a message is only where it came through the server."""


def written_by(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
