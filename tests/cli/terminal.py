"""A command on a real pseudo-terminal, its screen drawn by pyte."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyte

WIDTH, HEIGHT = 100, 30
SECONDS = 60
WHERE_IS_THE_CURSOR = b"\x1b[6n"
"""What prompt_toolkit asks of any terminal."""


class Terminal:
    """One process on its own terminal. `type` is the keyboard, `lines` the screen."""

    def __init__(
        self, arguments: list[str], environment: dict[str, str], folder: Path, module: str = "securechat"
    ) -> None:
        self._primary, secondary = pty.openpty()
        self._screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.ByteStream(self._screen)
        self.raw = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=secondary,
            stdout=secondary,
            stderr=secondary,
            env=environment | {"TERM": "xterm-256color", "COLUMNS": str(WIDTH), "LINES": str(HEIGHT)},
            cwd=folder,
            start_new_session=True,
        )
        os.close(secondary)

    def type(self, keys: str) -> None:
        os.write(self._primary, keys.encode())

    def lines(self) -> list[str]:
        # Not `display`: that stumbles over half a wide character, where its other half was drawn over.
        rows = (self._screen.buffer[row] for row in range(HEIGHT))
        lines = ("".join(row[column].data for column in range(WIDTH)) for row in rows)
        return [line.rstrip() for line in lines if line.strip()]

    def wait(self, seen: Callable[[list[str]], bool]) -> list[str]:
        """Read until the screen is as expected; fails with the screen as it is."""
        deadline = time.monotonic() + SECONDS
        while not seen(self.lines()):
            assert time.monotonic() < deadline, "\n".join(self.lines())
            self._read(0.2)
        return self.lines()

    def rest(self) -> None:
        """Read until nothing more comes for a moment: only for what may come to nothing at all."""
        before = -1
        while before != len(self.raw):
            before = len(self.raw)
            self._read(0.3)

    def end(self) -> int:
        """Return the exit code once the process has ended and all that it wrote is read."""
        deadline = time.monotonic() + SECONDS
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.1)
        while self._read(0):
            pass
        return self.process.wait(timeout=1)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(timeout=SECONDS)
        os.close(self._primary)

    def _read(self, seconds: float) -> bool:
        """Wait so long for something to read; whether there was."""
        ready, _, _ = select.select([self._primary], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self._primary, 65536)
        except OSError:  # the other end has closed
            return False
        asked = self.raw.count(WHERE_IS_THE_CURSOR)
        self.raw += data
        self._stream.feed(data)
        if self.raw.count(WHERE_IS_THE_CURSOR) > asked:
            row, column = self._screen.cursor.y + 1, self._screen.cursor.x + 1
            os.write(self._primary, f"\x1b[{row};{column}R".encode())
        return bool(data)
