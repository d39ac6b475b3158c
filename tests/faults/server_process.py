"""The real server in a process of its own, to be killed at any moment (C-01)."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Final

from tests.faults.command import Wrong
from tests.faults.patient_world import settings_without_limits
from tests.faults.process import Process
from tests.held_port import HeldPort

START: Final = 30
"""Seconds until a server that does not say that it is ready hangs."""

STARTS_WITHIN: Final = 5.0
"""The issue's limit for a start after a kill."""


class ServerProcess(Process):
    """`securechat server` on a free loopback port, in a folder of its own."""

    def __init__(self, folder: Path, module: tuple[str, ...] = ("securechat",)) -> None:
        """``module`` is what is run, and its first arguments: a test may plant a worse server."""
        super().__init__()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._held = HeldPort()
        self.port = self._held.number
        self.settings = settings_without_limits()
        """What its file of options says."""
        self._module = module
        self._began = 0.0

    @property
    def command(self) -> tuple[str, ...]:
        """What Python runs, before the arguments."""
        return self._module

    @property
    def database(self) -> Path:
        return self.folder / "data" / "server.db"

    async def begin(self) -> None:
        """Start the process; it is not ready yet."""
        settings = self.folder / "server.toml"
        settings.write_text(self.settings)
        with (self.folder / "server.log").open("ab") as log:
            self._began = time.monotonic()
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *self.command, "server", "--port", str(self.port)),
                *("--host", "127.0.0.1", "--cert", str(self.folder / "server.pem")),
                *("--data", str(self.folder / "data"), "--config", str(settings)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=dict(os.environ),
            )

    async def ready(self) -> float:
        """Wait until it listens; return the seconds since it began, but those in which it had no core.

        :raises Wrong: it ended, or took longer than a start may take
        """
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START):
                while line := await self._process.stdout.readline():
                    if line.startswith(b"ready"):
                        return self._in_time(time.monotonic() - self._began - self._waited())
        except TimeoutError:
            raise Wrong(f"the server hangs at its start: {self.log()}") from None
        await self.gone()
        raise Wrong(f"the server does not start, it ended with {self._process.returncode}: {self.log()}")

    async def start(self) -> float:
        await self.begin()
        return await self.ready()

    async def end(self) -> None:
        """Have it end by itself, as its service manager would."""
        self.go_on()
        self._signal(signal.SIGTERM)
        await self.ended()

    async def gone(self) -> None:
        if self._process is not None:
            await self._process.communicate()

    def log(self) -> str:
        """The end of what it logged."""
        return (self.folder / "server.log").read_text(errors="replace")[-2_000:]

    def _waited(self) -> float:
        """Seconds in which the process could have run and others did, where the system counts them."""
        assert self._process is not None
        counted = Path(f"/proc/{self._process.pid}/schedstat")
        return int(counted.read_text().split()[1]) / 1e9 if counted.exists() else 0.0

    @staticmethod
    def _in_time(seconds: float) -> float:
        if seconds > STARTS_WITHIN:
            raise Wrong(f"the server took {seconds:.1f} s to start")
        return seconds
