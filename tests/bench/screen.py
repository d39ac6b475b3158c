"""The full screen with a long history: first paint, memory, the time of a key.

    python -m tests.bench.screen --messages 100000 [--turns]

A real account with a real conversation, its store filled with that many messages, on a real terminal.
The server is stopped before: what is measured is drawn from the store alone. With --turns it is said how
long the longest turns of the screen's loop took, which costs the other figures a little.
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

LONGEST_TURN: Final = 16.0
"""Milliseconds for which the screen's loop may be away from its keys."""


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


def measure(shell: Shell, count: int, *, turns: bool) -> None:
    """Open the screen, look at it, scroll; print what that took."""
    environment = shell.environment() | {"LANG": "C.UTF-8", "LANGUAGE": "en", "PYTHONPATH": str(Path.cwd())}
    noted = shell.folder / "turns"
    module, before_all = ("tests.bench.loop_probe", [str(noted)]) if turns else ("securechat", [])
    started = time.perf_counter()
    terminal = Terminal([*before_all, "chat", "alice"], environment, shell.folder, module)
    try:
        terminal.wait(lambda lines: any("Password for" in line for line in lines))
        prompted = time.perf_counter()
        time.sleep(TYPING)
        asked, busy = time.perf_counter(), computed(terminal.process.pid)
        terminal.type(PASSWORD + "\n")
        terminal.wait(lambda lines: any(f"message {count} of" in line for line in lines))
        painted, drew, drawn = time.perf_counter(), computed(terminal.process.pid), time.time()
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
        if turns:
            terminal.type("\x11")
            terminal.wait(lambda lines: any("Leave securechat?" in line for line in lines))
            terminal.type("y")
            terminal.end()
            print_turns(noted, since=drawn)
    finally:
        terminal.close()


def print_turns(noted: Path, *, since: float) -> None:
    """Say how long the loop was away from its keys once the screen was there."""
    turns = [line.split(" ", 2) for line in noted.read_text().splitlines()]
    after = sorted(((float(took), what) for when, took, what in turns if float(when) > since), reverse=True)
    long = sum(took > LONGEST_TURN for took, _ in after)
    print(f"turns over {LONGEST_TURN:.0f} ms           {long:8d}, of {len(after)} over 1 ms")
    for took, what in after[:5]:
        print(f"  {took:6.1f} ms  {what}")


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=100_000)
    options.add_argument(
        "--turns", action="store_true", help="also how long the screen's loop was busy at once"
    )
    given = options.parse_args()
    count: int = given.messages
    with tempfile.TemporaryDirectory() as folder, shell_in(Path(folder)) as shell:
        server = shell.start_server()
        shell.register("alice", "bob")
        assert shell.account("send", "alice", "@bob", "hello").returncode == 0
        server.terminate()
        server.wait(20)
        fill(shell, count)
        print(f"{count} messages in the store")
        measure(shell, count, turns=given.turns)
    return 0


if __name__ == "__main__":
    sys.exit(main())
