"""python -m tests.faults [--count N] [--times N] [--minutes M] [--seed S]: the evidence, in one run.

By default 1,000 kills of the server, 1,000 of a client, 1,000 power losses of each database, 1,000
damages, 200 disk errors and a Jepsen-style run of 20 minutes (`--jepsen 0` leaves it out); `--times 10`
is ten times all of that, but for the last. The exit code is 1 when anything is wrong.
"""

import argparse
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

from tests.faults import disk_errors, flips, kills_client, kills_server, power_client, power_server
from tests.faults.command import Amount, Report, said

HARNESSES: Final[tuple[tuple[Callable[[Amount], list[Report]], float, float], ...]] = (
    (power_server.run, 1.0, 1),
    (power_client.run, 1.0, 1),
    (disk_errors.run, 0.2, 1),
    (flips.run, 1.0, 3),
    (kills_client.run, 1.0, 2),
    (kills_server.run, 1.0, 6),
)
"""What runs, how often for each of ``--count``, and its part of the minutes."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1_000, help="faults of each kind")
    parser.add_argument("--times", type=int, default=1, help="so many times that")
    parser.add_argument("--minutes", type=float, default=60.0, help="for everything; each kind has its part")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="where the worlds begin")
    parser.add_argument("--jepsen", type=float, default=20.0, help="minutes of the Jepsen-style run")
    given = parser.parse_args()
    logging.getLogger("asyncio").disabled = True
    logging.getLogger("securechat").propagate = False
    logging.getLogger("securechat").addHandler(logging.NullHandler())
    sys.stdout.write(f"seed {given.seed}\n")
    parts = sum(part for _, _, part in HARNESSES)
    end = time.monotonic() + (given.minutes - given.jepsen) * given.times * 60
    reports: list[Report] = []
    for run, share, part in HARNESSES:
        count = max(1, int(given.count * given.times * share))
        minutes = (end - time.monotonic()) / 60 * part / parts  # with what the ones before it left over
        done = run(Amount(count, minutes, given.seed))
        parts -= part
        said(done)
        reports += done
    ended = _jepsen(given.jepsen, given.seed) if given.jepsen else 0
    sys.stdout.write("\n")
    return said(reports) or ended


def _jepsen(minutes: float, seed: int) -> int:
    command = (sys.executable, "-m", "tests.faults.jepsen", "--minutes", str(minutes), "--seed", str(seed))
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
