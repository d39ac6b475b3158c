"""Receipts: gathered, sent to people we know only, and believed of our own messages only."""

from pathlib import Path

import pytest

from securechat.client import history, receipts, records
from securechat.client.change import Change
from securechat.client.compose import frame_for, queue_text
from securechat.client.events import Kind, MessageChanged, Standing
from securechat.client.settings import Setting, turn
from securechat.client.work import PADDING
from securechat.content.message import report
from securechat.content.mimi import decode, encode
from securechat.content.saying import Reports, said
from securechat.content.status import DELIVERED, READ, Reported
from tests.client.parts import DOMAIN, NOW
from tests.client.spoken import Spoken


@pytest.fixture
def room(tmp_path: Path) -> Spoken:
    return Spoken(tmp_path)


def meets(room: Spoken, *users: str) -> None:
    """Write to people, each alone: they may know when we are there."""
    with room.changes.change() as change:
        for user in users:
            record = records.insert(
                change.db,
                name=f"@{user}",
                kind=Kind.DIRECT,
                state=Standing.JOINED,
                room=room.device.direct_room(user),
                peer=user,
            )
            queue_text(change, room.device, record, "hello", now=NOW, key=None)


def owes(room: Spoken, *mimi_ids: bytes, status: int = DELIVERED) -> None:
    with room.changes.change() as change:
        for each in mimi_ids:
            receipts.owe(change, room.record.id, room.now(each).local_id, status, now=NOW)


def puts(room: Spoken, *others: str) -> bool:
    with room.changes.change() as change:
        return receipts.put(change, room.device, room.record, others, now=NOW + 3)


def reported(room: Spoken) -> list[Reported]:
    """What waits to be sent."""
    contents = room.store.rows("SELECT content FROM message WHERE kind = 'receipt' ORDER BY id")
    told = [said(decode(content), domain=DOMAIN) for (content,) in contents]
    return [each.reported for each in told if isinstance(each, Reports)]


def test_all_that_is_owed_goes_in_one_message_once(room: Spoken) -> None:
    meets(room, "bob", "carol")
    heard = [room.hears("bob", f"message {number}") for number in range(5)]
    owes(room, *heard)
    owes(room, heard[2], status=READ)

    assert puts(room, "bob", "carol")
    assert not puts(room, "bob", "carol")
    assert reported(room) == [
        tuple((each, READ if number == 2 else DELIVERED) for number, each in enumerate(heard))
    ]


def test_receipts_are_gathered_before_they_go(room: Spoken) -> None:
    first = room.hears("bob", "hello")
    assert receipts.due_in(room.store.db, room.record.id, now=NOW) is None
    owes(room, first)
    assert receipts.due_in(room.store.db, room.record.id, now=NOW + 1) == receipts.GATHER_SECONDS - 1
    assert receipts.due_in(room.store.db, room.record.id, now=NOW + 9) == 0
    assert receipts.due_in(room.store.db, room.record.id, now=NOW - 999) == 0  # the clock was set back


def test_a_stranger_learns_nothing_and_later_all(room: Spoken) -> None:
    """Only whom we have written to; in a room everybody must be known, for all of them see it."""
    meets(room, "bob")
    owes(room, room.hears("bob", "hello"))

    assert not puts(room, "bob", "mallory")
    meets(room, "mallory")
    assert puts(room, "bob", "mallory")


def test_in_a_large_room_nothing_is_ever_reported(room: Spoken) -> None:
    users = [f"user{number}" for number in range(receipts.LARGEST_ROOM)]
    meets(room, *users)
    owes(room, room.hears("user1", "hello"))

    assert not puts(room, *users)
    assert receipts.due_in(room.store.db, room.record.id, now=NOW) is None


@pytest.mark.parametrize("setting", [Setting.DELIVERY, Setting.READ])
def test_what_is_turned_off_is_not_reported(room: Spoken, setting: Setting) -> None:
    meets(room, "bob")
    first, second = room.hears("bob", "one"), room.hears("bob", "two")
    owes(room, first)
    owes(room, second, status=READ)
    with room.changes.change() as change:
        turn(change.db, setting, on=False)
    owes(room, room.hears("bob", "three"), status=DELIVERED if setting is Setting.DELIVERY else READ)
    puts(room, "bob")

    kept = (second, READ) if setting is Setting.DELIVERY else (first, DELIVERED)
    assert reported(room) == [(kept,)]


