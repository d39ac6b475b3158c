"""Background work with an end: every task is kept, named, and its failure told once."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from securechat.client.errors import ClientError, Disconnected

_LOG: Final = logging.getLogger(__name__)


class Tasks:
    """The engine's background tasks. A lost connection ends a task quietly: the next one starts it anew."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(self._run(work), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _task: work.close())  # cancelled before its first step
        return task

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Disconnected:
            return
        except ClientError as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - a task's root: nothing above would ever see it
            _LOG.exception("a background task failed")
            self._failed(error)

    async def close(self) -> None:
        """Cancel what runs and wait until it has ended."""
        running = [task for task in self._running if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
