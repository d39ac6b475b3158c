"""python -m tests.scenarios.simulation [--count N] [--seed S] [--story NAME]: lies by the thousand.

Plays N seeds from S on and prints of each story how often it happened, was noticed and was healed, and
how many messages were withheld from somebody who never learnt it. A run that goes wrong prints its
trace; `--count 1 --seed S` (and its story, if one was named) plays it again. The exit code is then 1.
"""

import argparse
import logging
import sys
import time
from collections import Counter, defaultdict
from typing import Final

from tests.scenarios.simulation.evil import STORIES
from tests.scenarios.simulation.run import Outcome, run

COLUMNS: Final = ("runs", "happened", "noticed", "healed", "hidden", "wrong")


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1_000, help="seeds")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--story", choices=sorted(STORIES), help="this one only, instead of all in turn")
    parser.add_argument("--minutes", type=float, default=600.0, help="no new seed after that")
    parser.add_argument("--trace", action="store_true", help="print each run, also where nothing is wrong")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)  # what a lying server makes a client say
    table: defaultdict[str, Counter[str]] = defaultdict(Counter)
    told: Counter[str] = Counter()
    end = time.monotonic() + given.minutes * 60
    for seed in range(given.seed, given.seed + given.count):
        if time.monotonic() > end:
            break
        outcome = run(seed, given.story)
        _count(table[outcome.story], outcome)
        told += outcome.told
        if outcome.hidden:
            sys.stdout.write(f"seed {seed} ({outcome.story}): {outcome.hidden} withheld and never missed\n")
        if outcome.wrong or given.trace:
            sys.stdout.write(outcome.report() + "\n\n")
    _print(table, told)
    return int(any(row["wrong"] for row in table.values()))


def _count(row: Counter[str], outcome: Outcome) -> None:
    row["runs"] += 1
    row["happened"] += outcome.happened
    row["noticed"] += outcome.noticed
    row["healed"] += outcome.healed
    row["hidden"] += outcome.hidden
    row["wrong"] += bool(outcome.wrong)


def _print(table: dict[str, Counter[str]], told: Counter[str]) -> None:
    sys.stdout.write("".join(f"{name:>10}" for name in COLUMNS) + "  story\n")
    for story, row in [*table.items(), ("in all", sum(table.values(), Counter()))]:
        sys.stdout.write("".join(f"{row[name]:>10}" for name in COLUMNS) + f"  {story}\n")
    sys.stdout.write(f"told: {', '.join(f'{code} {count}' for code, count in told.most_common())}\n")


if __name__ == "__main__":
    sys.exit(main())
