"""Work in a thread is not left behind: what it uses may be closed after it."""

import asyncio
import threading

import pytest

from securechat.client.threads import in_thread


async def test_who_is_cancelled_goes_on_only_once_the_thread_is_done() -> None:
    begun, let, done = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def work() -> None:
        loop.call_soon_threadsafe(begun.set)
        let.wait()
        done.set()

    async def asked() -> bool:
        try:
            await in_thread(work)
        finally:
            was_done.append(done.is_set())
        return False

    was_done: list[bool] = []
    task = asyncio.create_task(asked())
    await begun.wait()
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0)
    assert not was_done
    let.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert was_done == [True]


async def test_what_a_thread_returns_and_raises_comes_back() -> None:
    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)
