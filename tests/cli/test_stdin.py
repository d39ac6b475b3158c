import asyncio
import errno
import os
import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.cli.lines import MAX_LINE_BYTES, NOT_TEXT, Splitter
from securechat.cli.stdin import LINES_AHEAD, StdinLines


def split(*pieces: bytes) -> list[str]:
    splitter = Splitter()
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    return [*lines, *splitter.end()]


def test_lines_end_as_they_may() -> None:
    assert split(b"one\ntwo\r\n\nlast") == ["one", "two", "", "last"]
    assert split(b"") == []


def test_what_is_no_text_is_said_to_be_none() -> None:
    assert split(b"one\n\xff\xfe\ntwo\n") == ["one", NOT_TEXT, "two"]


def test_the_longest_line_is_taken_and_a_longer_one_refused_whole() -> None:
    long = b"x" * (MAX_LINE_BYTES - 1)
    assert split(long + b"\nnext\n") == [long.decode(), "next"]
    assert split(long + b"x\nnext\n") == [NOT_TEXT, "next"]
    assert split(long, long, long, b"\nnext") == [NOT_TEXT, "next"]


@given(st.lists(st.binary(max_size=9).map(lambda piece: piece.replace(b"\r", b"\n")), max_size=20))
def test_wherever_it_is_cut_the_lines_are_the_same(pieces: list[bytes]) -> None:
    assert split(*pieces) == split(b"".join(pieces))


class Raw:
    """A raw input that gives these, in order; it can be read from all the time."""

    def __init__(self, *given: bytes | OSError | None) -> None:
        self._given: Iterator[bytes | OSError | None] = iter(given)
        self._readable, self._writable = os.pipe()
        os.write(self._writable, b"x")

    def fileno(self) -> int:
        return self._readable

    def read(self, _size: int) -> bytes | None:
        found = next(self._given)
        if isinstance(found, OSError):
            raise found
        return found

    def close(self) -> None:
        os.close(self._readable)
        os.close(self._writable)


async def lines_of(monkeypatch: pytest.MonkeyPatch, *given: bytes | OSError | None) -> list[str]:
    raw = Raw(*given)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(raw=raw)))
    try:
        async with asyncio.timeout(30):
            return [line async for line in StdinLines()]
    finally:
        raw.close()


async def test_an_input_that_has_nothing_yet_has_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another program that shares our input may have made it one that does not wait."""
    assert await lines_of(monkeypatch, None, b"one\n", None, b"two", b"") == ["one", "two"]


async def test_an_input_that_fails_is_said_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="gone"):
        await lines_of(monkeypatch, b"one\n", OSError(errno.EIO, "the terminal has gone"))


def test_who_leaves_before_the_input_ends_sees_nothing_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at /quit with more lines behind it: the reader's thread waits for room that never comes."""
    raw, broken = Raw(b"line\n" * (LINES_AHEAD + 2), b""), list[object]()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(raw=raw)))
    monkeypatch.setattr(threading, "excepthook", broken.append)

    async def leaves_early() -> None:
        lines = StdinLines()
        async with asyncio.timeout(30):
            while not lines._queue.full() or len(asyncio.all_tasks()) < 2:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0)

    asyncio.run(leaves_early())
    for thread in threading.enumerate():
        if thread.name == "stdin":
            thread.join(30)
    raw.close()
    assert broken == []
