"""A-05: what judges the times of refused logins sees a difference where there is one, and only there."""

from random import Random

from tests.faults.login_timing import accuracy, judge, kolmogorov_smirnov


def times(source: Random, *, shift: float = 0.0, count: int = 2_000) -> list[float]:
    return [source.gauss(25e-3 + shift, 1e-3) for _ in range(count)]


def test_a_05_equal_times_are_not_told_apart() -> None:
    source = Random(1)
    same = {"one": times(source), "other": times(source)}
    assert judge(same)


def test_a_05_a_fifth_of_a_millisecond_in_twenty_five_is_seen() -> None:
    source = Random(2)
    one, other = times(source), times(source, shift=0.3e-3)
    assert accuracy(one, other) > 0.53
    assert kolmogorov_smirnov(one, other)[1] < 0.001
    assert not judge({"one": one, "other": other})


def test_a_05_a_hash_left_out_is_seen_at_once() -> None:
    source = Random(3)
    assert accuracy(times(source), times(source, shift=-20e-3)) > 0.99
