"""What an account leaves at the server for its devices to come: contacts and conversations (N-02)."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from securechat.client import contacts, records
from securechat.client.account_news import is_behind
from securechat.client.contact_box import (
    ROOM_LEFT,
    VERSION,
    BoxTooNew,
    Contacts,
    Known,
    Talk,
    anchors,
    drop_anchor,
    fitting,
    groups_left,
    merged,
    present,
    read,
    take_in,
    write,
)
from securechat.client.events import Kind, Standing
from securechat.client.marks import marks
from securechat.client.store import ClientStore, create_store
from securechat.protocol.limits import MAX_BOX

BOB = Known("bob", b"b" * 32, 1, 5, verified=b"b" * 32, verified_since=7)
CAROL = Known("carol", b"c" * 32, 2, 6, changed_to=b"d" * 32)
TEAM = Talk(
    "#team",
    Kind.ROOM,
    Standing.JOINED,
    "mimi://x.example/r/abc",
    "",
    b"g" * 32,
    4,
    b"t" * 32,
    title="Team",
    topic="tea",
    profile=b"profile",
    expires_after=60,
    notify="mute",
)
WITH_BOB = Talk(
    "@bob", Kind.DIRECT, Standing.JOINED, "mimi://x.example/r/bob", "bob", b"h" * 32, 1, b"u" * 32
)
ALL = Contacts(VERSION, (BOB, CAROL), (TEAM, WITH_BOB))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ClientStore]:
    with create_store(tmp_path / "store.db", bytes(32)) as made:
        yield made


def test_n_02_what_was_known_is_known_again_on_a_new_device(store: ClientStore) -> None:
    with store.transaction() as db:
        taken = take_in(db, read(write(ALL)), incarnation=3)

    assert present(store.db) == ALL
    assert contacts.verified_users(store.db) == {"bob"}
    assert contacts.changed_users(store.db) == {"carol"}
    team = records.by_name(store.db, "#team")
    assert team is not None
    assert [each.name for each in taken] == ["#team", "@bob"]
    assert (team.incarnation, team.cursor, team.epoch) == (3, 0, 0)
    assert marks(store.db, team.id).notify == "mute"
    assert anchors(store.db)[team.id] == (4, b"t" * 32)


def test_an_anchor_goes_once_the_group_is_entered(store: ClientStore) -> None:
    with store.transaction() as db:
        (record, _) = take_in(db, ALL, incarnation=1)
        drop_anchor(db, record.id)
    assert record.id not in anchors(store.db)


def test_what_is_there_already_is_left_alone(store: ClientStore) -> None:
    with store.transaction() as db:
        take_in(db, ALL, incarnation=1)
        other = msgspec.structs.replace(ALL, people=(msgspec.structs.replace(BOB, account_key=b"e" * 32),))
        assert take_in(db, other, incarnation=1) == []
    known = contacts.contact(store.db, "bob")
    assert known is not None
    assert known.account_key == b"b" * 32


def test_a_box_of_a_newer_release_or_none_at_all_is_not_taken() -> None:
    for data in (b"", b"\xc1", msgspec.msgpack.encode({}), msgspec.msgpack.encode(Contacts(VERSION + 1))):
        with pytest.raises(BoxTooNew):
            read(data)


def test_two_devices_know_together_what_either_knows() -> None:
    seen = msgspec.structs.replace(CAROL, generation=3, verified=b"c" * 32, verified_since=9, first_seen=2)
    dave = Known("dave", b"x" * 32, 1, 1)
    theirs = Contacts(VERSION, (seen, dave), (msgspec.structs.replace(TEAM, epoch=9),))

    both = merged(ALL, theirs, gone=())

    people = {each.user: each for each in both.people}
    assert sorted(people) == ["bob", "carol", "dave"]
    assert (people["carol"].generation, people["carol"].verified_since) == (3, 9)
    assert people["carol"].first_seen == 2
    assert {talk.name: talk.epoch for talk in both.talks} == {"#team": 9, "@bob": 1}


def test_of_another_key_of_somebody_ours_stays() -> None:
    theirs = Contacts(VERSION, (msgspec.structs.replace(BOB, account_key=b"e" * 32),))
    assert merged(ALL, theirs, gone=()).people == ALL.people


def test_a_group_that_we_are_out_of_does_not_come_back(store: ClientStore) -> None:
    with store.transaction() as db:
        take_in(db, ALL, incarnation=1)
        team = records.by_name(db, "#team")
        assert team is not None
        records.update(db, team.id, state=Standing.LEFT)
    gone = groups_left(store.db)

    assert gone == {TEAM.group}
    both = merged(present(store.db), ALL, gone=gone)
    assert [talk.name for talk in both.talks] == ["@bob"]


def test_of_a_room_that_went_on_as_another_group_the_newer_one_counts() -> None:
    newer = msgspec.structs.replace(TEAM, group=b"n" * 32, epoch=1, since=9)
    both = merged(Contacts(VERSION, (), (newer,)), ALL, gone=())
    assert [talk.group for talk in both.talks if talk.name == "#team"] == [newer.group]


def test_what_does_not_fit_is_the_conversations_used_longest_ago() -> None:
    many = tuple(
        msgspec.structs.replace(
            TEAM, name=f"#{n}", group=bytes([n % 256, n // 256]) * 16, profile=b"p" * 500, since=n
        )
        for n in range(600)
    )
    data = write(Contacts(VERSION, (BOB,), many))

    assert len(data) <= MAX_BOX - ROOM_LEFT
    kept = read(data)
    assert kept.people == (BOB,)
    assert len(kept.talks) > 100
    assert min(talk.since for talk in kept.talks) == 600 - len(kept.talks)


def a_crowd() -> Contacts:
    """Verified, changed and merely met people as they come, some with a conversation, and many rooms."""
    people, talks = [], []
    for n in range(2600):
        known = Known(f"user{n:04}", bytes([n % 256, n // 256]) * 16, 1, 1_800_000_000 + (n * 7919) % 2600)
        if n % 20 == 3:
            known = msgspec.structs.replace(known, verified=known.account_key, verified_since=n)
        if n % 200 == 7:
            known = msgspec.structs.replace(known, changed_to=b"x" * 32)
        if n % 20 == 11:
            uri, group = f"mimi://x.example/r/{n}", n.to_bytes(32, "big")
            talks.append(
                msgspec.structs.replace(
                    WITH_BOB, name=f"@{known.user}", peer=known.user, room=uri, group=group, since=n
                )
            )
        people.append(known)
    talks += [
        msgspec.structs.replace(TEAM, name=f"#{n}", room=f"r{n}", group=n.to_bytes(32, "little"), since=n)
        for n in range(100)
    ]
    return Contacts(VERSION, tuple(people), tuple(talks))


def test_n_02_of_a_crowd_who_was_only_met_is_left_out_and_no_conversation() -> None:
    crowd = a_crowd()
    data = write(crowd)
    assert MAX_BOX - ROOM_LEFT - 200 < len(data) <= MAX_BOX - ROOM_LEFT

    kept, found = read(data), fitting(crowd)
    assert {each.name for each in kept.talks} == {each.name for each in crowd.talks}
    near = {talk.peer for talk in crowd.talks} | {
        each.user for each in crowd.people if each.verified or each.changed_to
    }
    there = {each.user for each in kept.people}
    assert near - {""} <= there
    met = [each for each in crowd.people if each.user not in near]
    longest = max(each.first_seen for each in met if each.user in there)
    assert all(each.first_seen > longest for each in met if each.user not in there)
    assert (found.people_out, found.talks_out) == (len(crowd.people) - len(kept.people), 0)
    assert found.people_out > 500


def test_what_was_cut_is_cut_alike_by_every_device() -> None:
    """Or two of them would write the box in turns for ever."""
    crowd = a_crowd()
    there = read(write(crowd))
    assert write(merged(crowd, there, gone=())) == write(there)


def test_d_03_a_list_of_devices_older_than_the_account_has_seen_is_behind(store: ClientStore) -> None:
    """Or who recovers could be shown the list in which a stolen device still stands."""
    seen = msgspec.structs.replace(BOB, serial=5)
    with store.transaction() as db:
        take_in(db, Contacts(VERSION, (seen, CAROL), ()), incarnation=1)
    assert is_behind(store.db, "bob")
    assert not is_behind(store.db, "carol"), "nothing of hers was seen"

    store.db.execute("UPDATE contact SET changed_to = ? WHERE user = 'bob'", (b"n" * 32,))
    with store.transaction() as db:
        assert contacts.accept_change(db, "bob", b"n" * 32)
    assert not is_behind(store.db, "bob"), "another key begins another chain"


def test_d_03_what_was_seen_of_a_list_is_not_forgotten_by_a_device_that_has_not_asked_yet() -> None:
    theirs = Contacts(VERSION, (msgspec.structs.replace(BOB, serial=5),), ())
    ours = Contacts(VERSION, (BOB,), ())
    for taken_back in ([], ["bob"]):
        (known,) = merged(ours, theirs, gone=[], taken_back=taken_back).people
        assert known.serial == 5
