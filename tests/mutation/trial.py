"""A copy of the tree in which mistakes are made and tests are run: never the tree itself."""

import functools
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path
from typing import Final

from tests.mls.vector_files import shared_folder
from tests.mutation.groups import Group
from tests.mutation.verdicts import Chosen, Outcome, Reach, Results, digest, reaches

ROOT: Final = Path(__file__).resolve().parents[2]
MEMORY: Final = 4 * 1024**3

BASELINE_SECONDS: Final = 1_200.0
"""So long one file of tests may take when all is well."""

GRACE_SECONDS: Final = 30.0
"""Over four times what its tests took when all was well, a mutant does not end."""

WAITED: Final = 4
"""A test that computes nothing has not ended after so many times the seconds it may compute: others may
have the machine meanwhile."""


def tree_copy(folder: Path) -> Path:
    for name in ("securechat", "tests", "docs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def code_of(folder: Path) -> str:
    """Return a name for the code of a tree."""
    return digest(path for path in (folder / "securechat").rglob("*") if path.suffix in {".py", ".sql"})


def reached_in(folder: Path, group: Group, results: Results) -> list[Reach]:
    """Run those of the group's tests without any mistake that were not run with this code before.

    :raises SystemExit: one of them fails
    """
    files = sorted({path for name in group.tests for path in (folder / name).rglob("*.py")})
    beside = digest(path for path in files if not path.name.startswith("test_"))
    code = code_of(folder)
    reached: list[Reach] = []
    for path in files:
        if path.name.startswith("test_"):
            name, state = str(path.relative_to(folder)), f"{code}-{beside}-{digest([path])}"
            found = results.reached(name, state)
            if found is None:
                found = _reached_by(folder, group, name)
                results.keep_reached(name, state, found)
            reached += found
    return reached


def _reached_by(folder: Path, group: Group, test_file: str) -> list[Reach]:
    target = folder / "reached.json"
    options = ["-p", "tests.mutation.reached", "--reached", str(target)]
    for module in group.modules:
        options += ["--reached-in", module]
    if _run(folder, [*options, test_file], BASELINE_SECONDS) is not Outcome.PASSED:
        raise SystemExit(f"{test_file} fails without any mistake in the code")
    return reaches(json.loads(target.read_text()))


def shown(folder: Path, pick: Chosen, stages: list[list[Reach]]) -> Outcome:
    """Put the mistake into the tree, run the tests, stage by stage, and take it out again."""
    place, arguments = folder / pick.module, folder / "tests.txt"
    try:
        place.write_text(pick.mutant.source)
        Path(cache_from_source(str(place))).unlink(missing_ok=True)  # it tells sources apart by the second
        for tests in stages:
            arguments.write_text("\n".join(reach.test for reach in tests))
            seconds = GRACE_SECONDS + 4 * sum(reach.seconds for reach in tests)
            outcome = _run(folder, [f"@{arguments}"], seconds)
            if outcome is not Outcome.PASSED:
                return outcome
        return Outcome.PASSED
    finally:
        place.write_text(pick.source)


def _run(folder: Path, arguments: list[str], seconds: float) -> Outcome:
    quiet = ("-x", "-q", "--tb=no")  # to write down where it failed takes longer than most tests
    command = [sys.executable, "-m", "pytest", *quiet, "-n", "0", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    if shared_folder().is_dir():  # beside the copy there is none
        environment["SECURECHAT_VECTORS"] = str(shared_folder())
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # It calls nothing that another thread could hold.
        preexec_fn=functools.partial(_hold, int(seconds)),  # noqa: PLW1509
    )
    try:
        status = process.wait(WAITED * seconds)
    except subprocess.TimeoutExpired:
        return Outcome.ENDLESS
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status == -signal.SIGXCPU:
        return Outcome.ENDLESS
    return Outcome.FAILED if status else Outcome.PASSED


def _hold(seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))
