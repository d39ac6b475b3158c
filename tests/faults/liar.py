"""A server that says a message is on its disk before it is, and then dies: what a run must find out.

    python -m tests.faults.liar server ...

The first transaction with a message after a moment's peace is answered and not written; then the
process ends, as a power cut would end it.
"""

import os
import runpy
import sys
import threading
from typing import Final

import apsw

from securechat.server.errors import Refusal
from securechat.server.store import writer
from securechat.server.store.transaction import Transaction
from securechat.server.store.writer import Job

HONEST: Final = 5
"""Messages that are stored as they should be."""

SECONDS: Final = 0.3
"""From the lie to the end: long enough for the answer to leave."""


class Hasty:
    """Stands where the writer commits."""

    def __init__(self) -> None:
        self._honest = writer._transact

    def __call__(self, db: apsw.Connection, batch: list[Job]) -> Refusal | None:
        (stored,) = db.execute("SELECT count(*) FROM entry WHERE kind = 'message'").fetchone() or (0,)
        if stored < HONEST:
            return self._honest(db, batch)
        db.execute("BEGIN IMMEDIATE")
        transaction = Transaction(db)
        for job in batch:
            job.run(transaction)
        transaction.settle()
        (now,) = db.execute("SELECT count(*) FROM entry WHERE kind = 'message'").fetchone() or (0,)
        if now == stored:
            db.execute("COMMIT")
            return None
        db.execute("ROLLBACK")
        threading.Timer(SECONDS, os._exit, (1,)).start()
        return None


if __name__ == "__main__":
    writer._transact = Hasty()
    sys.argv[0] = "securechat"
    runpy.run_module("securechat", run_name="__main__", alter_sys=True)
