"""Token buckets: what passes, what waits and for how long, on a clock moved by hand (O-05, A-06)."""

import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.server import rate_limit
from securechat.server.config import Rate
from securechat.server.errors import ConfigError
from securechat.server.rate_limit import RULES, By, RateLimiter, Rule, WhenFull, check_names, limited

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations" / "limits.md"


class Clock:
    def __init__(self) -> None:
        self.now = 500.0

    def __call__(self) -> float:
        return self.now


def limiter_of(clock: Clock, when_full: WhenFull = WhenFull.OPEN) -> RateLimiter:
    rule = Rule("r", 3, 0.5, By.ACCOUNT, when_full, "a test")
    return RateLimiter({}, clock, rules=(rule,))


def test_a_burst_passes_and_then_one_for_every_token() -> None:
    clock = Clock()
    limiter = limiter_of(clock)
    assert [limiter.take("r", "a") for _ in range(3)] == [0.0] * 3
    assert limiter.take("r", "a") == pytest.approx(2)
    clock.now += 1.9
    assert limiter.take("r", "a") == pytest.approx(0.1)
    clock.now += 0.1
    assert limiter.take("r", "a") == 0.0
    assert limiter.take("r", "a") == pytest.approx(2)


def test_a_refused_one_costs_nothing() -> None:
    clock = Clock()
    limiter = limiter_of(clock)
    for _ in range(100):
        limiter.take("r", "a")
    clock.now += 2
    assert limiter.take("r", "a") == 0.0


def test_ones_bucket_is_ones_own() -> None:
    limiter = limiter_of(Clock())
    for _ in range(4):
        limiter.take("r", "a")
    assert limiter.take("r", "b") == 0.0


def test_what_was_used_already_is_waited_for_by_the_next() -> None:
    clock = Clock()
    limiter = limiter_of(clock)
    limiter.charge("r", "a", 10)
    assert limiter.wait("r", "a") == pytest.approx((10 + 1 - 3) / 0.5)
    clock.now += 16
    assert limiter.wait("r", "a") == 0.0


def test_what_is_given_back_can_be_taken_again_and_makes_no_bucket_fuller_than_full() -> None:
    limiter = limiter_of(Clock())
    for _ in range(3):
        limiter.take("r", "a")
    limiter.give_back("r", "a")
    assert limiter.take("r", "a") == 0.0
    limiter.give_back("r", "b", 100)
    assert [limiter.take("r", "b") == 0.0 for _ in range(4)] == [True, True, True, False]


def test_what_costs_more_than_a_bucket_takes_a_whole_one() -> None:
    clock = Clock()
    limiter = limiter_of(clock)
    assert limiter.take("r", "a", 1_000) == 0.0
    assert limiter.take("r", "a", 1_000) == pytest.approx(6)


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 5)), max_size=60))
def test_in_any_time_no_more_passes_than_a_burst_and_what_was_refilled(
    steps: list[tuple[float, float]],
) -> None:
    clock = Clock()
    limiter = limiter_of(clock)
    passed: list[tuple[float, float]] = []
    for pause, cost in steps:
        clock.now += pause
        if limiter.take("r", "a", cost) == 0.0:
            passed.append((clock.now, min(cost, 3)))
        for begin, _ in passed:
            taken = sum(each for when, each in passed if when >= begin)
            assert taken <= 3 + 0.5 * (clock.now - begin) + 1e-6


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 3)), max_size=30))
def test_who_waits_as_long_as_told_gets_it(steps: list[tuple[float, float]]) -> None:
    clock = Clock()
    limiter = limiter_of(clock)
    for pause, cost in steps:
        clock.now += pause
        wait = limiter.take("r", "a", cost)
        if wait:
            clock.now += limited(wait).refused.retry_after
            assert limiter.take("r", "a", cost) == 0.0


def test_a_refusal_asks_for_whole_seconds_and_at_least_one() -> None:
    waits = [limited(wait).refused.retry_after for wait in (0.001, 1.0, 1.2, 59.9)]
    assert waits == [1, 1, 2, 60]


