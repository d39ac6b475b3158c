"""What happened lately: the counters of now against those of a while ago."""

import pytest

from securechat.server.counters import Counters
from securechat.server.lately import KEPT, TICK, TICKS_PER_LOOK, Lately, percentile


class Clock:
    """A loop whose time a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.due: list[tuple[float, object, tuple[float, ...]]] = []
        monkeypatch.setattr("asyncio.get_running_loop", lambda: self)

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: object, *arguments: float) -> None:
        self.due.append((when, call, arguments))

    def turn(self, late: float = 0.0) -> None:
        when, call, arguments = self.due.pop(0)
        self.now = when + late
        call(*arguments)  # type: ignore[operator]


def test_a_rate_is_of_the_minutes_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, counters = Clock(monkeypatch), Counters()
    lately = Lately(counters)
    lately.start()
    for _ in range(KEPT * TICKS_PER_LOOK * 2):
        counters.messages += 2
        clock.turn()
    recent = lately.recent(clock.now)
    assert recent.messages_per_minute == pytest.approx(120, rel=0.01)
    assert recent.seconds <= KEPT * TICKS_PER_LOOK * TICK


def test_reasons_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, counters = Clock(monkeypatch), Counters()
    counters.limited["messages"] = 5
    lately = Lately(counters)
    lately.start()
    counters.limited["messages"] += 2
    counters.connections_refused["total"] += 1
    counters.logins_failed += 3
    clock.turn()
    recent = lately.recent(clock.now)
    assert (recent.limited, recent.refused, recent.logins_failed) == ({"messages": 2}, {"total": 1}, 3)


def test_a_loop_that_is_behind_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    lately = Lately(Counters())
    lately.start()
    clock.turn()
    assert lately.worst_lag == 0
    clock.turn(late=0.7)
    clock.turn()
    assert lately.worst_lag == pytest.approx(0.7)


@pytest.mark.parametrize(("part", "value"), [(0.5, 2.0), (0.99, 4.0), (0.01, 1.0), (1.0, 4.0)])
def test_a_percentile_is_one_of_the_values(part: float, value: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], part) == value
    assert percentile([], part) == 0.0
