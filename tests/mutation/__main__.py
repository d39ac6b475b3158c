"""Whether the tests would notice a mistake: `python -m tests.mutation GROUP [--count N] [--seed S]`.

Each mutant is one small change in one module, in a copy of the tree. It is shown to the tests that run
its line, the module's own and quick ones first, until one fails or does not end. One that nothing notices
survives and is printed; those of `survivors.toml` have a reason and count as equivalent. With `--results
FILE` a run that was broken off, or that `--minutes` ended, goes on where it was. Ends with 1 where fewer
than 90 % are noticed, or not all were judged (S-04).
"""

import argparse
import json
import queue
import random
import signal
import sys
import tempfile
import threading
import time
import tomllib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.mutation.asking import asked_about, choose
from tests.mutation.groups import GROUPS, Group
from tests.mutation.trial import code_of, reached_in, shown, tree_copy
from tests.mutation.verdicts import Chosen, Outcome, Results

SURVIVORS: Final = Path(__file__).with_name("survivors.toml")
NEEDED: Final = 0.9
SAID_EVERY: Final = 25


@dataclass(frozen=True, slots=True)
class Judges:
    """Copies of one tree, and what is known of mutants of its code."""

    group: Group
    folders: list[Path]
    results: Results
    again: bool
    until: float
    """On the monotonic clock; nothing is begun later."""
    stopping: threading.Event = field(default_factory=threading.Event)

    def judge(self, picks: list[Chosen]) -> list[Outcome | None]:
        """Return what became of each; None of those that there was no time for."""
        code = code_of(self.folders[0])
        known = [self.results.outcome(pick, code) for pick in picks]
        print(f"{sum(outcome is not None for outcome in known)} of {len(picks)} known", flush=True)
        reached = reached_in(self.folders[0], self.group, self.results)
        free: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for folder in self.folders:
            free.put(folder)

        def show(pick: Chosen) -> Outcome | None:
            outcome = self.results.outcome(pick, code)
            if outcome is not None and not (self.again and outcome is Outcome.PASSED):
                return outcome
            if self.stopping.is_set() or time.monotonic() > self.until:
                return outcome
            folder = free.get()
            try:
                outcome = shown(folder, pick, asked_about(pick, reached, self.group.modules[pick.module]))
            finally:
                free.put(folder)
            self.results.keep_outcome(pick, code, outcome)
            return outcome

        outcomes = []
        with ThreadPoolExecutor(len(self.folders)) as pool:
            for outcome in pool.map(show, picks):
                outcomes.append(outcome)
                if len(outcomes) % SAID_EVERY == 0:
                    print(f"{len(outcomes)} of {len(picks)}", flush=True)
        return outcomes


def main() -> int:
    asked = _asked()
    group = GROUPS[asked.group]
    known: dict[str, str] = tomllib.loads(SURVIVORS.read_text())
    print(f"group {asked.group}, seed {asked.seed}", flush=True)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folders = [tree_copy(Path(temporary) / str(number)) for number in range(asked.workers)]
        chosen = choose(group, folders[0], count=asked.count, seed=asked.seed)
        picks = [pick for pick in chosen if pick.key not in known]
        until = began + asked.minutes * 60
        judges = Judges(group, folders, Results(asked.results), again=asked.again, until=until)
        signal.signal(signal.SIGTERM, lambda _number, _frame: judges.stopping.set())
        outcomes = judges.judge(picks)
    share = _say(picks, outcomes, equivalent=len(chosen) - len(picks))
    print(f"group {asked.group}, seed {asked.seed}, {time.monotonic() - began:.0f} s", flush=True)
    return 0 if picks and None not in outcomes and share >= NEEDED else 1


def _say(picks: list[Chosen], outcomes: list[Outcome | None], *, equivalent: int) -> float:
    """Print what survived and how many; return the share of those judged that were noticed."""
    of_module: dict[str, Counter[Outcome | None]] = {}
    for pick, outcome in zip(picks, outcomes, strict=True):
        of_module.setdefault(pick.module, Counter())[outcome] += 1
        if outcome is Outcome.PASSED:
            print(f"survived: line {pick.mutant.line}\n  {json.dumps(pick.key)} = ")
    for module, counted in sorted(of_module.items()):
        print(f"{module}: {_counts(counted)}")
    total = Counter(outcomes)
    judged = total[Outcome.FAILED] + total[Outcome.ENDLESS] + total[Outcome.PASSED]
    share = 1 - total[Outcome.PASSED] / max(judged, 1)
    print(f"{_counts(total)}; {equivalent} more are equivalent; {share:.1%} noticed")
    return share


def _counts(counted: Counter[Outcome | None]) -> str:
    words = {
        Outcome.FAILED: "noticed",
        Outcome.ENDLESS: "did not end",
        Outcome.PASSED: "survived",
        None: "not judged yet",
    }
    told = ", ".join(f"{counted[outcome]} {word}" for outcome, word in words.items() if counted[outcome])
    return f"{counted.total()} mutants ({told})"


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("group", choices=sorted(GROUPS))
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=600.0, help="begin nothing later")
    parser.add_argument("--results", type=Path, help="where each verdict is kept, and read from")
    parser.add_argument("--again", action="store_true", help="ask once more about what survived")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
