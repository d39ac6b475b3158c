"""The Unix socket of the server's administration: 0600 in the data folder, for its owner and root.

JSON-RPC 2.0 lines; the methods stand in `admin.py`. Everything is bounded: lines, connections, and
how long somebody may say nothing.
"""

import asyncio
import contextlib
import logging
import os
import socket
from pathlib import Path
from typing import Any, Final

import msgspec

from securechat.errors import SecureChatError
from securechat.local_rpc import (
    INTERNAL,
    INVALID_REQUEST,
    OURS,
    Call,
    NoCall,
    decode_call,
    decode_params,
    error_of,
    result_of,
)
from securechat.server.admin import METHODS, Administration
from securechat.server.errors import ConfigError
from securechat.server.faults import internal
from securechat.unix_socket import PlaceTaken, bind_private, is_peer_of, reachable

MAX_LINE: Final = 16 * 1024
"""Bytes of a call: the longest has a path in it."""

MAX_CONNECTIONS: Final = 16
"""At once; more are closed at once: there are few administrators."""

SILENCE_SECONDS: Final = 60
"""Without a call; a command makes its calls at once."""

ROOT: Final = 0
EXIT_USAGE: Final = 1
EXIT_INTERNAL: Final = 2

log = logging.getLogger("securechat.server.admin")


class AdminSocket:
    """Serves until it is closed."""

    def __init__(self, path: Path, administration: Administration) -> None:
        self._path = path
        self._administration = administration
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._inode = 0

    async def open(self) -> None:
        """Bind and listen, in the place of a dead server's socket if need be.

        :raises ConfigError: something else is there, or the system has no such sockets here
        """
        if not hasattr(socket, "AF_UNIX"):
            return
        if _answers(self._path):
            # Two servers on one database are safe; the first keeps its socket.
            log.warning("another server answers at %s; this one has no admin socket", self._path)
            return
        try:
            listening = bind_private(self._path)
        except PlaceTaken as problem:
            raise ConfigError(str(problem)) from None
        except OSError as problem:
            raise ConfigError(f"admin_socket {self._path}: {problem.strerror or problem}") from None
        self._inode = self._path.lstat().st_ino
        self._server = await asyncio.start_unix_server(self._serve, sock=listening, limit=MAX_LINE)

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(list(self._tasks))
        with contextlib.suppress(FileNotFoundError):
            if self._path.lstat().st_ino == self._inode:  # not what a later server has put there
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this as a task
        self._tasks.add(task)
        try:
            known = is_peer_of(writer.get_extra_info("socket"), os.geteuid(), ROOT)
            if not known:
                log.warning("another user of this machine has reached the admin socket; it is told nothing")
            elif len(self._tasks) <= MAX_CONNECTIONS:
                await self._converse(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass  # the command has gone, or we are going: either way this is its end
        finally:
            writer.close()
            try:
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()
            finally:
                self._tasks.discard(task)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    line = await reader.readline()
            except TimeoutError:
                return
            except ValueError:
                too_long = error_of(None, INVALID_REQUEST, "the line is too long", exit_code=EXIT_USAGE)
                writer.write(msgspec.json.encode(too_long) + b"\n")
                await writer.drain()
                return
            if not line.endswith(b"\n"):
                return
            answer = await self._answer(line)
            if answer is not None:
                writer.write(msgspec.json.encode(answer) + b"\n")
                await writer.drain()

    async def _answer(self, line: bytes) -> dict[str, Any] | None:
        call: Call | None = None
        try:
            call = decode_call(line)
            params = decode_params(call, METHODS)
            return result_of(call, await self._administration.do(call.method, params))
        except NoCall as problem:
            return error_of(call, problem.code, str(problem), exit_code=EXIT_USAGE)
        except SecureChatError as problem:
            exit_code = int(getattr(problem, "exit_code", EXIT_USAGE))
            return error_of(call, OURS, str(problem), exit_code=exit_code)
        except Exception as error:  # noqa: BLE001 - a call's root: a mistake of ours ends it, not the server
            refused = internal(log, "an admin call", error).refused
            return error_of(call, INTERNAL, refused.text, exit_code=EXIT_INTERNAL)


def _answers(path: Path) -> bool:
    """Whether a living server listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trying:
        trying.settimeout(1)
        try:
            with reachable(path) as address:
                trying.connect(address)
        except OSError:
            return False
    return True
