"""A file of the user's that is sent: read twice, sent once (docs/decisions/0011).

First all of it is sealed, to learn the tags and the hash; these are stored before anything is sent.
Then each piece is sealed again when its turn comes, also after a restart, and one whose tag is another
is not sent: the file has changed, and nothing but what was sealed first ever leaves under its key and
number. All of this blocks: for threads. Memory is a piece at a time.
"""

import hashlib
import hmac
import os
import stat
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from securechat.client.errors import FileChanged, FileRefused
from securechat.content.sealed_file import (
    MAX_SIZE,
    PIECE,
    SEALED_PIECE,
    TAG,
    PieceCipher,
    piece_count,
)

AT_ONCE: Final = 64
"""Pieces sealed in one turn of a thread: 4 MiB, some milliseconds."""


@dataclass(slots=True)
class Source:
    """An open file, and its size when it was opened."""

    descriptor: int
    size: int
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _is_open: bool = True

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a file to be sent.

        :raises FileRefused: it cannot be read, is no plain file, or is too large
        """
        # Without O_NONBLOCK a pipe would keep us here until somebody writes to it.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(path, flags)
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or "it has no such name"
            raise FileRefused(f"cannot read {path}: {reason}") from None
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_SIZE:
            os.close(descriptor)
            if stat.S_ISREG(found.st_mode):
                raise FileRefused(f"{path} is too large: a file has at most {MAX_SIZE // 2**20} MiB")
            raise FileRefused(f"{path} is not a plain file")
        return cls(descriptor, found.st_size)

    def close(self) -> None:
        """Wait for what is being read: a thread goes on when nobody waits for it any more."""
        with self._lock:
            if self._is_open:
                self._is_open = False
                os.close(self.descriptor)

    def read(self, number: int, length: int) -> bytes:
        """The content of one piece.

        :raises FileChanged: there is less of it now
        """
        data = b""
        while len(data) < length:
            more = self._read(length - len(data), number * PIECE + len(data))
            if not more:
                raise FileChanged("the file has become shorter while it was sent")
            data += more
        return data

    def _read(self, length: int, offset: int) -> bytes:
        with self._lock:
            if not self._is_open:  # its number may be another file's by now
                raise FileRefused("the file cannot be read: it was closed")
            try:
                os.lseek(self.descriptor, offset, os.SEEK_SET)
                return os.read(self.descriptor, length)
            except OSError as problem:
                raise FileRefused(f"the file cannot be read: {problem.strerror}") from None


class FirstSealing:
    """Goes through a file once; sends nothing."""

    def __init__(self, source: Source, cipher: PieceCipher) -> None:
        self._source = source
        self._cipher = cipher
        self._hash = hashlib.sha256()
        self._tags = bytearray()
        self._next = 0

    def step(self) -> bool:
        """Seal some pieces; False when that was the last."""
        count = piece_count(self._source.size)
        for number in range(self._next, min(self._next + AT_ONCE, count)):
            sealed = self._cipher.seal(number, self._source.read(number, self._cipher.length(number)))
            self._hash.update(sealed)
            self._tags += sealed[-TAG:]
            self._next = number + 1
        return self._next < count

    @property
    def tags(self) -> bytes:
        return bytes(self._tags)

    @property
    def digest(self) -> bytes:
        return self._hash.digest()


def sealed_from(source: Source, cipher: PieceCipher, tags: bytes, offset: int) -> bytes:
    """Return the rest of the sealed piece that this offset of the whole is in.

    :raises FileChanged: it is not what was sealed first
    """
    number = offset // SEALED_PIECE
    sealed = cipher.seal(number, source.read(number, cipher.length(number)))
    if not hmac.compare_digest(sealed[-TAG:], tags[number * TAG : (number + 1) * TAG]):
        raise FileChanged("the file has changed while it was sent")
    return sealed[offset % SEALED_PIECE :]
