"""One connection of the load generator: TLS over a plain socket, with as little between as possible.

It is the same for every server that is measured. What is said on it is a ``Wire``: bytes in, counts
and bytes out. Until a wire is given, ``read`` and ``write`` serve the conversation that logs in.
"""

import asyncio
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol, cast

READ: Final = 64 * 1024
CONNECT_SECONDS: Final = 20


class Taken(NamedTuple):
    """What came: messages of one's own that were acknowledged, messages of others, what to say now."""

    acknowledged: int
    delivered: int
    reply: bytes


class Wire(Protocol):
    """One protocol's daily work on one connection that has logged in."""

    def message(self) -> bytes:
        """The next message to whoever stands at the other end."""

    def take(self, data: bytes) -> Taken: ...


Heard = Callable[["Line", Taken], None]


class Line(asyncio.Protocol):
    """A connection; ``heard`` is told what its wire made of what came."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.transport: asyncio.Transport | None = None
        self.wire: Wire | None = None
        self.sent: deque[float] = deque()
        self.ended = False
        self._secured = False
        self._early: deque[bytes] = deque()
        self._came = asyncio.Event()
        self.heard: Heard = _nobody

    @classmethod
    async def connect(cls, port: int, context: ssl.SSLContext) -> "Line":
        _, line = await asyncio.get_running_loop().create_connection(lambda: cls(context), "127.0.0.1", port)
        async with asyncio.timeout(CONNECT_SECONDS):
            while not line._secured:
                line._came.clear()
                await line._came.wait()
                if line.ended:
                    raise ConnectionError("the server ended the handshake")
        return line

    async def read(self, _size: int = READ) -> bytes:
        """What comes next before there is a wire; nothing at the end."""
        while not self._early and not self.ended:
            self._came.clear()
            await self._came.wait()
        return self._early.popleft() if self._early else b""

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.ended:
            self.tls.write(data)
            self.transport.write(self.outgoing.read())

    def say(self, count: int = 1) -> None:
        """Send so many messages in one write."""
        if self.wire is not None:
            now = time.perf_counter()
            self.sent.extend([now] * count)
            self.write(b"".join([self.wire.message() for _ in range(count)]))

    def speak(self, wire: Wire) -> None:
        """From here on the wire takes what comes, what has come already first."""
        self.wire = wire
        while self._early:
            self._take(self._early.popleft())

    def early(self, data: bytes) -> None:
        """Put back what came before its time."""
        self._early.appendleft(data)

    def get_extra_info(self, name: str) -> Any:
        return self.tls if name == "ssl_object" else None

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._shake()

    def data_received(self, data: bytes) -> None:
        self.incoming.write(data)
        if not self._secured:
            self._shake()
        if self._secured:
            parts = []
            try:
                while part := self.tls.read(READ):
                    parts.append(part)
                self.close()
            except ssl.SSLWantReadError:
                pass
            if parts:
                self._take(b"".join(parts))

    def connection_lost(self, _exc: Exception | None) -> None:
        self.ended = True
        self._came.set()

    def _shake(self) -> None:
        try:
            self.tls.do_handshake()
            self._secured = True
            self._came.set()
        except ssl.SSLWantReadError:
            pass
        if self.transport is not None and self.outgoing.pending:
            self.transport.write(self.outgoing.read())

    def _take(self, data: bytes) -> None:
        if self.wire is None:
            self._early.append(data)
            self._came.set()
            return
        taken = self.wire.take(data)
        if taken.reply:
            self.write(taken.reply)
        self.heard(self, taken)


def _nobody(_line: Line, _taken: Taken) -> None:
    """Nobody counts yet."""
