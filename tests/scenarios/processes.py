"""Servers and clients in processes of their own, to be killed."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from securechat.cli.demo_server import DemoServer
from securechat.client.config import ServerAddress
from tests.scenarios.world import Person, World

START = 30
"""Seconds until a process that says nothing is a failure."""


class ProcessWorld(World):
    """A world whose server is the real command."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.server = DemoServer(folder / "server")
        self.server.port = self.port

    @property
    def address(self) -> ServerAddress:
        return ServerAddress("localhost", self.server.port)

    async def kill_server(self) -> None:
        await self.server.kill()

    async def start(self) -> None:
        await self.server.start()

    async def close(self) -> None:
        for person in self.people.values():
            await person.close()
        await self.server.stop()


@asynccontextmanager
async def a_process_world(folder: Path) -> AsyncIterator[ProcessWorld]:
    world = ProcessWorld(folder)
    await world.start()
    try:
        yield world
    finally:
        await world.close()


class Sender:
    """A client in a process that sends ``count`` numbered messages (``sender.py``)."""

    def __init__(self, person: Person, to: str, count: int) -> None:
        self._arguments = [
            *(sys.executable, "-m", "tests.scenarios.sender"),
            *(str(person.home.path), str(person.world.address), person.name, person.password, to, str(count)),
        ]
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(*self._arguments, stdout=asyncio.subprocess.PIPE)

    async def says(self, lines: int) -> list[str]:
        """Wait for so many lines of its output."""
        assert self._process is not None
        assert self._process.stdout is not None
        said: list[str] = []
        async with asyncio.timeout(START):
            while len(said) < lines and (line := await self._process.stdout.readline()):
                said.append(line.decode().strip())
        return said

    async def kill(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def ends(self) -> int:
        assert self._process is not None
        async with asyncio.timeout(START):
            return await self._process.wait()
