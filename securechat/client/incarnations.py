"""The incarnations of the server whose log a conversation has left, and where each parted from the next."""

from typing import Any, Final

import apsw

from securechat.client.records import ConversationRecord

MOST_LEFT: Final = 16
"""Incarnations kept, and asked about when the server is of another line than our last one."""


def left(db: apsw.Connection, conversation: int) -> list[tuple[int, int]]:
    """Return the incarnations that were left, the last first, each with where it parted from the next."""
    rows: list[Any] = db.execute(
        "SELECT incarnation, sure FROM left_incarnation WHERE conversation = ? ORDER BY rowid DESC LIMIT ?",
        (conversation, MOST_LEFT),
    ).fetchall()
    return [(row[0], row[1]) for row in rows]


def leave(db: apsw.Connection, record: ConversationRecord, sure: int) -> None:
    """Note that the log of an incarnation and that of the next are one up to a place only."""
    db.execute(
        "INSERT OR REPLACE INTO left_incarnation (conversation, incarnation, sure) VALUES (?, ?, ?)",
        (record.id, record.incarnation, sure),
    )
    db.execute(
        "DELETE FROM left_incarnation WHERE conversation = ? AND rowid NOT IN"
        " (SELECT rowid FROM left_incarnation WHERE conversation = ? ORDER BY rowid DESC LIMIT ?)",
        (record.id, record.id, MOST_LEFT),
    )


def forget(db: apsw.Connection, conversation: int) -> None:
    """The conversation has another group now, whose log was never part of those."""
    db.execute("DELETE FROM left_incarnation WHERE conversation = ?", (conversation,))
