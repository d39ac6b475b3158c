"""The server's bench still runs: each regime for a moment, and something was counted."""

from dataclasses import replace

import pytest

from tests.bench.load import Facts, Order
from tests.bench.server import REGIMES, run

SHORT = Order(dialect="", regime="", seconds=0.3, warm=0.1, pairs=2, in_flight=4, messages=10)
SMALL = {"fanout": 4, "login": 4, "idle": 4}


LONGER = (1, 10, 30)
"""How many times the moment may last, where a machine is so busy that nothing is counted in it."""


def measured(name: str, order: Order) -> Facts:
    facts: Facts = {}
    for times in LONGER:
        facts = run(name, replace(order, seconds=times * order.seconds))
        if facts.get("delivered", 1) > 0:
            break
    return facts


@pytest.mark.parametrize("key", REGIMES)
def test_a_regime_is_measured(key: str) -> None:
    order = replace(SHORT, **REGIMES[key].order)

    facts = measured("ours", replace(order, clients=SMALL.get(key, 4)))

    assert facts[REGIMES[key].value] >= 0
    assert facts.get("delivered", 1) > 0
    assert facts.get("connections", 4) == 4


def test_the_yardstick_is_measured() -> None:
    facts = measured("bare", replace(SHORT, **REGIMES["1"].order))

    assert facts["delivered"] > 0
