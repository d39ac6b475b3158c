"""A short run of everything, and proof that such a run would see what it is there to see (Q-01)."""

import asyncio
from pathlib import Path

import apsw
import pytest

from securechat.client import listener
from securechat.client.change import Changes
from securechat.client.events import Event
from tests.faults.crowd import Plan
from tests.faults.jepsen import Run
from tests.faults.member import Member, bend
from tests.faults.orders import Account

SMALL = Plan(members=5, processes=1, guests=1, rooms=1, silence=3.0, pause=0.3, quiet=40.0)

BENT = Account("", "", "", "", longest_backoff=1.0, silence=3.0)


async def test_q_01_whatever_breaks_nothing_is_lost_and_nothing_comes_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bend(BENT, monkeypatch.setattr)
    run = Run(tmp_path, SMALL, seed=7)
    verdict = await run.go(8.0, every=0.4, longest=2.0)
    assert verdict.wrong == [], run.trace()
    assert verdict.checked["deliveries"] > 50
    assert run.nemesis is not None
    assert sum(run.nemesis.counts.values()) > 5


async def two_who_talk(folder: Path, monkeypatch: pytest.MonkeyPatch, module: str = "securechat") -> Run:
    """A run whose one room has two members, on healthy lines."""
    bend(BENT, monkeypatch.setattr)
    run = Run(folder, Plan(members=2, processes=0, guests=0, rooms=0, silence=3.0, quiet=2.0), seed=1)
    run.server.module = module
    await run.server.start()
    await run.crowd.gather()
    return run


async def over(run: Run) -> list[str]:
    """Bring a run to its end, and judge it."""
    try:
        await run.crowd.quiet()
        return (await run.judge()).wrong
    finally:
        await run.crowd.close()
        await run.server.end()


async def heard(run: Run, what: str, count: int) -> None:
    async with asyncio.timeout(20):
        while run.crowd.counts[what] < count:  # noqa: ASYNC110 - reports come in by callback
            await asyncio.sleep(0.01)


async def say(run: Run, count: int) -> None:
    """Have the first member say so much to the room."""
    for _ in range(count):
        await run.crowd.say(run.crowd.seats["m00"], "#all")


def store_of(run: Run, user: str) -> Changes:
    host = run.crowd.seats[user].host
    assert isinstance(host, Member)
    assert host._client is not None
    return host._client._engine.changes


def has(wrong: list[str], what: str) -> bool:
    return any(each.startswith(what) for each in wrong)


async def test_q_01_when_nothing_is_planted_nothing_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await two_who_talk(tmp_path, monkeypatch)
    await say(run, 5)
    await heard(run, "acknowledged", 5)
    assert await over(run) == []
    assert run.crowd.ledger.counts["shown"] == 5


async def test_q_01_an_acknowledged_message_that_the_server_loses_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await two_who_talk(tmp_path, monkeypatch)
    await run.crowd.seats["m01"].close()
    await say(run, 5)
    await heard(run, "acknowledged", 5)
    database = apsw.Connection(str(run.server.database))
    database.set_busy_timeout(5000)
    database.execute("DELETE FROM entry WHERE sequence = (SELECT max(sequence) - 2 FROM entry)")
    database.close()
    await run.crowd.seats["m01"].open()
    wrong = await over(run)
    assert has(wrong, "lost: 'm00 2'"), wrong


async def test_q_01_a_server_that_acknowledges_before_it_stores_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await two_who_talk(tmp_path, monkeypatch, "tests.faults.liar")
    await run.crowd.seats["m01"].close()
    for number in range(1, 7):
        await say(run, 1)
        await heard(run, "acknowledged", number)
    await run.server.kill()
    run.server.module = "securechat"
    await run.server.start()
    await run.crowd.seats["m01"].open()
    wrong = await over(run)
    assert has(wrong, "lost: 'm00 5'"), wrong


async def test_q_01_what_a_client_keeps_twice_tells_twice_or_puts_in_another_order_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await two_who_talk(tmp_path, monkeypatch)
    await say(run, 4)
    await heard(run, "shown", 4)
    with store_of(run, "m01").change() as change:
        columns = "conversation, sender, own, state, content, text, timestamp, sequence, epoch"
        double = f"SELECT {columns} FROM message WHERE text = 'm00 0|'"  # noqa: S608
        change.db.execute(f"INSERT INTO message ({columns}) {double}")
        swap = "CASE text WHEN 'm00 1|' THEN 'm00 2|' WHEN 'm00 2|' THEN 'm00 1|' ELSE text END"
        change.db.execute(f"UPDATE message SET text = {swap} WHERE own = 0")  # noqa: S608

    put = listener.Listener.put

    def stutter(told: listener.Listener, event: Event | None) -> None:
        put(told, event)
        put(told, event)

    monkeypatch.setattr(listener.Listener, "put", stutter)
    await say(run, 1)
    await heard(run, "shown", 6)
    monkeypatch.setattr(listener.Listener, "put", put)
    wrong = await over(run)
    assert has(wrong, "shown twice: 'm00 0'"), wrong
    assert has(wrong, "out of order: 'm00 1'"), wrong
    assert has(wrong, "told 2 times: message 6 at m01"), wrong
