"""What an expiry is told in: how old is too old, how much a step may do, what went."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final

import apsw

ROWS: Final = 500
"""Rows of a step. Those of one log lie on a page each: this is 2 MiB to write, some milliseconds."""

LOOKED_AT: Final = 100
"""Rows a step looks at that may have nothing to let go of."""


@dataclass(frozen=True, slots=True)
class Swept:
    """How much went."""

    messages: int = 0
    """That everybody had."""
    expired: int = 0
    """That somebody had not fetched: hashes are in their place."""
    hashes: int = 0
    """Of expired messages."""
    handshakes: int = 0
    welcomes: int = 0
    tree_nodes: int = 0
    key_packages: int = 0
    uploads: int = 0
    answers: int = 0
    files: int = 0
    """Attachments."""
    pages: int = 0
    """Given back to the file system."""

    def __add__(self, other: "Swept") -> "Swept":
        sums = (getattr(self, each.name) + getattr(other, each.name) for each in fields(self))
        return Swept(*sums)


@dataclass(frozen=True, slots=True)
class Cutoffs:
    """Seconds since 1970: what is older goes."""

    now: int
    messages: int
    handshakes: int
    """Not later than that of messages: a message is of no use without the commits before it."""
    welcomes: int
    key_packages: int
    uploads: int
    files: int
    open_files: int
    """Attachments that were never whole."""
    answers: int


@dataclass(frozen=True, slots=True)
class Step:
    """What a step did, and the row after which the next one begins (None: nothing is left)."""

    swept: Swept
    after: int | None


Job = Callable[[apsw.Connection, Cutoffs, int], Step]


def delete(db: apsw.Connection, sql: str, bindings: tuple[int, ...]) -> int:
    """Run a DELETE; return how many rows went."""
    db.execute(sql, bindings)
    return db.changes()


def rows_of(db: apsw.Connection, sql: str, bindings: tuple[int | bytes, ...]) -> list[Any]:
    """Read before anything is changed: a statement that is under way would see it."""
    return db.execute(sql, bindings).fetchall()
