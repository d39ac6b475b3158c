"""Whether the tests would notice a mistake: `python -m tests.mutation GROUP [--count N] [--seed S]`.

Each mutant is one small change in one module, in a copy of the tree. It is shown to the tests that run
its line, quickest first, until the first that fails. One that nothing notices survives and is printed;
those of `survivors.toml` have a reason and count as equivalent. Ends with 1 where fewer than 90 % are
noticed (S-04).
"""

import argparse
import json
import os
import queue
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from tests.mutation.mutants import Mutant, function_lines, mutants

ROOT: Final = Path(__file__).resolve().parents[2]
SURVIVORS: Final = Path(__file__).with_name("survivors.toml")
NEEDED: Final = 0.9
MEMORY: Final = 4 * 1024**3
BASELINE_SECONDS: Final = 1_200.0
ASKED_SECONDS: Final = 25.0
"""So long the tests that one mutant is shown to may take in all, the module's own before others."""

SAID_EVERY: Final = 25

GRACE_SECONDS: Final = 30.0
"""Over four times what its tests took when all was well, a mutant does not end."""


@dataclass(frozen=True, slots=True)
class Group:
    modules: dict[str, tuple[str, ...]]
    """By module, the tests that are there for it: they are asked before others."""
    tests: tuple[str, ...]
    """All that may be asked."""


GROUPS: Final = {
    "authentication": Group(
        {
            "securechat/server/accounts.py": (
                *("tests/server/test_accounts.py", "tests/server/test_registration_holds.py"),
                "tests/server/test_guesses.py",
            ),
            "securechat/server/login_hash.py": (
                *("tests/server/test_accounts.py", "tests/server/test_registration_holds.py"),
                "tests/server/test_guesses.py",
            ),
            "securechat/membership/login.py": (
                *("tests/membership/test_login.py", "tests/membership/test_guessable.py"),
            ),
            "securechat/membership/passwords.py": (
                *("tests/membership/test_passwords.py", "tests/membership/test_guessable.py"),
            ),
        },
        ("tests/server", "tests/membership"),
    ),
    "mls": Group(
        {
            "securechat/mls/validation.py": (
                *("tests/mls/test_validation.py", "tests/mls/test_proposal_rules.py"),
                *("tests/mls/test_tree_validation.py", "tests/mls/test_certificates.py"),
            ),
            "securechat/mls/protection.py": (
                *("tests/mls/test_group_refusals.py", "tests/mls/test_inner_refusals.py"),
                "tests/mls/test_group.py",
            ),
            "securechat/mls/ratchet_tree.py": ("tests/mls/test_ratchet_tree.py", "tests/mls/test_apply.py"),
            "securechat/mls/staging.py": (
                *("tests/mls/test_group.py", "tests/mls/test_serialization.py"),
                *("tests/mls/test_outside.py", "tests/mls/test_group_refusals.py"),
            ),
            "securechat/mls/joining.py": (
                *("tests/mls/test_joining.py", "tests/mls/test_continuing.py"),
                *("tests/mls/test_outside.py", "tests/mls/test_inner_refusals.py"),
            ),
            "securechat/membership/judge.py": ("tests/membership",),
        },
        ("tests/mls", "tests/membership"),
    ),
    "delivery": Group(
        {
            "securechat/server/delivery.py": (
                *("tests/server/test_delivery.py", "tests/server/test_holes.py"),
                *("tests/server/test_page_bounds.py", "tests/server/test_page_sizes.py"),
            ),
            "securechat/server/named.py": (
                *("tests/server/test_named.py", "tests/server/test_answers.py"),
                "tests/server/test_writer.py",
            ),
            "securechat/server/ordering.py": (
                *("tests/server/test_ordering.py", "tests/server/test_conversation.py"),
                *("tests/server/test_openings.py", "tests/server/test_overtaken.py"),
                "tests/server/test_succession.py",
            ),
            "securechat/server/store/writer.py": (
                *("tests/server/test_writer.py", "tests/server/test_durability.py"),
            ),
            "securechat/server/store/transaction.py": (
                *("tests/server/test_transaction.py", "tests/server/test_answers.py"),
            ),
        },
        ("tests/server",),
    ),
}


@dataclass(frozen=True, slots=True)
class Chosen:
    module: str
    mutant: Mutant

    @property
    def key(self) -> str:
        return f"{self.module}: {self.mutant.what}"


@dataclass(frozen=True, slots=True)
class Reach:
    """A test, the lines of each module that it runs, and its seconds."""

    test: str
    seconds: float
    lines: dict[str, frozenset[int]]


class Outcome(Enum):
    FAILED = "failed"
    ENDLESS = "did not end"
    PASSED = "passed"


def choose(group: Group, *, count: int, seed: int) -> list[Chosen]:
    every = [Chosen(module, mutant) for module in group.modules for mutant in mutants(_source(module))]
    return random.Random(seed).sample(every, min(count, len(every)))


