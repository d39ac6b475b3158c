"""The load generator of the server's bench: a process of its own, on a core of its own.

One regime per process. What is counted is done by the client's end: a message counts when it has
been delivered. CPU is the server's user and system time from /proc, which noise hardly touches.
"""

import asyncio
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securechat.protocol.limits import PING_AFTER
from tests.bench.dialect import Dialect, dialect_of
from tests.bench.line import Line, Taken

_TICK: Final = os.sysconf("SC_CLK_TCK")
_PAGE_KIB: Final = os.sysconf("SC_PAGE_SIZE") // 1024
STILL_SECONDS: Final = 60.0
"""Nothing came for so long: what is waited for will not come."""

AT_ONCE: Final = 20
"""Logins under way at a time."""


@dataclass(kw_only=True)
class Order:
    """What the bench asks of this process, as JSON in its arguments."""

    dialect: str
    regime: str
    pid: int = 0
    port: int = 0
    seconds: float = 5.0
    warm: float = 1.0
    """Seconds before what is measured begins, or that what was begun has to end."""
    pairs: int = 50
    in_flight: int = 16
    rate: int = 1_000
    clients: int = 100
    """Members of the room, logins, idle connections."""
    messages: int = 200
    """Each receiver's, while it is away."""


Facts = dict[str, float]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def rss_kib(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_KIB


class Count:
    """Everything that came, and how long it took."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.delivered = 0
        self.latencies: list[float] = []
        self.changed = asyncio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(STILL_SECONDS):
            while not holds():
                self.changed.clear()
                await self.changed.wait()


class Pair:
    """One who sends and one who receives, with so many messages on the way; 0 in flight: sends when told."""

    def __init__(
        self, sender: Line, receiver: Line, count: Count, *, in_flight: int, acknowledges: bool
    ) -> None:
        self.sender = sender
        self.receiver = receiver
        self._count = count
        self._in_flight = in_flight
        self._acknowledges = acknowledges
        self.left = sys.maxsize
        sender.heard = self._sender_heard
        receiver.heard = self._receiver_heard

    def begin(self) -> None:
        self._say(self._in_flight)

    def _say(self, count: int) -> None:
        count = min(count, self.left)
        if count:
            self.left -= count
            self.sender.say(count)

    def _sender_heard(self, _line: Line, taken: Taken) -> None:
        self._count.acknowledged += taken.acknowledged
        if self._acknowledges and self._in_flight and taken.acknowledged:
            self._say(taken.acknowledged)
        self._count.changed.set()

    def _receiver_heard(self, _line: Line, taken: Taken) -> None:
        now, sent, count = time.perf_counter(), self.sender.sent, self._count
        count.delivered += taken.delivered
        for _ in range(min(taken.delivered, len(sent))):
            count.latencies.append(now - sent.popleft())
        if not self._acknowledges and self._in_flight and taken.delivered:
            self._say(taken.delivered)
        count.changed.set()


async def _pairs(dialect: Dialect, order: Order, in_flight: int) -> tuple[list[Pair], Count]:
    count = Count()
    lines = await dialect.pairs(order.port, order.pairs)
    acknowledges = dialect.acknowledges
    return [Pair(*two, count, in_flight=in_flight, acknowledges=acknowledges) for two in lines], count


async def _measured(order: Order, count: Count) -> Facts:
    """Wait and count; the pairs are at work."""
    await asyncio.sleep(order.warm)
    say(phase="running")
    count.latencies.clear()
    before, begun, spent = count.delivered, time.perf_counter(), cpu_seconds(order.pid)
    await asyncio.sleep(order.seconds)
    delivered, cpu = count.delivered - before, cpu_seconds(order.pid) - spent
    return {
        "delivered": delivered,
        "per_second": delivered / (time.perf_counter() - begun),
        "us_per_message": cpu / max(1, delivered) * 1e6,
        **_percentiles(count.latencies),
    }


def _percentiles(latencies: list[float]) -> Facts:
    ordered = sorted(latencies) or [0.0]
    return {
        "p50_ms": ordered[len(ordered) // 2] * 1e3,
        "p99_ms": ordered[len(ordered) * 99 // 100] * 1e3,
    }


async def closed_loop(dialect: Dialect, order: Order) -> Facts:
    """Each sender keeps so many messages on the way."""
    pairs, count = await _pairs(dialect, order, order.in_flight)
    for pair in pairs:
        pair.begin()
    return await _measured(order, count)


async def fixed_rate(dialect: Dialect, order: Order) -> Facts:
    """So many messages a second, evenly, whatever comes back; the pairs take turns."""
    pairs, count = await _pairs(dialect, order, 0)
    loop, turn = asyncio.get_running_loop(), itertools.cycle(pairs)
    due = loop.time()

    def send() -> None:
        nonlocal due
        while due <= loop.time():
            next(turn).sender.say()
            due += 1 / order.rate
        loop.call_at(due, send)

    send()
    return await _measured(order, count)


async def fan_out(dialect: Dialect, order: Order) -> Facts:
    """One speaks, everybody else hears it."""
    speaker, *others = await dialect.room(order.port, order.clients)
    count = Count()
    pair = Pair(speaker, others[0], count, in_flight=order.in_flight, acknowledges=dialect.acknowledges)
    for line in others[1:]:
        line.heard = lambda _line, taken: _more(count, taken)
    pair.begin()
    return await _measured(order, count)


def _more(count: Count, taken: Taken) -> None:
    count.delivered += taken.delivered


async def offline(dialect: Dialect, order: Order) -> Facts:
    """Messages for people who are away, and their return."""
    pairs, count = await _pairs(dialect, order, order.in_flight)
    for pair in pairs:
        await dialect.leave(pair.receiver)
    await asyncio.sleep(order.warm)
    say(phase="running")
    spent, total = cpu_seconds(order.pid), order.messages * order.pairs
    for pair in pairs:
        pair.left = order.messages
        pair.begin()
        if not dialect.acknowledges:
            pair._say(order.messages)
    if dialect.acknowledges:
        await count.until(lambda: count.acknowledged >= total)
    else:
        await _until_idle(order)
    stored = cpu_seconds(order.pid)
    for pair in pairs:
        receiver = await dialect.drain(order.port, pair.receiver)
        receiver.heard = pair.receiver.heard
    await count.until(lambda: count.delivered >= total)
    await asyncio.sleep(order.warm)  # the last acknowledgements
    drained = cpu_seconds(order.pid)
    return {
        "delivered": count.delivered,
        "us_per_message": (drained - spent) / total * 1e6,
        "us_to_store": (stored - spent) / total * 1e6,
        "us_to_drain": (drained - stored) / total * 1e6,
    }


async def _until_idle(order: Order) -> None:
    """Wait until a server that acknowledges nothing has nothing more to do."""
    before = -1.0
    while (now := cpu_seconds(order.pid)) - before > 0.02:
        before = now
        await asyncio.sleep(order.warm)


async def logins(dialect: Dialect, order: Order) -> Facts:
    """Known clients come and go: TCP, TLS and login, one after the other."""
    for number in range(min(50, order.clients)):
        (await dialect.log_in(order.port, number)).close()
    say(phase="running")
    spent, done = cpu_seconds(order.pid), 0
    begun = time.perf_counter()
    while time.perf_counter() - begun < order.seconds:
        lines = await asyncio.gather(
            *[dialect.log_in(order.port, (done + each) % order.clients) for each in range(4)]
        )
        done += len(lines)
        for line in lines:
            line.close()
    await asyncio.sleep(0.2)
    return {"logins": done, "ms_per_login": (cpu_seconds(order.pid) - spent) / done * 1e3}


async def idle(dialect: Dialect, order: Order) -> Facts:
    """Connections that have logged in and say nothing: what they hold, and what they cost."""
    for number in range(min(AT_ONCE, order.clients)):
        (await dialect.log_in(order.port, number)).close()
    await asyncio.sleep(order.warm)
    before = rss_kib(order.pid)
    lines: list[Line] = []
    alive = asyncio.create_task(_keep_alive(dialect, lines))
    for start in range(0, order.clients, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, order.clients))
        lines += await asyncio.gather(*[dialect.log_in(order.port, number) for number in numbers])
    await asyncio.sleep(order.warm)
    say(phase="running")
    spent, after = cpu_seconds(order.pid), rss_kib(order.pid)
    await asyncio.sleep(order.seconds)
    alive.cancel()
    return {
        "connections": sum(not line.ended for line in lines),
        "kib_per_connection": (after - before) / len(lines),
        "rss_mib": after / 1024,
        "idle_cpu_percent": (cpu_seconds(order.pid) - spent) / order.seconds * 100,
    }


async def _keep_alive(dialect: Dialect, lines: list[Line]) -> None:
    while True:
        await asyncio.sleep(PING_AFTER)
        for line in lines:
            dialect.keep_alive(line)


REGIMES: Final[dict[str, Callable[[Dialect, Order], Coroutine[None, None, Facts]]]] = {
    "closed": closed_loop,
    "rate": fixed_rate,
    "fanout": fan_out,
    "offline": offline,
    "login": logins,
    "idle": idle,
}


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


def main(arguments: Iterable[str]) -> None:
    (text,) = arguments
    order = Order(**json.loads(text))
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    say(phase="result", **asyncio.run(REGIMES[order.regime](dialect_of(order.dialect), order)))


if __name__ == "__main__":
    main(sys.argv[1:])
