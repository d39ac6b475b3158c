"""A port that is held is nobody else's, and its server's whenever it comes."""

import asyncio
import errno
import socket
import sys

import pytest

from tests.held_port import HeldPort

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port can't be held like this")


async def test_its_server_may_come_and_go_and_in_between_nobody_answers() -> None:
    held = HeldPort()

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", held.number)
        server = await asyncio.start_server(greet, "127.0.0.1", held.number)
        reader, writer = await asyncio.open_connection("127.0.0.1", held.number)
        assert await reader.read() == b"hello"
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()


def test_whoever_does_not_know_of_it_finds_it_in_use() -> None:
    held = HeldPort()
    with socket.socket() as other, pytest.raises(OSError) as refused:  # noqa: PT011 - its number is what counts
        other.bind(("127.0.0.1", held.number))
    assert refused.value.errno == errno.EADDRINUSE
