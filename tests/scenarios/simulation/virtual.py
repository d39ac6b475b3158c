"""A loop whose clock is only a number, and randomness that a seed decides: the same run, as often as wanted.

Nothing waits: when nobody has anything to do, the clock goes on to the next timer. What the code would
give to a thread is done at once, and tasks are told apart by number, not by where they lie in memory.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, Self
from unittest import mock

from securechat.mls.randomness import drawn_from

BEGAN: Final = 1_800_000_000
"""Seconds since 1970 when every run begins."""

Dial = Callable[[Callable[[], asyncio.Protocol], int], Awaitable[tuple[asyncio.Transport, asyncio.Protocol]]]
"""Connects a protocol to a port."""


class Deadlock(Exception):
    """Somebody waits for what nothing will bring."""


class _Task(asyncio.Task[Any]):
    number: int

    def __new__(cls, _coro: object, *, loop: "VirtualLoop", **_more: object) -> Self:
        task = super().__new__(cls)
        task.number = loop.next_number()  # asyncio asks for the hash before it has made the task
        return task

    def __hash__(self) -> int:
        return self.number


class _Future(asyncio.Future[Any]):
    number: int

    def __hash__(self) -> int:
        return self.number


class _Selector:
    """Waits by moving the clock."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise Deadlock
        self._loop.passed += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """One thread, no descriptors."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0
        """Seconds since the run began."""
        self.dial: Dial | None = None
        self._clock_resolution = 1e-6
        self._selector = _Selector(self)
        self._number = 0
        self.set_task_factory(_make_task)

    def time(self) -> float:
        return self.passed

    def date(self) -> float:
        """Seconds since 1970."""
        return BEGAN + self.passed

    def create_future(self) -> asyncio.Future[Any]:
        future = _Future(loop=self)
        future.number = self.next_number()
        return future

    def run_in_executor(self, _executor: Any, func: Callable[..., Any], *args: Any) -> Any:  # type: ignore[override]
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - whoever waits gets it, as from a thread
            future.set_exception(error)
        return future

    async def create_connection(self, factory: Any, _host: Any = None, port: Any = None, **_more: Any) -> Any:  # type: ignore[override]
        if self.dial is None:
            raise ConnectionRefusedError
        return await self.dial(factory, port)

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def _process_events(self, event_list: list[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps."""


def _make_task(loop: Any, coro: Any, **more: Any) -> _Task:
    return _Task(coro, loop=loop, **more)


@contextmanager
def running(seed: str) -> Iterator[VirtualLoop]:
    """A loop, and all randomness and time of the process from it, until the block ends."""
    loop = VirtualLoop()
    source = random.Random(f"{seed} secrets")
    with (
        mock.patch.object(secrets, "token_bytes", source.randbytes),
        mock.patch.object(secrets, "token_hex", _in_hex(source)),
        mock.patch.object(secrets, "randbits", source.getrandbits),
        mock.patch.object(secrets, "SystemRandom", return_value=source),
        mock.patch.object(time, "time", loop.date),
        mock.patch.object(time, "thread_time", return_value=0.0),
        drawn_from(source.randbytes),
    ):
        try:
            yield loop
        finally:
            _end(loop)
            loop.close()


def _in_hex(source: random.Random) -> Callable[[int], str]:
    return lambda size: source.randbytes(size).hex()


def _end(loop: VirtualLoop) -> None:
    tasks = sorted(asyncio.all_tasks(loop), key=hash)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(_ended(tasks))


async def _ended(tasks: list[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
