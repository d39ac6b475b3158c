"""The real command in a process of its own, ended by its id."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

SECONDS = 30
"""Until a process that says nothing, or does not end, is a failure."""


@dataclass
class Command:
    """`securechat server` as it was started; ``said`` is what it printed before it was ready."""

    process: asyncio.subprocess.Process
    folder: Path
    said: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return int(self.said["listening"].rsplit(":", 1)[1])

    @property
    def domain(self) -> str:
        return self.said["domain"]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def pid(self) -> int:
        return self.process.pid

    async def ends(self) -> tuple[int, str]:
        """Wait for the end; return its code and everything on stderr."""
        async with asyncio.timeout(SECONDS):
            _, errors = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


@asynccontextmanager
async def running_command(folder: Path, *arguments: str, config: str = "") -> AsyncIterator[Command]:
    """Start it on a free port and wait until it is ready; kill it at the end if it has not ended."""
    if config:
        (folder / "server.toml").write_text(config)
        arguments = ("--config", str(folder / "server.toml"), *arguments)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "securechat", "server", "--host", "127.0.0.1", "--port", "0"),
        *("--data", str(folder / "data"), "--cert", str(folder / "server.pem"), *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=dict(os.environ),
    )
    command = Command(process, folder)
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        async with asyncio.timeout(SECONDS):
            while "ready:" not in command.said:
                line = (await process.stdout.readline()).decode()
                assert line, (await process.stderr.read()).decode()
                word, _, rest = line.strip().partition(" ")
                command.said[word] = rest.removeprefix("on ")
        yield command
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            await process.communicate()
