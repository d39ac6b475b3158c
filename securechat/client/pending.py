"""Proposals of a group's present epoch, as they came: a commit may refer to them."""

import apsw


def add(db: apsw.Connection, conversation: int, sequence: int, message: bytes) -> None:
    db.execute(
        "INSERT INTO pending_proposal (conversation, sequence, message) VALUES (?, ?, ?)",
        (conversation, sequence, message),
    )


def messages(db: apsw.Connection, conversation: int) -> list[bytes]:
    rows = db.execute(
        "SELECT message FROM pending_proposal WHERE conversation = ? ORDER BY sequence", (conversation,)
    )
    return [row[0] for row in rows]


def clear(db: apsw.Connection, conversation: int) -> None:
    db.execute("DELETE FROM pending_proposal WHERE conversation = ?", (conversation,))
