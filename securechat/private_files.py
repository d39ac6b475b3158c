"""Files and folders that only their owner may touch (L-01): a profile's, and a server's.

Whatever the umask, a folder is made with 0700 and a file with 0600 in the very call that makes
it: there is no moment in which others could open it. A symbolic link, a foreign owner or open
permissions where something of ours should be is refused, never mended in silence. What is written
is there whole or not at all, and on the disk with its name before a call returns (C-03).
On Windows the folder of the user's profile is private by its access list; modes say nothing there.
"""

import contextlib
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from securechat.errors import SecureChatError

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
LOOKED_INTO: Final = FOLDER_MODE | 0o055
"""Of a folder above private ones: others may see what there is, and change nothing."""

MAX_SMALL_FILE: Final = 1024 * 1024
"""Nothing that is read whole (an account file, pins) comes near this."""

_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_BINARY: Final = getattr(os, "O_BINARY", 0)
_HAS_MODES: Final = sys.platform != "win32"


class UnsafeFile(SecureChatError):
    """A link, a foreign owner or open permissions where something of ours should be."""


def make_folder(path: Path, *, parents: int = FOLDER_MODE, allowed: int = LOOKED_INTO) -> None:
    """Make a folder for its owner alone, and what is missing above it; leave an existing one.

    :raises UnsafeFile: something else is there, or it is open beyond the allowed mode
    """
    for missing in reversed([p for p in path.parents if not p.exists()]):
        with contextlib.suppress(FileExistsError):
            missing.mkdir(parents)
    try:
        path.mkdir(FOLDER_MODE)
    except FileExistsError:
        check_folder(path, allowed=allowed)
    else:
        sync_folder(path.parent)


def check_folder(path: Path, *, allowed: int = LOOKED_INTO) -> None:
    """Refuse a folder that is a link, somebody else's, or open beyond the allowed mode."""
    _check(path, os.lstat(path), stat.S_ISDIR, "folder", allowed)


def check_private_folder(path: Path) -> None:
    """Refuse a folder that anyone but its owner may even look into."""
    check_folder(path, allowed=FOLDER_MODE)


def create_file(path: Path, data: bytes) -> None:
    """Write a new private file.

    :raises FileExistsError: there is something of that name already
    """
    new = _beside(path)
    try:
        _write(new, data)
        # Unlike a rename, a link takes nobody's place. Where it can't be told so, it follows none anyway.
        os.link(new, path, follow_symlinks=os.link not in os.supports_follow_symlinks)
    finally:
        new.unlink(missing_ok=True)
    sync_folder(path.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Put a private file in the place of what was there, in one step."""
    new = _beside(path)
    try:
        _write(new, data)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    sync_folder(path.parent)


def read_file(path: Path) -> bytes:
    """Read a small private file.

    :raises FileNotFoundError: there is none
    :raises UnsafeFile: a link, a foreign owner or open permissions, or it is too large to be ours
    """
    with os.fdopen(open_private(path, os.O_RDONLY), "rb") as file:
        data = file.read(MAX_SMALL_FILE + 1)
    if len(data) > MAX_SMALL_FILE:
        raise UnsafeFile(f"{path} is far larger than any file of ours")
    return data


def open_private(path: Path, flags: int) -> int:
    """Open a private file, made if the flags say so, and check what was opened."""
    try:
        descriptor = os.open(path, flags | _NO_FOLLOW | _BINARY, FILE_MODE)
    except OSError:
        # O_NOFOLLOW fails with an error number of its own on each system.
        if path.is_symlink():
            raise UnsafeFile(f"{path} is a symbolic link; securechat follows none here") from None
        raise
    try:
        check_file(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def check_file(path: Path, found: os.stat_result | None = None) -> None:
    """Refuse what is not a plain file of ours that nobody else may open."""
    _check(path, found or os.lstat(path), stat.S_ISREG, "file", FILE_MODE)


def sync_folder(path: Path) -> None:
    """Wait until the disk knows the folder's names: a file's own fsync does not promise its name."""
    if not _HAS_MODES:
        return  # Windows opens no folders
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _beside(path: Path) -> Path:
    import secrets  # noqa: PLC0415 - with its hashes a tenth of a one-shot that writes no file

    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def _write(new: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _BINARY
    with os.fdopen(os.open(new, flags, FILE_MODE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _check(
    path: Path, found: os.stat_result, is_kind: Callable[[int], bool], kind: str, allowed: int
) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise UnsafeFile(f"{path} is a symbolic link; securechat follows none here")
    if not is_kind(found.st_mode):
        raise UnsafeFile(f"{path} is not a {kind}")
    if not _HAS_MODES:
        return
    if found.st_uid != os.geteuid():
        raise UnsafeFile(f"{path} belongs to somebody else")
    if stat.S_IMODE(found.st_mode) & ~allowed & 0o077:
        tight = FOLDER_MODE if kind == "folder" else FILE_MODE
        raise UnsafeFile(f"{path} is open to others; make it private with: chmod {tight:o} {path}")
