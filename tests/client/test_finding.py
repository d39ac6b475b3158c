"""What was said is found by words, by day, by its id, and stays found by a bookmark."""

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import apsw
import pytest

from securechat.client import finding, history, records
from securechat.client.change import Changes
from securechat.client.errors import UnknownMessage
from securechat.client.events import Kind, MessageState, Standing
from tests.client.parts import a_store, changes_of
from tests.client.plans import plans_of, walks


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    return changes_of(a_store(tmp_path))


@pytest.fixture(autouse=True)
def _at_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def a_room(db: apsw.Connection, name: str = "#team", state: Standing = Standing.JOINED) -> int:
    return records.insert(db, name=name, kind=Kind.ROOM, state=state, room=f"r{name}").id


def heard(
    db: apsw.Connection,
    room: int,
    text: str,
    *,
    day: int = 1,
    mimi_id: str = "",
    state: MessageState = MessageState.RECEIVED,
) -> int:
    arrival = history.Arrival(
        sender="bob",
        state=state,
        text=text,
        mimi_id=bytes.fromhex(mimi_id.ljust(64, "7")) if mimi_id else None,
        timestamp=int(datetime(2026, 5, day, 12, tzinfo=UTC).timestamp()),
        sequence=1,
        epoch=1,
    )
    kept = history.add_received(db, room, arrival)
    assert kept is not None
    return kept.local_id


def search(db: apsw.Connection, words: str, conversation: int | None = None, before: int = 0) -> list[int]:
    return finding.search(db, words, conversation=conversation, limit=3, before=before)


def test_the_newest_comes_first_and_the_next_page_is_older(changes: Changes) -> None:
    with changes.change() as change:
        room = a_room(change.db)
        said = [heard(change.db, room, f"lunch at {hour}") for hour in range(5)]

    first = search(changes.db, "lunch")
    assert first == said[:1:-1]
    assert search(changes.db, "lunch", before=first[-1]) == said[1::-1]


def test_a_search_in_one_conversation_finds_nothing_of_another(changes: Changes) -> None:
    with changes.change() as change:
        here, there = a_room(change.db, "#here"), a_room(change.db, "#there")
        mine, _ = heard(change.db, here, "lunch"), heard(change.db, there, "lunch")

    assert search(changes.db, "lunch", conversation=here) == [mine]
    # The conversation's number stands in the index as a word: a search for that number does not meet it.
    assert search(changes.db, str(here)) == []


def test_those_that_name_us_are_listed_the_newest_first(changes: Changes) -> None:
    with changes.change() as change:
        room = a_room(change.db)
        first, _, third = (heard(change.db, room, text) for text in "abc")
        change.db.execute("UPDATE message SET mentions_me = 1 WHERE id IN (?, ?)", (first, third))

    assert finding.mentions(changes.db, 9) == [third, first]
    assert finding.mentions(changes.db, 1) == [third]


def test_what_is_not_shown_is_not_found(changes: Changes) -> None:
    """Nor what somebody says in a room that one is only invited to."""
    with changes.change() as change:
        room = a_room(change.db)
        heard(change.db, room, "lunch", state=MessageState.NOT_SHOWN)
        heard(change.db, a_room(change.db, "#spam", Standing.INVITED), "lunch")

    assert search(changes.db, "lunch") == []


@pytest.mark.parametrize(
    ("day", "found"),
    [
        (date(2026, 5, 1), 0),
        (date(2026, 5, 3), 1),
        (date(2026, 5, 4), 1),
        (date(2026, 5, 5), 2),
        (date.min, 0),
    ],
)
def test_a_day_leads_to_its_first_message_or_the_next(changes: Changes, day: date, found: int) -> None:
    with changes.change() as change:
        room = a_room(change.db)
        said = [heard(change.db, room, "x", day=of) for of in (2, 4, 5, 5)]

    assert finding.first_since(changes.db, room, day) == said[found]


@pytest.mark.parametrize("day", [date(2026, 5, 6), date.max])
def test_after_the_last_day_there_is_nothing(changes: Changes, day: date) -> None:
    with changes.change() as change:
        room = a_room(change.db)
        heard(change.db, room, "x", day=5)

    assert finding.first_since(changes.db, room, day) == 0


def test_a_message_is_meant_by_its_number_its_id_or_the_beginning_of_that(changes: Changes) -> None:
    with changes.change() as change:
        room = a_room(change.db)
        local_id = heard(change.db, room, "x", mimi_id="01abcdef")
        heard(change.db, room, "y", mimi_id="01abcdaa")

    for named in (local_id, "01abcdef".ljust(64, "7"), "01ABCDEF", "01abcde"):
        assert finding.local_id(changes.db, named) == local_id


@pytest.mark.parametrize("named", ["01abcd", "01abc", "", "zzzzzzzz", "01abcdff", "0" * 65, 99, -1])
def test_what_is_not_one_message_is_refused(changes: Changes, named: str | int) -> None:
    with changes.change() as change:
        room = a_room(change.db)
        heard(change.db, room, "x", mimi_id="01abcdef")
        heard(change.db, room, "y", mimi_id="01abcdaa")

    with pytest.raises(UnknownMessage):
        finding.local_id(changes.db, named)


def test_a_bookmark_stays_until_it_is_taken_out_or_its_message_goes(changes: Changes) -> None:
    with changes.change() as change:
        room = a_room(change.db)
        one, two, three = (heard(change.db, room, text) for text in "abc")
        for each in (one, three, two, two):
            finding.bookmark(change.db, each, on=True, now=1)
        finding.bookmark(change.db, one, on=False, now=2)
    assert finding.bookmarks(changes.db, 9) == [three, two]

    with changes.change() as change:
        change.db.execute("DELETE FROM message WHERE id = ?", (three,))
    assert finding.bookmarks(changes.db, 9) == [two]


def test_nothing_is_found_by_a_walk_through_all_that_was_said(changes: Changes) -> None:
    with changes.change() as change:
        room = a_room(change.db)
        said = heard(change.db, room, "lunch")

    def work() -> None:
        search(changes.db, "lunch")
        finding.first_since(changes.db, room, date(2026, 5, 5))
        finding.bookmarks(changes.db, 9)
        finding.mentions(changes.db, 9)
        finding.local_id(changes.db, said)

    plans = plans_of(changes.db, work)

    assert len(plans) == 5
    assert walks(plans) == []
