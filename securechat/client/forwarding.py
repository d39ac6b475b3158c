"""One-shots that go through the process that holds the profile, without a password.

The other end of `local_socket`: a line of JSON-RPC there and back, or a stream of messages.
"""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from securechat.client.config import ProfileFolder
from securechat.client.errors import ExitCode, HolderLeft, HolderRefused, NoHolder, UnsafeFile
from securechat.client.events import Message
from securechat.client.local_socket import MAX_LINE, is_our_peer
from securechat.client.private_files import check_private_folder

CONNECT_SECONDS: Final = 5
"""A holder on this machine that does not take a connection by then is stopped."""


class Line:
    """A connection to the holder. Calls are made one after another."""

    def __init__(self, user: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._user = user
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._told: list[Message] = []

    async def call(self, method: str, params: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Ask the holder.

        :raises HolderRefused: it said no; the error has the exit code it gave
        :raises HolderLeft: it ended; whether it was done is not known
        """
        number = next(self._ids)
        call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self._writer.write(msgspec.json.encode(call) + b"\n")
        with self._leaving():
            await self._writer.drain()
        while (answer := await self._read()).get("id") != number:
            self._note(answer)
        if "error" in answer:
            raise _refused(answer["error"])
        return answer.get("result")

    async def messages(self) -> AsyncIterator[Message]:
        """Follow: everything unprinted, then what comes. Mark each with ``printed`` once it is.

        :raises HolderLeft: the holder ended
        """
        await self.call("receive", {"follow": True})
        while True:
            while self._told:
                yield self._told.pop(0)
            self._note(await self._read())

    async def printed(self, local_ids: list[int]) -> None:
        """Say that these were printed and need not come again."""
        await self.call("printed", {"ids": local_ids})

    def _note(self, notification: dict[str, Any]) -> None:
        if notification.get("method") == "receive":
            with self._leaving():
                self._told.append(msgspec.convert(notification["params"]["message"], Message))

    async def _read(self) -> dict[str, Any]:
        with self._leaving():
            line = await self._reader.readline()
            if not line.endswith(b"\n"):
                raise HolderLeft(self._user)
            return msgspec.json.decode(line, type=dict[str, Any])

    @contextlib.contextmanager
    def _leaving(self) -> Any:  # noqa: ANN401 - a context manager
        try:
            yield
        except (ConnectionError, ValueError, KeyError, TypeError, RecursionError) as problem:
            raise HolderLeft(self._user) from problem


@asynccontextmanager
async def connected(profile: ProfileFolder) -> AsyncIterator[Line]:
    """Connect to the process that holds the profile.

    :raises NoHolder: nobody does
    :raises UnsafeFile: what is there is not ours
    """
    reader, writer = await _connect(profile)
    try:
        yield Line(profile.user, reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def forward(profile: ProfileFolder, method: str, params: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """Make one call. Raises as `connected` and `Line.call`."""
    async with connected(profile) as line:
        return await line.call(method, params)


async def _connect(profile: ProfileFolder) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if not hasattr(socket, "AF_UNIX") or not profile.socket.is_socket():
        raise NoHolder(profile.user)
    path = profile.socket
    check_private_folder(path.parent)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=MAX_LINE)
    except TimeoutError:
        raise HolderRefused("the process that holds the account does not answer", ExitCode.TIMEOUT) from None
    except OSError as problem:
        # The socket of a holder that was killed: nobody listens.
        raise NoHolder(profile.user) from problem
    if not is_our_peer(writer.get_extra_info("socket")):
        writer.close()
        raise UnsafeFile(f"{path} is served by another user")
    return reader, writer


def _refused(error: Any) -> HolderRefused:  # noqa: ANN401 - JSON
    found = error if isinstance(error, dict) else {}
    data = found.get("data")
    code = data.get("exit_code") if isinstance(data, dict) else None
    return HolderRefused(
        str(found.get("message", "the holder refused")),
        code if isinstance(code, int) and 0 < code < 256 else ExitCode.INTERNAL,
    )
