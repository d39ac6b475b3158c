"""JSON-RPC 2.0, one object per line, over a Unix socket that only its owner reaches.

What a profile's holder and a server's administration have in common: how a call is read and
answered, how the socket is bound (private from the moment it exists, a dead one replaced, anything
else in its place left alone), and how the kernel names who is at the other end.
"""

import contextlib
import errno
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from securechat.errors import SecureChatError

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
UNKNOWN_METHOD: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL: Final = -32603
OURS: Final = -32000
"""A definite no of ours; ``data`` has the exit code a command ends with."""

MAX_PATH: Final = 100
"""Bytes of a socket's path; Linux takes 107, macOS 103."""

Params = TypeVar("Params", bound=Struct)


class Call(Struct, frozen=True, forbid_unknown_fields=True):
    """A request, or a notification if it has no id."""

    method: str
    params: dict[str, Any] = {}
    id: int | str | None = None
    jsonrpc: str = "2.0"


class Nothing(Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class NoCall(Exception):
    """A line that is no call of ours; ``code`` says why, as JSON-RPC counts it."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class PlaceTaken(SecureChatError):
    """Something that is not our old socket lies where the socket belongs."""


def decode_call(line: bytes) -> Call:
    """Read one line.

    :raises NoCall: it is not JSON-RPC 2.0
    """
    try:
        call = msgspec.json.decode(line, type=Call)
    except msgspec.ValidationError as problem:
        raise NoCall(INVALID_REQUEST, f"not a call: {problem}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NoCall(PARSE_ERROR, "not JSON") from None
    if call.jsonrpc != "2.0":
        raise NoCall(INVALID_REQUEST, "this is JSON-RPC 2.0")
    return call


def decode_params(call: Call, methods: Mapping[str, type[Params]]) -> Params:
    """The call's parameters, as the table of methods says they are.

    :raises NoCall: there is no such method, or it takes others
    """
    kind = methods.get(call.method)
    if kind is None:
        raise NoCall(UNKNOWN_METHOD, f"there is no method of this name; there are {', '.join(methods)}")
    try:
        return msgspec.convert(call.params, kind)
    except msgspec.ValidationError as problem:
        raise NoCall(INVALID_PARAMS, f"{call.method}: {problem}") from None


def result_of(call: Call, result: Any) -> dict[str, Any] | None:  # noqa: ANN401 - JSON
    """The answer to a call; a notification has none."""
    return None if call.id is None else {"jsonrpc": "2.0", "id": call.id, "result": result}


def error_of(call: Call | None, code: int, text: str, *, exit_code: int, kind: str = "") -> dict[str, Any]:
    """A no, with the code a command ends with, and the name of what went wrong if there is one."""
    data = {"exit_code": exit_code} | ({"kind": kind} if kind else {})
    error = {"code": code, "message": text, "data": data}
    return {"jsonrpc": "2.0", "id": call.id if call is not None else None, "error": error}


def peer_uid(connection: socket.socket) -> int:
    """Return the user id of the process at the other end of a Unix socket, as the kernel says."""
    credentials = getattr(socket, "SO_PEERCRED", None)
    if credentials is not None:
        _pid, uid, _gid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, credentials, 12))
        return int(uid)
    # macOS and the BSDs: LOCAL_PEERCRED (1) at level SOL_LOCAL (0) gives a struct xucred.
    _version, uid = struct.unpack_from("=II", connection.getsockopt(0, 1, 128))
    return int(uid)


def is_peer_of(connection: socket.socket, *users: int) -> bool:
    """Whether the process at the other end belongs to one of these users of the machine."""
    try:
        return peer_uid(connection) in users
    except (OSError, struct.error):
        return False


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name by which the kernel takes a socket's path, however long that is.

    :raises OSError: it is too long, and this system has no other name for it
    """
    if len(os.fsencode(path)) <= MAX_PATH:
        yield str(path)
        return
    if not sys.platform.startswith("linux"):
        raise OSError(errno.ENAMETOOLONG, "the path of a socket is too long")
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def bind_private(path: Path) -> socket.socket:
    """Bind a socket 0600; its folder is private already (L-01).

    :raises PlaceTaken: something else is there
    :raises OSError: the system says no
    """
    _remove_old(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with reachable(path) as address, _private_umask():
            listening.bind(address)
    except OSError:
        listening.close()
        raise
    return listening


def _remove_old(path: Path) -> None:
    """Remove what a process that was killed left behind; anything else is not ours to remove."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode) or (sys.platform != "win32" and found.st_uid != os.geteuid()):
        raise PlaceTaken(f"{path} is in the place of our socket and is none; remove it")
    path.unlink()


@contextlib.contextmanager
def _private_umask() -> Iterator[None]:
    # bind() knows no mode. What other threads make meanwhile is only more private than they asked.
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)
