"""The processes of a run: the real server by a clock that can be set, and members to stop and kill."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module, util
from pathlib import Path
from typing import Final

import msgspec

from tests.faults.clocks import SharedClock
from tests.faults.member import REPORTS, Account, Order, Report
from tests.faults.proxy import Proxy

START: Final = 60
"""Seconds until a process that says nothing is a failure."""

END: Final = 30

_ENCODE: Final = msgspec.json.Encoder().encode

NO_LIMITS: Final = """
[connections]
before_login = 10000
before_login_per_address = 10000
"""


def rates() -> str:
    """Return a configuration's table that takes every rate limit out of the way: they are not the subject."""
    if util.find_spec("securechat.server.rate_limit") is None:
        return ""
    rules = import_module("securechat.server.rate_limit").RULES
    lines = [f'"{rule.name}" = {{ burst = 1e9, per_second = 1e9 }}' for rule in rules]
    return "\n".join(["[rates]", *lines, ""])


class Process:
    """A process of ours: stopped, continued, killed and ended by its id."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self.stopped = False

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    def stop(self) -> None:
        self._signal(signal.SIGSTOP)
        self.stopped = True

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)
        self.stopped = False

    def _signal(self, number: signal.Signals) -> None:
        if self.running and self._process is not None:
            self._process.send_signal(number)

    async def kill(self) -> None:
        """End it as a power cut would: it gets no chance to tidy up."""
        self._signal(signal.SIGKILL)
        self.stopped = False
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
                await self._process.wait()
        except TimeoutError:
            await self.kill()
            raise


class ServerProcess(Process):
    """The real command, on one port for its life."""

    def __init__(self, folder: Path, port: int, module: str = "securechat") -> None:
        super().__init__()
        folder.mkdir(parents=True)
        self.module = module
        self.folder = folder
        self.port = port
        self.clock = SharedClock(folder / "clock")
        self.starts: list[float] = []
        """Seconds from each start until it was ready."""
        (folder / "server.toml").write_text(NO_LIMITS + rates())

    @property
    def database(self) -> Path:
        (found,) = (self.folder / "data").glob("*.db")
        return found

    async def start(self) -> None:
        begun = asyncio.get_running_loop().time()
        with (self.folder / "server.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.faults.clocks", str(self.clock.path), self.module, "server"),
                *("--host", "127.0.0.1", "--port", str(self.port), "--data", str(self.folder / "data")),
                *("--config", str(self.folder / "server.toml")),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdout is not None
        async with asyncio.timeout(START):
            while line := await self._process.stdout.readline():
                if line.startswith(b"ready"):
                    self.starts.append(asyncio.get_running_loop().time() - begun)
                    return
        raise RuntimeError(f"the server did not start: {self.log()}")

    async def end(self) -> None:
        self.go_on()
        self._signal(signal.SIGTERM)
        await self.ended()

    def log(self) -> str:
        return (self.folder / "server.log").read_text(errors="replace")[-3000:]


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
