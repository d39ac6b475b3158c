"""Things grow old as time passes, whatever date somebody sets (C-06)."""

import threading
from pathlib import Path

import apsw
import pytest

from securechat.server import app as app_module
from securechat.server.config import DAY
from securechat.server.steady_clock import SteadyClock, last_known
from securechat.server.swept import Swept
from tests.faults.clocks import Clock
from tests.server.peer import open_room, registered
from tests.server.running import running_server

NOW = 1_800_000_000
TEN_YEARS = 3652 * DAY


class Machine:
    def __init__(self, *, known: int = NOW) -> None:
        self.date = NOW
        self.up = 100.0
        self.clock = SteadyClock(lambda: self.date, known, lambda: self.up)

    def later(self, seconds: int) -> int:
        self.date += seconds
        self.up += seconds
        return self.clock()


def test_time_that_passes_is_believed_however_much() -> None:
    machine = Machine()
    assert machine.later(400 * DAY) == NOW + 400 * DAY


def test_c_06_a_date_set_ten_years_on_makes_nothing_older_than_it_is() -> None:
    machine = Machine()
    machine.date += TEN_YEARS
    assert machine.clock() == NOW
    assert machine.later(3600) == NOW + 3600
    machine.date -= TEN_YEARS
    assert machine.clock() == NOW + 3600


def test_c_06_a_date_that_has_stood_for_a_day_is_believed() -> None:
    machine = Machine()
    machine.date += TEN_YEARS
    machine.clock()
    assert machine.later(DAY - 1) == NOW + DAY - 1
    assert machine.later(1) == NOW + TEN_YEARS + DAY
    assert machine.later(60) == NOW + TEN_YEARS + DAY + 60


def test_c_06_a_date_set_back_goes_on_until_it_has_stood_for_a_day() -> None:
    machine = Machine()
    machine.date -= TEN_YEARS
    assert machine.clock() == NOW
    assert machine.later(600) == NOW + 600
    machine.date += TEN_YEARS
    assert machine.later(0) == NOW + 600
    machine.date -= TEN_YEARS
    machine.clock()
    assert machine.later(DAY) == NOW + 600 + DAY - TEN_YEARS


def test_c_06_a_date_that_leaps_about_does_not_stand() -> None:
    machine = Machine()
    for offset in (TEN_YEARS, -2 * TEN_YEARS, 3 * TEN_YEARS, 5 * DAY):
        machine.date += offset
        machine.clock()
        machine.later(DAY - 1)
    assert machine.clock() == NOW + 4 * (DAY - 1)


def test_a_day_either_way_is_no_leap() -> None:
    """Time servers, DST and leap seconds set it so."""
    machine = Machine()
    machine.date += DAY
    assert machine.clock() == NOW + DAY
    machine.date -= DAY
    assert machine.clock() == NOW


def test_c_06_a_start_by_a_wrong_date_is_a_leap_from_what_the_log_knows() -> None:
    assert Machine(known=NOW - 60 * DAY).clock() == NOW - 60 * DAY
    assert Machine(known=NOW + 60 * DAY).clock() == NOW + 60 * DAY
    assert Machine(known=NOW - DAY).clock() == NOW
    assert Machine(known=0).clock() == NOW


async def test_c_06_what_is_said_by_a_date_set_back_is_not_old_when_it_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(app_module, "now", lambda: int(clock()))
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        await app._sweeper.sweep_now()
        clock.offset = float(-TEN_YEARS)
        await open_room(*people)
    clock.offset = 0.0
    async with running_server(tmp_path) as app:
        assert await app._sweeper.sweep_now() == Swept()


@pytest.mark.parametrize("restarted", [False, True])
async def test_c_06_a_server_whose_date_is_wrong_lets_go_of_nothing_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, restarted: bool
) -> None:
    clock = Clock()
    monkeypatch.setattr(app_module, "now", lambda: int(clock()))
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        await open_room(*people)
        await app._sweeper.sweep_now()
        clock.offset = float(TEN_YEARS)
        if not restarted:
            assert await app._sweeper.sweep_now() == Swept()
    if restarted:
        async with running_server(tmp_path) as app:
            assert await app._sweeper.sweep_now() == Swept()


async def test_c_06_what_the_log_knows_waits_for_who_recovers_it(tmp_path: Path) -> None:
    """After a kill another connection may hold the database just when this is asked."""
    async with running_server(tmp_path) as app, registered(app, "alice") as people:
        await open_room(*people)
        path = app._path
    holder = apsw.Connection(str(path))
    holder.pragma("locking_mode", "exclusive")
    holder.execute("BEGIN IMMEDIATE; UPDATE server SET incarnation = incarnation; COMMIT")
    with pytest.raises(apsw.BusyError):
        apsw.Connection(str(path)).execute("SELECT * FROM entry")
    timer = threading.Timer(0.2, holder.close)
    timer.start()
    assert last_known(path) == 0
    timer.join()
