"""Connections that are dead and nobody knows: nothing is lost with them (Q-04)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from securechat.client import session
from securechat.client.events import Disconnected
from securechat.client.sync import Syncer
from securechat.protocol.limits import PING_AFTER, SILENCE_LIMIT
from securechat.server import listener
from tests.client.conftest import cheap_argon2 as cheap_argon2  # noqa: PLC0414 - a fixture, shared
from tests.faults.clocks import SharedClock
from tests.faults.hosts import MemberProcess
from tests.faults.orders import Account, Report, Shown
from tests.faults.proxy import Door, Proxy, Way
from tests.scenarios.conftest import world as world  # noqa: PLC0414 - a fixture, shared
from tests.scenarios.world import PATIENCE, Person, World


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and silence ends in less than a second instead of a minute, on both sides.

    Who makes an account pings nobody yet, and may take longer.
    """
    monkeypatch.setattr(listener, "SWEEP_SECONDS", 0.1)
    monkeypatch.setattr(session, "PING_AFTER", 0.2)

    def from_now_on() -> None:
        monkeypatch.setattr(listener, "SILENCE_LIMIT", 0.8)
        monkeypatch.setattr(session, "SILENCE_LIMIT", 0.6)

    return from_now_on


@asynccontextmanager
async def behind_a_proxy(world: World, name: str) -> AsyncIterator[tuple[Person, Proxy]]:
    """Somebody whose line goes through a proxy."""
    async with Proxy(("127.0.0.1", world.port), seed=4) as proxy:
        person = world.people[name] = Person(world, name)
        person.port = proxy.port
        await person.register()
        await person.open()
        yield person, proxy
        await person.close()


async def connections(world: World, count: int) -> None:
    """Wait until the server has so many."""
    assert world.app is not None
    async with asyncio.timeout(PATIENCE):
        while world.app.connections != count:  # noqa: ASYNC110 - the server tells nobody
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("ways", [(Way.TO_CLIENT,), (Way.TO_SERVER,), tuple(Way)])
async def test_q_04_a_pulled_cable_loses_nothing_and_is_noticed_by_both(
    world: World, short: Callable[[], None], ways: tuple[Way, ...]
) -> None:
    (alice,) = await world.join("alice")
    async with behind_a_proxy(world, "bob") as (bob, proxy):
        await alice.says("@bob", "before")
        await bob.hears("before")
        short()
        proxy.set(*ways, swallow=True)
        await proxy.swing(Door.REFUSE)
        for number in range(10):
            await alice.says("@bob", f"message {number}")
        await bob.sees(Disconnected)
        await connections(world, 1)
        if Way.TO_CLIENT in ways:
            assert bob.heard() == ["before"]
        proxy.heal()
        await proxy.swing(Door.OPEN)
        await bob.hears("message 9")
        assert bob.heard() == ["before", *(f"message {number}" for number in range(10))]


async def test_q_04_a_client_that_is_stopped_is_let_go_and_gets_all_when_it_goes_on(
    world: World, tmp_path: Path, short: Callable[[], None]
) -> None:
    """SIGSTOP: its kernel goes on to acknowledge what TCP brings, and nobody reads it."""
    (alice,) = await world.join("alice")
    account = Account(str(tmp_path / "bob"), "bob", "bob has a long enough password", str(world.address))
    heard: list[str] = []
    more = asyncio.Event()

    def hear(report: Report) -> None:
        if isinstance(report, Shown):
            heard.append(report.line.name)
            more.set()

    async def until(count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(heard) < count:
                more.clear()
                await more.wait()

    bob = MemberProcess(account, hear, SharedClock(tmp_path / "clock"))
    await bob.open()
    try:
        await alice.says("@bob", "0")
        await until(1)
        short()
        bob.stop()
        for number in range(1, 10):
            await alice.says("@bob", str(number))
        await connections(world, 1)
        assert heard == ["0"]
        bob.go_on()
        await until(10)
        assert heard == [str(number) for number in range(10)]
    finally:
        await bob.close()


async def test_q_04_what_came_but_was_not_acknowledged_by_the_application_comes_again(
    world: World, monkeypatch: pytest.MonkeyPatch, short: Callable[[], None]
) -> None:
    """TCP's acknowledgement is nobody's word: a client that dies before it has stored gets it again."""
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "before")
    await bob.hears("before")
    short()
    with monkeypatch.context() as deaf:
        deaf.setattr(Syncer, "delivered", lambda *_: None)  # it came as far as the process
        for number in range(5):
            await alice.says("@bob", f"message {number}")
        await bob.close()
    assert bob.heard() == ["before"]
    await bob.open()
    await bob.hears("message 4")
    assert bob.heard() == ["before", *(f"message {number}" for number in range(5))]


def test_q_04_a_dead_connection_ends_within_a_minute() -> None:
    """Two pings may be lost, and a third on its way, before silence is the end."""
    assert SILENCE_LIMIT <= 60
    assert 2 * PING_AFTER < SILENCE_LIMIT - listener.SWEEP_SECONDS
