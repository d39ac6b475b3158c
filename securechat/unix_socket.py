"""A Unix socket that only its owner reaches: bound, found, and who is at its other end.

It is private from the moment it exists; a dead one is replaced, anything else in its place left
alone; the kernel names the peer. A one-shot imports this, hence nothing large here.
"""

import errno
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from securechat.errors import SecureChatError

MAX_PATH: Final = 100
"""Bytes of a socket's path; Linux takes 107, macOS 103."""


class PlaceTaken(SecureChatError):
    """Something that is not our old socket lies where the socket belongs."""


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


@contextmanager
def _private_umask() -> Iterator[None]:
    # bind() knows no mode. What other threads make meanwhile is only more private than they asked.
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)
