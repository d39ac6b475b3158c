"""What a run of mutation testing finds out, and a file of it: a run that was broken off goes on from there.

Each line of the file is JSON and is written as soon as it is known. A line counts for the code it was
found with: after a change to ``securechat`` everything is asked again, after a change to a test file what
that file reaches. A mutant that was noticed needs no second look when tests are added; about one that
survived, ``--again`` asks again.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from tests.mutation.mutants import Mutant


@dataclass(frozen=True, slots=True)
class Chosen:
    module: str
    mutant: Mutant
    source: str
    """The module without the mistake."""

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


def digest(paths: Iterable[Path]) -> str:
    """Return a name for what stands in these files, and in no others."""
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(paths)]
    return hashlib.sha256("".join(sums).encode()).hexdigest()[:16]


class Results:
    """What is known already; with a path, what is kept for the next run."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._reached: dict[tuple[str, str], list[Reach]] = {}
        self._outcomes: dict[tuple[str, str], Outcome] = {}
        if path is not None and path.exists():
            text = path.read_text()
            for line in text.splitlines():
                self._read(line)
            if text and not text.endswith("\n"):  # broken off within a line
                path.write_text(f"{text}\n")

    def reached(self, test_file: str, code: str) -> list[Reach] | None:
        return self._reached.get((test_file, code))

    def keep_reached(self, test_file: str, code: str, reached: list[Reach]) -> None:
        self._reached[test_file, code] = reached
        told = [
            {
                "test": each.test,
                "seconds": each.seconds,
                "lines": {m: sorted(at) for m, at in each.lines.items()},
            }
            for each in reached
        ]
        self._append({"reached": test_file, "code": code, "by": told})

    def outcome(self, pick: Chosen, code: str) -> Outcome | None:
        return self._outcomes.get((pick.key, code))

    def keep_outcome(self, pick: Chosen, code: str, outcome: Outcome) -> None:
        self._outcomes[pick.key, code] = outcome
        self._append({"mutant": pick.key, "code": code, "outcome": outcome.value})

    def _read(self, line: str) -> None:
        try:
            told = json.loads(line)
        except json.JSONDecodeError:  # the run was ended while it wrote this line: it is found out again
            return
        if "mutant" in told:
            self._outcomes[told["mutant"], told["code"]] = Outcome(told["outcome"])
        else:
            self._reached[told["reached"], told["code"]] = reaches(told["by"])

    def _append(self, told: dict[str, object]) -> None:
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(told) + "\n")


def reaches(told: list[dict[str, Any]]) -> list[Reach]:
    """Return what ``tests.mutation.reached`` wrote down."""
    return [
        Reach(each["test"], each["seconds"], {name: frozenset(at) for name, at in each["lines"].items()})
        for each in told
    ]
