"""A-05, the long form: can the time of a refused login tell why it was refused?

An unknown user, a wrong password, a disabled account and one with too many guesses, the last two with
their right passwords; asked in a random order over one loopback server. For each pair of classes: how
often the best threshold on the time guesses right (chosen on one half of the samples, judged on the
other), and the Kolmogorov-Smirnov statistic with its p. Ends with 1 where a classifier is right more than
55 % of the time, or p is below 0.01 divided by the number of pairs.

    python -m tests.faults.login_timing --samples 10000 --seed 1
"""

import argparse
import asyncio
import itertools
import math
import secrets
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Final

from securechat.server.app import App
from securechat.server.guesses import MAX_GUESSES
from tests.server.peer import Peer, Person, WasRefused, registered
from tests.server.running import UNLIMITED, running_server

MAX_ACCURACY: Final = 0.55
MIN_P: Final = 0.01
WARM_UP: Final = 20


async def refused_after(app: App, person: Person) -> float:
    """Seconds from the question to the no, on a connection of its own."""
    peer = await Peer.connect(app.port)
    began = time.perf_counter()
    try:
        await peer.log_in_with_password(person)
    except WasRefused as refused:
        if refused.code != "wrong_credentials":
            raise
        return time.perf_counter() - began
    finally:
        await peer.close()
    raise AssertionError(f"{person.user} was let in")


async def sample(folder: Path, *, samples: int, seed: int) -> dict[str, list[float]]:
    """So many times of each class, in the order in which they were taken."""
    async with (
        running_server(folder, rates=UNLIMITED) as app,
        registered(app, "alice", "dora", "lea") as [_, (dora, _), (lea, _)],
    ):
        domain, source = app.identity.domain, Random(seed)

        def prepare(user: str, column: str, value: int) -> None:
            app._writer.submit(_Set(user, column, value))

        prepare("dora", "disabled", 1)
        prepare("lea", "failed_logins", MAX_GUESSES)
        prepare("lea", "failed_at", int(time.time()))
        people = {
            "unknown": lambda: Person(f"nobody{source.randrange(10**6)}", domain),
            "wrong": lambda: Person("alice", domain),
            "disabled": lambda: dora,
            "locked": lambda: lea,
        }
        times: dict[str, list[float]] = {name: [] for name in people}
        order = [name for name in people for _ in range(samples + WARM_UP)]
        source.shuffle(order)
        for number, name in enumerate(order):
            if number % 50 == 0:
                prepare("alice", "failed_logins", 0)
            times[name].append(await refused_after(app, people[name]()))
        return {name: taken[WARM_UP:] for name, taken in times.items()}


class _Set:
    """A job that changes an account behind everybody's back."""

    def __init__(self, user: str, column: str, value: int) -> None:
        self._bindings = (value, user)
        self._sql = f"UPDATE account SET {column} = ? WHERE user = ?"  # noqa: S608 - columns of ours

    def run(self, transaction: object) -> None:
        transaction.settle()  # type: ignore[attr-defined]
        transaction.db.execute(self._sql, self._bindings)  # type: ignore[attr-defined]

    def done(self) -> None: ...

    def undone(self, refusal: object) -> None:
        raise AssertionError(refusal)


def accuracy(first: list[float], second: list[float]) -> float:
    """How often a threshold tells the classes apart: learnt on the even samples, judged on the odd ones."""
    learnt = sorted([(each, 0) for each in first[::2]] + [(each, 1) for each in second[::2]])
    firsts, total = len(first[::2]), len(learnt)
    below = [0, 0]
    best, threshold, low_is_first = 0.0, 0.0, True
    for value, kind in learnt:
        below[kind] += 1
        right = below[0] + (total - firsts - below[1])
        for found, way in ((right, True), (total - right, False)):
            if found > best:
                best, threshold, low_is_first = found, value, way
    judged = [(each <= threshold) == low_is_first for each in first[1::2]]
    judged += [(each <= threshold) != low_is_first for each in second[1::2]]
    return sum(judged) / len(judged)


def kolmogorov_smirnov(first: list[float], second: list[float]) -> tuple[float, float]:
    """The largest distance of two samples' distributions, and how likely chance alone makes it so large."""
    ordered = sorted([(each, 0) for each in first] + [(each, 1) for each in second])
    steps = (1 / len(first), -1 / len(second))
    distance = at = 0.0
    for _, kind in ordered:
        at += steps[kind]
        distance = max(distance, abs(at))
    scale = math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    scaled = (scale + 0.12 + 0.11 / scale) * distance
    if scaled < 0.2:
        return distance, 1.0
    terms = (2 * (-1) ** (k - 1) * math.exp(-2 * k * k * scaled * scaled) for k in range(1, 101))
    return distance, min(1.0, max(0.0, sum(terms)))


def judge(times: dict[str, list[float]]) -> bool:
    """Print each pair; whether no pair can be told apart."""
    for name, taken in times.items():
        ordered = sorted(taken)
        middle, high = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
        print(f"{name:<10}{len(taken):>7} samples, median {middle * 1e3:.2f} ms, p99 {high * 1e3:.2f} ms")
    pairs = list(itertools.combinations(times, 2))
    held = True
    for one, other in pairs:
        right = accuracy(times[one], times[other])
        distance, p = kolmogorov_smirnov(times[one], times[other])
        holds = right <= MAX_ACCURACY and p >= MIN_P / len(pairs)
        held = held and holds
        said = "" if holds else "   TOLD APART"
        print(f"{one:<9} {other:<9} classifier {right:.1%}, KS {distance:.4f}, p {p:.3f}{said}")
    return held


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=1_000, help="of each class")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    with tempfile.TemporaryDirectory() as folder:
        times = asyncio.run(sample(Path(folder), samples=asked.samples, seed=asked.seed))
    sys.exit(0 if judge(times) else 1)


if __name__ == "__main__":
    main()
