"""The server's private files (`securechat.private_files`), and the folders on the way to them (L-01).

What is unsafe is a `ConfigError`: the server does not start.
"""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from securechat import private_files
from securechat.private_files import FOLDER_MODE
from securechat.server.errors import ConfigError

PARENTS_MODE: Final = 0o777
"""What is missing above the data folder is the system's: made as the umask has it."""

_HAS_MODES: Final = sys.platform != "win32"


def make_private_folder(path: Path) -> None:
    """Make a folder 0700, and its parents; refuse one that is a link, foreign or open to others."""
    with _told():
        private_files.make_folder(path, parents=PARENTS_MODE, allowed=FOLDER_MODE)


def check_private_file(path: Path) -> None:
    """Refuse a file that is a link, somebody else's, or open to others."""
    with _told():
        private_files.check_file(path)


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


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except private_files.UnsafeFile as unsafe:
        raise ConfigError(str(unsafe)) from None
