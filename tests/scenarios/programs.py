"""Real processes beside a server and people in this one: commands and bots, each ended by its id."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.cli.shell import SECONDS
from tests.scenarios.world import Person, World, a_world, without_cost, without_long_draws


@pytest_asyncio.fixture
async def real_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A server and nobody yet; passwords are stretched for real, since the processes do it too."""
    without_long_draws(monkeypatch.setattr)
    without_cost(monkeypatch.setattr)
    async with a_world(tmp_path) as made:
        yield made


@dataclass(frozen=True)
class Program:
    """A process whose streams are pipes."""

    process: asyncio.subprocess.Process

    async def line(self) -> str:
        async with asyncio.timeout(SECONDS):
            return (await self._of(self.process.stdout).readline()).decode()

    async def told(self) -> str:
        """A line of stderr."""
        async with asyncio.timeout(SECONDS):
            return (await self._of(self.process.stderr).readline()).decode()

    async def json(self) -> Any:
        return json.loads(await self.line())

    def says(self, text: str, *, last: bool = False) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode())
        if last:
            self.process.stdin.close()

    async def ended(self, number: signal.Signals | None = None) -> tuple[int, str]:
        """Wait for its end, which a signal may bring about; the code and what it still said on stderr."""
        if number is not None:
            self.process.send_signal(number)
        async with asyncio.timeout(SECONDS):
            rest = (await self._of(self.process.stderr).read()).decode()
            return await self.process.wait(), rest

    @staticmethod
    def _of(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
        assert stream is not None
        return stream


@asynccontextmanager
async def started(*arguments: str) -> AsyncIterator[Program]:
    """Python with these arguments, killed at the end if it is still there."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SECURECHAT_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=kept | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        assert process.stdin is not None
        process.stdin.close()
        await process.communicate()


def command(person: Person, name: str, *rest: str, password: bool = False) -> list[str]:
    """A command of securechat for somebody's account."""
    line = ["-m", "securechat", name, person.name, *rest, "--home", str(person.home.path)]
    return [*line, "--password-file", password_file(person)] if password else line


def password_file(person: Person) -> str:
    path = person.world.folder / f"password-of-{person.name}"
    path.write_text(person.password + "\n")
    return str(path)
