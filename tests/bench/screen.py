"""The full screen with a long history: first paint, memory, the time of a key.

    python -m tests.bench.screen --messages 100000

A real account with a real conversation, its store filled with that many messages, on a real terminal.
The server is stopped before: what is measured is drawn from the store alone.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from securechat.client.config import Home
from securechat.client.keystore import unlock
from securechat.client.store import ClientStore
from tests.cli.shell import PASSWORD, Shell, shell_in
from tests.cli.terminal import Terminal

TYPING: Final = 2.0
"""Seconds that a person takes for a password: what is imported meanwhile costs them nothing."""

PAGES: Final = 50
"""Keys whose time is taken."""


def fill(shell: Shell, count: int) -> None:
    """Put messages into alice's conversation with bob, as if they had been said there."""
    profile = Home(shell.home).profile("alice")
    store = ClientStore(profile.database, unlock(profile, PASSWORD))
    row = store.db.execute("SELECT conversation, epoch, timestamp FROM message LIMIT 1").fetchone()
    assert row is not None
    conversation, epoch, now = row
    with store.db:
        store.db.executemany(
            "INSERT INTO message (conversation, mimi_id, sender, own, state, content, text, timestamp,"
            " sequence, epoch, code, verified, shown) VALUES "
            "(?, ?, 'bob', 0, 'received', x'', ?, ?, ?, ?, '', 'known', 1)",
            (
                (conversation, at.to_bytes(32, "big"), text(at), now - count + at, at + 10, epoch)
                for at in range(1, count + 1)
            ),
        )
    store.close()


def text(at: int) -> str:
    return f"message {at} of a long history, with a few words more " * (1 + at % 3)


def resident(process: int) -> float:
    """Return what a process holds in memory, in megabytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))


def computed(process: int) -> float:
    """Return the seconds that a process has computed."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(shell: Shell, count: int) -> None:
    """Open the screen, look at it, scroll; print what that took."""
    started = time.perf_counter()
    terminal = Terminal(
        ["chat", "alice"], shell.environment() | {"LANG": "C.UTF-8", "LANGUAGE": "en"}, shell.folder
    )
    try:
        terminal.wait(lambda lines: any("Password for" in line for line in lines))
        prompted = time.perf_counter()
        time.sleep(TYPING)
        asked, busy = time.perf_counter(), computed(terminal.process.pid)
        terminal.type(PASSWORD + "\n")
        terminal.wait(lambda lines: any(f"message {count} of" in line for line in lines))
        painted, drew = time.perf_counter(), computed(terminal.process.pid)
        print(f"command to password prompt   {1000 * (prompted - started):8.0f} ms")
        print(f"computed until the prompt    {1000 * busy:8.0f} ms")
        print(f"computed until the paint     {1000 * (drew - busy):8.0f} ms, on all cores together")
        print(f"password to first paint      {1000 * (painted - asked):8.0f} ms (an Argon2id among it)")
        print(f"memory after the first paint {resident(terminal.process.pid):8.0f} MB")
        took: list[float] = []
        for _ in range(PAGES):
            before, pressed = terminal.lines(), time.perf_counter()
            terminal.type("\x1b[5~")
            terminal.wait(lambda lines, before=before: lines != before)  # type: ignore[misc]
            took.append(1000 * (time.perf_counter() - pressed))
        took.sort()
        print(f"PgUp until it is drawn       {statistics.median(took):8.1f} ms median, {took[-3]:.1f} p95")
        print(f"memory after {PAGES} pages        {resident(terminal.process.pid):8.0f} MB")
        pressed = time.perf_counter()
        terminal.type("\x1b[1;3H")
        terminal.wait(lambda lines: any("message 1 of" in line for line in lines))
        print(f"to the very first message    {1000 * (time.perf_counter() - pressed):8.0f} ms")
    finally:
        terminal.close()


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=100_000)
    count = options.parse_args().messages
    with tempfile.TemporaryDirectory() as folder, shell_in(Path(folder)) as shell:
        server = shell.start_server()
        shell.register("alice", "bob")
        assert shell.account("send", "alice", "@bob", "hello").returncode == 0
        server.terminate()
        server.wait(20)
        fill(shell, count)
        print(f"{count} messages in the store")
        measure(shell, count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
