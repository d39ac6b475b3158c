"""One transaction of the writer: what its jobs have in common is read once and written once.

Inside a transaction nobody else writes, so a number that was read in it stays true in memory until
it ends. A client's high-water mark and a log's head are read at their first use and written back
when the transaction ends, or before anybody looks at the tables again (``write``, ``settle``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

import apsw

EntryRow = tuple[int, int, int, int, int, bytes]
"""conversation, sequence, epoch, client, time, body of an application message."""

AnswerRow = tuple[int, int, bytes, bool, bytes]
"""slot, name, digest, refused, body."""

_ENTRY: Final = (
    "INSERT INTO entry (conversation, sequence, kind, epoch, client, time, body) VALUES ",
    "(?, ?, 'message', ?, ?, ?, ?)",
)
_ANSWER: Final = (
    "INSERT OR REPLACE INTO answer (slot, name, digest, refused, body) VALUES ",
    "(?, ?, ?, ?, ?)",
)

AT_ONCE: Final = (64, 16, 4, 1)
"""Rows of one INSERT. Each statement gives the interpreter's lock away and has to wait for it again
while the loop's thread is busy, so a batch is written in few."""


MAX_KNOWN: Final = 20_000
"""Marks and heads kept from one transaction to the next, about 300 bytes each."""


@dataclass(slots=True)
class Log:
    """Where a conversation's log stands in this transaction."""

    conversation: int
    epoch: int
    head: int


class Known:
    """Marks, sizes and heads as the last transaction left them, for the next one.

    Never the truth: it is used after the database itself has said that no other connection has
    written since, and forgotten as soon as this one writes something else than messages, or fails to.
    """

    __slots__ = ("_version", "logs", "marks", "stored")

    def __init__(self) -> None:
        self._version = -1
        self.marks: dict[int, int] = {}
        self.stored: dict[int, int] = {}
        self.logs: dict[bytes, Log] = {}

    def look(self, db: apsw.Connection) -> None:
        """In a transaction that has just begun: forget it all if another connection has written."""
        version = db.pragma("data_version")
        if version != self._version or len(self.marks) + len(self.logs) > MAX_KNOWN:
            self._version = version
            self.forget()

    def forget(self) -> None:
        self.marks.clear()
        self.stored.clear()
        self.logs.clear()


class Transaction:
    """Belongs to the writer's thread, and to one ``BEGIN IMMEDIATE``."""

    __slots__ = (
        "_answers",
        "_entries",
        "_grown",
        "_known",
        "_logs",
        "_marks",
        "_moved",
        "_stored",
        "appended",
        "db",
    )

    def __init__(self, db: apsw.Connection, known: Known | None = None) -> None:
        """``known`` is what the writer has asked the database about at the start (``Known.look``)."""
        self.db = db
        self._known = Known() if known is None else known
        self.appended = 0
        """Messages that were put at the end of a log."""
        self._marks = self._known.marks
        self._stored = self._known.stored
        self._logs = self._known.logs
        self._grown: dict[int, int] = {}
        self._moved: set[int] = set()
        self._entries: list[EntryRow] = []
        self._answers: list[AnswerRow] = []

    def high_water(self, client: int) -> int:
        """The last name that was decided for a client."""
        mark = self._marks.get(client)
        if mark is None:
            found = self.db.execute(
                "SELECT high_water, stored FROM client WHERE id = ?", (client,)
            ).fetchone()
            mark, self._stored[client] = (0, 0) if found is None else (int(found[0]), int(found[1]))
            self._marks[client] = mark
        return mark

    def stored(self, client: int) -> int:
        """Bytes of a client's messages that lie in the logs."""
        stored = self._stored.get(client)
        if stored is None:  # read with its high-water mark, unless that was decided after a settling
            found = self.db.execute("SELECT stored FROM client WHERE id = ?", (client,)).fetchone()
            stored = self._stored[client] = 0 if found is None else int(found[0])
        return stored + self._grown.get(client, 0)

    def decide(self, client: int, answer: AnswerRow) -> None:
        """Raise a client's mark to the name of its answer."""
        self._marks[client] = answer[1]
        self._moved.add(client)
        self._answers.append(answer)

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
        log.head += 1
        self._entries.append((log.conversation, log.head, log.epoch, client, time, body))
        self._grown[client] = self._grown.get(client, 0) + len(body)

    def settle(self) -> None:
        """Write what is only here, and forget it: from now on the tables say it all."""
        self.write()
        self._known.forget()

    def write(self) -> None:
        """Write what is only here. Who then changes what ``Known`` holds must ``settle`` instead."""
        self.settle_entries()
        if self._answers:
            _insert(self.db, _ANSWER, self._answers)
            grown = self._grown
            marks = [(self._marks[client], grown.get(client, 0), client) for client in self._moved]
            self.db.executemany("UPDATE client SET high_water = ?, stored = stored + ? WHERE id = ?", marks)
            self._answers.clear()
            self._moved.clear()
        for client, size in self._grown.items():
            if client in self._stored:
                self._stored[client] += size
        self._grown.clear()

    def settle_entries(self) -> None:
        """Write the log's rows: somebody wants to look at them."""
        if self._entries:
            self.appended += len(self._entries)
            _insert(self.db, _ENTRY, self._entries)
            heads = {row[0]: row[1] for row in self._entries}
            self.db.executemany("UPDATE conversation SET head = ?2 WHERE id = ?1", heads.items())
            self._entries.clear()


def _insert(
    db: apsw.Connection, statement: tuple[str, str], rows: Sequence[tuple[int | bytes | bool, ...]]
) -> None:
    """Insert rows in order, in as few statements as the prepared sizes allow."""
    start, values = statement
    position = 0
    for size in AT_ONCE:
        text = start + ", ".join([values] * size)
        while len(rows) - position >= size:
            db.execute(text, tuple(chain.from_iterable(rows[position : position + size])))
            position += size
