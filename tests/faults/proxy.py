"""A TCP proxy that does to a connection what networks do (Q-01, Q-04): ours, small, seeded.

    async with Proxy(("localhost", 7443), seed=1) as proxy:
        proxy.set(Way.TO_SERVER, latency=0.2, jitter=0.1)
        proxy.door = Door.REFUSE

What can be set can be set at any time, and holds for what comes from then on. A direction holds at
most ``MAX_HELD`` bytes: more is left in the sender's socket, as a slow network would.
"""

import asyncio
import random
import socket
import struct
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final, Self

from tests.held_port import HeldPort

MAX_HELD: Final = 256 * 1024
"""Bytes that one direction of one connection holds back at most."""

_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST (`man 7 socket`)."""

Pause = Callable[[float], Awaitable[None]]


class Way(Enum):
    """A direction."""

    TO_SERVER = auto()
    TO_CLIENT = auto()


class Door(Enum):
    """What becomes of new connections."""

    OPEN = auto()
    REFUSE = auto()
    """Nothing listens."""
    DROP = auto()
    """Taken and closed at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxics:
    """What a direction does to bytes. Times in seconds, 0 everywhere: it hands them on."""

    latency: float = 0.0
    jitter: float = 0.0
    """Up to so much on top of the latency, drawn for each piece that was read; order is kept."""
    bandwidth: int = 0
    """Bytes per second."""
    slow_close: float = 0.0
    """How long the end of the stream is kept back."""
    stalled: bool = False
    """Nothing moves; it goes on when this is lifted."""
    swallow: bool = False
    """Half-open: what comes is gone, and the end of the connection is not told. It never heals."""
    slice: int = 0
    """Pieces of 1 to so many bytes, ``slice_pause`` apart."""
    slice_pause: float = 0.0
    cut_after: int = 0
    """The connection ends after so many bytes of this direction."""


HEALTHY: Final = Toxics()


class Proxy:
    """Listens on a free loopback port and stands between clients and one server."""

    def __init__(
        self, server: tuple[str, int], *, seed: int = 0, pause: Pause = asyncio.sleep, port: int = 0
    ) -> None:
        self.server = server
        self.port = port
        self.random = random.Random(seed)
        self.pause = pause
        self.toxics = dict.fromkeys(Way, HEALTHY)
        self.seen: Counter[str] = Counter()
        """How often something happened, by its name."""
        self._door = Door.OPEN
        self._held: HeldPort | None = None
        self._listener: asyncio.Server | None = None
        self._lines: set[_Line] = set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        if self.port == 0:
            self._held = HeldPort()  # it stays ours while the door is shut
            self.port = self._held.number
        self._listener = await loop.create_server(
            lambda: _Near(self), "127.0.0.1", self.port, reuse_address=True
        )

    async def close(self) -> None:
        """Stop listening and cut what is left."""
        self._stop_listening()
        lines = tuple(self._lines)
        for line in lines:
            line.end(reset=True)
        await asyncio.gather(*(line.gone() for line in lines))

    @property
    def open_lines(self) -> int:
        return len(self._lines)

    def set(self, *ways: Way, **toxics: float) -> None:
        """Give directions (none named: both) these toxics and no others."""
        for way in ways or tuple(Way):
            self.toxics[way] = replace(HEALTHY, **toxics)  # type: ignore[arg-type]
        for line in self._lines:
            line.stir()

    def heal(self) -> None:
        """Hand on everything again; what was swallowed stays gone, and its connection mute."""
        self.set()

    async def swing(self, door: Door) -> None:
        """Open or close the door; connections that are there are left alone."""
        if door is Door.REFUSE:
            self._stop_listening()
        elif self._listener is None:
            await self.start()
        self._door = door

    @property
    def door(self) -> Door:
        return self._door

    def cut(self, *, reset: bool = False) -> int:
        """End all connections there are, by FIN or by RST; return how many."""
        lines = tuple(self._lines)
        for line in lines:
            line.end(reset=reset)
        return len(lines)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _enter(self, line: "_Line") -> None:
        self._lines.add(line)

    def _leave(self, line: "_Line") -> None:
        self._lines.discard(line)


class _End(asyncio.Protocol):
    """One of a line's two sockets."""

    line: "_Line"
    way: Way
    """Where goes what is read here."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.writable = asyncio.Event()
        self.writable.set()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.set_write_buffer_limits(high=MAX_HELD)

    def data_received(self, data: bytes) -> None:
        self.line.pipes[self.way].feed(data)

    def eof_received(self) -> bool:
        self.line.pipes[self.way].feed(b"")
        return True

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.writable.set()
        self.lost.set()
        self.line.pipes[self.way].feed(b"")
        self.line.left()

    def end(self, *, reset: bool) -> None:
        if self.transport is None or self.lost.is_set():
            self.lost.set()
            return
        if reset:
            sock: socket.socket = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()
        else:
            self.transport.close()


class _Near(_End):
    """The client's side: accepted, then the other side is dialled."""

    way = Way.TO_SERVER

    def __init__(self, proxy: Proxy) -> None:
        super().__init__()
        self._proxy = proxy

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.line = _Line(self._proxy, self)
        self._proxy.seen["connections"] += 1
        if self._proxy.door is Door.DROP:
            self.line.end(reset=False)
        else:
            self.line.dial()


