"""What a large key log costs a running server: ``python -m tests.bench.key_log_wire [--accounts N]``.

The real command in a process of its own, over TLS. N accounts with their entries are put into its database
as `tests/bench/key_log.py` does; then it is started ``--starts`` times, somebody registers, and looks people
up one after the other.
Times of the clock are those of this machine as it is; CPU time is the server process's own.
"""

import argparse
import asyncio
import os
import random
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from securechat.cli.demo_server import DemoServer
from securechat.membership.signing import new_key
from securechat.protocol.messages import GetTreeHead, LogSearched, SearchLog, TreeHeadOffered
from securechat.server.store.sqlite import open_database
from tests.bench.key_log import fill, show
from tests.server.peer import Peer, Person

LOOK_UPS: Final = 500
TICK: Final = 1000 / os.sysconf("SC_CLK_TCK")
"""Milliseconds of CPU time that the system counts by."""


@dataclass
class Found:
    ready: list[float] = field(default_factory=list)
    computed: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)


def spent(pid: int) -> float:
    """Milliseconds of CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK


def resident(pid: int) -> float:
    """MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def pid_of(server: DemoServer) -> int:
    process = server._process
    assert process is not None
    return process.pid


async def start(server: DemoServer, found: Found) -> None:
    began = time.monotonic()
    await server.start()
    found.ready.append(1000 * (time.monotonic() - began))
    found.computed.append(spent(pid_of(server)))
    found.memory.append(resident(pid_of(server)))


async def look_up(server: DemoServer, count: int) -> None:
    """Ask for a head, register, and look up people anywhere in the log."""
    peer = await Peer.connect(server.port)
    assert peer.hello is not None
    before, began = spent(pid_of(server)), time.monotonic()
    offered = await peer.ask(GetTreeHead())
    assert isinstance(offered, TreeHeadOffered)
    show("the first head: signed, with its proof", [1000 * (time.monotonic() - began)], "ms")
    show("... CPU of the server", [spent(pid_of(server)) - before], "ms")
    await peer.register(Person("alice", peer.hello.domain))
    await peer.ask(SearchLog("alice", after=0))  # the head over her entry is signed for this one
    source, took, proofs, whole = random.Random(1), [], [], []
    before = spent(pid_of(server))
    for _ in range(LOOK_UPS):
        began = time.monotonic()
        answer = await peer.ask(SearchLog(f"user{source.randrange(count)}"))
        took.append(1000 * (time.monotonic() - began))
        assert isinstance(answer, LogSearched)
        proofs.append(float(len(answer.answer)))
        whole.append(float(len(answer.answer) + len(answer.offer) + len(answer.statement)))
    computed = (spent(pid_of(server)) - before) / LOOK_UPS
    show("a look-up: the proof", proofs, "B", "goal: 2,000")
    show("a look-up: with head and statement", whole, "B")
    show("a look-up: asked until answered", took, "ms")
    show("a look-up: CPU of the server, all of it", [computed], "ms")
    await peer.close()


async def measure(folder: Path, count: int, starts: int) -> None:
    server, empty, full = DemoServer(folder / "server"), Found(), Found()
    for _ in range(starts):
        await start(server, empty)
        await server.stop()
    statement = Person("user", "chat.example", account_key=new_key()).statement
    path, began = folder / "server" / "data" / "server.db", time.process_time()
    with closing(open_database(path)) as db, db:
        fill(db, count, statement)
    print(f"{count:,} accounts recorded in {time.process_time() - began:.1f} s: ", end="")
    print(f"{path.stat().st_size / 1e6:,.1f} MB\n{'':<48} {'median':>9} {'worst':>9}")
    for _ in range(starts):
        await start(server, full)
        if len(full.ready) < starts:
            await server.stop()
    for what, values in ((f"with {count:,} accounts", full), ("with none", empty)):
        show(f"start {what}: until it is ready", values.ready, "ms", "goal: 2,000")
        show("... CPU of the server", values.computed, "ms")
        show("... its memory", values.memory, "MiB")
    await look_up(server, count)
    await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--starts", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), given.accounts, given.starts))


if __name__ == "__main__":
    main()
