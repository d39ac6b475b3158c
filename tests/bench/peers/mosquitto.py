"""Mosquitto: MQTT 3.1.1, QoS 1 in both directions, persistent sessions, a topic per client."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.dialect import Serving, context_for, make_certificate, process
from tests.bench.line import Heard, Line, Taken
from tests.bench.packages import free_port, surroundings, unpacked, wait_for

MESSAGE_BYTES: Final = 1_000
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE = 0x10, 0x20, 0x32, 0x40, 0x82
ROOM: Final = "room"

CONFIGURATION: Final = """
listener {port} 127.0.0.1
certfile {folder}/cert.pem
keyfile {folder}/key.pem
tls_version tlsv1.3
allow_anonymous true
set_tcp_nodelay true
persistence true
persistence_location {folder}/
max_queued_messages 0
user root
"""


def packet(kind: int, body: bytes) -> bytes:
    length, rest = b"", len(body)
    while True:
        rest, digit = divmod(rest, 128)[0], rest % 128
        length += bytes([digit | (0x80 if rest else 0)])
        if not rest:
            return bytes([kind]) + length + body


def text(value: str) -> bytes:
    return struct.pack(">H", len(value)) + value.encode()


class MqttWire:
    def __init__(self, to: str, number: int) -> None:
        self._topic = text(to)
        self.number = number
        self._id = 0
        self._rest = b""

    def message(self) -> bytes:
        self._id = self._id % 65_535 + 1
        return packet(PUBLISH, self._topic + struct.pack(">H", self._id) + bytes(MESSAGE_BYTES))

    def take(self, data: bytes) -> Taken:
        data = self._rest + data
        position = acknowledged = delivered = 0
        reply = []
        while (found := _packet_at(data, position)) is not None:
            kind, start, end = found
            if kind & 0xF0 == PUBACK:
                acknowledged += 1
            elif kind & 0xF0 == PUBLISH & 0xF0:
                delivered += 1
                (topic,) = struct.unpack_from(">H", data, start)
                reply.append(packet(PUBACK, data[start + 2 + topic : start + 4 + topic]))
            position = end
        self._rest = data[position:]
        return Taken(acknowledged, delivered, b"".join(reply))


def _packet_at(data: bytes, position: int) -> tuple[int, int, int] | None:
    """Kind, start and end of the body of the packet at a place, once it is all here."""
    length, shift, start = 0, 0, position + 1
    while start < len(data):
        digit = data[start]
        length |= (digit & 0x7F) << shift
        shift, start = shift + 7, start + 1
        if not digit & 0x80:
            return (data[position], start, start + length) if start + length <= len(data) else None
    return None


class Mosquitto:
    acknowledges = True
    lacks: frozenset[str] = frozenset()

    @contextmanager
    def serve(self, folder: Path, clients: int) -> Iterator[Serving]:  # noqa: ARG002 - MQTT needs no accounts
        make_certificate(folder)
        port, root = free_port(), unpacked("mosquitto")
        config = folder / "mosquitto.conf"
        config.write_text(CONFIGURATION.format(port=port, folder=folder), encoding="utf-8")
        command = [str(root / "usr/sbin/mosquitto"), "-c", str(config)]
        with process(command, folder / "log", env=surroundings(root)) as running:
            wait_for(port)
            yield Serving(running.pid, port)

    async def log_in(self, port: int, number: int) -> Line:
        return await self._open(port, number, f"u{number ^ 1}", f"u{number}")

    def keep_alive(self, line: Line) -> None:
        """Nothing: it lets the silent be."""

    async def pairs(self, port: int, count: int) -> list[tuple[Line, Line]]:
        lines = [await self.log_in(port, number) for number in range(2 * count)]
        return list(zip(lines[::2], lines[1::2], strict=True))

    async def room(self, port: int, size: int) -> list[Line]:
        speaker = await self._open(port, 0, ROOM, "u0")  # who speaks does not hear itself, as with us
        return [speaker, *[await self._open(port, number, ROOM, ROOM) for number in range(1, size)]]

    async def leave(self, receiver: Line) -> None:
        receiver.close()

    async def drain(self, port: int, receiver: Line) -> Line:
        assert isinstance(receiver.wire, MqttWire)
        return await self._open(port, receiver.wire.number, "nobody", None, receiver.heard)

    async def _open(
        self, port: int, number: int, to: str, topic: str | None, heard: Heard | None = None
    ) -> Line:
        """A client that has connected; with a topic it has subscribed too."""
        line = await Line.connect(port, context_for())
        line.write(packet(CONNECT, text("MQTT") + b"\x04\x00\x00\x00" + text(f"client{number}")))
        answer = await line.read()
        if answer[:1] != bytes([CONNACK]) or answer[3] != 0:
            raise ConnectionError(f"refused: {answer.hex()}")
        if topic is not None:
            line.write(packet(SUBSCRIBE, b"\x00\x01" + text(topic) + b"\x01"))
            await line.read()
        wire = MqttWire(to, number)
        if len(answer) > 4:  # what waited came with the greeting
            line.early(answer[4:])
        if heard is not None:
            line.heard = heard
        line.speak(wire)
        return line


DIALECT: Final = Mosquitto()
