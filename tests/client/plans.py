"""How SQLite answers what a piece of work asks."""

from collections.abc import Callable
from typing import Any

import apsw

from securechat.client.store import Bindings


def plans_of(db: apsw.Connection, work: Callable[[], object]) -> list[list[str]]:
    """Do the work; return the steps of the plan of each statement it ran itself."""
    asked: list[tuple[str, Bindings]] = []

    def note(_cursor: apsw.Cursor, sql: str, given: Any) -> bool:
        asked.append((sql, given or ()))
        return True

    db.exec_trace = note
    try:
        work()
    finally:
        db.exec_trace = None
    return [
        [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", given)]
        for sql, given in asked
        if not sql.startswith("--")  # what a virtual table asks for itself
    ]


def walks(plans: list[list[str]]) -> list[str]:
    """Steps that go through every message, or sort what they found."""
    steps = [step for plan in plans for step in plan]
    return [step for step in steps if step in {"SCAN message", "SCAN m"} or "TEMP B-TREE" in step]
