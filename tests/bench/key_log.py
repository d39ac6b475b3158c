"""What the key log costs a server: ``python -m tests.bench.key_log [--accounts N]``.

N accounts with their entries lie in a server's database, as its own code puts them there; only the labels
are made up, because 100,000 VRF proofs would take ten minutes. Then the start (all that App does about the
log), searches under a signed head, and what an entry adds to a registration's transaction. CPU time in
milliseconds: median and worst.
"""

import argparse
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from securechat.membership.signing import new_key
from securechat.protocol.messages import LogSearched, SearchLog
from securechat.server import transparency
from securechat.server.identity import load_identity
from securechat.server.store.sqlite import open_database, prepare_database
from securechat.server.transparency_rows import record_statement, standing
from securechat.server.transparency_start import begin_if_due, is_behind, publish
from tests.server.peer import Person

SAMPLE: Final = 200
DOMAIN: Final = "chat.example"

T = TypeVar("T")


def timed(call: Callable[[], T]) -> tuple[T, float]:
    start = time.process_time()
    found = call()
    return found, 1000 * (time.process_time() - start)


def show(what: str, values: list[float], unit: str, goal: str = "") -> None:
    middle, worst = statistics.median(values), max(values)
    print(f"{what:<48} {middle:>9,.2f} {worst:>9,.2f} {unit:<3} {goal}", flush=True)


def add(db: apsw.Connection, number: int, statement: bytes) -> None:
    """An account with a label that nobody can prove, and its entry."""
    user, label = f"user{number}", hashlib.sha256(b"%d" % number).digest()
    db.execute(
        "INSERT INTO account (user, salt, login_hash, account_key, statement, created) "
        "VALUES (?, x'', '', x'', ?, 1)",
        (user, statement),
    )
    db.execute("INSERT INTO log_label (user, label, proof) VALUES (?, ?, ?)", (user, label, bytes(80)))
    record_statement(db, user, statement, None, now=1)


def fill(db: apsw.Connection, count: int, statement: bytes) -> None:
    for number in range(count):
        add(db, number, statement)


def started(path: Path) -> None:
    identity = load_identity(path, DOMAIN)
    assert not is_behind(path)
    assert not begin_if_due(path, identity, now=int(time.time()))


def searched(db: apsw.Connection, number: int) -> LogSearched:
    known = standing(db)
    assert known.head is not None
    found: Any = transparency._search(db, known, known.head, SearchLog(f"user{number}"))
    assert isinstance(found, LogSearched)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    count = parser.parse_args().accounts
    statement = Person("user", DOMAIN, account_key=new_key()).statement
    with tempfile.TemporaryDirectory() as folder:
        path = prepare_database(Path(folder) / "data")
        identity = load_identity(path, DOMAIN)
        begin_if_due(path, identity, now=1)
        with closing(open_database(path)) as db:
            with db:
                _, cost = timed(lambda: fill(db, count, statement))
            print(f"{count:,} accounts recorded in {cost / 1000:.1f} s: {path.stat().st_size / 1e6:,.1f} MB")
            with db:
                publish(db, path, identity.key, standing(db).state, now=int(time.time()))
            print(f"{'':<48} {'median':>9} {'worst':>9}")
        show("start: all that is done about the log", [timed(lambda: started(path))[1]], "ms", "goal: 2,000")
        with closing(open_database(path)) as db:
            costs, sizes = [], []
            for number in range(0, count, max(1, count // SAMPLE)):
                found, cost = timed(lambda number=number: searched(db, number))  # type: ignore[misc]
                costs.append(cost)
                sizes.append(float(len(found.answer)))
            show("search: the proof", sizes, "B", "goal: 2,000")
            show("search: made, with head and statement", costs, "ms")
            with db:
                costs = [timed(partial(add, db, count + n, statement))[1] for n in range(SAMPLE)]
            show("registration: its entry, in the transaction", costs, "ms")


if __name__ == "__main__":
    main()
