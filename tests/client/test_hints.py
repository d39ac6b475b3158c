"""What a server pushes costs it nothing: one look at a time, whoever is named how often."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from securechat.client import statements
from securechat.client.errors import Disconnected, refusal
from securechat.client.hints import Hints, OneAtATime
from securechat.client.tasks import Tasks
from securechat.protocol.messages import AccountChanged, LinksChanged
from tests.client.account import AnAccount
from tests.client.members import MemberOf
from tests.client.parts import a_moment


class Work:
    """Goes on when it is told to; each round ends with the next of these."""

    def __init__(self, *ends: Exception) -> None:
        self.rounds = 0
        self.ends = list(ends)
        self.gate = asyncio.Semaphore(0)
        self.paused: list[float] = []

    async def __call__(self) -> None:
        self.rounds += 1
        await self.gate.acquire()
        if self.ends:
            raise self.ends.pop(0)

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)

    async def go(self, times: int = 1) -> None:
        for _ in range(times):
            self.gate.release()
            await a_moment()


@pytest.fixture
async def failures() -> list[Exception]:
    return []


@pytest.fixture
async def tasks(failures: list[Exception]) -> AsyncIterator[Tasks]:
    made = Tasks(failures.append)
    yield made
    await made.close()


async def test_however_often_it_is_asked_for_it_is_done_once_more(tasks: Tasks) -> None:
    work = Work()
    again = OneAtATime(tasks, work, "test")
    for _ in range(1000):
        again.kick()
        await asyncio.sleep(0)
    assert (work.rounds, len(tasks._running)) == (1, 1)
    await work.go()
    assert work.rounds == 2, "somebody asked while it was done"
    await work.go()
    assert (work.rounds, len(tasks._running)) == (2, 0)
    again.kick()
    await a_moment()
    assert work.rounds == 3


async def test_a_server_that_has_no_time_is_asked_again_later_each_time(tasks: Tasks) -> None:
    work = Work(refusal("busy"), refusal("limited", retry_after=7))
    again = OneAtATime(tasks, work, "test", pause=work.pause)
    again.kick()
    await work.go(3)
    assert (work.rounds, work.paused[1] >= 7, len(tasks._running)) == (3, True, 0)


async def test_a_failure_is_told_once_and_the_next_look_begins_anew(
    tasks: Tasks, failures: list[Exception]
) -> None:
    work = Work(refusal("bad_request"), Disconnected("gone"))
    again = OneAtATime(tasks, work, "test")
    again.kick()
    await a_moment()
    again.kick()
    await work.go(3)
    assert [getattr(each, "code", "") for each in failures] == ["bad_request"]
    assert work.rounds == 2
    again.kick()
    await work.go()
    assert work.rounds == 3


async def test_what_waits_for_the_servers_time_begins_at_once_on_a_new_connection(tasks: Tasks) -> None:
    work = Work(refusal("busy"))
    waiting = asyncio.Event()

    async def for_ever(_seconds: float) -> None:
        waiting.set()
        await asyncio.Event().wait()

    again = OneAtATime(tasks, work, "test", pause=for_ever)
    again.kick()
    await work.go()
    await waiting.wait()
    again.offline()
    again.kick()
    await work.go()
    assert (work.rounds, len(tasks._running)) == (2, 0)


class News:
    """Whose statements were asked for."""

    def __init__(self, member: MemberOf) -> None:
        self.changes, self.device = member.changes, member.device
        self.asked: list[tuple[str, int]] = []
        self.gate = asyncio.Event()

    async def changed(self, user: str, serial: int) -> None:
        self.asked.append((user, serial))
        await self.gate.wait()


@pytest.fixture
def bob(tmp_path: Path) -> Iterator[MemberOf]:
    """He knows alice, and nobody else."""
    alices, bobs = AnAccount("alice"), AnAccount("bob")
    alices.first(tmp_path)
    bob = bobs.first(tmp_path)
    with bob.changes.change() as change:
        statements.keep_statement(change.db, "alice", alices.newest)
    yield bob
    bob.store.close()


async def test_each_account_is_asked_for_once_at_a_time_and_no_stranger_at_all(
    tasks: Tasks, bob: MemberOf
) -> None:
    news: Any = News(bob)
    hints = Hints(tasks, news, Work())
    for serial in range(2, 500):
        hints.take(AccountChanged("alice", serial))
        hints.take(AccountChanged(f"stranger{serial}", serial))
        await asyncio.sleep(0)
    hints.take(AccountChanged("bob", 2))
    assert (news.asked, len(tasks._running)) == ([("alice", 2)], 1)
    assert len(hints._changed) == 2
    news.gate.set()
    await a_moment()
    assert news.asked == [("alice", 2), ("alice", 499), ("bob", 2)]


@pytest.mark.parametrize("serials", [(5, 1), (1, 2)])
async def test_that_an_account_was_begun_anew_is_not_lost_among_others(
    tasks: Tasks, bob: MemberOf, serials: tuple[int, ...]
) -> None:
    news: Any = News(bob)
    hints = Hints(tasks, news, Work())
    for serial in serials:
        hints.take(AccountChanged("alice", serial))
    await a_moment()
    assert news.asked == [("alice", 1)]


async def test_devices_that_wait_to_be_linked_are_looked_for_once_at_a_time(
    tasks: Tasks, bob: MemberOf
) -> None:
    work = Work()
    news: Any = SimpleNamespace(changes=bob.changes, device=bob.device)
    hints = Hints(tasks, news, work)
    for _ in range(100):
        hints.take(LinksChanged())
        await asyncio.sleep(0)
    await work.go(2)
    assert (work.rounds, len(tasks._running)) == (2, 0)
