"""Strangers at the door: `python -m tests.faults.sockets --minutes M --seed S --sockets N --cycles N`.

The server is the real command in a process of its own, the crowd another; two people who have logged in
talk meanwhile, and how long their messages take is the figure that must hold (O-01, O-03, O-04, O-08).
``--only`` picks parts. The exit code is 1 when a figure is missed.
"""

import argparse
import asyncio
import dataclasses
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from securechat.protocol import messages as m
from securechat.protocol.limits import MAX_QUEUED
from securechat.server.certificate import make_certificate
from tests.faults.server_process import ServerProcess
from tests.faults.strangers import Order
from tests.server.peer import Peer, Person, open_room

PAGE_KIB: Final = os.sysconf("SC_PAGE_SIZE") // 1024
CLOSED_WITHIN: Final = 10
"""Seconds; the issue's figure (O-01), as the next ones are."""

EVERY: Final = 0.02
"""Seconds between two messages of the pair that is timed."""

WARM: Final = 6
"""Seconds of talk after which caches have what they want: what comes on top is the strangers'."""

CAPS: Final = """
[connections]
total = 100000
before_login = {sockets}
before_login_per_address = 1000
"""


@dataclass
class Figures:
    """What was measured, and what it may be at most."""

    missed: list[str] = field(default_factory=list)

    def at_most(self, what: str, found: float, limit: float, unit: str) -> None:
        verdict = "ok" if found <= limit else "MISSED"
        if found > limit:
            self.missed.append(what)
        say(f"  {what:<58} {found:>10.2f} {unit:<8} at most {limit:g}: {verdict}")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class Server(ServerProcess):
    """The real command, looked at from outside."""

    def allow(self, sockets: int) -> None:
        """Raise the caps of strangers to so many; before the start."""
        self.settings += CAPS.format(sockets=sockets)

    @property
    def rss(self) -> int:
        """KiB."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE_KIB

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


class Facts:
    """The crowd's process; each of its lines is a fact."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise SystemExit("the crowd's process has ended")
        fact: dict[str, Any] = json.loads(line)
        return fact


@asynccontextmanager
async def crowd(order: Order) -> AsyncIterator[Facts]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.strangers", json.dumps(dataclasses.asdict(order))),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Facts(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


