"""Attachments on the disk: files that only the server touches, in folders of their own.

DATA/files/<first byte of the id>/<id>, both in hex: 0600 in folders 0700. All of this blocks, so it is
called in threads. What is there counts only as far as the database says that it is synced: a file needs
no other name while it is not whole.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from securechat.private_files import FOLDER_MODE, make_folder, open_private, sync_folder

FOLDER: Final = "files"

FEW_NAMES: Final = 10_000
"""Inodes that are left to everything else: a disk may be out of them with most of its bytes free."""

_OURS: Final = re.compile("[0-9a-f]{2}")
"""A folder of attachments; what else lies there (``lost+found`` of a disk of its own) is not looked into."""


@dataclass(frozen=True, slots=True)
class Disk:
    """``folder`` is made when the first attachment comes."""

    folder: Path

    def room(self) -> int:
        """Bytes that are free where attachments lie; none where their number is what the disk is short of."""
        found = os.statvfs(self.folder if self.folder.is_dir() else self.folder.parent)
        if found.f_files and found.f_favail < FEW_NAMES:
            return 0
        return found.f_bavail * found.f_frsize

    def path(self, name: bytes) -> Path:
        return self.folder / name[:1].hex() / name.hex()

    def prepare(self, name: bytes, synced: int) -> int:
        """Make a file, or cut it back to what was synced; return its length: 0 where that is not there.

        :raises OSError: and the file is as it was, or not there
        """
        path = self.path(name)
        make_folder(self.folder, allowed=FOLDER_MODE)
        make_folder(path.parent, allowed=FOLDER_MODE)
        descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
        try:
            kept = synced if os.fstat(descriptor).st_size >= synced else 0
            os.ftruncate(descriptor, kept)
        finally:
            os.close(descriptor)
        sync_folder(path.parent)
        return kept

    def write(self, name: bytes, offset: int, data: bytes, *, sync: bool) -> None:
        """Write at an offset; with ``sync`` wait until the disk has all that was written so far.

        :raises FileNotFoundError: it was deleted meanwhile
        """
        descriptor = open_private(self.path(name), os.O_WRONLY)
        try:
            with memoryview(data) as left:
                done = 0
                while done < len(left):
                    done += os.pwrite(descriptor, left[done:], offset + done)
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def read(self, name: bytes, offset: int, size: int) -> bytes:
        """Up to ``size`` bytes from an offset on.

        :raises FileNotFoundError: there is no such file
        """
        descriptor = open_private(self.path(name), os.O_RDONLY)
        try:
            return os.pread(descriptor, size, offset)
        finally:
            os.close(descriptor)

    def remove(self, name: bytes) -> None:
        self.path(name).unlink(missing_ok=True)

    def folders(self) -> list[Path]:
        with contextlib.suppress(FileNotFoundError):
            return [path for path in self.folder.iterdir() if _OURS.fullmatch(path.name)]
        return []

    def older_than(self, folder: Path, date: float) -> list[bytes]:
        """The attachments of one folder that nobody has written to since (seconds since 1970)."""
        return [name for name, changed in _listed(folder) if changed < date]


def _listed(folder: Path) -> Iterator[tuple[bytes, float]]:
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError, ValueError):
                yield bytes.fromhex(entry.name), entry.stat(follow_symlinks=False).st_mtime
