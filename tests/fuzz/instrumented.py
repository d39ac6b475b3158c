"""One process with instrumented decoders, which forks a fuzzer for each target.

Started by ``tests.fuzz.campaign``, with JSON that says what to do. Nothing is measured here: counting
branches makes everything slower and larger. Each fuzzer notes the inputs that were slowest with it.
"""

import hashlib
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any, Final

import atheris

with atheris.instrument_imports(include=["securechat"]):
    from tests.fuzz.judge import Target, behave
    from tests.fuzz.packed import change
    from tests.fuzz.targets import TARGETS

SLOWEST: Final = 3
"""Kept of each target, to be measured afterwards."""


class Slowest:
    """The inputs that took longest so far, as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: list[tuple[float, Path]] = []

    def note(self, data: bytes, seconds: float) -> None:
        if len(self._kept) == SLOWEST and seconds <= self._kept[0][0]:
            return
        file = self._folder / hashlib.sha1(data, usedforsecurity=False).hexdigest()
        if any(file == kept for _, kept in self._kept):
            return
        file.write_bytes(data)
        self._kept.append((seconds, file))
        self._kept.sort()
        for _, dropped in self._kept[:-SLOWEST]:
            dropped.unlink()
        del self._kept[:-SLOWEST]


def main() -> int:
    if len(sys.argv) > 1:  # libFuzzer starts itself anew to merge
        _hand_over(TARGETS[sys.argv[1]], sys.argv[2:], None)
    asked: dict[str, Any] = json.loads(sys.stdin.read())
    waiting = list(asked["targets"])
    running: dict[int, str] = {}
    worst = 0
    while waiting or running:
        while waiting and len(running) < asked["jobs"]:
            name = waiting.pop(0)
            child = os.fork()
            if child == 0:
                _fuzz(TARGETS[name], Path(asked["folder"]) / name, asked["options"], asked["read"])
                os._exit(0)  # libFuzzer ends the process itself
            running[child] = name
        child, status = os.wait()
        name = running.pop(child)
        code = os.waitstatus_to_exitcode(status)
        (Path(asked["folder"]) / name / "exit").write_text(str(code))
        worst = max(worst, abs(code))
    return min(worst, 1)


def _fuzz(target: Target, folder: Path, options: list[str], read: list[str]) -> None:
    """Hand the process over to libFuzzer; the first folder it reads it also writes to."""
    with (folder / "log").open("ab", buffering=0) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    folders = [str(folder / each) for each in read]
    _hand_over(target, [*options, f"-artifact_prefix={folder}/found-", *folders], Slowest(folder / "slowest"))


def _hand_over(target: Target, arguments: list[str], slowest: Slowest | None) -> None:
    def one(data: bytes) -> None:
        begun = time.thread_time()
        behave(target, data)
        if slowest is not None:
            slowest.note(data, time.thread_time() - begun)

    def packed(data: bytes, most: int, seed: int) -> bytes:
        return change(data, most, seed, atheris.Mutate)

    again = f"{shlex.quote(sys.executable)} -m tests.fuzz.instrumented {target.name}"
    if target.packed:
        atheris.Setup([again, *arguments], one, custom_mutator=packed)
    else:
        atheris.Setup([again, *arguments], one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
