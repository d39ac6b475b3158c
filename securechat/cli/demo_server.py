"""The demo's server: the real command in a process of its own, and a look at everything it stores."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import apsw
import msgspec

from securechat.errors import SecureChatError

START_SECONDS: Final = 30


class DemoFailed(SecureChatError):
    """The demo's server did not do what the demo is about."""


class StoredEntry(msgspec.Struct, frozen=True, array_like=True):
    """One row of the server's log, as its database has it."""

    sequence: int
    kind: str
    body: bytes


class DemoServer:
    """A `securechat server` on a free port of localhost, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.port = _free_port()
        self.fingerprint = ""
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    @asynccontextmanager
    async def started(cls, folder: Path) -> AsyncIterator["DemoServer"]:
        server = cls(folder)
        await server.start()
        try:
            yield server
        finally:
            await server.stop()

    async def start(self) -> None:
        """Start the process; return when it says where it listens and by what it is known."""
        with (self._folder / "server.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "securechat", "server", "--port", str(self.port), "--verbose"),
                *("--cert", str(self._folder / "server.pem"), "--data", str(self._folder / "data")),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=dict(os.environ),
            )
        if self._process.stdout is None:
            raise DemoFailed("the server has no output")
        async with asyncio.timeout(START_SECONDS):
            while line := (await self._process.stdout.readline()).decode():
                if line.startswith("fingerprint "):
                    self.fingerprint = line.split(maxsplit=1)[1].strip()
                if line.startswith("ready"):
                    return
        raise DemoFailed(f"the server did not start: {self._log_text()}")

    async def kill(self) -> None:
        """End the process as a power cut would: it gets no chance to tidy up."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        await self._end(signal.SIGTERM)

    async def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(how)
        await self._process.wait()
        self._process = None

    def stored_entries(self) -> list[StoredEntry]:
        """Every entry of every log, in order, read from the database as any admin could."""
        database = apsw.Connection(str(self._database()), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            rows = database.execute("SELECT sequence, kind, body FROM entry ORDER BY rowid").fetchall()
        finally:
            database.close()
        return [msgspec.convert((sequence, kind, body or b""), StoredEntry) for sequence, kind, body in rows]

    def everything_stored(self) -> bytes:
        """All bytes of all files of the server: database, journal, keys, log."""
        return b"\n".join(path.read_bytes() for path in sorted(self._folder.rglob("*")) if path.is_file())

    def _database(self) -> Path:
        (found,) = (self._folder / "data").glob("*.db")
        return found

    def _log_text(self) -> str:
        return (self._folder / "server.log").read_text(errors="replace")[-2000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
