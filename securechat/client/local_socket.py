"""The socket in the profile's folder: how other processes of the user reach the one that owns it.

JSON-RPC 2.0, one object per line, UTF-8; docs/bots.md has every method with its fields. What a line
may ask is in `calls.py`, what happens on one in `local_line.py`; here is who may connect and how many.
Whoever connects must be the same user of the machine: the folder is 0700, the socket 0600, and the
kernel names the peer.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from securechat.client.calls import notification
from securechat.client.config import ProfileFolder
from securechat.client.errors import ExitCode, StoreFailed, UnsafeFile
from securechat.client.face import Host
from securechat.client.holder import MAX_LINE, READY
from securechat.client.local_line import LocalLine, Streams
from securechat.client.private_files import check_private_folder, make_folder
from securechat.local_rpc import OURS, error_of
from securechat.unix_socket import PlaceTaken, bind_private, is_peer_of

MAX_CONNECTIONS: Final = 128
"""Front ends and one-shots at once; when all are taken, one that asks nothing and follows nothing goes."""

BACKLOG: Final = 1024
"""Who comes while we are busy waits in the kernel; beyond this it would be told that nobody listens."""

_HANDING_ON: Final = 4
"""Turns of the loop from a connection that was just accepted to its end: task, protocol, close, socket."""

PLACE_SECONDS: Final = 5.0
"""How long somebody who comes waits for a place, before it is told to try again later."""


@asynccontextmanager
async def serving(profile: ProfileFolder, host: Host) -> AsyncIterator[None]:
    """Serve the profile's socket while the block runs. Only the owner of the lock may do so.

    Where the system has no such sockets (Windows) nothing is served.

    :raises UnsafeFile: something that is not our old socket is in its place
    """
    if not hasattr(socket, "AF_UNIX"):
        yield
        return
    listening = _bind(profile.socket)
    switchboard = _Switchboard(host)
    try:
        server = await asyncio.start_unix_server(
            switchboard.serve, sock=listening, limit=MAX_LINE, backlog=BACKLOG
        )
    except BaseException:
        listening.close()
        raise
    try:
        yield
    finally:
        # A server that is closed drops, unclosed, whom it has accepted and not yet handed on.
        asyncio.get_running_loop().remove_reader(listening)
        for _ in range(_HANDING_ON):
            await asyncio.sleep(0)
        server.close()
        await switchboard.close()
        profile.socket.unlink(missing_ok=True)


class _Switchboard:
    """The connections to the socket."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._streams = Streams()
        self._places = asyncio.Semaphore(MAX_CONNECTIONS)
        self._lines: dict[LocalLine, asyncio.Task[None]] = {}
        self._talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection. A task that is cancelled before its first step closes nothing: we do."""
        task = asyncio.create_task(self._serve(reader, writer))
        self._talks[task] = writer
        task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._talks.pop(task).close()
        if not task.cancelled():
            task.result()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - serve runs this as a task
        # ConnectionError: the front end has gone. Cancelled: we are going.
        with contextlib.suppress(ConnectionError):
            if is_peer_of(writer.get_extra_info("socket"), os.geteuid()):
                await self._converse(task, reader, writer)

    async def close(self) -> None:
        tasks = list(self._talks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _converse(
        self, task: "asyncio.Task[None]", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(notification(READY, {}))
        if self._places.locked():
            self._make_room()
        try:
            async with asyncio.timeout(PLACE_SECONDS):
                await self._places.acquire()
        except TimeoutError:
            text = "too many processes are attached to this account"
            busy = error_of(None, OURS, text, exit_code=ExitCode.RETRY_LATER)
            writer.write(msgspec.json.encode(busy) + b"\n")
            return
        line = LocalLine(self._host, self._streams, reader, writer)
        self._lines[line] = task
        try:
            await line.run()
        finally:
            del self._lines[line]
            self._places.release()

    def _make_room(self) -> None:
        """Send away who has asked nothing for longest and waits for nothing."""
        idle = [line for line in self._lines if line.is_idle]
        if idle:
            self._lines[min(idle, key=lambda line: line.heard_at)].cancel()


def _bind(path: Path) -> socket.socket:
    make_folder(path.parent)
    check_private_folder(path.parent)
    try:
        return bind_private(path)
    except PlaceTaken as problem:
        raise UnsafeFile(str(problem)) from None
    except OSError as problem:
        raise StoreFailed(f"cannot serve {path}: {problem.strerror or problem}") from problem
