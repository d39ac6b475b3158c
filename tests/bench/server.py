"""What a message costs the server: `python -m tests.bench.server [--seconds N]`.

The server runs as the command does, on one core; the load generator is another process on the
other. Server CPU is user and system time from /proc, which noise hardly touches. Messages are real
PrivateMessages of real groups, sealed beforehand.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.load import Order

TICK = os.sysconf("SC_CLK_TCK")
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def rss_kib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KIB


@contextmanager
def server(folder: Path, python: list[str]) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [*python, "-m", "securechat", "server", "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--data", str(folder / "data"), "--cert", str(folder / "server.pem")],
        stdout=subprocess.PIPE,
        stderr=(folder / "server.log").open("w"),
        text=True,
    )
    os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    port = 0
    try:
        for line in process.stdout or ():
            if line.startswith("listening on "):
                port = int(line.rsplit(":", 1)[1])
            if line.startswith("ready"):
                break
        yield process, port
    finally:
        process.terminate()
        process.wait(30)


class Load:
    """The load generator; each of its lines is a fact."""

    def __init__(self, order: Order) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.load", json.dumps(vars(order))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def fact(self, phase: str) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        fact: dict[str, Any] = json.loads(line or "{}")
        if fact.get("phase") != phase:
            raise SystemExit(f"the load generator said {line!r}, not {phase}")
        return fact

    def go_on(self) -> None:
        if self._process.stdin:
            self._process.stdin.write("\n")
            self._process.stdin.flush()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def measure(order: Order, *, profile: str) -> None:
    with tempfile.TemporaryDirectory() as folder, server(Path(folder), [sys.executable]) as (process, port):
        order.port = port
        load = Load(order)
        try:
            load.fact("running")
            recorder = _record(process.pid, profile, order.seconds) if profile else None
            seconds = _seconds(process.pid, load, order.seconds)
            delivered, spent = (sum(column) for column in zip(*seconds, strict=True))
            each = sorted(cpu / count * 1e6 for count, cpu in seconds)
            latency = load.fact("latency")
            print(f"{order.pairs} pairs, {order.in_flight} in flight, {order.seconds} s")
            print(f"  delivered            {delivered} ({delivered / order.seconds:.0f}/s)")
            print(f"  server CPU           {spent / delivered * 1e6:.1f} us per delivered message", end=" ")
            print(f"(best second {each[0]:.1f}, median {each[len(each) // 2]:.1f})")
            print(f"  ack latency          p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms")
            if recorder is not None:
                recorder.wait()
            before = rss_kib(process.pid)
            load.go_on()
            idle = load.fact("idle")["connections"]
            if idle:
                each = (rss_kib(process.pid) - before) / idle
                print(f"  idle, logged in      {each:.1f} KiB per connection ({idle})")
            print(f"  server RSS           {rss_kib(process.pid) / 1024:.0f} MiB")
        finally:
            load.end()


def _seconds(pid: int, load: Load, count: int) -> list[tuple[int, float]]:
    """Messages delivered and CPU spent in each second."""
    seconds = []
    before = cpu_seconds(pid)
    for _ in range(count):
        delivered = load.fact("second")["delivered"]
        now = cpu_seconds(pid)
        seconds.append((delivered, now - before))
        before = now
    return seconds


def _record(pid: int, profile: str, seconds: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [
            "py-spy",
            "record",
            "-p",
            str(pid),
            "-d",
            str(seconds),
            "-o",
            profile,
            "-f",
            "raw",
            "-r",
            "400",
            "-t",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--in-flight", type=int, default=16)
    parser.add_argument("--idle", type=int, default=200)
    parser.add_argument("--profile", default="", help="record with py-spy into this file")
    given = parser.parse_args()
    measure(Order(0, given.pairs, given.in_flight, given.seconds, given.idle), profile=given.profile)


if __name__ == "__main__":
    main()
