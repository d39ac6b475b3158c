"""Search and lists over a long history: ``python -m tests.bench.finding [--messages N] [--conversations N]``.

CPU time, over an encrypted store on the disk; words are drawn as people use them, few often, many seldom.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Final

import apsw

from securechat.client import finding, marks
from securechat.client import store as stores
from securechat.client.private_files import create_file
from securechat.client.store import ClientStore

KEY: Final = bytes(range(32))
RUNS: Final = 15
SEARCHES: Final = (
    "w1 ", "w1", "w4000 ", "w40", "w", '"w1 w2"', "w1 w2 w3 ", "東京", "москве", "zurich", "nothing-like-it ",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.finding", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--conversations", type=int, default=1_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder) / "store.db", given.messages, given.conversations)


def measure(path: Path, messages: int, conversations: int) -> None:
    steps = stores._migrations()
    words = next(number for number, sql in steps if "message_words" in sql)
    create_file(path, b"")
    db = apsw.Connection(str(path))
    stores._unlock(db, KEY)
    db.pragma("journal_mode", "wal")
    stores.migrate(db, steps[: words - 1])
    began = time.process_time()
    fill(db, messages, conversations)
    told(f"{messages} messages stored, without an index", time.process_time() - began)
    before = db.pragma("page_count") * 4096
    db.close()
    began = time.process_time()
    store = ClientStore(path, KEY)
    told("opened by this release: all of them indexed, once", time.process_time() - began)
    store.db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    after = store.db.pragma("page_count") * 4096
    print(f"{'size':58} {before / 1e6:8.1f} MB before, {after / 1e6:.1f} MB after")
    began = time.process_time()
    for number in range(200):
        with store.transaction() as one:
            say(one, 1, f"one more with a few w{number} words", messages + number)
    told("a message stored and indexed, each in its transaction", (time.process_time() - began) / 200)
    for typed in SEARCHES:
        for where in (None, 7):
            what = f"search {typed!r}{' in one conversation' if where else ''}"
            timed(what, partial(finding.search, store.db, typed, conversation=where, limit=50, before=0))
    timed(f"a list of {conversations} conversations", lambda: marks.all_marks(store.db))
    timed("the first message of a day", lambda: finding.first_since(store.db, 7, date(2026, 5, 5)))
    store.close()


def fill(db: apsw.Connection, messages: int, conversations: int) -> None:
    drawn = random.Random(7)
    words = [f"w{number}" for number in range(1, 20_000)] + ["東京", "москве", "Zürich"]
    weights = list(accumulate([1 / number for number in range(1, 20_000)] + [0.001] * 3))
    with db:
        for number in range(1, conversations + 1):
            db.execute(
                "INSERT INTO conversation (id, name, kind, state, room) VALUES (?, ?, 'room', 'joined', ?)",
                (number, f"#room-{number}", f"r{number}"),
            )
        for number in range(messages):
            text = " ".join(drawn.choices(words, cum_weights=weights, k=drawn.randint(1, 25)))
            say(db, drawn.randint(1, conversations), text, number)


def say(db: apsw.Connection, conversation: int, text: str, number: int) -> None:
    db.execute(
        "INSERT INTO message (conversation, mimi_id, sender, own, state, content, text, timestamp, shown)"
        " VALUES (?, randomblob(32), 'bob', 0, 'received', randomblob(256), ?, ?, ?)",
        (conversation, text, 1_770_000_000 + number * 60, number % 10 != 0),
    )


def timed(what: str, work: Callable[[], object]) -> None:
    took = []
    for _ in range(RUNS):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    told(what, statistics.median(took), max(took))


def told(what: str, seconds: float, most: float | None = None) -> None:
    worst = f", at most {most * 1e3:.2f} ms" if most is not None else ""
    print(f"{what:58} {seconds * 1e3:8.2f} ms{worst}", flush=True)


if __name__ == "__main__":
    main()
