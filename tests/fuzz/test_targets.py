"""M-01 without atheris: seeds, the kept corpus and simple changes of both through every decoder."""

import os
from typing import Final

import pytest

from tests.fuzz.campaign import kept_units
from tests.fuzz.judge import Target, behave, check
from tests.fuzz.mutations import mutated
from tests.fuzz.targets import TARGETS

MUTATED: Final = 300
"""Per target; one in ``MEASURED`` of them is measured too."""

MEASURED: Final = 10

SEED: Final = int(os.environ.get("SECURECHAT_FUZZ_SEED", "20261122"))
"""The gate changes the same bytes each time; ``python -m tests.fuzz`` looks for others."""

DEEP: Final = frozenset({"said-inside", "welcome-inside", "group-info-inside"})
"""Where each input is signed or sealed first: a third of the changes."""

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


@every_target
def test_m_01_some_seeds_decode(target: Target) -> None:
    assert any(behave(target, data) for data in target.seeds())


@every_target
def test_m_01_every_seed_and_kept_unit_ends_as_it_may_in_time_and_memory(target: Target) -> None:
    for data in (*target.seeds(), *kept_units(target.name).values(), b""):
        check(target, data)


@every_target
def test_m_01_what_is_changed_a_little_ends_as_it_may(target: Target) -> None:
    count = MUTATED // 3 if target.name in DEEP else MUTATED
    inputs = (*target.seeds(), *kept_units(target.name).values())
    for number, data in enumerate(mutated(inputs, SEED, count)):
        behave(target, data)
        if number % MEASURED == 0:
            check(target, data)


@every_target
def test_m_01_what_is_cut_short_or_goes_on_ends_as_it_may(target: Target) -> None:
    for data in target.seeds():
        step = 1 + len(data) // 50
        for length in range(0, len(data), step):
            behave(target, data[:length])
        behave(target, data + b"\x00")
