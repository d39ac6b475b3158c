"""M-10: a log that does not go on is named, and no server that has no time now and then."""

import asyncio

import pytest

from securechat.client.withheld import PATIENCE, Withheld

HOUR = 3600.0


class Clock:
    """The loop's, as far as the patience asks for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(asyncio, "get_running_loop", lambda: self)

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def answers(withheld: Withheld, clock: Clock, *gaps: float) -> list[bool]:
    """Have the server refuse after each of these seconds; return when it is to be said."""
    said = []
    for gap in gaps:
        clock.now += gap
        said.append(withheld.lasts(1))
    return said


def test_two_refusals_an_hour_apart_accuse_nobody(clock: Clock) -> None:
    assert answers(Withheld(), clock, 0, HOUR) == [False, False]


def test_a_log_that_does_not_go_on_is_said_once_in_time(clock: Clock) -> None:
    said = answers(Withheld(), clock, *[0, *[PATIENCE / 4] * 8])
    assert said == [False] * 4 + [True] + [False] * 4


def test_who_cuts_the_line_after_each_refusal_is_found(clock: Clock) -> None:
    assert answers(Withheld(), clock, 0, HOUR, HOUR, HOUR) == [False, False, True, False]


def test_once_it_goes_on_all_begins_anew(clock: Clock) -> None:
    withheld = Withheld()
    assert answers(withheld, clock, 0, PATIENCE, PATIENCE) == [False, False, True]
    withheld.goes_on(1)
    assert answers(withheld, clock, HOUR, PATIENCE) == [False, False]
