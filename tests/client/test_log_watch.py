"""What is kept of a server that was caught, and how long one waits for a server that has no time (D-03)."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import pytest

from securechat.client import key_log, log_watch
from securechat.client.change import Change, Changes
from securechat.client.dates import Dates
from securechat.client.errors import RefusedByServer
from securechat.client.key_log import LIE, REFUSED, STRANGER, Gate
from securechat.client.log_answers import Judge
from securechat.client.log_watch import LogWatch
from securechat.client.session import Session
from securechat.client.store import ClientStore
from securechat.client.tasks import Tasks
from tests.client.parts import NOW, NotingSession, a_device, a_store, changes_of


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    return changes_of(a_store(tmp_path))


class Watched:
    """A watch whose pauses are only noted."""

    def __init__(self, changes: Changes) -> None:
        self.paused: list[float] = []
        self.failures: list[Exception] = []
        self.watch = LogWatch(
            changes,
            cast(Session, NotingSession()),
            Tasks(self.failures.append),
            device=a_device("alice"),
            clock=lambda: float(NOW),
            dates=Dates(lambda: float(NOW)),
            looked=self._looked,
        )
        self.watch._pause = self._pause

    def _looked(self, _change: Change, _user: str) -> None:
        pass

    async def _pause(self, seconds: float) -> None:
        self.paused.append(seconds)


def refusing(*waits: int) -> Callable[[], Awaitable[None]]:
    left = list(waits)

    async def work() -> None:
        if left:
            raise RefusedByServer("busy", retry_after=left.pop(0))

    return work


def test_d_03_much_that_is_not_proven_hides_no_lie(changes: Changes) -> None:
    """Whatever came first: a lie, then what concerns everybody, then what concerns one."""
    with changes.change() as change:
        key_log.set_mode(change.db, key_log.KEPT)
        for number in range(key_log.MOST_LIES):
            key_log.accuse(change, REFUSED, "no-proof", "it gives no proof", f"user{number}")
        assert key_log.gate(change.db, "bob", now=NOW) is Gate.ASK
        key_log.accuse(change, REFUSED, "log-withheld", "it keeps none")
        key_log.accuse(change, LIE, "fork", "it showed bob another log", "@bob", b"evidence")
        key_log.accuse(change, STRANGER, "own-unknown", "entry 2 is not of your making")

        kept = key_log.lies(change.db)
        assert len(kept) == key_log.MOST_LIES
        assert [each.code for each in kept[-3:]] == [REFUSED, LIE, STRANGER]
        assert kept[0].about == "user0"
        assert key_log.gate(change.db, "bob", now=NOW) is Gate.SHUT


def test_what_is_not_proven_of_somebody_is_kept_and_told_once(changes: Changes) -> None:
    """However many rules its answers break."""
    with changes.change() as change:
        for rule in ("no-proof", "statement", "no-proof", "answer-encoding"):
            key_log.accuse(change, REFUSED, rule, "it proves nothing", "bob")
            key_log.accuse(change, LIE, rule, "it lies", "bob")

        kept = [(each.code, each.rule) for each in key_log.lies(change.db)]
        assert [rule for code, rule in kept if code == REFUSED] == ["no-proof"]
        assert [rule for code, rule in kept if code == LIE] == ["no-proof", "statement", "answer-encoding"]
        assert len(change.events) == len(kept)


def test_d_03_a_log_that_was_kept_is_withheld_also_where_no_head_was_proven(changes: Changes) -> None:
    watched = Watched(changes)
    with changes.change() as change:
        key_log.set_mode(change.db, key_log.KEPT)

    watched.watch.online(bytes(32), [])

    assert [each.rule for each in key_log.lies(changes.db)] == ["log-withheld"]
    assert key_log.gate(changes.db, "bob", now=NOW) is Gate.SHUT


def test_of_a_server_that_never_kept_a_log_nothing_is_asked(changes: Changes) -> None:
    Watched(changes).watch.online(bytes(32), [])

    assert key_log.lies(changes.db) == []
    assert key_log.gate(changes.db, "bob", now=NOW) is Gate.OPEN


async def test_o_05_no_server_is_waited_for_as_long_as_it_likes(changes: Changes) -> None:
    watched = Watched(changes)

    decided = [await watched.watch._held_to(refusing(wait)) for wait in (0, 7, 2**62)]

    assert decided == [False, False, False]
    assert watched.paused == [1, 7, log_watch.LOOK_SECONDS]
    assert await watched.watch._held_to(refusing())


async def test_d_03_our_own_label_is_looked_at_once_the_server_has_time(
    changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched, work, looked = Watched(changes), refusing(2**62, 3), asyncio.Event()

    async def own(_self: LogWatch, _judge: Judge) -> None:
        await work()
        looked.set()

    monkeypatch.setattr(LogWatch, "_own", own)
    watched.watch.online(bytes(32), [log_watch.FEATURE])
    async with asyncio.timeout(10):
        await looked.wait()
    watched.watch.offline()

    assert watched.paused == [log_watch.LOOK_SECONDS, 3]
    assert watched.failures == []


class Slow(Watched):
    """A watch of a server that has no time, by a clock that is set."""

    def __init__(self, store: ClientStore) -> None:
        super().__init__(Changes(store, done=lambda _: None, undone=lambda _: None, clock=self._now))
        self.now = NOW
        self.watch._clock = self._now

    def _now(self) -> float:
        return float(self.now)

    async def refused(self, *, after: int, about: str = "") -> list[str]:
        """Ask once more after so many seconds; return what the server was caught at by then."""
        self.now += after
        await self.watch._held_to(refusing(0), about=about)
        return [each.rule for each in key_log.lies(self.watch._changes.db)]


@pytest.mark.parametrize(("about", "apart"), [("", 3600), ("alice", 3600), ("bob", 7 * 86_400)])
async def test_d_03_two_refusals_far_apart_accuse_nobody(tmp_path: Path, about: str, apart: int) -> None:
    """An honest server may have no time now and then, and nobody asked in between."""
    slow = Slow(a_store(tmp_path))

    assert await slow.refused(after=0, about=about) == []
    assert await slow.refused(after=apart, about=about) == []
    assert await slow.watch._held_to(refusing(), about=about)
    for _ in range(2):
        assert await slow.refused(after=apart, about=about) == [], "it had time in between"
    assert await slow.refused(after=apart, about=about) == ["withheld"]


async def test_d_03_a_server_that_never_has_time_is_named_within_a_minute(tmp_path: Path) -> None:
    """Also where it cuts the line, or the program ends, after each of its answers."""
    store = a_store(tmp_path)
    pause = int(log_watch.LOOK_SECONDS)

    caught = [await Slow(store).refused(after=place * pause) for place in range(3)]

    assert caught == [[], [], ["withheld"]]
