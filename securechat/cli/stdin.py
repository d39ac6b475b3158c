"""Standard input, line by line, beside an event loop."""

import asyncio
import contextlib
import select
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import CancelledError
from typing import Final

from securechat.cli.lines import MAX_LINE_BYTES, Splitter

LINES_AHEAD: Final = 64
"""How far a pipe may run ahead of what was dealt with."""


class StdinLines:
    """Each line without its end, until the input ends. One in a process, begun inside the loop.

    A thread of its own reads, because a regular file cannot be watched by an event loop and a
    blocked read cannot be cancelled; as a daemon it ends with the process. It reads the raw file: a
    process that ends while somebody waits in a buffered one is aborted by the interpreter.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | OSError | None] = asyncio.Queue(LINES_AHEAD)
        self._file = getattr(sys.stdin.buffer, "raw", sys.stdin.buffer)
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        """Return the next line.

        :raises OSError: the system gives no more, as of a terminal that has gone
        """
        line = await self._queue.get()
        if line is None:
            raise StopAsyncIteration
        if isinstance(line, OSError):
            raise line
        return line

    def _read(self) -> None:
        splitter = Splitter()
        with contextlib.suppress(RuntimeError, CancelledError):  # the loop has ended before the input did
            try:
                for data in self._pieces():
                    for line in splitter.feed(data):
                        self._put(line)
            except OSError as problem:
                self._put(problem)
                return
            for line in splitter.end():
                self._put(line)
            self._put(None)

    def _pieces(self) -> Iterator[bytes]:
        while (data := self._file.read(MAX_LINE_BYTES)) != b"":
            if data is None:  # nothing yet: another program has made our input one that does not wait
                select.select([self._file], [], [])
            else:
                yield data

    def _put(self, line: str | OSError | None) -> None:
        asyncio.run_coroutine_threadsafe(self._queue.put(line), self._loop).result()
