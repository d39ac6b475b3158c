"""Files and folders that only their owner may touch (L-01).

They are made with their mode in the very call that makes them, so there is no moment in which
others could open them; a symbolic link or a foreign owner in their place is refused.
"""

import os
import secrets
import stat
import sys
from pathlib import Path
from typing import Final

from securechat.server.errors import ConfigError

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600

_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_HAS_MODES: Final = sys.platform != "win32"


def make_private_folder(path: Path) -> None:
    """Make a folder 0700, and its parents; refuse one that is a link, foreign or open to others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(FOLDER_MODE)
    except FileExistsError:
        _check(path, os.lstat(path), directory=True)
    else:
        sync_folder(path.parent)


def create_private_file(path: Path, data: bytes) -> None:
    """Write a new file 0600, whole or not at all; FileExistsError if there is anything of that name."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(new, data)
        os.link(new, path, follow_symlinks=False)  # unlike a rename, it takes nobody's place
    finally:
        new.unlink(missing_ok=True)
    sync_folder(path.parent)


def replace_private_file(path: Path, data: bytes) -> None:
    """Put a new file in an old one's place, in one step; what cannot be finished leaves the old one."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(new, data)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Wait until the disk knows the folder's names: a file's own fsync does not promise its name (C-03)."""
    if not _HAS_MODES:
        return  # Windows opens no folders
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write(new: Path, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW
    with os.fdopen(os.open(new, flags, FILE_MODE), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def check_private_file(path: Path) -> None:
    """Refuse a file that is a link, somebody else's, or open to others."""
    _check(path, os.lstat(path), directory=False)


def check_folders_of(path: Path) -> None:
    """Refuse a place where others could put something, or put something else in the place of a folder.

    All folders on the way there count, those that links lead to as well: each belongs to this process's
    user or to root, and others may write only where they can't take away what is not theirs (/tmp), and
    never into the last one.

    :raises ConfigError: names the folder
    """
    if not _HAS_MODES:
        return
    last = Path(os.path.realpath(path.parent))
    for folder in dict.fromkeys((last, *last.parents, *path.parents)):
        if os.lstat(folder).st_uid not in {os.geteuid(), 0}:
            raise ConfigError(f"the folder {folder} belongs to somebody else")
        mode = folder.stat().st_mode
        if mode & 0o022 and (not mode & stat.S_ISVTX or folder in {path.parent, last}):
            raise ConfigError(f"others may write to the folder {folder}: chmod go-w {folder}")


def is_open_to_all(path: Path) -> bool:
    """Whether users of this machine who are neither owner nor in the group may touch a file."""
    return _HAS_MODES and bool(path.stat().st_mode & 0o007)


def _check(path: Path, found: os.stat_result, *, directory: bool) -> None:
    kind, is_kind = ("folder", stat.S_ISDIR) if directory else ("file", stat.S_ISREG)
    if not is_kind(found.st_mode):
        raise ConfigError(f"{path} is not a {kind} (symbolic links are not followed)")
    if _HAS_MODES and found.st_uid != os.geteuid():
        raise ConfigError(f"the {kind} {path} belongs to somebody else")
    if _HAS_MODES and stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(f"the {kind} {path} is open to others: chmod go= {path}")
