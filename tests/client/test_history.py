"""What was said is kept once, in order, with everything a screen needs."""

from pathlib import Path

import apsw
import pytest

from securechat.client import history, records
from securechat.client.change import Changes
from securechat.client.events import Kind, Message, MessageState, Standing
from tests.client.parts import NOW, a_store, changes_of


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    return changes_of(a_store(tmp_path))


@pytest.fixture
def room(changes: Changes) -> int:
    return a_room(changes, "#team", Standing.JOINED)


def a_room(changes: Changes, name: str, state: Standing) -> int:
    with changes.change() as change:
        return records.insert(change.db, name=name, kind=Kind.ROOM, state=state, room=f"r{name}").id


def received(
    text: str, *, mimi_id: bytes | None = None, sequence: int = 1, own: bool = False
) -> history.Arrival:
    return history.Arrival(
        sender="bob",
        own=own,
        state=MessageState.RECEIVED,
        text=text,
        mimi_id=mimi_id or text.encode().ljust(32),
        timestamp=NOW,
        sequence=sequence,
        epoch=3,
    )


def write(db: apsw.Connection, room: int, text: str, key: str | None = None) -> Message:
    draft = history.Draft(
        sender="alice",
        text=text,
        content=text.encode(),
        mimi_id=text.encode().ljust(32),
        timestamp=NOW,
        key=key,
    )
    return history.add_outgoing(db, room, draft)


def test_several_messages_are_read_at_once_in_the_order_that_is_asked_for(
    changes: Changes, room: int
) -> None:
    with changes.change() as change:
        said = [write(change.db, room, text) for text in "abc"]

    ids = [said[2].local_id, said[0].local_id]
    assert history.messages(changes.db, ids) == [said[2], said[0]]
    assert history.messages(changes.db, []) == []


def test_a_message_of_a_known_id_is_not_kept_again(changes: Changes, room: int) -> None:
    """Q-03, M-11: also when an insider seals another's content anew."""
    with changes.change() as change:
        first = history.add_received(change.db, room, received("hello", mimi_id=b"i" * 32, sequence=1))
        second = history.add_received(change.db, room, received("hello", mimi_id=b"i" * 32, sequence=2))

    assert first is not None
    assert second is None
    assert [message.text for message in history.latest(changes.db, room, 10)] == ["hello"]


def test_the_same_id_in_another_room_is_another_message(changes: Changes, room: int) -> None:
    """Q-07: what was said in one room never stands for something in another."""
    other = a_room(changes, "#other", Standing.JOINED)
    with changes.change() as change:
        history.add_received(change.db, room, received("hello", mimi_id=b"i" * 32))
        kept = history.add_received(change.db, other, received("hello", mimi_id=b"i" * 32))

    assert kept is not None
    assert kept.conversation == "#other"


def test_our_own_message_coming_back_is_not_shown_twice(changes: Changes, room: int) -> None:
    with changes.change() as change:
        message = write(change.db, room, "mine")
        echoed = history.add_received(change.db, room, received("mine", mimi_id=bytes.fromhex(message.id)))

    assert echoed is None


def test_unprinted_leaves_out_own_messages_and_rooms_not_joined(changes: Changes, room: int) -> None:
    invited = a_room(changes, "#invited", Standing.INVITED)
    with changes.change() as change:
        write(change.db, room, "mine")
        history.add_received(change.db, room, received("for me"))
        history.add_received(change.db, invited, received("not yet"))

    (message,) = history.unmarked(changes.db, history.Mark.PRINTED, 10)
    assert history.count_unmarked(changes.db, history.Mark.PRINTED, 10) == 1
    assert history.count_unmarked(changes.db, history.Mark.PRINTED, 0) == 0
    with changes.change() as change:
        history.set_mark(change.db, history.Mark.PRINTED, [message.local_id])

    assert message.text == "for me"
    assert history.unmarked(changes.db, history.Mark.PRINTED, 10) == []


def test_a_message_is_sealed_sent_and_found_again_by_its_place(changes: Changes, room: int) -> None:
    with changes.change() as change:
        message = write(change.db, room, "mine")
        history.mark_sealed(change.db, message.local_id, sealed=b"s" * 32, epoch=3)
    assert history.to_seal(changes.db, room, limit=9) == []
    assert history.in_flight(changes.db, room) == 1
    assert history.own_sealed(changes.db, room, b"s" * 32) == message.local_id

    with changes.change() as change:
        sent = history.mark_sent(change.db, message.local_id, sequence=8)
        again = history.mark_sent(change.db, message.local_id, sequence=8)

    assert sent is not None
    assert (sent.state, sent.sequence) == (MessageState.SENT, 8)
    assert again is None
    assert history.own_at(changes.db, room, 8) == b"s" * 32
    assert history.own_at(changes.db, room, 9) is None


def test_a_refused_ciphertext_puts_the_content_back_in_its_place(changes: Changes, room: int) -> None:
    with changes.change() as change:
        first, second = write(change.db, room, "first"), write(change.db, room, "second")
        history.mark_sealed(change.db, first.local_id, sealed=b"s" * 32, epoch=3)
        history.unseal(change.db, first.local_id)

    assert [each.local_id for each in history.to_seal(changes.db, room, limit=9)] == [
        first.local_id,
        second.local_id,
    ]


def test_messages_of_an_earlier_epoch_in_flight_are_seen(changes: Changes, room: int) -> None:
    with changes.change() as change:
        message = write(change.db, room, "mine")
        history.mark_sealed(change.db, message.local_id, sealed=b"s" * 32, epoch=3)

    assert history.in_flight_before(changes.db, room, 4)
    assert not history.in_flight_before(changes.db, room, 3)


def test_a_refused_message_says_why_and_is_no_longer_queued(changes: Changes, room: int) -> None:
    with changes.change() as change:
        message = write(change.db, room, "mine")
        refused = history.mark_refused(change.db, message.local_id, "forbidden")

    assert refused is not None
    assert (refused.state, refused.code) == (MessageState.REFUSED, "forbidden")
    assert history.queued(changes.db) == 0


def test_a_key_of_the_callers_own_finds_the_first_message(changes: Changes, room: int) -> None:
    with changes.change() as change:
        message = write(change.db, room, "mine", key="job-1")

    assert history.by_key(changes.db, "job-1") == message
    assert history.by_key(changes.db, "job-2") is None


def test_of_what_waits_in_a_room_one_joins_the_last_is_read(changes: Changes, room: int) -> None:
    with changes.change() as change:
        for number in range(5):
            history.add_received(change.db, room, received(f"{number}", sequence=number))
    waiting = history.received_after(changes.db, room, 1, limit=3)
    assert [message.text for message in waiting] == ["2", "3", "4"]
