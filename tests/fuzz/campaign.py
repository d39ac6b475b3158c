"""Runs fuzzers over targets, then looks at what they found with nothing instrumented."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.fuzz.judge import Cost, Fault, Target, check
from tests.fuzz.targets import TARGETS

CORPUS: Final = Path(__file__).with_name("corpus")
ROOT: Final = Path(__file__).resolve().parents[2]

MAX_INPUT: Final = 8192
"""Bytes. Larger inputs are repetitions, and ``test_counts`` has those."""

HANGS: Final = 20
"""Seconds for one input, instrumented, on a busy machine."""

MEMORY: Final = 2048
"""MiB of one fuzzer, its corpus and the instrumentation included."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``runs`` or ``seconds`` per target, whichever is given; so many ``jobs`` at a time."""

    targets: tuple[str, ...]
    seed: int
    jobs: int
    runs: int | None = None
    seconds: int | None = None

    @property
    def options(self) -> list[str]:
        """What libFuzzer is told."""
        end = f"-runs={self.runs}" if self.runs is not None else f"-max_total_time={self.seconds}"
        return [
            end,
            f"-seed={self.seed}",
            f"-max_len={MAX_INPUT}",
            f"-timeout={HANGS}",
            f"-rss_limit_mb={MEMORY}",
            "-print_final_stats=1",
            "-verbosity=1",
        ]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one target."""

    name: str
    runs: int
    new: int
    kept: int
    slowest: float
    peak: int
    faults: tuple[str, ...]

    @property
    def text(self) -> str:
        cost = Cost(self.slowest, self.peak).text
        return (
            f"{self.name:20} {self.runs:>9} runs, {self.new:>4} units beside {self.kept:>3}, at most {cost}"
        )


def kept_units(name: str) -> dict[str, bytes]:
    """The corpus of a target as it is kept, by file name."""
    folder = CORPUS / name
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())} if folder.is_dir() else {}


def run(plan: Plan, folder: Path) -> list[Report]:
    """Fuzz each target of the plan in ``folder``; the reports are in the plan's order."""
    for name in plan.targets:
        _prepare(name, folder / name)
    _instrumented(plan.targets, folder, plan.jobs, plan.options, ("grown", "kept", "seeds"))
    return [report(TARGETS[name], folder / name) for name in plan.targets]


def _prepare(name: str, folder: Path) -> None:
    for each in ("grown", "slowest", "kept", "seeds"):
        (folder / each).mkdir(parents=True)
    write_units(folder / "seeds", TARGETS[name].seeds())
    write_units(folder / "kept", kept_units(name).values())


def write_units(folder: Path, units: Iterable[bytes]) -> None:
    """Write each input under its SHA-1, as libFuzzer does."""
    for data in units:
        (folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)


def report(target: Target, folder: Path) -> Report:
    """Measure what was found in a target's folder."""
    said = (folder / "log").read_text(errors="replace") if (folder / "log").exists() else ""
    counted = re.search(r"stat::number_of_executed_units:\s*(\d+)", said)
    faults = []
    ended = (folder / "exit").read_text() if (folder / "exit").exists() else "it never started"
    if ended != "0":
        faults.append(f"{target.name}: the fuzzer ended with {ended}\n{_last_words(said)}")
    costs = [Cost(0.0, 0)]
    units = [*(folder / "grown").iterdir(), *(folder / "slowest").iterdir(), *folder.glob("found-*")]
    for file in units:
        try:
            costs.append(check(target, file.read_bytes()))
        except Fault as fault:
            faults.append(str(fault))
    return Report(
        target.name,
        runs=int(counted[1]) if counted else 0,
        new=sum(1 for _ in (folder / "grown").iterdir()),
        kept=sum(1 for _ in (folder / "kept").iterdir()),
        slowest=max(cost.seconds for cost in costs),
        peak=max(cost.peak for cost in costs),
        faults=tuple(faults),
    )


def _last_words(said: str) -> str:
    """The exception that ended a fuzzer, without the bytes in hexadecimal below it."""
    lines = [line for line in said.splitlines() if not line.startswith(("0x", "#"))]
    return "\n".join(line[:400] for line in lines[-30:])


def minimise(names: Sequence[str], folder: Path, *, most: int) -> int:
    """Keep of what was grown in ``folder`` what reaches most in fewest bytes; return the corpus's size.

    ``most`` bounds the bytes of the whole corpus: small units go in first, from each target in turn. Seeds
    are not kept, they are made anew each time.
    """
    for name in names:
        (folder / name / "merged").mkdir()
    _instrumented(names, folder, 2, ["-merge=1"], ("merged", "grown", "kept"))
    found = {name: sorted(_merged(name, folder), key=len) for name in names}
    for name in names:
        shutil.rmtree(CORPUS / name, ignore_errors=True)
        (CORPUS / name).mkdir(parents=True)
    size = sum(len(data) for name in TARGETS for data in kept_units(name).values())
    for turn in range(max(map(len, found.values()))):
        for name, units in found.items():
            if turn < len(units) and size + len(units[turn]) <= most:
                write_units(CORPUS / name, [units[turn]])
                size += len(units[turn])
    return size


def _merged(name: str, folder: Path) -> set[bytes]:
    return {file.read_bytes() for file in (folder / name / "merged").iterdir()} - set(TARGETS[name].seeds())


def _instrumented(
    names: Sequence[str], folder: Path, jobs: int, options: Sequence[str], read: Sequence[str]
) -> None:
    """Run libFuzzer on each target, in its folder; how each ended stands there too."""
    asked = {"targets": names, "folder": str(folder), "jobs": jobs, "options": options, "read": read}
    subprocess.run(
        [sys.executable, "-m", "tests.fuzz.instrumented"],
        input=json.dumps(asked),
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,  # which modules it instruments
    )
