"""Where the line mode reads and writes: plain streams here, an editing terminal in `terminal.py`."""

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

import click

MAX_LINE_BYTES: Final = 64 * 1024
"""A typed line is at most what one message may carry; the rest of a longer one is refused with it."""

LINES_AHEAD: Final = 64
"""How far a pipe may run ahead of what was dealt with."""

NOT_TEXT: Final = "\x00"
"""What a line becomes that is not UTF-8 or is too long: the line mode refuses controls."""


class Surface(Protocol):
    """Lines in, lines out."""

    def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        """What the person types; ends at the end of input."""
        ...

    def show(self, text: str) -> None:
        """Print data: messages."""
        ...

    def tell(self, text: str) -> None:
        """Print words about what goes on."""
        ...


class PlainSurface:
    """Stdin, stdout and stderr, nothing redrawn: pipes, `TERM=dumb`, screen readers.

    A thread of its own reads stdin, because a regular file cannot be watched by an event loop and
    a blocked read cannot be cancelled; as a daemon it ends with the process.
    """

    async def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        del prompt
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[str | None] = asyncio.Queue(LINES_AHEAD)

        def read() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended before the input did
                while True:
                    data = sys.stdin.buffer.readline(MAX_LINE_BYTES)
                    line = _decoded(data) if data else None
                    while is_cut(data):  # the rest of a refused line is no line of its own
                        data = sys.stdin.buffer.readline(MAX_LINE_BYTES)
                    asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()
                    if line is None:
                        return

        threading.Thread(target=read, name="stdin", daemon=True).start()
        while (line := await queue.get()) is not None:
            yield line

    def show(self, text: str) -> None:
        click.echo(text)

    def tell(self, text: str) -> None:
        click.echo(text, err=True)


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
