"""One owner per profile: an exclusive lock of the operating system, held for the owner's life.

The system lets go of it when the process ends, however it ends; nothing is ever stale. The file
holds the owner's process id, for people to read; only the lock itself decides.
"""

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from securechat.client.config import ProfileFolder
from securechat.client.errors import NoProfile, ProfileBusy
from securechat.client.private_files import open_private

_FAR: Final = 1 << 30
"""Windows locks bytes, and a locked byte can't be read: lock one beyond the process id."""


class FileLock:
    """An exclusive lock on a file, of this descriptor alone: it also excludes within a process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    @property
    def held(self) -> bool:
        return self._descriptor is not None

    def acquire(self) -> bool:
        """Take the lock if it is free."""
        return self._take(block=False)

    def wait(self) -> None:
        """Take the lock as soon as it is free. For what is held only for moments."""
        self._take(block=True)

    def release(self) -> None:
        """Let go. The file stays: removing it would let two owners lock two files of one name."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def write(self, data: bytes) -> None:
        """Put a word about the owner into the file."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, data, 0) if hasattr(os, "pwrite") else os.write(
                self._descriptor, data
            )

    def __enter__(self) -> Self:
        self.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _take(self, *, block: bool) -> bool:
        while self._descriptor is None:
            descriptor = open_private(self._path, os.O_RDWR | os.O_CREAT)
            try:
                taken = _lock(descriptor, block=block)
                # The last owner may have removed the file while we stood before it.
                current = taken and self._is_current(descriptor)
            except BaseException:
                os.close(descriptor)
                raise
            if current:
                self._descriptor = descriptor
                continue
            os.close(descriptor)
            if not taken:
                return False
        return True

    def _is_current(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self._path.lstat())
        except FileNotFoundError:
            return False


class ProfileLock:
    """The lock of one profile, with the holder's process id in it."""

    def __init__(self, profile: ProfileFolder) -> None:
        self._profile = profile
        self._lock = FileLock(profile.lock)

    def acquire(self) -> None:
        """Become the owner.

        :raises ProfileBusy: somebody else is; it names the process
        :raises NoProfile: there is no folder to own
        """
        try:
            taken = self._lock.acquire()
        except FileNotFoundError:
            raise NoProfile(self._profile.user) from None
        if not taken:
            raise ProfileBusy(self._profile.user, holder_pid(self._profile))
        self._lock.write(b"%d\n" % os.getpid())

    def release(self) -> None:
        self._lock.release()

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def holder_pid(profile: ProfileFolder) -> int | None:
    """Return the process id in the lock file. It means something only while the lock is taken."""
    try:
        text = profile.lock.read_text(encoding="ascii", errors="replace")[:20].strip()
    except OSError:
        return None
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else None


if sys.platform == "win32":

    def _lock(descriptor: int, *, block: bool) -> bool:
        import msvcrt  # noqa: PLC0415 - there is none elsewhere

        os.lseek(descriptor, _FAR, os.SEEK_SET)
        while True:
            try:
                msvcrt.locking(descriptor, msvcrt.LK_LOCK if block else msvcrt.LK_NBLCK, 1)
            except OSError:
                # LK_LOCK gives up after ten seconds of waiting.
                if block:
                    continue
                return False
            os.lseek(descriptor, 0, os.SEEK_SET)
            return True

else:

    def _lock(descriptor: int, *, block: bool) -> bool:
        import fcntl  # noqa: PLC0415 - there is none on Windows

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if block else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True