def asked_about(pick: Chosen, reached: list[Reach], own: tuple[str, ...]) -> list[Reach]:
    """Who runs the mutant's lines, else its function, else its module; the module's ``own`` go before."""
    taken: list[Reach] = []
    seconds = 0.0
    for reach in sorted(
        _who_reach(pick, reached, own),
        key=lambda reach: (not reach.test.startswith(own), reach.seconds),
    ):
        seconds += reach.seconds
        if taken and seconds > ASKED_SECONDS:
            break
        taken.append(reach)
    return sorted(taken, key=lambda reach: reach.seconds)


def _who_reach(pick: Chosen, reached: list[Reach], own: tuple[str, ...]) -> list[Reach]:
    module, mutant = pick.module, pick.mutant
    of_module = [reach for reach in reached if module in reach.lines]
    inside = function_lines(_source(module), mutant.function)
    for wanted in (range(mutant.line, mutant.last_line + 1), inside):
        if found := [reach for reach in of_module if not reach.lines[module].isdisjoint(wanted)]:
            return found
    # What runs at the import is seen by nobody, and what a dataclass writes for itself stands in no file.
    return [reach for reach in reached if module in reach.lines or reach.test.startswith(own)]


def tree_copy(folder: Path) -> Path:
    for name in ("securechat", "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def reached_in(folder: Path, group: Group) -> list[Reach]:
    """Run the group's tests without any mistake.

    :raises SystemExit: one of them fails
    """
    target = folder / "reached.json"
    options = ["-p", "tests.mutation.reached", "--reached", str(target)]
    for module in group.modules:
        options += ["--reached-in", module]
    if _run(folder, [*options, *group.tests], BASELINE_SECONDS) is not Outcome.PASSED:
        raise SystemExit(f"{' '.join(group.tests)} fail without any mistake in the code")
    return [
        Reach(told["test"], told["seconds"], {name: frozenset(at) for name, at in told["lines"].items()})
        for told in json.loads(target.read_text())
    ]


def shown(folder: Path, pick: Chosen, tests: list[Reach]) -> Outcome:
    """Put the mistake into the tree, run the tests and take it out again."""
    place, arguments = folder / pick.module, folder / "tests.txt"
    original = place.read_text()
    arguments.write_text("\n".join(reach.test for reach in tests))
    seconds = GRACE_SECONDS + 4 * sum(reach.seconds for reach in tests)
    try:
        place.write_text(pick.mutant.source)
        Path(cache_from_source(str(place))).unlink(missing_ok=True)  # it tells sources apart by the second
        return _run(folder, [f"@{arguments}"], seconds)
    finally:
        place.write_text(original)


def _run(folder: Path, arguments: list[str], seconds: float) -> Outcome:
    quiet = ("-x", "-q", "--tb=no")  # to write down where it failed takes longer than most tests
    command = [sys.executable, "-m", "pytest", *quiet, "-n", "0", "-p", "no:cacheprovider", *arguments]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_hold_memory,  # noqa: PLW1509 - it calls nothing that another thread could hold
    )
    try:
        return Outcome.FAILED if process.wait(seconds) else Outcome.PASSED
    except subprocess.TimeoutExpired:
        return Outcome.ENDLESS
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()


def _hold_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _source(module: str) -> str:
    return (ROOT / module).read_text()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("group", choices=sorted(GROUPS))
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--workers", type=int, default=1)
    asked = parser.parse_args()
    group = GROUPS[asked.group]
    known: dict[str, str] = tomllib.loads(SURVIVORS.read_text())
    print(f"group {asked.group}, seed {asked.seed}", flush=True)
    chosen = choose(group, count=asked.count, seed=asked.seed)
    picks = [pick for pick in chosen if pick.key not in known]
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folders = [tree_copy(Path(temporary) / str(number)) for number in range(asked.workers)]
        outcomes = _show_all(folders, picks, reached_in(folders[0], group), group)
    survived = outcomes.count(Outcome.PASSED)
    share = 1 - survived / max(len(picks), 1)
    print(
        f"{len(picks)} mutants ({len(chosen) - len(picks)} more are equivalent), {survived} survived, "
        f"{outcomes.count(Outcome.ENDLESS)} did not end, {share:.1%} noticed, "
        f"{time.monotonic() - began:.0f} s"
    )
    return 0 if picks and share >= NEEDED else 1


def _show_all(folders: list[Path], picks: list[Chosen], reached: list[Reach], group: Group) -> list[Outcome]:
    free: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for folder in folders:
        free.put(folder)

    def show(pick: Chosen) -> Outcome:
        folder = free.get()
        try:
            outcome = shown(folder, pick, asked_about(pick, reached, group.modules[pick.module]))
        finally:
            free.put(folder)
        if outcome is Outcome.PASSED:
            print(f"survived: line {pick.mutant.line}\n  {json.dumps(pick.key)} = ", flush=True)
        return outcome

    outcomes = []
    with ThreadPoolExecutor(len(folders)) as pool:
        for outcome in pool.map(show, picks):
            outcomes.append(outcome)
            if len(outcomes) % SAID_EVERY == 0:
                print(f"{len(outcomes)} of {len(picks)}", flush=True)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
