"""History through the archive to a new device: ``python -m tests.bench.history [--messages N]``.

CPU time of the clients, over encrypted stores on the disk and a server that only keeps what it is given.
"""

import argparse
import asyncio
import random
import tempfile
import time
from itertools import accumulate
from pathlib import Path

from securechat.client import finding
from tests.client.archived import Kept, Sibling, id_of
from tests.client.parts import NOW

WORDS = [f"w{number}" for number in range(1, 20_000)]
WEIGHTS = list(accumulate(1 / number for number in range(1, 20_000)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.history", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(Path(folder), given.messages))


async def measure(folder: Path, messages: int) -> None:
    kept = Kept()
    old = Sibling(folder / "old", kept)
    fill(old, messages)
    kept.asked.clear()
    began = time.process_time()
    await old.archive.round()
    told("archived", time.process_time() - began, messages)
    sent = sum(len(getattr(each, "data", b"")) for each in kept.asked)
    old.lets_go()
    lie = sum(map(len, kept.files.values()))
    each = f"{lie / messages:.0f} a message"
    print(f"{'bytes sent, and at the server':40} {sent / 1e6:8.1f} MB, {lie / 1e6:.1f} MB ({each})")
    began = time.process_time()
    with old.changes.change() as change:
        change.db.execute("UPDATE message SET archived = 0 WHERE id > ?", (messages - 10,))
    kept.asked.clear()
    await old.archive.round()
    sent = sum(len(getattr(each, "data", b"")) for each in kept.asked)
    told("ten messages more", time.process_time() - began, 10)
    print(f"{'bytes sent for them':40} {sent / 1e3:8.1f} kB")
    new = Sibling(folder / "new", kept, device=old.device)
    began = time.process_time()
    found_after: list[float] = []

    def heard(_: object) -> None:
        if not found_after and finding.search(new.store.db, "newest", conversation=None, limit=1, before=0):
            found_after.append(time.process_time() - began)

    new.archive.tell = heard
    await new.archive.round()
    told("restored, every word indexed", time.process_time() - began, messages)
    told("its newest message found by search after", found_after[0], 1)


def fill(old: Sibling, messages: int) -> None:
    drawn = random.Random(7)
    room = old.room()
    with old.changes.change() as change:
        for number in range(1, messages + 1):
            text = " ".join(drawn.choices(WORDS, cum_weights=WEIGHTS, k=drawn.randint(1, 25)))
            if number == messages:
                text += " newest"
            change.db.execute(
                "INSERT INTO message (conversation, mimi_id, sender, own, state, content, text, timestamp,"
                " sequence, shown, account_key)"
                " VALUES (?, ?, ?, ?, ?, randomblob(256), ?, ?, ?, 1, ?)",
                (
                    room.id,
                    id_of(number),
                    *(("alice", 1, "sent") if number % 3 == 0 else ("bob", 0, "received")),
                    text,
                    NOW - (messages - number) * 300,
                    number,
                    b"k" * 32,
                ),
            )


def told(what: str, seconds: float, messages: int) -> None:
    print(f"{what:40} {seconds:8.2f} s ({seconds / messages * 1e6:.0f} µs a message)", flush=True)


if __name__ == "__main__":
    main()
