"""The other end of the admin socket: one call there and back, for the command line."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final

import msgspec

from securechat.errors import SecureChatError
from securechat.server.admin import AdminRefused
from securechat.unix_socket import is_peer_of, reachable

ANSWER_SECONDS: Final = 3600
"""A backup of a large database takes minutes; everything else answers at once."""

CONNECT_SECONDS: Final = 5


class NoServer(SecureChatError):
    exit_code: ClassVar[int] = 69
    """EX_UNAVAILABLE of sysexits: nothing runs that could answer."""


class AdminLine:
    """A connection to a running server."""

    def __init__(self, connection: socket.socket, answers: BinaryIO) -> None:
        self._connection = connection
        self._answers = answers
        self._count = 0

    def call(self, method: str, params: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """Ask, and wait for the answer.

        :raises AdminRefused: the server refused
        :raises NoServer: it ended meanwhile
        """
        self._count += 1
        call = {"jsonrpc": "2.0", "id": self._count, "method": method, "params": params}
        try:
            self._connection.sendall(msgspec.json.encode(call) + b"\n")
            line = self._answers.readline()
        except OSError as problem:
            raise NoServer(f"the server went away: {problem.strerror or problem}") from None
        if not line.endswith(b"\n"):
            raise NoServer("the server went away, or has too many administrators at once")
        answer: dict[str, Any] = msgspec.json.decode(line)
        if "error" in answer:
            error = answer["error"]
            raise AdminRefused(error["message"], int(error["data"]["exit_code"]))
        return answer["result"]


@contextmanager
def opened(path: Path) -> Iterator[AdminLine]:
    """A line to the server whose socket lies there.

    :raises NoServer: nobody answers, or somebody who may not be it
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(CONNECT_SECONDS)
        try:
            owner = path.parent.stat().st_uid
            with reachable(path) as address:
                connection.connect(address)
        except OSError as problem:
            raise NoServer(f"no server answers at {path}: {problem.strerror or problem}") from None
        if not is_peer_of(connection, os.geteuid(), owner):
            raise NoServer(f"{path} is served by another user of this machine")
        connection.settimeout(ANSWER_SECONDS)
        with connection.makefile("rb") as answers:  # it keeps the socket open as long as it is
            yield AdminLine(connection, answers)
