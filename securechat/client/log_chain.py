"""The hash chain over one epoch's log entries, kept so that every sender's claim can be checked.

Law: rules.md A, "the log can't be doctored". One row per entry of the present epoch.
"""

import hmac

import apsw

from securechat.membership.chain import VALUE_BYTES, LogChain, read_mark


def restart(db: apsw.Connection, conversation: int, confirmed_transcript_hash: bytes) -> None:
    """Begin an epoch."""
    clear(db, conversation)
    _insert(db, conversation, LogChain.start(confirmed_transcript_hash))


def clear(db: apsw.Connection, conversation: int) -> None:
    db.execute("DELETE FROM chain WHERE conversation = ?", (conversation,))


def add(db: apsw.Connection, conversation: int, entry_hash: bytes) -> None:
    """Go on by one entry, given by the SHA-256 of its bytes."""
    _insert(db, conversation, present(db, conversation).add(entry_hash))


def present(db: apsw.Connection, conversation: int) -> LogChain:
    row = db.execute(
        "SELECT count, value FROM chain WHERE conversation = ? ORDER BY count DESC LIMIT 1", (conversation,)
    ).fetchone()
    if row is None:
        raise LookupError(conversation)
    return LogChain(*row)


def values(db: apsw.Connection, conversation: int) -> list[bytes]:
    """Return the values after 0, 1, 2 ... entries of the epoch."""
    rows = db.execute("SELECT value FROM chain WHERE conversation = ? ORDER BY count", (conversation,))
    return [bytes(value) for (value,) in rows]


def cut(db: apsw.Connection, conversation: int, count: int) -> None:
    """Go back to the value after so many entries of the epoch."""
    db.execute("DELETE FROM chain WHERE conversation = ? AND count > ?", (conversation, count))


def claim(db: apsw.Connection, conversation: int) -> bytes:
    """Return what a message of ours says of the log: its ``authenticated_data``."""
    return present(db, conversation).mark.to_bytes()


def agrees(db: apsw.Connection, conversation: int, authenticated_data: bytes) -> bool:
    """Whether a sender saw the log as we did, before the message it says so in.

    A claim that does not decode, and one of more entries than there are, do not agree.
    """
    mark = read_mark(authenticated_data)
    if mark is None:
        return False
    row = db.execute(
        "SELECT value FROM chain WHERE conversation = ? AND count = ?", (conversation, mark.count)
    ).fetchone()
    return row is not None and hmac.compare_digest(row[0][:VALUE_BYTES], mark.value)


def _insert(db: apsw.Connection, conversation: int, chain: LogChain) -> None:
    db.execute(
        "INSERT INTO chain (conversation, count, value) VALUES (?, ?, ?)",
        (conversation, chain.count, chain.digest),
    )