class _Far(_End):
    """The server's side."""

    way = Way.TO_CLIENT

    def __init__(self, line: "_Line") -> None:
        super().__init__()
        self.line = line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.line.ended:
            self.lost.clear()
            self.end(reset=True)


class _Line:
    """One connection through the proxy: two sockets, and a pipe for each direction."""

    def __init__(self, proxy: Proxy, near: _Near) -> None:
        self.proxy = proxy
        self._near = near
        self._far = _Far(self)
        self.ended = False
        self.mute = False
        """Something was swallowed: neither side hears anything of the other again."""
        self.pipes = {
            Way.TO_SERVER: _Pipe(self, near, self._far, Way.TO_SERVER),
            Way.TO_CLIENT: _Pipe(self, self._far, near, Way.TO_CLIENT),
        }
        self._dialling: asyncio.Task[None] | None = None
        proxy._enter(self)

    def dial(self) -> None:
        self._dialling = asyncio.create_task(self._dial())

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self._far, *self.proxy.server)
        except OSError:
            self.end(reset=True)
            return
        self.stir()

    @property
    def dialled(self) -> bool:
        return self._far.transport is not None

    def stir(self) -> None:
        for pipe in self.pipes.values():
            pipe.stir()

    def end(self, *, reset: bool) -> None:
        """Cut both sides."""
        self.ended = True
        if self._dialling is not None:
            self._dialling.cancel()
        for end in (self._near, self._far):
            end.end(reset=reset)
        for pipe in self.pipes.values():
            pipe.stop()
        self.left()

    def left(self) -> None:
        if self._near.lost.is_set() and (self._far.lost.is_set() or not self.dialled):
            self.proxy._leave(self)

    async def gone(self) -> None:
        await asyncio.gather(self._near.lost.wait(), self._far.lost.wait())


class _Pipe:
    """One direction of one connection. Nothing set: bytes are written as they come, with no task."""

    def __init__(self, line: _Line, source: _End, drain: _End, way: Way) -> None:
        self._line = line
        self._source = source
        self._drain = drain
        self._way = way
        self._held: deque[tuple[float, bytes]] = deque()
        """What waits: until when, and the bytes (none: the end of the stream)."""
        self._size = 0
        self._passed = 0
        self._mover: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    @property
    def _toxics(self) -> Toxics:
        return self._line.proxy.toxics[self._way]

    def feed(self, data: bytes) -> None:
        """Take what was read; nothing: the stream has ended."""
        toxics, proxy = self._toxics, self._line.proxy
        if self._line.ended:
            return
        if toxics.swallow or self._line.mute:
            self._line.mute = True
            proxy.seen["bytes swallowed"] += len(data)
            if not data:
                self._source.end(reset=False)
            return
        if data and self._mover is None and toxics == HEALTHY and self._line.dialled:
            self._write(data)
            if self._drain.writable.is_set():
                return
        else:
            wait = toxics.latency + proxy.random.uniform(0, toxics.jitter) if toxics.latency else 0.0
            wait += 0 if data else toxics.slow_close
            self._held.append((asyncio.get_running_loop().time() + wait, data))
            self._size += len(data)
        if self._mover is None:
            self._mover = asyncio.create_task(self._move())
        if (self._size >= MAX_HELD or not self._drain.writable.is_set()) and self._source.transport:
            self._source.transport.pause_reading()

    def stir(self) -> None:
        self._news.set()

    def stop(self) -> None:
        self._held.clear()
        if self._mover is not None:
            self._mover.cancel()

    async def _move(self) -> None:
        """Hand on what waits, until nothing does; then the pipe is direct again."""
        await self._until_it_moves()
        await self._drain.writable.wait()
        while self._held:
            due, data = self._held[0]
            await self._wait(due - asyncio.get_running_loop().time())
            await self._until_it_moves()
            self._held.popleft()
            self._size -= len(data)
            if not data:
                self._finish()
                return
            await self._hand_on(data)
        self._mover = None
        if self._source.transport is not None and not self._source.transport.is_closing():
            self._source.transport.resume_reading()

    async def _until_it_moves(self) -> None:
        while not self._line.dialled or self._toxics.stalled:
            self._news.clear()
            await self._news.wait()

    async def _hand_on(self, data: bytes) -> None:
        toxics, proxy = self._toxics, self._line.proxy
        while data:
            piece = data[: proxy.random.randint(1, toxics.slice)] if toxics.slice else data
            data = data[len(piece) :]
            self._write(piece)
            await self._drain.writable.wait()
            if toxics.slice and data:
                await self._wait(toxics.slice_pause)
            if toxics.bandwidth:
                await self._wait(len(piece) / toxics.bandwidth)

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            await self._line.proxy.pause(seconds)

    def _write(self, data: bytes) -> None:
        limit = self._toxics.cut_after
        if limit and self._passed + len(data) >= limit:
            data = data[: max(0, limit - self._passed)]
        self._passed += len(data)
        if self._drain.transport is not None and not self._drain.transport.is_closing():
            self._drain.transport.write(data)
        if limit and self._passed >= limit:
            self._line.proxy.seen["cut after so many bytes"] += 1
            self._line.end(reset=False)

    def _finish(self) -> None:
        """Tell the other side that the stream has ended. TLS over TCP has no use for half a stream."""
        self._line.end(reset=False)
