"""Messages that disappear, and signs that somebody types: on a clock that the test moves."""

import asyncio
from pathlib import Path

import pytest

from securechat.client import history, timers, typists
from securechat.client.change import Changes
from securechat.client.events import Event, MessageChanged, MessageReceived, Typing
from securechat.client.typists import MOST, Typists
from securechat.content.mimi import Expiration
from securechat.content.own_types import MAX_TIMER
from tests.client.parts import NOW
from tests.client.spoken import Spoken


@pytest.fixture
def room(tmp_path: Path) -> Spoken:
    return Spoken(tmp_path)


@pytest.mark.parametrize(
    ("expires", "stays"),
    [
        (None, (0, 0)),
        (Expiration(relative=True, time=60), (60, 0)),
        (Expiration(relative=True, time=0), (1, 0)),
        (Expiration(relative=True, time=2**32 - 1), (MAX_TIMER, 0)),
        (Expiration(relative=False, time=NOW + 60), (0, NOW + 60)),
        (Expiration(relative=False, time=0), (0, 1)),
        (Expiration(relative=False, time=5), (0, 5)),
        (Expiration(relative=False, time=2**32 - 1), (0, NOW + MAX_TIMER)),
    ],
)
def test_how_long_a_message_stays_has_bounds(expires: Expiration | None, stays: tuple[int, int]) -> None:
    """In the past it goes at once, in a thousand years in one."""
    assert timers.lifetime(expires, now=NOW) == stays


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (90, "90 seconds"), (60, "1 minute"), (7200, "2 hours"), (86_400, "1 day")],
)
def test_a_duration_is_said_in_whole_units(seconds: int, words: str) -> None:
    assert timers.duration(seconds) == words
    assert words in timers.sentence(seconds)


def set_times(room: Spoken, mimi_id: bytes, **columns: int) -> None:
    with room.changes.change() as change:
        for column, value in columns.items():
            change.db.execute(f"UPDATE message SET {column} = ? WHERE mimi_id = ?", (value, mimi_id))  # noqa: S608


def sweep(room: Spoken, *, now: int) -> list[Event]:
    changes = Changes(room.store, done=lambda _: None, undone=lambda _: None, clock=lambda: now)
    with changes.change() as change:
        timers.sweep(change)
    return change.events


def test_what_is_due_goes_with_every_word_and_leaves_its_id(room: Spoken) -> None:
    """L-04."""
    first, later = room.hears("bob", "canary"), room.hears("bob", "stays")
    room.reacts("carol", first, "👍")
    set_times(room, first, expires=NOW + 60)
    assert timers.next_due(room.store.db) == NOW + 60
    assert sweep(room, now=NOW + 59) == []
    (event,) = sweep(room, now=NOW + 60)

    assert isinstance(event, MessageChanged)
    assert (event.message.deleted, event.message.text) == (True, "")
    assert room.everywhere("canary") == []
    assert [each.text for each in history.latest(room.store.db, room.record.id, 9)] == ["stays"]
    assert history.unmarked(room.store.db, history.Mark.PRINTED, 9)[0].id == later.hex()
    assert timers.next_due(room.store.db) is None
    again = room.edits("bob", first, "back again")
    assert again == "drop"


def test_time_runs_from_when_it_was_read_and_once(room: Spoken) -> None:
    first = room.hears("bob", "hello")
    set_times(room, first, lifetime=60)
    assert timers.next_due(room.store.db) is None
    with room.changes.change() as change:
        timers.start(change.db, [room.now(first).local_id], now=NOW)
        timers.start(change.db, [room.now(first).local_id], now=NOW + 30)
    assert room.now(first).expires == NOW + 60


def test_what_is_not_sent_yet_does_not_go(room: Spoken) -> None:
    mine = room.hears("alice", "still here")
    with room.changes.change() as change:
        change.db.execute("UPDATE message SET state = 'queued', expires = 1 WHERE mimi_id = ?", (mine,))
    assert sweep(room, now=NOW) == []
    assert timers.next_due(room.store.db) is None


def test_many_that_are_due_go_a_part_at_a_time(room: Spoken, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "MOST_AT_ONCE", 2)
    for number in range(3):
        set_times(room, room.hears("bob", f"{number}"), expires=NOW)
    assert [len(sweep(room, now=NOW)) for _ in range(3)] == [2, 1, 0]


async def test_typing_is_told_once_and_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typists, "LASTS_SECONDS", 0.01)
    ended: asyncio.Queue[Event] = asyncio.Queue()
    signs = Typists(ended.put_nowait)
    begun = Typing("#team", "bob", on=True)

    assert signs.is_news(begun)
    assert not signs.is_news(begun)
    assert await ended.get() == Typing("#team", "bob", on=False)
    assert not signs.is_news(Typing("#team", "bob", on=False))


async def test_a_message_ends_its_senders_typing(room: Spoken) -> None:
    ended: list[Event] = []
    signs = Typists(ended.append)
    signs.is_news(Typing("#team", "bob", on=True))
    signs.is_news(Typing("#team", "carol", on=True))
    assert signs.is_news(MessageReceived(room.now(room.hears("bob", "there"))))

    assert ended == [Typing("#team", "bob", on=False)]
    signs.close()


async def test_a_flood_of_typists_is_bounded() -> None:
    signs = Typists(lambda _: None)
    told = [signs.is_news(Typing("#team", f"user{number}", on=True)) for number in range(MOST + 50)]
    assert sum(told) == MOST
    signs.close()
