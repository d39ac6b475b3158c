"""The server's bench still runs: each regime for a moment, and something was counted."""

from dataclasses import replace

import pytest

from tests.bench.load import Order
from tests.bench.server import REGIMES, run

SHORT = Order(dialect="", regime="", seconds=0.3, warm=0.1, pairs=2, in_flight=4, messages=10)
SMALL = {"fanout": 4, "login": 4, "idle": 4}


@pytest.mark.parametrize("key", REGIMES)
def test_a_regime_is_measured(key: str) -> None:
    order = replace(SHORT, **REGIMES[key].order)

    facts = run("ours", replace(order, clients=SMALL.get(key, 4)))

    assert facts[REGIMES[key].value] >= 0
    assert facts.get("delivered", 1) > 0
    assert facts.get("connections", 4) == 4


def test_the_yardstick_is_measured() -> None:
    facts = run("bare", replace(SHORT, **REGIMES["1"].order))

    assert facts["delivered"] > 0
