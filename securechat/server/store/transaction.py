"""One transaction of the writer: what its jobs have in common is read once and written once.

Inside a transaction nobody else writes, so a number that was read in it stays true in memory until
it ends. A client's high-water mark and a log's head are read at their first use and written back
when the transaction ends, or before anybody looks at the tables again (``write``, ``settle``).
"""

from dataclasses import dataclass
from typing import Final

import apsw

from securechat.server.store import answers

_ENTRY: Final = (
    "INSERT INTO entry (conversation, sequence, kind, epoch, client, time, body) VALUES ",
    "(?, ?, 'message', ?, ?, ?, ?)",
)

AT_ONCE: Final = (64, 16, 4, 1)
"""Rows of one INSERT. Each statement gives the interpreter's lock away and has to wait for it again
while the loop's thread is busy, so a batch is written in few."""


MAX_KNOWN: Final = 20_000
"""Marks and heads kept from one transaction to the next, about 300 bytes each."""


@dataclass(slots=True)
class Standing:
    """Where a client's named requests and its messages stand in this transaction."""

    high_water: int
    """The last name that was decided."""
    stored: int
    """Bytes of its messages that lie in the logs."""
    answered: int
    """Its last answer."""
    block: int
    """Its last answer to a name that is a multiple of ``answers.BLOCK``."""


@dataclass(slots=True)
class Log:
    """Where a conversation's log stands in this transaction."""

    conversation: int
    epoch: int
    head: int


class Known:
    """Standings and heads as the last transaction left them, for the next one.

    Never the truth: it is used after the database itself has said that no other connection has
    written since, and forgotten as soon as this one writes something else than messages, or fails to.
    """

    __slots__ = ("_version", "clients", "logs", "newest_answer")

    def __init__(self) -> None:
        self._version: object = None
        self.clients: dict[int, Standing] = {}
        self.logs: dict[bytes, Log] = {}
        self.newest_answer: int | None = None

    def look(self, db: apsw.Connection) -> None:
        """In a transaction that has just begun: forget it all if another connection has written."""
        # As a statement it is prepared once; ``db.pragma`` prepares it each time.
        (version,) = db.execute("PRAGMA data_version").fetchone() or (None,)
        if version != self._version or len(self.clients) + len(self.logs) > MAX_KNOWN:
            self._version = version
            self.forget()

    def forget(self) -> None:
        self.clients.clear()
        self.logs.clear()
        self.newest_answer = None


class Transaction:
    """Belongs to the writer's thread, and to one ``BEGIN IMMEDIATE``."""

    __slots__ = (
        "_answers",
        "_changed",
        "_clients",
        "_entries",
        "_heads",
        "_known",
        "_logs",
        "appended",
        "db",
    )

    def __init__(self, db: apsw.Connection, known: Known | None = None) -> None:
        """``known`` is what the writer has asked the database about at the start (``Known.look``)."""
        self.db = db
        self._known = Known() if known is None else known
        self.appended = 0
        """Messages that were put at the end of a log."""
        self._clients = self._known.clients
        self._logs = self._known.logs
        self._changed: dict[int, Standing] = {}
        self._heads: dict[int, int] = {}
        # Rows to be written, one after the other: a list of tuples would be taken apart again.
        self._entries: list[int | bytes] = []
        self._answers: list[int | bytes | bool] = []

    def standing(self, client: int) -> Standing:
        """Where a client stands; true until ``settle``."""
        known = self._clients.get(client)
        if known is not None:
            return known
        found = self.db.execute(answers.STANDING, (client,)).fetchone()
        standing = self._clients[client] = Standing(*found) if found is not None else Standing(0, 0, 0, 0)
        return standing

    def stored(self, client: int) -> int:
        """Bytes of a client's messages that lie in the logs."""
        return self.standing(client).stored

    def decide(self, client: int, name: int, digest: bytes, *, refused: bool, answer: bytes) -> None:
        """Raise a client's mark to a name, and keep what it is told."""
        standing, known = self.standing(client), self._known
        newest = answers.newest(self.db) if known.newest_answer is None else known.newest_answer
        row = known.newest_answer = newest + 1
        self._answers += (row, client, name, standing.answered, standing.block, digest, refused, answer)
        standing.high_water = name
        standing.answered = row
        if not name % answers.BLOCK:
            standing.block = row
        self._changed[client] = standing

    def log(self, group: bytes) -> Log | None:
        """The log of a group."""
        known = self._logs.get(group)
        if known is not None:
            return known
        found = self.db.execute(
            "SELECT id, epoch, head FROM conversation WHERE group_id = ?", (group,)
        ).fetchone()
        if found is None:
            return None
        log = self._logs[group] = Log(*found)
        return log

    def append(self, log: Log, client: int, time: int, body: bytes) -> None:
        """Put an application message at a log's end, at ``log.head + 1``."""
        standing = self.standing(client)
        log.head += 1
        self._entries += (log.conversation, log.head, log.epoch, client, time, body)
        self._heads[log.conversation] = log.head
        standing.stored += len(body)
        self._changed[client] = standing

    def settle(self) -> None:
        """Write what is only here, and forget it: from now on the tables say it all."""
        self.write()
        self._known.forget()

    def write(self) -> None:
        """Write what is only here. Who then changes what ``Known`` holds must ``settle`` instead."""
        self.settle_entries()
        if self._answers:
            _insert(self.db, answers.INSERT, self._answers)
            self._answers.clear()
        if self._changed:
            self.db.executemany(
                "UPDATE client SET high_water = ?, stored = ?, answered = ? WHERE id = ?",
                [
                    (each.high_water, each.stored, each.answered, client)
                    for client, each in self._changed.items()
                ],
            )
            self._changed.clear()

    def settle_entries(self) -> None:
        """Write the log's rows: somebody wants to look at them."""
        if self._entries:
            self.appended += _insert(self.db, _ENTRY, self._entries)
            self.db.executemany("UPDATE conversation SET head = ?2 WHERE id = ?1", self._heads.items())
            self._entries.clear()
            self._heads.clear()


def _insert(
    db: apsw.Connection, statement: tuple[str, str], values: list[int | bytes] | list[int | bytes | bool]
) -> int:
    """Insert rows in order, in as few statements as the prepared sizes allow; return how many."""
    start, row = statement
    columns = row.count("?")
    position, end = 0, len(values)
    for size in AT_ONCE:
        text, width = start + ", ".join([row] * size), size * columns
        while end - position >= width:
            db.execute(text, values[position : position + width])
            position += width
    return end // columns
