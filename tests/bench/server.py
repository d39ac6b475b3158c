"""What a message costs the server: ``python -m tests.bench.server`` (docs/benchmarks.md).

The server runs as its command does, on one core; the load generator is another process on the
other. ``--against`` runs another server on the same work, in turns, and compares the best runs:
what disturbs a run only makes it dearer.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from tests.bench.dialect import DIALECTS, dialect_of
from tests.bench.load import Facts, Order

IDLE: Final = (100, 1_000, 10_000)
MEMBERS: Final = (2, 10, 100, 1_000)


@dataclass(frozen=True)
class Regime:
    """One row of the table: what is done, what is compared, and the goal."""

    what: str
    order: Mapping[str, Any]
    value: str
    unit: str
    goal: str = ""


REGIMES: Final = {
    "16": Regime("16 in flight", {"regime": "closed", "in_flight": 16}, "us_per_message", "us", "1.6 x bare"),
    "1": Regime("1 in flight", {"regime": "closed", "in_flight": 1}, "us_per_message", "us", "1.3 x bare"),
    "rate": Regime("1,000 msg/s", {"regime": "rate", "rate": 1_000}, "us_per_message", "us", "1.3 x bare"),
    "fanout": Regime("fan-out to 200", {"regime": "fanout", "clients": 200}, "us_per_message", "us", "8"),
    "offline": Regime("offline, store and drain", {"regime": "offline"}, "us_per_message", "us", "40"),
    "login": Regime("login", {"regime": "login", "clients": 100}, "ms_per_login", "ms", "1.5"),
    "idle": Regime(
        "idle connection", {"regime": "idle", "clients": 1_000}, "kib_per_connection", "KiB", "30"
    ),
}


def run(name: str, order: Order, profile: str = "") -> Facts:
    """Start a server, let the load generator do one regime on it, return what was found."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        clients = max(order.clients, 2 * order.pairs)
        with dialect_of(name).serve(Path(folder), clients) as serving:
            order = replace(order, dialect=name, pid=serving.pid, port=serving.port)
            command = [sys.executable, "-m", "tests.bench.load", json.dumps(asdict(order))]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
                try:
                    return _facts(load, order, profile)
                except ValueError:
                    raise SystemExit(
                        f"{name}: the load generator failed; {_last_lines(Path(folder))}"
                    ) from None
                finally:
                    load.kill()


def _facts(load: "subprocess.Popen[str]", order: Order, profile: str) -> Facts:
    recorder = None
    for line in load.stdout or ():
        facts: dict[str, float | str] = json.loads(line)
        if facts.pop("phase") == "running":
            recorder = _record(order, profile) if profile else None
            continue
        if recorder is not None:
            recorder.wait()
        return {key: float(value) for key, value in facts.items()}
    raise ValueError("no result")


def _last_lines(folder: Path) -> str:
    log = folder / "log"
    return log.read_text(encoding="utf-8", errors="replace")[-2_000:] if log.exists() else "it has no log"


def _record(order: Order, profile: str) -> "subprocess.Popen[bytes]":
    options = ["-d", str(int(order.seconds)), "-o", profile, "-f", "raw", "-r", "400", "-t"]
    return subprocess.Popen(["py-spy", "record", "-p", str(order.pid), *options])


def compare(key: str, names: list[str], order: Order, runs: int) -> None:
    """Run a regime on each server in turns, and print the best of each."""
    regime = REGIMES[key]
    for name in [name for name in names if regime.order["regime"] in dialect_of(name).lacks]:
        print(f"{regime.what:<26}{name:<11}{'-':>9}")
    names = [name for name in names if regime.order["regime"] not in dialect_of(name).lacks]
    if not names:
        return
    found: dict[str, list[Facts]] = {name: [] for name in names}
    for _ in range(runs):
        for name in names:
            found[name].append(run(name, replace(order, **regime.order)))
    best = {name: min(facts, key=lambda each: each[regime.value]) for name, facts in found.items()}
    for name in names:
        values = sorted(facts[regime.value] for facts in found[name])
        others = ", ".join(
            f"{what} {_short(value)}" for what, value in best[name].items() if what != regime.value
        )
        print(f"{regime.what:<26}{name:<11}{best[name][regime.value]:>9.1f} {regime.unit:<4}", end="")
        print(f" median {values[len(values) // 2]:.1f}; {others}")
    for name in names[1:]:
        ratio = best[names[0]][regime.value] / max(best[name][regime.value], 1e-9)
        print(f"{regime.what:<26}{names[0]} / {name}: {ratio:.2f}   (goal {regime.goal})")
    sys.stdout.flush()


def growth(name: str, order: Order) -> None:
    """How cost grows with connections that are idle, and with the members of a room."""
    for clients in IDLE:
        facts = run(name, replace(order, regime="idle", clients=clients))
        print(f"{clients:>6,} idle connections   {_all(facts)}", flush=True)
    for clients in MEMBERS:
        facts = run(name, replace(order, regime="fanout", clients=clients))
        print(f"{clients:>6,} members of a room  {_all(facts)}", flush=True)


def _all(facts: Facts) -> str:
    return ", ".join(f"{what} {_short(value)}" for what, value in facts.items())


def _short(value: float) -> str:
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.server", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument(
        "--regime", action="append", choices=list(REGIMES), help="all of them, if none is named"
    )
    parser.add_argument("--against", action="append", choices=DIALECTS[1:], default=[])
    parser.add_argument("--alone", choices=DIALECTS, help="measure this one instead of ours")
    parser.add_argument("--growth", action="store_true", help="more and more clients instead of regimes")
    parser.add_argument("--profile", default="", help="record with py-spy into this file")
    given = parser.parse_args()
    names = [given.alone] if given.alone else ["ours", *given.against]
    order = Order(dialect="", regime="", seconds=given.seconds, pairs=given.pairs)
    if given.growth:
        growth(names[0], order)
        return
    for key in given.regime or REGIMES:
        if given.profile:
            print(run(names[0], replace(order, **REGIMES[key].order), given.profile))
        else:
            compare(key, names, order, given.runs)


if __name__ == "__main__":
    main()