class Pair:
    """Two people who have logged in; one talks, the other hears, and how long that takes is kept."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.people: list[tuple[Person, Peer]] = []
        self._task: asyncio.Task[None] | None = None
        self.seconds: list[float] = []

    async def begin(self, *names: str) -> None:
        for name in names or ("alice", "bob"):
            peer = await Peer.connect(self._server.port)
            assert peer.hello is not None
            person = Person(name, peer.hello.domain)
            await peer.register(person)
            self.people.append((person, peer))
        self._group = (await open_room(*self.people))[0]
        self._sealed = self._group.encrypt(b"x" * 900)

    async def send(self, sealed: bytes | None = None) -> float:
        """Send one message; return the seconds until the last of those who listen has it."""
        _, talks = self.people[0]
        _, hears = self.people[-1]
        began = time.perf_counter()
        answer = await talks.ask(m.SendMessage(self._group.group_id, 1, sealed or self._sealed))
        assert isinstance(answer, m.Appended)
        await hears.until(lambda: bool(hears.pushes) and newest(hears) >= answer.sequence)
        hears.pushes.clear()
        hears.connection.acknowledge([m.Acknowledged(self._group.group_id, answer.sequence)])
        hears.flush()
        return time.perf_counter() - began

    def talk(self) -> None:
        """Talk until ``quiet``."""
        self.seconds = []
        self._task = asyncio.create_task(self._talk())

    async def quiet(self) -> list[float]:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        return sorted(self.seconds)

    async def end(self) -> None:
        for _, peer in self.people:
            peer._writer.transport.abort()

    async def _talk(self) -> None:
        while True:
            self.seconds.append(await self.send())
            await asyncio.sleep(EVERY)


def newest(peer: Peer) -> int:
    return max((entry.sequence for entry in peer.pushed_entries()), default=0)


def p99(seconds: list[float]) -> float:
    """In milliseconds."""
    return seconds[len(seconds) * 99 // 100] * 1_000 if seconds else float("inf")


@asynccontextmanager
async def serving(sockets: int | None, *names: str) -> AsyncIterator[tuple[Server, Pair]]:
    """A server without rates, its caps as they are or raised, and a pair that has logged in."""
    with tempfile.TemporaryDirectory(prefix="securechat-sockets-") as folder:
        server = Server(Path(folder) / "server")
        if sockets is not None:
            server.allow(sockets)
        await server.start()
        pair = Pair(server)
        try:
            await pair.begin(*names)
            yield server, pair
        finally:
            await pair.end()
            await server.end()


# The parts.


async def strangers(given: argparse.Namespace, figures: Figures) -> None:
    """O-01: many sockets that never log in."""
    for kinds in (("silent", "drip"), ("tls", "tls_drip", "tls_frame", "hello")):
        count = given.sockets if "drip" in kinds else given.sockets // 5
        say(f"{count} strangers: {', '.join(kinds)}; caps raised so that all of them stay")
        async with serving(given.sockets) as (server, pair):
            pair.talk()
            await asyncio.sleep(WARM)
            before = server.rss
            async with crowd(Order("crowd", server.port, count, kinds)) as facts:
                opened = await facts.next()
                peak = server.rss
                closed = await facts.next()
            latency = await pair.quiet()
            await asyncio.sleep(6)  # a sweep gives memory back
            for kind, longest in closed["longest"].items():
                figures.at_most(f"until the last was closed: {kind}", longest, CLOSED_WITHIN, "s")
            figures.at_most(
                "never closed, or refused", closed["still_open"] + closed["refused"], 0, "sockets"
            )
            figures.at_most("RSS of each", (peak - before) / max(1, opened["held"]), 64, "KiB")
            figures.at_most("RSS afterwards, of before", server.rss / before * 100, 110, "%")
            figures.at_most("p99 of a pair meanwhile", p99(latency), 250, "ms")


async def newcomers(given: argparse.Namespace, figures: Figures) -> None:
    """O-01: with the caps as they are, people get in while strangers want every place."""
    say(f"{given.sockets} strangers against the usual caps, and people who log in meanwhile")
    async with serving(None, "alice", "bob", "carol") as (server, pair):
        person = pair.people[1][0]
        entered: list[float] = []
        pair.talk()
        order = Order("crowd", server.port, given.sockets, ("silent", "drip", "hello"), sources=2_000)
        async with crowd(order) as facts:
            opened = asyncio.create_task(facts.next())
            while not opened.done() or len(entered) < 5:
                began = time.perf_counter()
                peer = await Peer.connect(server.port)
                await peer.log_in(person)
                entered.append(time.perf_counter() - began)
                await peer.close()
            await opened
            closed = await facts.next()
        latency = await pair.quiet()
        figures.at_most("until the last was closed", max(closed["longest"].values()), CLOSED_WITHIN, "s")
        figures.at_most(f"slowest of {len(entered)} logins meanwhile", max(entered), 5, "s")
        figures.at_most("p99 of a pair meanwhile", p99(latency), 250, "ms")


async def stopped_reader(_given: argparse.Namespace, figures: Figures) -> None:
    """O-03: somebody in a busy group stops reading."""
    say("a reader that stops in a busy group")
    async with serving(None, "alice", "stopped", "bob") as (server, pair):
        large = pair._group.encrypt(b"x" * 60_000)
        calm = sorted([await pair.send(large) for _ in range(200)])
        _, stopped = pair.people[1]
        stopped._writer.transport.pause_reading()  # type: ignore[attr-defined]
        before = peak = server.rss
        busy: list[float] = []
        while "slowly" not in server.log() and len(busy) < 2_000:
            busy.append(await pair.send(large))
            peak = max(peak, server.rss)
        figures.at_most("messages until it was let go", len(busy), 1_999, "messages")
        figures.at_most("bytes it cost, by RSS", (peak - before) / 1024, 2 * MAX_QUEUED / 2**20, "MiB")
        figures.at_most(
            "p99 of the others, of before", p99(sorted(busy)) / max(p99(calm), 20) * 100, 300, "%"
        )


async def logins(given: argparse.Namespace, figures: Figures) -> None:
    """O-04: many login attempts over open connections."""
    seconds = given.minutes * 60
    say(f"1,000 login attempts a second for {seconds:.0f} s, no rates")
    async with serving(5_000) as (server, pair):
        users = [(person.user, person.login_key.private_bytes_raw().hex()) for person, _ in pair.people]
        _, pings = pair.people[0]
        calm = sorted([await ping(pings) for _ in range(250)])
        before = peak = server.rss
        lag: list[float] = []
        order = Order("logins", server.port, 400, seconds=seconds, users=users, seed=given.seed)
        async with crowd(order) as facts:
            done = asyncio.create_task(facts.next())
            while not done.done():
                lag.append(await ping(pings))
                peak = max(peak, server.rss)
            fact = await done
        say(f"  {fact['attempts']} attempts ({fact['attempts'] / fact['seconds']:.0f}/s): {fact['results']}")
        figures.at_most(
            "attempts short of the rate", 1 - fact["attempts"] / (1_000 * fact["seconds"]), 0.05, ""
        )
        figures.at_most("RSS more at the peak", (peak - before) / 1024, 256, "MiB")
        say(f"  p99 of a ping before: {p99(calm):.2f} ms (what this machine does without logins)")
        figures.at_most("p99 of a ping meanwhile", p99(sorted(lag)), 50, "ms")


async def ping(peer: Peer) -> float:
    """How long the server's loop takes to answer, 50 times a second."""
    began = time.perf_counter()
    await peer.ask(m.Ping())
    seconds = time.perf_counter() - began
    await asyncio.sleep(EVERY)
    return seconds