def test_buckets_are_bounded_and_nobody_gets_a_fresh_one_by_making_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rate_limit, "MAX_BUCKETS", 100)
    clock = Clock()
    limiter = limiter_of(clock)
    for _ in range(3):
        limiter.take("r", "mallory")
    for number in range(10_000):
        limiter.take("r", number)
        clock.now += 0.0001
    assert len(limiter) <= 100
    assert limiter.take("r", "mallory") > 0


@pytest.mark.parametrize(
    ("when_full", "passes"), [(WhenFull.OPEN, True), (WhenFull.CLOSED, False), (WhenFull.SQUEEZED, True)]
)
def test_where_no_more_buckets_fit_the_rule_says_what_happens(
    monkeypatch: pytest.MonkeyPatch, when_full: WhenFull, *, passes: bool
) -> None:
    monkeypatch.setattr(rate_limit, "MAX_BUCKETS", 10)
    limiter = limiter_of(Clock(), when_full)
    for number in range(10):
        limiter.take("r", number)
    assert (limiter.take("r", "new") == 0.0) == passes


def test_a_06_who_asks_for_ever_more_names_shuts_nobody_out_and_forgives_no_name_its_guesses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1,700 addresses with 30 guesses each filled a table of names, and nobody else could log in."""
    monkeypatch.setattr(rate_limit, "MAX_BUCKETS", 100)
    limiter = limiter_of(Clock(), WhenFull.SQUEEZED)
    for _ in range(3):
        limiter.take("r", "alice")
    for number in range(10_000):
        assert limiter.take("r", f"made up {number}") == 0.0
    assert len(limiter) <= 100
    assert limiter.take("r", "bob") == 0.0
    assert limiter.take("r", "alice") > 0


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 3)), max_size=200))
def test_a_06_of_full_tables_the_least_used_goes(asked: list[tuple[int, int]]) -> None:
    """Whoever has used more than all those that have a place would, had it none, could begin anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_limit, "MAX_BUCKETS", 8)
        limiter = limiter_of(Clock(), WhenFull.SQUEEZED)
        buckets = limiter._buckets["r"]
        for key, cost in asked:
            before = dict(buckets._full_at)
            limiter.take("r", key, cost)
            gone = set(before) - set(buckets._full_at)
            assert len(buckets._queue) == len(buckets._full_at) <= 8
            assert all(before[each] == min(before.values()) for each in gone)


def test_full_buckets_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limit, "MAX_BUCKETS", 10)
    clock = Clock()
    limiter = limiter_of(clock, WhenFull.CLOSED)
    for number in range(10):
        limiter.take("r", number)
    clock.now += 60
    assert limiter.take("r", "new") == 0.0
    assert len(limiter) < 10


def test_the_config_file_says_other_rates_and_no_other_names() -> None:
    clock, counted = Clock(), Counter[str]()
    limiter = RateLimiter({"messages": Rate(1, 100)}, clock, limited=counted)
    assert limiter.take("messages", 1) == 0.0
    assert limiter.take("messages", 1) == pytest.approx(0.01)
    assert counted == {"messages": 1}
    with pytest.raises(ConfigError, match="massages"):
        RateLimiter({"massages": Rate(1, 1)}, clock)
    with pytest.raises(ConfigError, match="massages"):
        check_names(["massages"])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_rule_stands_in_the_document_with_its_rates(rule: Rule) -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    assert (rule.name, f"{rule.burst:,}", said(rule.per_second)) in rows


def said(per_second: float) -> str:
    """As a person reads it."""
    if per_second >= 1:
        return f"{per_second:,.0f} a second"
    seconds = round(1 / per_second)
    return f"1 in {seconds} s" if seconds < 60 else f"1 in {seconds // 60} min"


@pytest.mark.parametrize(
    ("rules", "seconds", "most"),
    [(("passwords",), 15 * 60, 10), (("look_ups",), 3_600, 100), (("registrations_by_address",), 3_600, 100)],
)
def test_a_06_o_09_the_defaults_hold_what_is_required(
    rules: tuple[str, ...], seconds: int, most: int
) -> None:
    """A-06: 10 wrong passwords in any 15 minutes; O-09: 100 look-ups in any hour."""
    for rule in RULES:
        if rule.name in rules:
            assert rule.burst + seconds * rule.per_second <= most + 1e-9
            assert rule.when_full is not WhenFull.OPEN
