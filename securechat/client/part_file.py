"""A file that is being fetched: it grows by pieces that were opened and checked, under a hidden name.

It gets no other name before its hash is right. All of this blocks: for threads.
"""

import hashlib
import hmac
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from securechat.client.errors import FileDamaged, FileRefused
from securechat.content.errors import ContentError
from securechat.content.sealed_file import PIECE, PieceCipher, SealedFile, piece_count
from securechat.private_files import UnsafeFile, open_private

AT_ONCE: Final = 64
"""Pieces of what was fetched before that are gone through in one turn of a thread."""


class PartFile:
    """Open, as far as it has come. ``next_piece`` is the one that belongs at its end."""

    def __init__(self, path: Path, file: SealedFile) -> None:
        """Open a part, made if it is not there.

        :raises FileRefused: it cannot be written
        """
        self._path = path
        self._file = file
        self._cipher = PieceCipher(file.key, file.prefix, file.size)
        self._count = piece_count(file.size)
        self._hash = hashlib.sha256()
        self._counted = 0
        self._lock = threading.Lock()
        self._is_open = True
        try:
            self._descriptor = _opened(path)
        except (OSError, UnsafeFile) as problem:
            raise refused(problem) from None
        size = os.fstat(self._descriptor).st_size
        self.next_piece = 0 if size > file.size else size // PIECE
        self.had_before = self.next_piece > 0

    @property
    def is_whole(self) -> bool:
        return self.next_piece == self._count

    def count_step(self) -> bool:
        """Add some of what was fetched before to the hash; False when that was the last.

        It is sealed again for that, which nobody sees: the hash is of what lies at the server.
        """
        with self._working():
            for number in range(self._counted, min(self._counted + AT_ONCE, self.next_piece)):
                os.lseek(self._descriptor, number * PIECE, os.SEEK_SET)
                content = os.read(self._descriptor, self._cipher.length(number))
                try:
                    self._hash.update(self._cipher.seal(number, content))
                except ContentError:
                    self.next_piece = number  # it was cut off meanwhile
                    break
                self._counted = number + 1
        return self._counted < self.next_piece

    def add(self, sealed: bytes) -> None:
        """Open and write the next piece.

        :raises FileDamaged: it is not what was sealed
        :raises FileRefused: the disk does not take it
        """
        try:
            content = self._cipher.open(self.next_piece, sealed)
        except ContentError as problem:
            raise FileDamaged(f"{problem} Nothing was saved.") from None
        with self._working():
            self._hash.update(sealed)
            os.lseek(self._descriptor, self.next_piece * PIECE, os.SEEK_SET)
            with memoryview(content) as left:
                done = 0
                while done < len(left):
                    done += os.write(self._descriptor, left[done:])
            self.next_piece += 1
            self._counted = self.next_piece

    def finish(self) -> bool:
        """Whether the whole is what its sender named; then the disk has it."""
        if not hmac.compare_digest(self._hash.digest(), self._file.digest):
            return False
        with self._working():
            os.ftruncate(self._descriptor, self._file.size)
            os.fsync(self._descriptor)
        return True

    def close(self) -> None:
        """Wait for what is being written: a thread goes on when nobody waits for it any more."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                os.close(self._descriptor)

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Have the descriptor for oneself: the number of a closed one is that of the file opened next."""
        with self._lock:
            if not self._is_open:
                raise FileRefused("cannot save the file: it was closed")
            try:
                yield
            except OSError as problem:
                raise refused(problem) from None

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def _opened(path: Path) -> int:
    """A part of ours. One with another name is the user's: it was moved, and a crash kept its old name."""
    descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
    if os.fstat(descriptor).st_nlink == 1:
        return descriptor
    os.close(descriptor)
    path.unlink(missing_ok=True)
    return open_private(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)


def refused(problem: Exception) -> FileRefused:
    """What is said when a disk does not take a file."""
    reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
    return FileRefused(f"cannot save the file: {reason}")
