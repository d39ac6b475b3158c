"""Standard input, line by line, beside an event loop."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator
from typing import Final

MAX_LINE_BYTES: Final = 64 * 1024
"""A line is at most what one message may carry; the rest of a longer one is refused with it."""

LINES_AHEAD: Final = 64
"""How far a pipe may run ahead of what was dealt with."""

NOT_TEXT: Final = "\x00"
"""What a line becomes that is not UTF-8 or is too long: no caller takes controls."""


class StdinLines:
    """Each line without its end, until the input ends. One in a process, begun inside the loop.

    A thread of its own reads, because a regular file cannot be watched by an event loop and a
    blocked read cannot be cancelled; as a daemon it ends with the process.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue(LINES_AHEAD)
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        line = await self._queue.get()
        if line is None:
            raise StopAsyncIteration
        return line

    def _read(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended before the input did
            while True:
                data = sys.stdin.buffer.readline(MAX_LINE_BYTES)
                line = _decoded(data) if data else None
                while is_cut(data):  # the rest of a refused line is no line of its own
                    data = sys.stdin.buffer.readline(MAX_LINE_BYTES)
                asyncio.run_coroutine_threadsafe(self._queue.put(line), self._loop).result()
                if line is None:
                    return


def is_cut(data: bytes) -> bool:
    """Whether a read ended in the middle of a line that is longer than we take."""
    return len(data) == MAX_LINE_BYTES and not data.endswith(b"\n")


def _decoded(data: bytes) -> str:
    if is_cut(data):
        return NOT_TEXT
    try:
        return data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        return NOT_TEXT
