"""A clock that other processes go by (C-06)."""

import subprocess
import sys
import time
from pathlib import Path

from tests.faults.clocks import JUMPS, YEAR, Clock, SharedClock

ASKS = "import time, sys; print(time.time() - {now}, time.monotonic() - {monotonic}, sys.argv[1])"


def test_a_clock_is_off_by_what_it_is_told() -> None:
    clock = Clock()
    clock.offset = JUMPS["ten years on"]
    assert 0 <= clock() - time.time() - 10 * YEAR + 1 < 60


def test_another_process_goes_by_a_shared_clock_and_its_monotonic_one_is_left_alone(tmp_path: Path) -> None:
    clock = SharedClock(tmp_path / "clock")
    clock.offset = -10 * YEAR
    (tmp_path / "asks.py").write_text(ASKS.format(now=time.time(), monotonic=time.monotonic()))
    said = subprocess.run(
        [sys.executable, "-m", "tests.faults.clocks", str(clock.path), "asks", "word"],
        env={"PYTHONPATH": f"{tmp_path}:{Path.cwd()}"},
        capture_output=True,
        check=True,
        timeout=60,
    ).stdout.split()
    assert -10 * YEAR <= float(said[0]) < -10 * YEAR + 60
    assert 0 <= float(said[1]) < 60
    assert said[2] == b"word"
    clock.close()


def test_two_who_share_a_clock_see_each_other_set_it(tmp_path: Path) -> None:
    first, second = SharedClock(tmp_path / "clock"), SharedClock(tmp_path / "clock")
    first.offset = 3600.0
    assert second.offset == 3600.0
    assert 3599 < second() - time.time() < 3660
    first.close()
    second.close()
