"""Where what we sent stands in the log of its conversation, and what becomes of it in another log."""

import apsw

from securechat.client.sentences import NOT_SAID_AGAIN


def queue_again(
    db: apsw.Connection,
    conversation: int,
    *,
    first: int,
    last: int,
    newcomers: int,
    since: int = 0,
    epoch: int | None = None,
) -> int:
    """Put back what the server had at these places of its log and has lost, or says it has.

    :param newcomers: only what was sealed in this epoch or later: nobody has come in since who might not
        have read it (docs/decisions/0012). What is older gets the code ``NOT_SAID_AGAIN``
    :param since: only what was said then or later (seconds since 1970)
    :param epoch: only what was sealed in this one
    :returns: how many lines are not said again
    """
    lost = (
        "conversation = ? AND own = 1 AND state = 'sent' AND content <> x'' AND kind <> 'typing'"
        " AND sequence BETWEEN ? AND ? AND timestamp >= ? AND epoch = coalesce(?, epoch)"
    )
    given = (conversation, first, last, since, epoch, newcomers)
    db.execute(
        f"UPDATE message SET code = '{NOT_SAID_AGAIN}' WHERE {lost} AND epoch < ?"  # noqa: S608 (constants)
        " AND code = '' AND hidden = 0",
        given,
    )
    kept = db.changes()
    db.execute(
        "UPDATE message SET state = 'queued', sequence = 0, sealed = NULL, code = ''"  # noqa: S608 (constants)
        f" WHERE {lost} AND epoch >= ?",
        given,
    )
    return kept


def move_places(db: apsw.Connection, conversation: int, *, first: int, last: int, by: int) -> None:
    """Say where what we sent stands now, in a log that came to be another."""
    db.execute(
        "UPDATE message SET sequence = sequence + ? WHERE conversation = ? AND own = 1 AND state = 'sent'"
        " AND sequence BETWEEN ? AND ?",
        (by, conversation, first, last),
    )
    db.execute(
        "UPDATE message SET closed = closed + ? WHERE conversation = ? AND closed BETWEEN ? AND ?",
        (by, conversation, first, last),
    )


def forget_places(db: apsw.Connection, conversation: int) -> None:
    """What was sent has no place in the log that begins: the conversation has another group now."""
    db.execute("UPDATE message SET closed = 1 WHERE conversation = ? AND closed > 0", (conversation,))
    db.execute(
        "UPDATE message SET sequence = 0 WHERE conversation = ? AND own = 1 AND state = 'sent'",
        (conversation,),
    )


def mark_between(db: apsw.Connection, conversation: int, code: str, *, first: int, last: int) -> int:
    """Put a code on what the server had at these places of its log and bears none; return on how many."""
    db.execute(
        "UPDATE message SET code = ? WHERE conversation = ? AND own = 1 AND state = 'sent' AND code = ''"
        " AND sequence BETWEEN max(?, 1) AND ?",
        (code, conversation, first, last),
    )
    return db.changes()


def own_between(db: apsw.Connection, conversation: int, after: int, last: int) -> int:
    """Return how many places after one of the log, up to another, hold messages of ours."""
    row = db.execute(
        "SELECT count(*) FROM message"
        " WHERE conversation = ? AND sequence > ? AND sequence <= ? AND own = 1 AND state = 'sent'",
        (conversation, after, last),
    ).fetchone()
    return int(row[0]) if row else 0
