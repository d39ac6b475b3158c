"""What the server says expired unread is a notice on our own messages, and nothing else (Q-08)."""

from pathlib import Path

import pytest

from securechat.client import history, places
from securechat.client.compose import queue_text
from securechat.client.events import Message, MessageState, Notice
from securechat.client.stay import end_stay
from securechat.client.unread import note_unread
from securechat.protocol.messages import GroupStatus, Run
from tests.client.members import GROUP, MemberOf
from tests.client.parts import NOW
from tests.client.test_sync import Repeating, syncer

ALL = (0, (1 << 63) - 1)


class Silent(Repeating):
    def acknowledge(self, group: bytes, sequence: int) -> None:
        pass


@pytest.fixture
def alice(tmp_path: Path) -> MemberOf:
    """With bob in a room: hers are at 2, 3 and 5, his at 4; one of hers has no answer yet."""
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    alice.founds(bob)
    for place in (2, 3, 5):
        with alice.changes.change() as change:
            queued = queue_text(change, alice.device, alice.record, f"at {place}", now=NOW, key=None)
            history.mark_sent(change.db, queued.local_id, sequence=place)
    with alice.changes.change() as change:
        history.add_received(change.db, alice.record.id, of_bob(sequence=4))
        queue_text(change, alice.device, alice.record, "not answered", now=NOW, key=None)
    alice.events.clear()
    return alice


def of_bob(*, sequence: int) -> history.Arrival:
    return history.Arrival(
        sender="bob", state=MessageState.RECEIVED, text="of bob", timestamp=NOW, sequence=sequence, epoch=1
    )


def hears(alice: MemberOf, *runs: Run) -> None:
    with alice.changes.change() as change:
        note_unread(change, alice.record, runs)


def marked(alice: MemberOf) -> list[str]:
    return [each.text for each in kept(alice) if each.code == "expired_unread"]


def kept(alice: MemberOf) -> list[Message]:
    return history.latest(alice.store.db, alice.record.id, 99)


def test_q_08_our_messages_there_are_marked_and_it_is_said_once(alice: MemberOf) -> None:
    for _ in range(2):
        hears(alice, (5, 9), (1, 2))

    assert marked(alice) == ["at 2", "at 5"]
    assert alice.events == [
        Notice(
            "expired_unread",
            "#team: 2 messages of yours expired on the server before everybody had read them",
        )
    ]


def test_what_came_after_is_said_by_itself(alice: MemberOf) -> None:
    hears(alice, (2, 2))
    hears(alice, (2, 3))

    assert [event.text.split(": ")[1] for event in alice.events if isinstance(event, Notice)] == [
        "a message of yours expired on the server before everybody had read it"
    ] * 2


def test_a_lie_about_everything_marks_what_was_sent_and_changes_nothing_else(alice: MemberOf) -> None:
    before = {each.local_id: each for each in kept(alice)}
    record = alice.record

    hears(alice, ALL, (9, 2))

    assert marked(alice) == ["at 2", "at 3", "at 5"]
    for each in kept(alice):
        was = before[each.local_id]
        assert (each.state, each.text, each.sequence) == (was.state, was.text, was.sequence)
    assert alice.record == record
    assert alice.record.may_send


def test_what_is_sent_again_is_no_longer_marked(alice: MemberOf) -> None:
    """The server came back from an older copy and takes it anew."""
    hears(alice, ALL)

    with alice.changes.change() as change:
        places.queue_again(change.db, alice.record.id, first=3, last=5, newcomers=0)

    assert marked(alice) == ["at 2"]


def test_what_was_sent_to_a_log_that_is_left_has_no_place_in_the_next(alice: MemberOf) -> None:
    with alice.changes.change() as change:
        places.forget_places(change.db, alice.record.id)

    hears(alice, ALL)

    assert (marked(alice), alice.events) == ([], [])


@pytest.mark.parametrize(
    ("status", "texts"),
    [
        (GroupStatus(GROUP, 1, 5, 1, 1, 4, unread=[(2, 3)]), ["at 2", "at 3"]),
        (GroupStatus(GROUP, 1, 5, 1, 1, 4), []),
        (GroupStatus(GROUP, 1, 0, 1, 1, 0, unread=[(2, 3)]), []),
    ],
    ids=["told", "not told", "of a log that went back"],
)
def test_a_sync_tells(alice: MemberOf, status: GroupStatus, texts: list[str]) -> None:
    taking = syncer(alice, Silent(), {})
    for _ in range(2):
        taking._looking._take_status(alice.record, status, alice.record.cursor)

    assert marked(alice) == texts
    notices = [event for event in alice.events if isinstance(event, Notice)]
    assert len(notices) == bool(texts)


def test_who_is_out_is_not_told(alice: MemberOf) -> None:
    with alice.changes.change() as change:
        end_stay(change, alice.groups, alice.record.id)

    status = GroupStatus(GROUP, 1, 5, 1, 1, 4, unread=[(2, 3)])
    syncer(alice, Silent(), {})._looking._take_status(alice.record, status, 4)

    assert (marked(alice), alice.events) == ([], [])
