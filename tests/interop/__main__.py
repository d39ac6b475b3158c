"""Many random scripts with ts-mls, one after the other: ``python -m tests.interop --minutes M --seed S``.

``--suite N`` and ``--version V`` (1 or 2) keep to one; ``--count 1`` with both has one script again.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from securechat.mls.cipher_suite import PRIVATE_HYBRID_NUMBER
from tests.interop.node import VERSIONS, NodeMissing
from tests.interop.peer import Peer, running_peer
from tests.interop.script import ScriptFailed, run_script

SUITES: Final = {"1": (3, 1, 2, 5, 7), "2": (3, PRIVATE_HYBRID_NUMBER, 1, 2, 5, 7)}
"""What both sides have, by major version of ts-mls."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.interop", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, help="how many scripts, whatever the time")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--suite", type=lambda text: int(text, 0))
    parser.add_argument("--version", choices=sorted(VERSIONS))
    said = parser.parse_args()
    deadline = time.monotonic() + 60 * said.minutes
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        try:
            majors = [said.version] if said.version else sorted(VERSIONS)
            peers = [stack.enter_context(running_peer(major)) for major in majors]
        except NodeMissing as error:
            print(error)
            return 1
        for number, (peer, suite, seed) in enumerate(_scripts(peers, said.suite, said.seed)):
            if number >= said.count if said.count is not None else time.monotonic() >= deadline:
                break
            _run(peer, suite, seed, said.steps, counts)
    print(f"seed {said.seed}: {counts['scripts']} scripts, {counts['failures']} failed; of these scripts:")
    for what in sorted(counts):
        print(f"{counts[what]:8}  {what}")
    return 1 if counts["failures"] else 0


def _scripts(peers: list[Peer], suite: int | None, seed: int) -> Iterator[tuple[Peer, int, int]]:
    """Take turns: every version, then the next suite, then the next seed, without end."""
    turn = 0
    while True:
        for peer in peers:
            suites = SUITES[peer.major] if suite is None else (suite,)
            yield peer, suites[turn % len(suites)], seed + turn
        turn += 1


def _run(peer: Peer, suite: int, seed: int, steps: int, counts: "Counter[str]") -> None:
    begun = time.monotonic()
    counts["scripts"] += 1
    try:
        report = run_script(peer, suite=suite, seed=seed, steps=steps)
    except ScriptFailed as error:
        counts["failures"] += 1
        print(f"FAILED {error}", flush=True)
        return
    counts["steps"] += report.steps
    counts[f"scripts with ts-mls {report.version}, suite {suite:#06x}"] += 1
    counts.update({what: number for what, number in report.counts.items() if what != "most members"})
    spent = time.monotonic() - begun
    print(
        f"ts-mls {report.version}, suite {suite:#06x}, seed {seed}: {report.steps} steps, "
        f"{report.counts['epochs compared']} epochs, at most {report.counts['most members']} members, "
        f"{spent:.1f} s",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
