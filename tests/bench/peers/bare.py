"""The bare relay (tests/bench/bare.py): it knows pairs, and nothing else."""

import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.bare import HELLO, MESSAGE
from tests.bench.dialect import Serving, context_for, make_certificate, process
from tests.bench.line import Line, Taken

MESSAGE_BYTES: Final = 1_000
_HEAD: Final = struct.Struct(">IBII")


class BareWire:
    def __init__(self, to: int) -> None:
        self._to = to
        self._number = 0
        self._rest = b""

    def message(self) -> bytes:
        self._number += 1
        return _HEAD.pack(9 + MESSAGE_BYTES, MESSAGE, self._number, self._to) + bytes(MESSAGE_BYTES)

    def take(self, data: bytes) -> Taken:
        data = self._rest + data
        position, counts = 0, [0, 0]
        while len(data) - position >= 4:
            following = position + 4 + int.from_bytes(data[position : position + 4], "big")
            if following > len(data):
                break
            counts[data[position + 4]] += 1
            position = following
        self._rest = data[position:]
        return Taken(counts[0], counts[1], b"")


class Bare:
    acknowledges = True
    lacks = frozenset({"fanout", "offline"})

    @contextmanager
    def serve(self, folder: Path, clients: int) -> Iterator[Serving]:  # noqa: ARG002 - it can't
        make_certificate(folder)
        with process([sys.executable, "-m", "tests.bench.bare", str(folder)], folder / "log") as running:
            yield Serving(running.pid, int(running.stdout.readline() if running.stdout else ""))

    async def log_in(self, port: int, number: int) -> Line:
        line = await Line.connect(port, context_for())
        line.write(_HEAD.pack(9, HELLO, number, 0))
        line.speak(BareWire(number ^ 1))
        return line

    def keep_alive(self, line: Line) -> None:
        """Nothing: it lets the silent be."""

    async def pairs(self, port: int, count: int) -> list[tuple[Line, Line]]:
        lines = [await self.log_in(port, number) for number in range(2 * count)]
        return list(zip(lines[::2], lines[1::2], strict=True))

    async def room(self, port: int, size: int) -> list[Line]:  # noqa: ARG002 - it can't
        raise SystemExit("the bare relay knows no rooms")

    async def leave(self, receiver: Line) -> None:  # noqa: ARG002 - it can't
        raise SystemExit("the bare relay keeps nothing for later")

    async def drain(self, port: int, receiver: Line) -> Line:  # noqa: ARG002 - it can't
        raise SystemExit("the bare relay keeps nothing for later")


DIALECT: Final = Bare()
