"""A device that was not seen for long is offered to its owner, once a week at most (M-17)."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from securechat.client.change import Changes
from securechat.client.errors import Disconnected
from securechat.client.events import Notice, OwnDevice
from securechat.client.idle_devices import CODE, LOOK_EVERY, OFFER_EVERY, SETTLES, IdleDevices
from securechat.client.notes import of_account
from securechat.client.store import ClientStore
from tests.client.parts import NOW, a_store

DAY = 86_400
DESK = OwnDevice(device="d" * 26, name="desk", this=True, since=1, seen=NOW)
PHONE = OwnDevice(device="p" * 26, name="phone", this=False, since=1, seen=NOW - 46 * DAY, idle=True)


class Account:
    """An open account whose devices the test names."""

    def __init__(self, store: ClientStore) -> None:
        self.told: list[Notice] = []
        self.now = NOW
        self.devices = [DESK, PHONE]
        self.asked = 0
        self.is_there = True
        self.changes = Changes(store, done=self._done, undone=lambda _: None, clock=lambda: self.now)
        self.paused: list[float] = []
        engine: Any = SimpleNamespace(changes=self.changes, clock=lambda: self.now, caught_up=self.caught_up)
        self.idle = IdleDevices(engine, self.own_devices, pause=self.pause)

    def _done(self, change: Any) -> None:
        self.told += [each for each in change.events if isinstance(each, Notice)]

    async def caught_up(self) -> None:
        if not self.is_there:
            raise Disconnected("gone")

    async def own_devices(self) -> list[OwnDevice]:
        self.asked += 1
        return self.devices

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        if len(self.paused) > 4:
            raise asyncio.CancelledError


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with a_store(tmp_path) as store:
        yield Account(store)


async def test_m_17_it_is_offered_with_the_command_and_once_a_week(account: Account) -> None:
    await account.idle.look()
    (told,) = account.told
    assert told.code == CODE
    assert "your device phone was last seen 46 days ago" in told.text
    assert "/devices revoke phone;" in told.text
    assert [each.text for each in of_account(account.changes.db)] == [told.text]

    account.now += OFFER_EVERY - 1
    await account.idle.look()
    assert (len(account.told), account.asked) == (1, 1), "nor is the server asked"
    account.now += 1
    await account.idle.look()
    assert len(account.told) == 2


async def test_m_17_a_date_that_goes_back_does_not_silence_it(account: Account) -> None:
    await account.idle.look()
    account.now -= 400 * DAY
    await account.idle.look()
    assert len(account.told) == 2


async def test_where_no_device_is_idle_nothing_is_said_and_it_is_looked_again(account: Account) -> None:
    account.devices = [DESK]
    await account.idle.look()
    await account.idle.look()
    assert (account.told, account.asked) == ([], 2)


async def test_it_looks_once_the_account_is_open_for_a_while_and_once_a_day(account: Account) -> None:
    account.is_there = False
    with pytest.raises(asyncio.CancelledError):
        await account.idle._run()
    assert (account.paused, account.told) == ([LOOK_EVERY] * 5, [])

    account.is_there, account.paused = True, []
    with pytest.raises(asyncio.CancelledError):
        await account.idle._run()
    assert account.paused == [SETTLES, LOOK_EVERY, SETTLES, LOOK_EVERY, SETTLES]
    assert len(account.told) == 1
