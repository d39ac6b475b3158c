"""A process of ours, by its id: stopped, continued, killed, ended."""

import asyncio
import signal
from typing import Final

END: Final = 30
"""Seconds until a process that was told to end hangs."""


class Process:
    """Not begun yet."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self.stopped = False

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        self._signal(signal.SIGSTOP)
        self.stopped = True

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)
        self.stopped = False

    def _signal(self, number: signal.Signals) -> None:
        if self.running and self._process is not None:
            self._process.send_signal(number)

    def strike(self) -> None:
        """SIGKILL, now: it gets no chance to tidy up; ``gone`` waits for the end."""
        self._signal(signal.SIGKILL)
        self.stopped = False

    async def kill(self) -> None:
        self.strike()
        await self.gone()

    async def gone(self) -> None:
        if self._process is not None:
            await self._process.wait()

    async def ended(self) -> None:
        """Wait until it is gone; one that will not go is killed.

        :raises TimeoutError: so it was
        """
        if self._process is None:
            return
        try:
            async with asyncio.timeout(END):
                await self.gone()
        except TimeoutError:
            await self.kill()
            raise
