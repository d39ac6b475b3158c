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


def last(db: apsw.Connection, conversation: int) -> int:
    """Return the place of the last one; 0 if there is none."""
    row = db.execute(
        "SELECT coalesce(max(sequence), 0) FROM pending_proposal WHERE conversation = ?", (conversation,)
    ).fetchone()
    return int(row[0]) if row else 0


def move(db: apsw.Connection, conversation: int, *, known: int, by: int) -> bool:
    """Forget those after a place of the log, and put the others where they stand now; whether any went."""
    db.execute("DELETE FROM pending_proposal WHERE conversation = ? AND sequence > ?", (conversation, known))
    gone = bool(db.changes())
    left = messages(db, conversation)
    places = db.execute(
        "SELECT sequence FROM pending_proposal WHERE conversation = ? ORDER BY sequence", (conversation,)
    ).fetchall()
    clear(db, conversation)
    for (sequence,), message in zip(places, left, strict=True):
        add(db, conversation, int(str(sequence)) + by, message)
    return gone


def clear(db: apsw.Connection, conversation: int) -> None:
    db.execute("DELETE FROM pending_proposal WHERE conversation = ?", (conversation,))
