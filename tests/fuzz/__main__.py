"""Fuzz the decoders: ``python -m tests.fuzz --minutes M --seed S [--target T]...`` (needs atheris).

Prints for each target its runs, the units that reach something new, and the most time and memory that
any of them took when measured without instrumentation. Ends with 1 when a decoder did what it may not.
``--runs N`` is so many runs for each target instead; ``--keep`` puts what was found into the corpus.
"""

import argparse
import importlib.util
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.fuzz.campaign import Plan, minimise, run
from tests.fuzz.targets import TARGETS

KEPT_BYTES: Final = 200_000
"""Of the whole corpus, as it lies in the tree."""


def main() -> int:
    asked = _arguments()
    if importlib.util.find_spec("atheris") is None:
        print(
            f"atheris is not here: there is none for Python {sys.version.split()[0]}, or nobody installed it"
        )
        return 2
    names = tuple(asked.target or TARGETS)
    seconds = max(1, int(asked.minutes * 60 * asked.jobs / len(names)))
    plan = Plan(
        names,
        asked.seed,
        asked.jobs,
        runs=asked.runs,
        seconds=None if asked.runs is not None else seconds,
    )
    print(f"{len(names)} targets, seed {asked.seed}, {asked.jobs} at a time", flush=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        folder = Path(asked.folder or temporary)
        reports = run(plan, folder)
        for report in reports:
            print(report.text, *report.faults, sep="\n", flush=True)
        if asked.keep:
            size = minimise(names, folder, most=KEPT_BYTES)
            print(f"{size} bytes of corpus are kept")
    total = sum(report.runs for report in reports)
    print(f"{total} runs in {time.monotonic() - begun:.0f} s, seed {asked.seed}")
    return int(any(report.faults for report in reports))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="for all targets together")
    parser.add_argument("--runs", type=int, help="per target, instead of --minutes")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 1 << 31))
    parser.add_argument("--target", action="append", choices=list(TARGETS))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="an empty folder to leave everything in")
    parser.add_argument("--keep", action="store_true", help="minimise what was found into tests/fuzz/corpus")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
