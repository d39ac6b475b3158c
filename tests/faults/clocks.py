"""Wall clocks that can be set while they run (C-06).

`Clock` is for one process, and an argument. `SharedClock` is a file that other processes look at:

    python -m tests.faults.clocks FILE MODULE ARGUMENT...

runs a module whose ``time.time`` is off by what the file says at that moment. Monotonic clocks are
left alone, as a machine whose date is set leaves them alone.
"""

import mmap
import runpy
import struct
import sys
import time
from pathlib import Path
from typing import Final

YEAR: Final = 365.25 * 86_400.0

JUMPS: Final = {
    "ten years back": -10 * YEAR,
    "ten years on": 10 * YEAR,
    "a summer hour on": 3600.0,
    "a winter hour back": -3600.0,
    "a leap second back": -1.0,
    "half a minute on": 30.0,
}
"""What dates do in the world: a battery that died, a wrong date typed, DST on a clock that has local
time, leap seconds, a machine that slept."""

_OFFSET: Final = struct.Struct("d")


class Clock:
    """The real time and something."""

    def __init__(self) -> None:
        self.offset = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset


class SharedClock:
    """An offset in a file: whoever maps it reads it anew each time, with no system call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.exists():
            path.write_bytes(_OFFSET.pack(0.0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _OFFSET.size)
        self._real = time.time

    @property
    def offset(self) -> float:
        offset: float = _OFFSET.unpack(self._map[:])[0]
        return offset

    @offset.setter
    def offset(self, seconds: float) -> None:
        self._map[:] = _OFFSET.pack(seconds)

    def __call__(self) -> float:
        return self._real() + self.offset

    def close(self) -> None:
        self._map.close()


def run(file: str, module: str, *arguments: str) -> None:
    """Run a module as ``python -m`` would, by the clock in the file."""
    time.time = SharedClock(Path(file))
    sys.argv[:] = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    run(*sys.argv[1:])
