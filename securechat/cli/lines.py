"""Bytes of a pipe become lines."""

from collections.abc import Iterator
from typing import Final

MAX_LINE_BYTES: Final = 64 * 1024
"""A line is at most what one message may carry; the rest of a longer one is refused with it."""

NOT_TEXT: Final = "\x00"
"""What a line becomes that is not UTF-8 or is too long: no caller takes controls."""


class Splitter:
    """Bytes become lines; one that is too long becomes `NOT_TEXT`, and its rest no line of its own."""

    def __init__(self) -> None:
        self._begun = b""
        self._skipping = False

    def feed(self, data: bytes) -> Iterator[str]:
        *whole, rest = (self._begun + data).split(b"\n")
        for line in whole:
            if not self._skipping:
                yield _decoded(line)
            self._skipping = False
        if len(rest) >= MAX_LINE_BYTES and not self._skipping:
            self._skipping = True
            yield NOT_TEXT
        self._begun = b"" if self._skipping else rest

    def end(self) -> Iterator[str]:
        if self._begun:
            yield _decoded(self._begun)
        self._begun = b""


def _decoded(line: bytes) -> str:
    if len(line) >= MAX_LINE_BYTES:
        return NOT_TEXT
    try:
        return line.decode().rstrip("\r")
    except UnicodeDecodeError:
        return NOT_TEXT
