"""The proxy does what it says, each toxic by itself (Q-01, Q-04)."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.faults.proxy import MAX_HELD, Door, Proxy, Way

PATIENCE = 10
"""Seconds until what does not come is a failure."""


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        for _ in itertools.repeat(None):
            if holds():
                return
            await asyncio.sleep(0)


class Peer:
    """One end of a connection: what came, and how it ended."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def says(self, data: bytes) -> None:
        self.writer.write(data)

    async def hears(self, count: int) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(count)

    async def sees_the_end(self) -> bytes:
        """Return what came before it; raises ConnectionResetError where it was RST."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()


class Place:
    """A server behind a proxy whose pauses are noted, and cost nothing."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.arrived: asyncio.Queue[Peer] = asyncio.Queue()
        self.peers: list[Peer] = []
        self.proxy: Proxy

    async def note(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.arrived.put_nowait(Peer(reader, writer))

    async def dial(self) -> Peer:
        self.peers.append(Peer(*await asyncio.open_connection("127.0.0.1", self.proxy.port)))
        return self.peers[-1]

    async def connect(self) -> tuple[Peer, Peer]:
        """Return the client's and the server's end."""
        client = await self.dial()
        async with asyncio.timeout(PATIENCE):
            self.peers.append(await self.arrived.get())
        return client, self.peers[-1]


@asynccontextmanager
async def a_place() -> AsyncIterator[Place]:
    place = Place()
    server = await asyncio.start_server(place.take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Proxy(("127.0.0.1", port), seed=3, pause=place.note) as place.proxy:
        yield place
    for peer in place.peers:
        peer.writer.transport.abort()
    server.close()
    await asyncio.sleep(0)


async def test_a_healthy_line_hands_on_both_ways_and_the_end() -> None:
    async with a_place() as place:
        client, server = await place.connect()
        client.says(b"ping" * 100_000)
        assert await server.hears(400_000) == b"ping" * 100_000
        server.says(b"pong")
        assert await client.hears(4) == b"pong"
        client.writer.close()
        assert await server.sees_the_end() == b""
        assert place.pauses == []


async def test_latency_waits_before_each_piece_and_keeps_the_order() -> None:
    async with a_place() as place:
        place.proxy.set(Way.TO_SERVER, latency=2.0, jitter=1.0)
        client, server = await place.connect()
        for number in range(10):
            client.says(bytes([number]) * 1000)
            await client.writer.drain()
            await asyncio.sleep(0)
        assert await server.hears(10_000) == b"".join(bytes([number]) * 1000 for number in range(10))
        assert place.pauses
        assert all(0 < pause <= 3.0 for pause in place.pauses)
        assert max(place.pauses) > 1.5
        server.says(b"the other way is not held up")
        pauses = len(place.pauses)
        await client.hears(28)
        assert len(place.pauses) == pauses


async def test_bandwidth_pays_time_for_bytes() -> None:
    async with a_place() as place:
        place.proxy.set(Way.TO_CLIENT, bandwidth=1000)
        client, server = await place.connect()
        server.says(bytes(50_000))
        await client.hears(50_000)
        assert sum(place.pauses) == pytest.approx(50)


async def test_slices_are_small_and_apart() -> None:
    async with a_place() as place:
        place.proxy.set(Way.TO_SERVER, slice=7, slice_pause=0.25)
        client, server = await place.connect()
        client.says(bytes(range(256)))
        assert await server.hears(256) == bytes(range(256))
        assert len(place.pauses) >= 256 / 7 - 1
        assert set(place.pauses) == {0.25}


async def test_slow_close_keeps_the_end_back() -> None:
    async with a_place() as place:
        place.proxy.set(slow_close=9.0)
        client, server = await place.connect()
        client.says(b"last words")
        client.writer.close()
        assert await server.sees_the_end() == b"last words"
        assert max(place.pauses) == pytest.approx(9.0, abs=0.5)


async def test_a_refused_door_refuses_and_opens_again_at_the_same_place() -> None:
    async with a_place() as place:
        client, server = await place.connect()
        await place.proxy.swing(Door.REFUSE)
        with pytest.raises(ConnectionRefusedError):
            await place.dial()
        client.says(b"who is in stays in")
        await server.hears(18)
        await place.proxy.swing(Door.OPEN)
        await place.connect()


async def test_a_dropping_door_takes_and_drops() -> None:
    async with a_place() as place:
        await place.proxy.swing(Door.DROP)
        client = await place.dial()
        assert await client.sees_the_end() == b""
        assert place.arrived.empty()


async def test_reset_is_rst_at_both_ends() -> None:
    async with a_place() as place:
        client, server = await place.connect()
        client.says(b"x")
        await server.hears(1)
        assert place.proxy.cut(reset=True) == 1
        for peer in (client, server):
            with pytest.raises(ConnectionResetError):
                await peer.sees_the_end()


async def test_a_cut_is_an_end_at_both_ends() -> None:
    async with a_place() as place:
        client, server = await place.connect()
        place.proxy.cut()
        assert await client.sees_the_end() == b""
        assert await server.sees_the_end() == b""
        await until(lambda: not place.proxy.open_lines)


async def test_a_stalled_line_moves_nothing_and_goes_on_whole() -> None:
    async with a_place() as place:
        client, server = await place.connect()
        place.proxy.set(stalled=True)
        client.says(b"later")
        server.says(b"so is this")
        second, _ = await place.connect()
        place.proxy.set(Way.TO_SERVER)
        assert await server.hears(5) == b"later"
        place.proxy.heal()
        assert await client.hears(10) == b"so is this"
        second.writer.close()


async def test_what_a_half_open_line_swallows_is_gone_and_nobody_is_told() -> None:
    """Q-04: the server thinks the client is there, though it has long left."""
    async with a_place() as place:
        client, server = await place.connect()
        place.proxy.set(swallow=True)
        client.says(b"gone")
        server.says(b"gone too")
        await until(lambda: place.proxy.seen["bytes swallowed"] >= 12)
        place.proxy.heal()
        client.says(b"a torn stream must not go on")
        client.writer.close()
        await until(lambda: place.proxy.seen["bytes swallowed"] >= 40)
        for _ in range(20):
            await asyncio.sleep(0)
        assert not server.reader.at_eof()
        assert place.proxy.open_lines == 1
        server.writer.close()
        await until(lambda: not place.proxy.open_lines)


async def test_a_data_limit_cuts_after_so_many_bytes() -> None:
    async with a_place() as place:
        place.proxy.set(Way.TO_SERVER, cut_after=1000)
        client, server = await place.connect()
        client.says(bytes(5000))
        assert len(await server.sees_the_end()) == 1000
        assert place.proxy.seen["cut after so many bytes"] == 1


async def test_what_waits_is_bounded_and_the_sender_feels_it() -> None:
    async with a_place() as place:
        place.proxy.set(stalled=True)
        client, server = await place.connect()
        client.says(bytes(32 * 1024 * 1024))
        for _ in range(2000):
            await asyncio.sleep(0)
        (line,) = place.proxy._lines
        assert 0 < line.pipes[Way.TO_SERVER]._size < 2 * MAX_HELD
        assert client.writer.transport.get_write_buffer_size() > 16 * 1024 * 1024
        place.proxy.heal()
        await server.hears(32 * 1024 * 1024)


async def test_no_server_behind_it_ends_the_connection() -> None:
    async with a_place() as place:
        place.proxy.server = ("127.0.0.1", 1)
        client = await place.dial()
        with pytest.raises(ConnectionResetError):
            await client.sees_the_end()
