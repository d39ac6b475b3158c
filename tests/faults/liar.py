"""A server that says a message is on its disk and does not write it: what a run must find out.

    python -m tests.faults.liar server ...

After some that are stored as they should be, every transaction with a message is answered and not written.
Whoever has an answer kills it then, as a power cut would.
"""

import runpy
import sys
from typing import Any, Final

import apsw

from securechat.server.store import writer

HONEST: Final = 5
"""Messages that are stored as they should be."""


class Hasty:
    """A database whose COMMIT says it is done and is not."""

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db
        self._before = self._messages()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def execute(self, statement: str, *arguments: Any) -> Any:
        if statement != "COMMIT" or self._before < HONEST or self._messages() == self._before:
            return self._db.execute(statement, *arguments)
        return self._db.execute("ROLLBACK")

    def _messages(self) -> int:
        (count,) = self._db.execute("SELECT count(*) FROM entry WHERE kind = 'message'").fetchone() or (0,)
        return int(count)


if __name__ == "__main__":
    honest: Any = writer._transact
    writer._transact = lambda db, *rest: honest(Hasty(db), *rest)
    sys.argv[0] = "securechat"
    runpy.run_module("securechat", run_name="__main__", alter_sys=True)
