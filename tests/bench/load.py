"""The load generator of the server's bench: a process of its own, on a core of its own."""

import asyncio
import itertools
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

import msgspec

from securechat.membership.room import Kind
from securechat.mls.staging import CommitPlan
from securechat.protocol.frames import FrameReader, decode_server_frame, encode_frame, encode_value
from securechat.protocol.messages import (
    Acknowledge,
    Acknowledged,
    Delivered,
    Goodbye,
    Refused,
    Request,
    Response,
    SendMessage,
)
from tests.server.peer import Peer, Person, claim, client_context, create_request, publish

MESSAGE_BYTES: Final = 1_000
SEALED: Final = 32
"""Messages sealed beforehand per pair; the server does not tell them apart."""


@dataclass
class Order:
    """What the bench asks of this process, as JSON in its arguments."""

    port: int
    pairs: int
    in_flight: int
    seconds: int
    idle: int


class Talker:
    """Sends one pair's messages, keeping so many in flight, or receives them."""

    def __init__(self, transport: asyncio.WriteTransport, first_request: int, first_name: int) -> None:
        self.transport = transport
        self.reader = FrameReader(1 << 20)
        self.request = first_request
        self.name = first_name
        self.sent_at: dict[int, float] = {}
        self.answered = 0
        self.delivered = 0
        self.latencies: list[float] = []
        self.bodies: Iterator[msgspec.Raw] | None = None
        self.running = True

    def send(self, count: int) -> None:
        if self.bodies is None or not self.running:
            return
        frames = []
        now = time.perf_counter()
        for _ in range(count):
            self.request += 1
            self.name += 1
            self.sent_at[self.request] = now
            frames.append(encode_frame(Request(self.request, next(self.bodies), self.name)))
        self.transport.write(b"".join(frames))

    def received(self, data: bytes) -> None:
        payloads, error = self.reader.receive(data)
        if error is not None:
            raise error
        answered, last = 0, None
        for payload in payloads:
            frame = decode_server_frame(payload)
            match frame:
                case Response():
                    answered += 1
                    self.latencies.append(time.perf_counter() - self.sent_at.pop(frame.id))
                case Delivered():
                    self.delivered += len(frame.entries)
                    last = Acknowledged(frame.group, frame.entries[-1].sequence)
                case Refused() | Goodbye():
                    raise ConnectionError(str(frame))
                case _:
                    pass
        self.answered += answered
        if answered:
            self.send(answered)
        if last is not None:
            self.transport.write(encode_frame(Acknowledge([last])))


async def talker_of(peer: Peer) -> Talker:
    """Take a connection over from its slow, careful peer."""
    peer._task.cancel()
    await asyncio.wait([peer._task])
    transport = cast("asyncio.Transport", peer._writer.transport)
    talker = Talker(transport, peer.connection._last_id, peer.name)
    transport.set_protocol(_Fast(talker))
    if not transport.is_reading():
        transport.resume_reading()
    return talker


class _Fast(asyncio.Protocol):
    def __init__(self, talker: Talker) -> None:
        self._talker = talker

    def data_received(self, data: bytes) -> None:
        self._talker.received(data)


async def pair(port: int, number: int) -> tuple[Talker, Talker]:
    """Two people with a conversation, and their fast connections."""
    peers = [await Peer.connect(port), await Peer.connect(port)]
    domain = peers[0].hello.domain if peers[0].hello else ""
    people = [Person(f"a{number}", domain), Person(f"b{number}", domain)]
    for person, peer in zip(people, peers, strict=True):
        await peer.register(person)
    await publish(peers[1], people[1])
    group = people[0].group(Kind.DIRECT)
    first = group.stage_commit(CommitPlan(add=(await claim(peers[0], people[1].user),)))
    await peers[0].ask(create_request(group, first))
    group.merge(first)
    overhead = len(group.encrypt(b""))
    bodies = [
        msgspec.Raw(
            encode_value(
                SendMessage(group.group_id, 1, group.encrypt(secrets.token_bytes(MESSAGE_BYTES - overhead)))
            )
        )
        for _ in range(SEALED)
    ]
    sender, receiver = await talker_of(peers[0]), await talker_of(peers[1])
    sender.bodies = itertools.cycle(bodies)
    return sender, receiver


def say(**facts: object) -> None:
    print(json.dumps(facts), flush=True)


async def wait_for_line() -> None:
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


async def main(order: Order) -> None:
    client_context()
    pairs = [await pair(order.port, number) for number in range(order.pairs)]
    for sender, _ in pairs:
        sender.send(order.in_flight)
    await asyncio.sleep(1)
    before = sum(receiver.delivered for _, receiver in pairs)
    for sender, _ in pairs:
        sender.latencies.clear()
    say(phase="running")
    for _ in range(order.seconds):
        await asyncio.sleep(1)
        now = sum(receiver.delivered for _, receiver in pairs)
        say(phase="second", delivered=now - before)
        before = now
    for sender, _ in pairs:
        sender.running = False
    latencies = sorted(itertools.chain.from_iterable(sender.latencies for sender, _ in pairs))
    say(
        phase="latency",
        p50=latencies[len(latencies) // 2] * 1e3,
        p99=latencies[len(latencies) * 99 // 100] * 1e3,
    )
    await wait_for_line()
    idle = []
    for number in range(order.idle):
        peer = await Peer.connect(order.port)
        await peer.register(Person(f"i{number}", peer.hello.domain if peer.hello else ""))
        idle.append(peer)
    say(phase="idle", connections=len(idle))
    await wait_for_line()


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    asyncio.run(main(Order(**json.loads(sys.argv[1]))))
