"""The processes of a run: the real server by a clock that can be set, and members to stop and kill."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from tests.faults.clocks import SharedClock
from tests.faults.orders import REPORTS, Account, Order, Report
from tests.faults.process import Process
from tests.faults.proxy import Proxy
from tests.faults.server_process import ServerProcess

START: Final = 60
"""Seconds until a process that says nothing is a failure."""

_ENCODE: Final = msgspec.json.Encoder().encode

NO_CAPS: Final = """
[connections]
before_login = 10000
before_login_per_address = 10000
"""


class ClockedServer(ServerProcess):
    """The real command, by a clock that can be set; ``module`` may be a worse one."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.module = "securechat"
        self.clock = SharedClock(folder / "clock")
        self.settings += NO_CAPS
        self.starts: list[float] = []
        """Seconds from each start until it was ready."""

    @property
    def command(self) -> tuple[str, ...]:
        return ("tests.faults.clocks", str(self.clock.path), self.module)

    async def start(self) -> float:
        self.starts.append(await super().start())
        return self.starts[-1]


class MemberProcess(Process):
    """A member in a process of its own. What it said before it was killed still counts."""

    def __init__(self, account: Account, report: Callable[[Report], None], clock: SharedClock) -> None:
        super().__init__()
        self._account = account
        self._report = report
        self._clock = clock
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        log = Path(self._account.home).parent / f"{self._account.user}.log"
        with log.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.faults.clocks", str(self._clock.path)),
                *("tests.faults.member", _ENCODE(self._account).decode()),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                limit=1 << 28,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), START)
        except BaseException:
            await super().kill()  # whoever waited has given up: nobody would know of it
            raise
        if not line:
            raise RuntimeError(f"{self._account.user} did not start: {log.read_text()[-2000:]}")
        self._report(REPORTS.decode(line))
        self._reading = asyncio.create_task(self._read(self._process.stdout))

    async def _read(self, output: asyncio.StreamReader) -> None:
        while (line := await output.readline()).endswith(b"\n"):
            self._report(REPORTS.decode(line))

    async def obey(self, order: Order) -> None:
        """Pass an order on, unless the process is gone or asleep: then nobody is there to be asked."""
        if (
            self.running
            and not self.stopped
            and self._process is not None
            and self._process.stdin is not None
        ):
            self._process.stdin.write(_ENCODE(order) + b"\n")

    async def kill(self) -> None:
        await super().kill()
        if self._reading is not None:
            await self._reading

    async def close(self) -> None:
        self.go_on()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
        await self.ended()
        if self._reading is not None:
            await self._reading


def proxy_to(server: ServerProcess, seed: int) -> Proxy:
    return Proxy(("127.0.0.1", server.port), seed=seed)