def read(room: Spoken, mimi_id: bytes, *, now: int = NOW) -> None:
    with room.changes.change() as change:
        receipts.read_up_to(change, room.record.id, room.now(mimi_id).local_id, now=now)


def test_what_is_read_is_read_up_to_there_and_reported_once(room: Spoken) -> None:
    meets(room, "bob")
    heard = [room.hears("bob", f"message {number}") for number in range(3)]
    room.hears("alice", "my own")
    read(room, heard[1])
    puts(room, "bob")
    read(room, heard[1])

    assert reported(room) == [tuple((each, READ) for each in heard[:2])]
    assert receipts.due_in(room.store.db, room.record.id, now=NOW) is None
    assert [each.text for each in history.unmarked(room.store.db, history.Mark.SHOWN, 9)] == ["message 2"]


def takes(room: Spoken, sender: str, *told: tuple[bytes, int]) -> Change:
    with room.changes.change() as change:
        receipts.take(change, room.record, sender, told)
    return change


def test_four_states_are_told_apart(room: Spoken) -> None:
    mine = room.hears("alice", "are you there?")
    takes(room, "bob", (mine, DELIVERED))
    assert (room.now(mine).delivered_to, room.now(mine).read_by) == (("bob",), ())
    takes(room, "carol", (mine, READ))
    takes(room, "carol", (mine, DELIVERED))  # a lost one, late

    assert (room.now(mine).delivered_to, room.now(mine).read_by) == (("bob", "carol"), ("carol",))
    assert room.changed[-1] == room.now(mine)


def test_reports_of_what_is_not_ours_are_nothing(room: Spoken) -> None:
    """A malicious member: of messages that never were, of others', of withdrawn ones, of odd states."""
    theirs, mine, gone = room.hears("bob", "x"), room.hears("alice", "y"), room.hears("alice", "z")
    room.withdraws("alice", gone)
    odd = [(b"\x01" + number.to_bytes(31, "big"), READ) for number in range(900)]
    change = takes(room, "mallory", *odd, (theirs, READ), (gone, READ), (mine, 0), (mine, 6), (mine, 255))

    assert not [event for event in change.events if isinstance(event, MessageChanged)]
    assert room.store.value("SELECT count(*) FROM receipt") == 0


def test_of_what_is_very_old_nothing_is_reported(room: Spoken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receipts, "MOST_OWED", 5)
    for number in range(20):
        room.hears("bob", f"message {number}", settle=False)
    last = room.hears("bob", "last")
    read(room, last)
    assert room.store.value("SELECT count(*) FROM owed_receipt") == 5
    assert room.store.value("SELECT count(*) FROM message WHERE reported < 2") == 0


def test_a_receipt_is_no_message_of_a_person(room: Spoken) -> None:
    """Q-05: not unread, not shown, not waited for when a chat ends."""
    meets(room, "bob")
    owes(room, room.hears("bob", "hello"))
    queued = history.queued(room.store.db)
    puts(room, "bob")

    assert history.queued(room.store.db) == queued
    assert [each.text for each in history.latest(room.store.db, room.record.id, 9)] == ["hello"]


def test_what_is_owed_to_a_stranger_who_says_very_much_goes_slowly_and_never_all(
    room: Spoken, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One report in its time, however often it is asked; of the oldest nothing is told."""
    monkeypatch.setattr(receipts, "MOST_OWED", 20)
    monkeypatch.setattr(receipts, "MOST_AT_ONCE", 9)
    heard = [room.hears("bob", f"message {number}", settle=False) for number in range(30)]
    owes(room, *heard)
    assert not puts(room, "bob")
    assert room.store.value("SELECT count(*) FROM owed_receipt") == 20
    meets(room, "bob")

    for _ in range(3):
        assert puts(room, "bob")
        due = receipts.due_in(room.store.db, room.record.id, now=NOW + 3)
        assert due in (receipts.GATHER_SECONDS, None)
    assert [len(each) for each in reported(room)] == [9, 9, 2]
    assert [each for told in reported(room) for each, _ in told] == heard[10:]


def test_the_largest_report_fits_a_small_bucket(room: Spoken) -> None:
    told = tuple((b"\x01" + number.to_bytes(31, "big"), READ) for number in range(receipts.MOST_AT_ONCE))
    frame = frame_for(room.device, room.record, passing=True)
    size = len(encode(report(told, frame))) + 200  # longer names, a signature, lengths
    assert size + PADDING(size) == 16 * 1024
