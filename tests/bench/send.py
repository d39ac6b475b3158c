"""What a person waits for: wall time of the commands, from a shell: ``python -m tests.bench.send``."""

import asyncio
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from securechat.client.config import Home
from securechat.client.events import Message
from securechat.client.face import Face
from securechat.client.forwarding import connected
from tests.cli.shell import Shell, shell_in

TIMES: Final = 7


def main(times: int = TIMES) -> None:
    print(f"wall time of commands, median of {times}")
    with tempfile.TemporaryDirectory(prefix="securechat-bench-") as folder, shell_in(Path(folder)) as shell:
        shell.start_server()
        shell.register("alice", "bob")
        shell.account("send", "alice", "@bob", "opens the conversation")
        python = [sys.executable, "-c", "pass"]
        row("bare python", lambda: subprocess.run(python, check=True), times)
        row("securechat --help", lambda: checked(shell.run("--help")), times)
        row("send, with the password (Argon2id 64 MiB)", lambda: checked(send(shell, "alice")), times)
        with shell.agent("alice"):
            row("rooms, through the agent", lambda: checked(shell.run("rooms", "alice")), times)
            row("send, through the agent", lambda: checked(shell.run("send", "alice", "@bob", "x")), times)
            asyncio.run(on_one_connection(shell.home, times * 20))


def send(shell: Shell, user: str) -> subprocess.CompletedProcess[str]:
    return shell.account("send", user, "@bob", "x")


def checked(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode != 0:
        raise SystemExit(done.stderr)


async def on_one_connection(home: Path, times: int) -> None:
    """What is left without starting Python: a bot that stays connected."""
    async with connected(Home(home).profile("alice")) as face:
        for what, verb in (("status", face.status), ("send until the server has it", lambda: sent(face))):
            begun = time.perf_counter()
            for _ in range(times):
                await verb()
            took = (time.perf_counter() - begun) / times
            print(f"{what + ', on an open connection':<44} {1000 * took:8.2f} ms", flush=True)


async def sent(face: Face) -> Message:
    return await face.acknowledged((await face.send("@bob", "x")).local_id, 30)


def row(what: str, action: Callable[[], object], times: int) -> None:
    """Wall time, and the processor time of the command itself, which says more on a busy machine."""
    took, busy = [], []
    for _ in range(times):
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        action()
        took.append(time.perf_counter() - begun)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    wall, cpu = (1000 * statistics.median(each) for each in (took, busy))
    print(
        f"{what:<44} {wall:8.0f} ms, {cpu:5.0f} ms of processor; least {1000 * min(took):.0f} ms", flush=True
    )


if __name__ == "__main__":
    main()
