"""What a list of conversations shows of each, and what it costs."""

from pathlib import Path

import apsw
import pytest

from securechat.client import history, marks, records
from securechat.client.change import Changes
from securechat.client.events import Kind, MessageState, Standing
from securechat.client.marks import NOTHING, Marks, all_marks
from tests.client.parts import NOW, a_store, changes_of
from tests.client.plans import plans_of, walks


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    return changes_of(a_store(tmp_path))


def a_conversation(db: apsw.Connection, name: str, kind: Kind = Kind.ROOM) -> int:
    return records.insert(db, name=name, kind=kind, state=Standing.JOINED, room=f"r{name}").id


def heard(
    db: apsw.Connection, conversation: int, text: str, state: MessageState = MessageState.RECEIVED
) -> int:
    arrival = history.Arrival(
        sender="bob", state=state, text=text, timestamp=NOW + 1, sequence=1, epoch=1, code=""
    )
    kept = history.add_received(db, conversation, arrival)
    assert kept is not None
    return kept.local_id


def test_unread_is_what_others_said_and_no_chat_has_shown(changes: Changes) -> None:
    with changes.change() as change:
        room = a_conversation(change.db, "#team")
        first, _ = heard(change.db, room, "one"), heard(change.db, room, "two")
        heard(change.db, room, "?", MessageState.UNREADABLE)
        heard(change.db, room, "hidden", MessageState.NOT_SHOWN)
        history.set_mark(change.db, history.Mark.SHOWN, [first])

    assert marks.marks(changes.db, room).unread == 2


@pytest.mark.parametrize(
    ("kind", "text", "line"),
    [
        (Kind.DIRECT, "hello\nsecond line", "hello"),
        (Kind.ROOM, "hello", "@bob: hello"),
        (Kind.ROOM, "\n\n  later", "@bob:   later"),
        (Kind.DIRECT, "x" * 500, "x" * 119 + "…"),
        (Kind.DIRECT, "\u2068ש\u2069", "\u2068ש\u2069"),
        (Kind.DIRECT, "\u2068" + "ש" * 500 + "\u2069", "\u2068" + "ש" * 119 + "…\u2069"),
    ],
)
def test_the_last_thing_said_is_one_line(changes: Changes, kind: Kind, text: str, line: str) -> None:
    with changes.change() as change:
        conversation = a_conversation(change.db, "x", kind)
        heard(change.db, conversation, text)
        heard(change.db, conversation, "not shown", MessageState.NOT_SHOWN)

    found = marks.marks(changes.db, conversation)
    assert (found.last, found.last_time) == (line, NOW + 1)


def test_what_was_set_stays_and_each_alone(changes: Changes) -> None:
    with changes.change() as change:
        room, other = a_conversation(change.db, "#team"), a_conversation(change.db, "#other")
        marks.set_draft(change.db, room, "half a sen")
        marks.set_notify(change.db, room, "mute")
        marks.set_draft(change.db, room, "half a sentence")

    assert marks.marks(changes.db, room) == Marks(notify="mute", draft="half a sentence")
    assert marks.marks(changes.db, other) == NOTHING
    assert all_marks(changes.db) == {room: marks.marks(changes.db, room)}


def test_a_draft_for_a_conversation_that_comes_to_be_is_its_own(changes: Changes) -> None:
    with changes.change() as change:
        marks.set_loose_draft(change.db, "@bob", "half")
        marks.set_loose_draft(change.db, "@bob", "half a sentence")
        marks.set_loose_draft(change.db, "@carol", "dear")
        marks.set_loose_draft(change.db, "@carol", "")
    assert [marks.loose_draft(changes.db, name) for name in ("@bob", "@carol")] == ["half a sentence", ""]

    with changes.change() as change:
        bob = a_conversation(change.db, "@bob")
    assert marks.marks(changes.db, bob).draft == "half a sentence"
    assert marks.loose_draft(changes.db, "@bob") == ""


def test_of_many_such_drafts_the_oldest_goes(changes: Changes) -> None:
    with changes.change() as change:
        for number in range(marks.MAX_LOOSE + 1):
            marks.set_loose_draft(change.db, f"@user{number}", "hello")
    kept = [marks.loose_draft(changes.db, f"@user{number}") for number in (0, 1, marks.MAX_LOOSE)]
    assert kept == ["", "hello", "hello"]


def test_a_long_list_costs_three_queries_and_no_walk_through_what_was_said(changes: Changes) -> None:
    with changes.change() as change:
        rooms = [a_conversation(change.db, f"#room-{number}") for number in range(50)]
        for room in rooms:
            heard(change.db, room, "hello")
    plans = plans_of(changes.db, lambda: all_marks(changes.db))

    assert len(all_marks(changes.db)) == 50
    assert len(plans) == 3
    assert walks(plans) == []
