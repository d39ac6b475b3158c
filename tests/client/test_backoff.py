import random
from unittest.mock import Mock

from hypothesis import given
from hypothesis import strategies as st

from securechat.client.backoff import FIRST_SECONDS, LONGEST_SECONDS, Backoff


def bounds(count: int) -> list[float]:
    """The upper ends from which the delays are drawn."""
    source = Mock(random.Random)
    source.uniform.side_effect = lambda _low, high: high
    backoff = Backoff(source)
    return [backoff.next() for _ in range(count)]


def test_the_bound_doubles_until_it_is_the_longest() -> None:
    assert bounds(4) == [FIRST_SECONDS * factor for factor in (1, 2, 4, 8)]
    assert bounds(3_000)[-1] == LONGEST_SECONDS


@given(st.integers(), st.integers(0, 40), st.floats(0, 3600))
def test_a_delay_is_drawn_between_nothing_and_its_bound(seed: int, failures: int, asked: float) -> None:
    backoff = Backoff(random.Random(seed))
    for _ in range(failures):
        backoff.next()

    assert asked <= backoff.next(at_least=asked) <= asked + LONGEST_SECONDS


def test_jitter_is_full() -> None:
    """Delays fill the whole range, so that a thousand clients do not come back together."""
    delays = []
    for seed in range(300):
        backoff = Backoff(random.Random(seed))
        delays.append([backoff.next() for _ in range(9)][-1])

    assert min(delays) < LONGEST_SECONDS * 0.05
    assert max(delays) > LONGEST_SECONDS * 0.95


def test_a_success_begins_anew() -> None:
    source = Mock(random.Random)
    source.uniform.side_effect = lambda _low, high: high
    backoff = Backoff(source)
    backoff.next()
    backoff.next()
    backoff.reset()

    assert backoff.next() == FIRST_SECONDS
