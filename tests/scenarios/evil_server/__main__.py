"""python -m tests.scenarios.evil_server [--actions N] [--seed S]: a server that lies, action by action.

Plays lives of a few people with real clients until there were N actions (about every other one a lie)
and prints which lies came up, by which words they were named, and how many ciphertexts were looked at.
A life that goes wrong is printed as it went; `--seed S --life K` plays it again. The exit code is then 1.
"""

import argparse
import logging
import sys
from collections import Counter

from tests.scenarios.evil_server.random_run import LIFE, Outcome, run


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--actions", type=int, default=10_000)
    parser.add_argument("--seed", default="0", help="any word")
    parser.add_argument("--life", type=int, help="this one of the seed only")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)  # what a lying server makes a client say
    outcome = run(given.actions if given.life is None else LIFE, given.seed, first=given.life or 0)
    _print(outcome)
    if outcome.wrong:
        again = f"--seed {outcome.seed} --life {outcome.first + outcome.lives - 1}"
        sys.stdout.write("\n".join((*outcome.trace, *outcome.wrong, f"again: {again}")) + "\n")
    return int(bool(outcome.wrong))


def _print(outcome: Outcome) -> None:
    said = sum(outcome.told.values())
    sys.stdout.write(
        f"seed {outcome.seed}: {outcome.actions} actions in {outcome.lives} lives, {said} lies of "
        f"{len(outcome.told)} kinds; the slowest was named after {outcome.slowest:.1f} s\n"
        f"{outcome.messages} messages and {outcome.commits} changes of groups were sealed, and looked at\n"
    )
    for title, counted in (("told", outcome.told), ("named", outcome.named)):
        sys.stdout.write(f"{title}: {_listed(counted)}\n")


def _listed(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counted.items()))


if __name__ == "__main__":
    sys.exit(main())
