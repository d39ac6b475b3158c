"""Runs securechat and notes how long each turn of the main thread's loop took: ``FILE ARGUMENTS...``.

What a loop does between two looks at its keys nobody can interrupt. To FILE go, when the program ends, a
line for each turn of more than a millisecond: when (seconds since 1970), how many milliseconds, what ran.
"""

import asyncio
import asyncio.events
import sys
import threading
import time
from pathlib import Path
from typing import Any

from securechat.cli.main import main

LEAST = 1.0
"""Milliseconds: what is shorter is not noted."""


def probe(path: Path, arguments: list[str]) -> None:
    taken: list[tuple[float, float, str]] = []
    run: Any = asyncio.events.Handle._run

    def timed(handle: Any) -> None:
        began = time.perf_counter()
        run(handle)
        took = 1000 * (time.perf_counter() - began)
        if took > LEAST and threading.current_thread() is threading.main_thread():
            taken.append(
                (time.time(), took, repr(getattr(handle._callback, "__self__", handle._callback))[:200])
            )

    setattr(asyncio.events.Handle, "_run", timed)  # noqa: B010 - types know it as another's
    sys.argv = ["securechat", *arguments]
    try:
        main()
    finally:
        path.write_text("".join(f"{when:.3f} {took:.1f} {what}\n" for when, took, what in taken))


if __name__ == "__main__":
    probe(Path(sys.argv[1]), sys.argv[2:])
