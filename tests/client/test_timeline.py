"""Pages of a conversation, topics, and messages by the beginning of their id."""

import functools
from pathlib import Path

import pytest

from securechat.client import records, timeline
from securechat.client.errors import UnknownMessage
from securechat.client.events import Kind, Standing
from securechat.client.timeline import by_prefix, page, said_since, topic_of
from tests.client.parts import NOW
from tests.client.plans import plans_of, walks
from tests.client.spoken import ROOM, Spoken


@pytest.fixture
def room(tmp_path: Path) -> Spoken:
    return Spoken(tmp_path)


def fill(room: Spoken, count: int, *, thread: str = "") -> None:
    rows = [
        (room.record.id, b"\x01" + number.to_bytes(31, "big"), f"m{number}", NOW, thread)
        for number in range(count)
    ]
    with room.changes.change() as change:
        change.db.executemany(
            "INSERT INTO message"
            " (conversation, mimi_id, sender, own, state, content, text, timestamp, thread)"
            " VALUES (?, ?, 'bob', 0, 'received', x'', ?, ?, ?)",
            rows,
        )


def texts(room: Spoken, **where: int | str | None) -> list[str]:
    return [each.text for each in page(room.store.db, room.record.id, **where)]  # type: ignore[arg-type]


def test_pages_are_oldest_first_and_next_to_a_place(room: Spoken) -> None:
    fill(room, 10)
    assert texts(room, limit=3) == ["m7", "m8", "m9"]
    assert texts(room, before=8, limit=2) == ["m5", "m6"]
    assert texts(room, after=8, limit=1) == ["m8"]
    assert texts(room, before=9, after=6) == ["m6", "m7"]
    assert texts(room, limit=0) == texts(room, after=99) == []


def test_a_page_costs_the_page_however_much_is_behind_it(room: Spoken) -> None:
    fill(room, 300, thread="lunch")
    asked = [{"before": 150}, {"after": 150}, {}, {"thread": "lunch"}, {"thread": "lunch", "before": 99}]
    for where in asked:
        plans = plans_of(room.store.db, functools.partial(texts, room, **where))  # type: ignore[arg-type]
        of_messages = [plan for plan in plans if any("message_t" in step for step in plan)]
        assert len(of_messages) == 1
        assert walks(of_messages) == []


def test_what_others_said_after_a_place_is_told_wherever_it_was(room: Spoken) -> None:
    fill(room, 3)
    with room.changes.change() as change:
        other = records.insert(
            change.db, name="#other", kind=Kind.ROOM, state=Standing.INVITED, room=f"{ROOM}0"
        )
        change.db.execute("UPDATE message SET conversation = ? WHERE text = 'm1'", (other.id,))
    room.hears("alice", "mine")
    room.hears("bob", "m3")

    def said(*asked: int) -> list[str]:
        return [each.text for each in said_since(room.store.db, *asked)]

    assert said(0, 10) == ["m0", "m2", "m3"]
    assert said(1, 1) == ["m2"]
    assert said(99, 10) == []
    with room.changes.change() as change:
        records.update(change.db, other.id, state=Standing.JOINED)
    assert said(0, 10) == ["m0", "m1", "m2", "m3"]


def test_looking_back_costs_what_is_told(room: Spoken) -> None:
    fill(room, 300)
    plans = plans_of(room.store.db, lambda: said_since(room.store.db, 280, 5))
    of_messages = [plan for plan in plans if any(step.startswith("SEARCH m ") for step in plan)]
    assert len(of_messages) == 1
    assert walks(of_messages) == []


def test_a_topic_is_read_alone_and_keeps_its_bytes(room: Spoken) -> None:
    fill(room, 2, thread="lunch")
    room.hears("bob", "elsewhere")
    assert texts(room, thread="lunch") == ["m0", "m1"]
    assert texts(room, thread="") == ["elsewhere"]
    assert topic_of(room.store.db, room.record.id, "lunch") == b"lunch"
    assert topic_of(room.store.db, room.record.id, "topic-0123456789abcdef") is None


def test_what_has_no_line_of_its_own_is_on_no_page(room: Spoken) -> None:
    first = room.hears("bob", "hello")
    with room.changes.change() as change:
        change.db.execute("UPDATE message SET hidden = 1 WHERE mimi_id = ?", (first,))
    assert texts(room) == []


def test_a_message_is_found_by_the_beginning_of_its_id(room: Spoken) -> None:
    mimi_id = room.hears("bob", "hello")
    other = room.hears("bob", "again")
    for length in (12, 20, 64):
        assert by_prefix(room.store.db, room.record.id, mimi_id.hex()[:length].upper()) == mimi_id
    assert by_prefix(room.store.db, room.record.id, other.hex()[2:12]) == other


@pytest.mark.parametrize("typed", ["", "01ab", "zzzzzz", "0" * 65, "01" + "f" * 20, "01'; --"])
def test_what_names_no_message_is_an_error(room: Spoken, typed: str) -> None:
    room.hears("bob", "hello")
    with pytest.raises(UnknownMessage):
        by_prefix(room.store.db, room.record.id, typed)


def test_what_names_two_messages_is_an_error(room: Spoken) -> None:
    fill(room, 2)
    with pytest.raises(UnknownMessage, match="several"):
        by_prefix(room.store.db, room.record.id, "0100000000")
    assert timeline.LEAST_PREFIX == 6
