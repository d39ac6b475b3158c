"""A line between a client's link and a server's session, made of timers.

It has the properties of a TLS connection that the code relies on: bytes arrive in order or not at all,
either end may vanish with what is under way, and the client sees the server's certificate.
"""

import asyncio
import math
import random
from collections.abc import Callable
from typing import Any, Final, Protocol

from securechat.protocol.limits import ALPN
from securechat.server.tls import Stream

FASTEST: Final = 0.001
SLOWEST: Final = 0.08
"""Seconds from one end to the other, drawn for each piece."""


class _Tls:
    """What the client asks of its TLS object."""

    def __init__(self, certificate: bytes) -> None:
        self._certificate = certificate

    def selected_alpn_protocol(self) -> str:
        return ALPN

    def getpeercert(self, *, binary_form: bool) -> bytes:
        assert binary_form
        return self._certificate


class Between(Protocol):
    """Somebody who sits in a line and hands on what they like."""

    def to_server(self, piece: bytes) -> bytes: ...

    def to_client(self, piece: bytes) -> bytes: ...


class Line:
    """Two ends. ``cut`` takes both away with all that is under way."""

    def __init__(self, source: random.Random, certificate: bytes) -> None:
        self.between: Between | None = None
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._due = [0.0, 0.0]
        self.is_cut = False
        self.client = ClientEnd(self, certificate)
        self.server = ServerEnd(self)

    def carry(self, direction: int, arrive: Callable[[], None]) -> None:
        """Have something arrive at the other end, after what went before."""
        delay = self._source.uniform(FASTEST, SLOWEST)
        before = math.nextafter(
            self._due[direction], math.inf
        )  # a heap keeps no order of what is due at once
        self._due[direction] = max(before, self._loop.time() + delay)
        self._loop.call_at(self._due[direction], self._arrive, arrive)

    def say(self, piece: bytes) -> None:
        """Have the client hear what no session of a server says."""
        self.carry(1, lambda: self.client.received(piece))

    def cut(self) -> None:
        if not self.is_cut:
            self.is_cut = True
            self.client.lost()
            self.server.lost()

    def _arrive(self, arrive: Callable[[], None]) -> None:
        if not self.is_cut:
            arrive()


class ClientEnd(asyncio.Transport):
    """The transport of a `Link`."""

    def __init__(self, line: Line, certificate: bytes) -> None:
        super().__init__({"ssl_object": _Tls(certificate)})
        self._line = line
        self._protocol: asyncio.Protocol | None = None
        self._closing = False

    def begin(self, protocol: asyncio.Protocol) -> None:
        self._protocol = protocol
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        if not self._closing and not self._line.is_cut:
            between = self._line.between
            piece = bytes(data) if between is None else between.to_server(bytes(data))
            self._line.carry(0, lambda: self._line.server.received(piece))

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._line.carry(0, self._line.server.lost)
            asyncio.get_running_loop().call_soon(self.lost)

    def abort(self) -> None:
        self.close()

    def received(self, data: bytes) -> None:
        if self._protocol is not None and not self._closing:
            self._protocol.data_received(data)

    def lost(self) -> None:
        protocol, self._protocol = self._protocol, None
        self._closing = True
        if protocol is not None:
            protocol.connection_lost(None)


class ServerEnd:
    """What a server's `Session` stands on, in the place of its TLS pump."""

    address = "127.0.0.1"
    queued = 0

    def __init__(self, line: Line) -> None:
        self._line = line
        self._stream: Stream | None = None
        self._paused: list[bytes] | None = None

    @property
    def is_open(self) -> bool:
        return self._stream is not None

    def begin(self, stream: Stream) -> None:
        self._stream = stream
        stream.secured()

    def asked(self) -> None:
        """Deadlines of strangers are no part of this."""

    def admitted(self, *, seconds: float | None = None) -> None:
        """Nor are those of who was let in."""

    def write(self, data: bytes) -> None:
        if self._stream is not None:
            between = self._line.between
            piece = bytes(data) if between is None else between.to_client(bytes(data))
            self._line.carry(1, lambda: self._line.client.received(piece))

    def pause(self) -> None:
        if self._paused is None:
            self._paused = []

    def resume(self) -> None:
        waiting, self._paused = self._paused, None
        for piece in waiting or ():
            self.received(piece)

    def close(self) -> None:
        self._line.carry(1, self._line.client.lost)
        self.lost()

    def abort(self) -> None:
        self._line.cut()

    def received(self, data: bytes) -> None:
        if self._paused is not None:
            self._paused.append(data)
        elif self._stream is not None:
            self._stream.received(data)

    def lost(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.ended()
