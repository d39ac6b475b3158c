"""Which mutants are made, and which tests are asked about each of them, in which order."""

import random
from pathlib import Path
from typing import Final

from tests.mutation.groups import Group
from tests.mutation.mutants import function_lines, mutants
from tests.mutation.verdicts import Chosen, Reach

ASKED_SECONDS: Final = 60.0
"""So long the tests that one mutant is shown to may take in all, the module's own before others."""

FIRST_SECONDS: Final = 3.0
"""So long those may take that are asked before the others: most mutants are noticed by them."""


def choose(group: Group, tree: Path, *, count: int, seed: int) -> list[Chosen]:
    """Return ``count`` mutants of a tree, drawn by the seed; all if there are fewer."""
    every: list[Chosen] = []
    for module in group.modules:
        source = (tree / module).read_text()
        every += [Chosen(module, mutant, source) for mutant in mutants(source)]
    return random.Random(seed).sample(every, min(count, len(every)))


def asked_about(pick: Chosen, reached: list[Reach], own: tuple[str, ...]) -> list[list[Reach]]:
    """Who runs the mutant's lines, else its function, else its module: some first, then all others.

    The module's ``own`` tests go before others, quick ones before slow ones.
    """
    first: list[Reach] = []
    others: list[Reach] = []
    seconds = 0.0
    for reach in sorted(
        _who_reach(pick, reached, own),
        key=lambda reach: (not reach.test.startswith(own), reach.seconds),
    ):
        if first and seconds + reach.seconds > ASKED_SECONDS:
            continue
        seconds += reach.seconds
        (others if first and seconds > FIRST_SECONDS else first).append(reach)
    return [sorted(stage, key=lambda reach: reach.seconds) for stage in (first, others) if stage]


def _who_reach(pick: Chosen, reached: list[Reach], own: tuple[str, ...]) -> list[Reach]:
    module, mutant = pick.module, pick.mutant
    of_module = [reach for reach in reached if module in reach.lines]
    inside = function_lines(pick.source, mutant.function)
    for wanted in (range(mutant.line, mutant.last_line + 1), inside):
        if found := [reach for reach in of_module if not reach.lines[module].isdisjoint(wanted)]:
            return found
    # What runs at the import is seen by nobody, and what a dataclass writes for itself stands in no file.
    return [reach for reach in reached if module in reach.lines or reach.test.startswith(own)]