async def come_and_go(given: argparse.Namespace, figures: Figures) -> None:
    """O-08: connections that come and go leave nothing."""
    say(f"{given.cycles} connections that come and go")
    async with serving(None) as (server, _):
        points: list[tuple[int, int]] = []
        descriptors = server.descriptors
        order = Order("cycles", server.port, given.cycles, seed=given.seed)
        async with crowd(order) as facts:
            while (fact := await facts.next())["phase"] == "cycles":
                points.append((fact["done"], server.rss))
        say(f"  {fact['kinds']}")
        await asyncio.sleep(1)
        settled = points[len(points) // 4]
        say("  RSS in KiB: " + " ".join(str(rss) for _, rss in points))
        figures.at_most("refused", fact["kinds"].get("refused", 0), 0, "")
        figures.at_most("RSS at the end, of that after a quarter", server.rss / settled[1] * 100, 101, "%")
        figures.at_most("descriptors more than before", server.descriptors - descriptors, 0, "")


async def renewal(given: argparse.Namespace, figures: Figures) -> None:
    """T-06: SIGHUP with a renewed certificate under many who are logged in."""
    say(f"a renewed certificate under {given.live} who are logged in")
    async with serving(None) as (server, _):
        people: list[tuple[Person, Peer]] = []
        for number in range(given.live):
            peer = await Peer.connect(server.port)
            assert peer.hello is not None
            person = Person(f"user{number}", peer.hello.domain)
            await peer.register(person)
            people.append((person, peer))
            if number % 100 == 99:  # a thousand registrations take longer than a silent line may be
                await answered_by(people)
        answered = 0
        for _ in range(3):
            early = await Peer.connect(server.port)
            make_certificate(server.folder / "fresh.pem")
            (server.folder / "fresh.pem").replace(server.folder / "server.pem")
            os.kill(server.pid, signal.SIGHUP)
            answered += await answered_by(people)
            await early.log_in(people[0][0])
            people[0] = (people[0][0], early)
        newcomer = await Peer.connect(server.port)
        await newcomer.until(lambda: newcomer.hello is not None)
        dropped = 3 * given.live - answered + sum(peer.closed is not None for _, peer in people[1:])
        same = peer_certificate(newcomer) == peer_certificate(people[1][1])
        figures.at_most("dropped, or not answered", dropped, 0, "")
        figures.at_most("newcomers that see an old certificate", int(same), 0, "")
        for _, peer in [*people, (people[0][0], newcomer)]:
            peer._writer.transport.abort()


async def answered_by(people: list[tuple[Person, Peer]]) -> int:
    """How many connections answer."""
    answers = await asyncio.gather(*(peer.ask(m.Ping()) for _, peer in people))
    return answers.count(m.Done())


def peer_certificate(peer: Peer) -> bytes:
    found: bytes = peer._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return found


PARTS: Final[dict[str, Callable[[argparse.Namespace, Figures], Coroutine[Any, Any, None]]]] = {
    "strangers": strangers,
    "newcomers": newcomers,
    "reader": stopped_reader,
    "logins": logins,
    "cycles": come_and_go,
    "renewal": renewal,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="of login attempts")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--sockets", type=int, default=10_000)
    parser.add_argument("--cycles", type=int, default=100_000)
    parser.add_argument("--live", type=int, default=1_000, help="connections over a renewal")
    parser.add_argument("--only", choices=list(PARTS), nargs="*", default=list(PARTS))
    given = parser.parse_args()
    figures = Figures()
    say(f"seed {given.seed}")
    for part in given.only:
        asyncio.run(PARTS[part](given, figures))
    say(f"missed: {', '.join(figures.missed)}" if figures.missed else "every figure holds")
    return 1 if figures.missed else 0


if __name__ == "__main__":
    sys.exit(main())
