"""NATS JetStream: one stream in a file store, a durable push consumer per client, acknowledged both ways.

The server says when it has taken a message; it syncs its files every two minutes. A consumer
acknowledges all that came in one read at once, which is the cheapest it offers.
"""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.bench.dialect import Serving, context_for
from tests.bench.line import Heard, Line, Taken
from tests.bench.peers.nats import MESSAGE_BYTES, nats_server

STREAM: Final = "BENCH"
ROOM: Final = "room"
HELLO: Final = b'CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\n'
ANSWERS, DELIVERIES = b"1", b"2"
"""Subscriptions: what the server answers, and what a consumer brings."""


class JetWire:
    def __init__(self, name: str, to: str) -> None:
        self.name = name
        head = f"PUB m.{to} _INBOX.{name} {MESSAGE_BYTES}\r\n"
        self._publish = head.encode() + b"x" * MESSAGE_BYTES + b"\r\n"
        self._rest = b""

    def message(self) -> bytes:
        return self._publish

    def take(self, data: bytes) -> Taken:
        data = self._rest + data
        position = acknowledged = delivered = 0
        reply, last = b"", b""
        while (end := data.find(b"\r\n", position)) >= 0:
            words = data[position:end].split()
            following = end + 2
            if words and words[0] == b"MSG":
                following += int(words[-1]) + 2
                if following > len(data):
                    break
                if words[2] == ANSWERS:
                    acknowledged += 1
                    _check(data[end + 2 : following])
                else:
                    delivered += 1
                    last = words[3]
            elif words and words[0] == b"PING":
                reply += b"PONG\r\n"
            elif words and words[0] == b"-ERR":
                raise ConnectionError(data[position:end].decode())
            position = following
        self._rest = data[position:]
        if last:
            reply += b"PUB " + last + b" 0\r\n\r\n"
        return Taken(acknowledged, delivered, reply)


def _check(answer: bytes) -> None:
    if b'"error"' in answer:
        raise ConnectionError(answer.decode())


async def _ask(line: Line, subject: str, question: dict[str, Any]) -> None:
    """Something of the server's own interface, before the line has its wire."""
    body = json.dumps(question)
    line.write(f"PUB $JS.API.{subject} _INBOX.api {len(body)}\r\n{body}\r\n".encode())
    answer = b""
    while b"MSG _INBOX.api" not in answer or not answer.endswith(b"}\r\n"):
        part = await line.read()
        if not part:
            raise ConnectionError("the server hung up")
        answer += part
    _check(answer)


async def _consumer(line: Line, name: str, subject: str) -> None:
    """A durable consumer that pushes what a subject gets to one client."""
    config = {
        "durable_name": name,
        "deliver_subject": f"d.{name}",
        "filter_subject": f"m.{subject}",
        "ack_policy": "all",
        "deliver_policy": "all",
    }
    await _ask(line, f"CONSUMER.DURABLE.CREATE.{STREAM}.{name}", {"stream_name": STREAM, "config": config})


async def _administrator(port: int) -> Line:
    line = await Line.connect(port, context_for())
    await line.read()  # INFO
    line.write(HELLO + b"SUB _INBOX.api 1\r\n")
    return line


async def _prepare(port: int, clients: int) -> None:
    """The stream, and a consumer for everybody: what stands for accounts made beforehand."""
    line = await _administrator(port)
    stream = {"name": STREAM, "subjects": ["m.>"], "storage": "file", "retention": "limits"}
    await _ask(line, f"STREAM.CREATE.{STREAM}", stream)
    for number in range(clients):
        await _consumer(line, f"u{number}", f"u{number}")
    line.close()


async def _open(port: int, name: str, to: str, heard: Heard | None = None) -> Line:
    line = await Line.connect(port, context_for())
    await line.read()  # INFO
    line.write(HELLO + f"SUB _INBOX.{name} 1\r\nSUB d.{name} 2\r\nPING\r\n".encode())
    came = b""
    while b"PONG\r\n" not in came:
        came += await line.read()
    if after := came.split(b"PONG\r\n", 1)[1]:  # what waited comes at once
        line.early(after)
    if heard is not None:
        line.heard = heard
    line.speak(JetWire(name, to))
    return line


class JetStream:
    acknowledges = True
    lacks: frozenset[str] = frozenset()

    def __init__(self, syncs: str) -> None:
        """How often it syncs its files: "2m", as it comes, or "always"."""
        self._syncs = syncs

    @contextmanager
    def serve(self, folder: Path, clients: int) -> Iterator[Serving]:
        store = f'store_dir: "{folder}/jetstream", sync_interval: {self._syncs}'
        with nats_server(folder, f"jetstream {{ {store} }}") as serving:
            asyncio.run(_prepare(serving.port, clients))
            yield serving

    async def log_in(self, port: int, number: int) -> Line:
        return await _open(port, f"u{number}", f"u{number ^ 1}")

    def keep_alive(self, line: Line) -> None:
        """Nothing: it lets the silent be."""

    async def pairs(self, port: int, count: int) -> list[tuple[Line, Line]]:
        lines = [await self.log_in(port, number) for number in range(2 * count)]
        return list(zip(lines[::2], lines[1::2], strict=True))

    async def room(self, port: int, size: int) -> list[Line]:
        administrator = await _administrator(port)
        for number in range(1, size):
            await _consumer(administrator, f"{ROOM}{number}", ROOM)
        administrator.close()
        return [await _open(port, f"{ROOM}{number}", ROOM) for number in range(size)]

    async def leave(self, receiver: Line) -> None:
        receiver.close()

    async def drain(self, port: int, receiver: Line) -> Line:
        assert isinstance(receiver.wire, JetWire)
        return await _open(port, receiver.wire.name, "nobody", receiver.heard)


DIALECT: Final = JetStream("2m")
