"""Our date against the server's (C-06)."""

import pytest

from securechat.client.dates import DAY, Dates

NOW = 1_800_000_000


class Machine:
    def __init__(self) -> None:
        self.date = float(NOW)
        self.up = 5.0
        self.dates = Dates(lambda: self.date, lambda: self.up)

    def later(self, seconds: float) -> None:
        self.date += seconds
        self.up += seconds


def test_dates_agree_until_the_server_has_said_otherwise() -> None:
    machine = Machine()
    machine.date = 0.0
    assert machine.dates.agree


@pytest.mark.parametrize(("apart", "agree"), [(0, True), (DAY, True), (-DAY, True), (DAY + 1, False)])
def test_a_day_is_tolerated_either_way(apart: float, agree: bool) -> None:  # noqa: FBT001 - a table
    machine = Machine()
    machine.dates.told(NOW - int(apart))
    assert machine.dates.agree is agree


def test_c_06_a_date_that_is_set_during_a_session_is_noticed_and_time_that_passes_is_not() -> None:
    machine = Machine()
    machine.dates.told(NOW)
    machine.later(30 * DAY)
    assert machine.dates.apart == 0
    machine.date -= 3652 * DAY
    assert not machine.dates.agree
    assert "3652 days behind the server's" in machine.dates.sentence()
    machine.date += 3652 * DAY + 26 * 3600
    assert "1 day ahead of the server's" in machine.dates.sentence()


@pytest.mark.parametrize("told", [0, 2**63 - 1])
def test_c_06_any_time_the_server_says_has_a_sentence(told: int) -> None:
    machine = Machine()
    machine.dates.told(told)
    assert not machine.dates.agree
    assert "days" in machine.dates.sentence()
