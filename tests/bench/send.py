"""What a person waits for: wall time of the commands, from a shell: ``python -m tests.bench.send``."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

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
        with shell.holding("alice"):
            row(
                "send, through a running chat",
                lambda: checked(shell.run("send", "alice", "@bob", "x")),
                times,
            )


def send(shell: Shell, user: str) -> subprocess.CompletedProcess[str]:
    return shell.account("send", user, "@bob", "x")


def checked(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode != 0:
        raise SystemExit(done.stderr)


def row(what: str, action: Callable[[], object], times: int) -> None:
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        action()
        took.append(time.perf_counter() - begun)
    print(f"{what:<44} {1000 * statistics.median(took):8.0f} ms", flush=True)


if __name__ == "__main__":
    main()
