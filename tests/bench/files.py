"""A large file up and down: ``python -m tests.bench.files [--mib N]`` (docs/benchmarks.md).

The server is the real command; the sender and the receiver are processes of their own, one after the
other. Each says something to the other every 50 ms over the connection that the file takes, first alone, then
beside the file, and notes how long the server's word took. Memory is what each process has, looked at
every 50 ms.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from securechat.client.client import Client
from securechat.client.config import Home, ServerAddress
from securechat.client.events import Message
from securechat.client.registration import register
from securechat.client.trust import Trust
from tests.faults.power_client import cheap_passwords
from tests.faults.server_process import ServerProcess

EVERY: Final = 0.05
ALONE: Final = 5.0
"""Seconds of messages before the file."""

PASSWORD: Final = "a password for benchmarks"
TRUST: Final = Trust(accept_new=True)


def resident(pid: int | str = "self") -> int:
    """MiB of a process now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 >> 20


class Watch:
    """The most memory a process had."""

    def __init__(self, pid: int | str = "self") -> None:
        self._pid = pid
        self.before = self.most = resident(pid)

    async def run(self) -> None:
        while True:
            self.most = max(self.most, resident(self._pid))
            await asyncio.sleep(EVERY)


async def talk(client: Client, to: str, times: list[float]) -> None:
    """Say something every now and then; note the seconds until the server has it on disk."""
    while True:
        began = time.perf_counter()
        message: Message = await client.send(to, "meanwhile")
        await client.acknowledged(message.local_id, 60)
        times.append(time.perf_counter() - began)
        await asyncio.sleep(EVERY)


async def measured(client: Client, to: str, work: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    alone: list[float] = []
    talking = asyncio.create_task(talk(client, to, alone))
    await asyncio.sleep(ALONE)
    talking.cancel()
    await asyncio.gather(talking, return_exceptions=True)
    watch, beside = Watch(), list[float]()
    others = [asyncio.create_task(talk(client, to, beside)), asyncio.create_task(watch.run())]
    began = time.perf_counter()
    await work()
    seconds = time.perf_counter() - began
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return {
        "seconds": seconds,
        "cpu": time.process_time(),
        "before": watch.before,
        "most": watch.most,
        "alone": quantiles(alone),
        "beside": quantiles(beside),
    }


def quantiles(times: list[float]) -> list[float]:
    """Milliseconds: half, all but one in a hundred, and how many there were."""
    ordered = sorted(times) or [0.0]
    return [
        round(1000 * ordered[len(ordered) // 2], 1),
        round(1000 * ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 1),
        len(times),
    ]


async def one_side(folder: Path, port: int, user: str, *, path: str) -> None:
    """A process of its own: send the file, or fetch the one that came."""
    home = Home(folder / user)
    client = await Client.open(home, user, PASSWORD, trust=TRUST, server=ServerAddress("127.0.0.1", port))
    async with client:
        await client.caught_up()
        if user == "alice":
            found = await measured(client, "@bob", lambda: client.send_file("@bob", path))
            await client.drained(60)
        else:
            which = next(message.id for message in client.messages("@alice", 1000) if message.file)
            found = await measured(client, "@alice", lambda: client.fetch_file(which, to=path))
    print(json.dumps(found), flush=True)


async def bench(folder: Path, mib: int) -> None:
    server = ServerProcess(folder / "server")
    await server.start()
    try:
        address = ServerAddress("127.0.0.1", server.port)
        for user in ("alice", "bob"):
            await register(Home(folder / user), address, user, PASSWORD, TRUST)
        path = folder / "large.bin"
        with path.open("wb") as large:
            large.truncate(mib << 20)
        watch = Watch(server.pid)
        watching = asyncio.create_task(watch.run())
        for user, given in (("alice", str(path)), ("bob", str(folder / "downloads"))):
            used = cpu_of(server.pid)
            found = await in_a_process(folder, server.port, user, given)
            tell(user, mib, found, cpu_of(server.pid) - used)
        watching.cancel()
        print(f"server: {watch.before} MiB of memory before, {watch.most} MiB at most")
    finally:
        await server.kill()


async def in_a_process(folder: Path, port: int, user: str, path: str) -> dict[str, Any]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.files", "--side", user),
        *("--folder", str(folder), "--port", str(port), "--path", path),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await child.communicate()
    found: dict[str, Any] = json.loads(out)
    return found


def cpu_of(pid: int) -> float:
    """Seconds of user and system time (`man 5 proc`)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def tell(user: str, mib: int, found: dict[str, Any], server_cpu: float) -> None:
    verb = "up" if user == "alice" else "down"
    print(
        f"{mib} MiB {verb}: {found['seconds']:.1f} s, {mib / found['seconds']:.0f} MiB/s; "
        f"CPU: client {found['cpu']:.1f} s, server {server_cpu:.1f} s; "
        f"client's memory {found['before']} MiB before, {found['most']} MiB at most"
    )
    for when, (half, most, count) in (("alone", found["alone"]), ("beside it", found["beside"])):
        print(f"  messages {when}: p50 {half} ms, p99 {most} ms, of {count}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.files", description=__doc__)
    parser.add_argument("--mib", type=int, default=1024, help="size of the file")
    parser.add_argument("--side", default="", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--path", default="", help=argparse.SUPPRESS)
    given = parser.parse_args()
    with cheap_passwords():
        if given.side:
            asyncio.run(one_side(given.folder, given.port, given.side, path=given.path))
        else:
            with tempfile.TemporaryDirectory(prefix="bench-files-") as folder:
                asyncio.run(bench(Path(folder), given.mib))


if __name__ == "__main__":
    main()
