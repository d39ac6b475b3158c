"""Taking an account off a machine (L-04).

The wrapped key goes first: whatever is left of the rest by then, on whatever block of whatever disk, is
sealed under a key that nobody has any more. Then every file is overwritten and removed. Whether a
file system or a disk keeps what was overwritten (snapshots, wear levelling) cannot be told from here.
"""

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from securechat.client.config import ProfileFolder
from securechat.client.errors import NoProfile, StoreFailed
from securechat.client.lock import ProfileLock
from securechat.client.part_traces import traced
from securechat.client.private_files import check_private_folder
from securechat.private_files import sync_folder

_PIECE: Final = 1024 * 1024


def wipe(profile: ProfileFolder) -> None:
    """Remove an account from this machine for good. The account stays at the server.

    :raises NoProfile: there is none
    :raises ProfileBusy: a process holds it
    :raises StoreFailed: the disk would not; what is left is of no use without the key that went first
    """
    if not profile.folder.is_dir():
        raise NoProfile(profile.user)
    check_private_folder(profile.folder)
    with ProfileLock(profile):
        try:
            _overwrite(profile.account)
            for part in traced(profile.folder):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # it is whole, or given up
                    _remove(part)
            for path in sorted(profile.folder.rglob("*"), key=lambda each: -len(each.parts)):
                if path != profile.lock:
                    _remove(path)
            profile.socket.unlink(missing_ok=True)
            # Last, and while it is held: whoever waits for it finds that it is no longer the one of its name.
            profile.lock.unlink(missing_ok=True)
            profile.folder.rmdir()
            sync_folder(profile.folder.parent)
        except OSError as problem:
            raise StoreFailed(f"cannot remove {problem.filename}: {problem.strerror or problem}") from problem


def _remove(path: Path) -> None:
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode):
        path.rmdir()
        return
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:  # what has another name is not ours alone
        _overwrite(path)
    path.unlink()


def _overwrite(path: Path) -> None:
    """Write over a file where it lies; a file that does not let itself be written goes as it is."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        descriptor = os.open(path, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0))
        try:
            left = os.fstat(descriptor).st_size
            while left > 0:
                left -= os.write(descriptor, secrets.token_bytes(min(left, _PIECE)))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
