"""How a harness is told how much to do, and how it says what it did.

Every long form is `python -m tests.faults.NAME --count N --minutes M --seed S`. A harness goes
through *worlds*, one after the other; world ``n`` is drawn from seed ``S + n``, so one that failed
is told again with ``--seed`` and ``--count`` as they are printed. The exit code is 1 when something
is wrong.
"""

import argparse
import logging
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.faults.ledger import Violation, told

MEMORY: Final = "/dev/shm"  # noqa: S108 - a folder in it is made by tempfile


class Wrong(Exception):
    """Something that must not happen has happened; the text says what."""

    @classmethod
    def if_any(cls, violations: list[Violation]) -> None:
        if violations:
            raise cls(told(violations))


@dataclass
class Report:
    """What a harness did, so far."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    longest: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    left: int = 0
    """Faults that were asked for and not done: the time was up."""
    seconds: float = 0.0

    def took(self, what: str, seconds: float) -> None:
        """Remember the longest of its kind."""
        self.longest[what] = max(self.longest.get(what, 0.0), seconds)

    def line(self) -> str:
        parts = [f"{number:,} {what}" for what, number in self.counts.items()]
        parts += [f"longest {what} {seconds:.2f} s" for what, seconds in self.longest.items()]
        verdict = "WRONG" if self.wrong else "ok"
        short = f"; the time was up, {self.left:,} are left" if self.left else ""
        return f"{self.name}: {verdict}: {', '.join(parts)} in {self.seconds:.0f} s{short}"


@dataclass(frozen=True)
class Amount:
    """How much is to be done: so many faults, but not longer than this, beginning at a seed."""

    count: int
    minutes: float = 600.0
    seed: int = 1


World = Callable[[Path, random.Random, Report, int], None]
"""Plays one world in a folder of its own: at most so many faults, counted in ``report.counts``.

Raises Wrong."""


def play(name: str, fault: str, amount: Amount, world: World, *, each: int) -> Report:
    """Play worlds of ``each`` faults until the amount is done, or the first is wrong.

    :param fault: the key of ``report.counts`` that says how many faults there were
    """
    report = Report(name)
    started = time.monotonic()
    number = 0
    while report.counts[fault] < amount.count and time.monotonic() - started < amount.minutes * 60:
        seed = amount.seed + number
        number += 1
        before = report.counts[fault]
        at_most = min(each, amount.count - before)
        try:
            with folder() as where:
                world(where, random.Random(seed), report, at_most)
        except Exception as wrong:  # noqa: BLE001 - whatever nobody foresaw is a violation, and has a seed
            report.wrong.append(
                f"{_told(wrong)}\nagain: python -m tests.faults.{name} --seed {seed} --count {at_most}"
            )
            break
        if report.counts[fault] == before:
            report.wrong.append(f"world {seed} saw no fault: the harness itself is broken")
            break
    report.seconds = time.monotonic() - started
    report.left = 0 if report.wrong else max(0, amount.count - report.counts[fault])
    return report


def _told(wrong: Exception) -> str:
    """Whatever is wrong, so that somebody can see why: with its cause, or with where it came from."""
    if not isinstance(wrong, Wrong):
        return "".join(traceback.format_exception(wrong))
    if wrong.__cause__ is None:
        return str(wrong)
    return f"{wrong}\nbecause of: {''.join(traceback.format_exception(wrong.__cause__))}"


@contextmanager
def folder() -> Iterator[Path]:
    """A folder in memory where the system has one: what is tried here waits for no real disk."""
    where = MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="securechat-faults-", dir=where) as name:
        yield Path(name)


def command(description: str | None, run: Callable[[Amount], list[Report]], *, count: int) -> int:
    """The long form: read the arguments, run, print, and say whether all was well."""
    parser = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=count, help="faults of each kind")
    parser.add_argument("--minutes", type=float, default=600.0, help="stop after so long")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="where the worlds begin")
    given = parser.parse_args()
    sys.stdout.write(f"seed {given.seed}\n")
    sys.stdout.flush()
    # What fails here fails on purpose.
    logging.getLogger("asyncio").disabled = True
    logging.getLogger("securechat").addHandler(logging.NullHandler())
    logging.getLogger("securechat").propagate = False
    reports = run(Amount(given.count, given.minutes, given.seed))
    return said(reports)


def said(reports: list[Report]) -> int:
    """Print what was done; return the exit code."""
    for report in reports:
        sys.stdout.write(f"{report.line()}\n")
        sys.stdout.writelines(f"{wrong}\n" for wrong in report.wrong)
    sys.stdout.flush()
    return 1 if any(report.wrong for report in reports) else 0
