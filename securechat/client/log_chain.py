"""The hash chain over one epoch's log entries, kept so that every sender's claim can be checked.

Law: rules.md A, "the log can't be doctored". One row per entry of the present epoch. What a restored
server has lost of it is kept in ``had``: another copy may have it, and its keys are used up.
"""

import hmac

import apsw
from msgspec.structs import replace

from securechat.membership.chain import VALUE_BYTES, LogChain, LogEnd, read_mark


def restart(db: apsw.Connection, conversation: int, confirmed_transcript_hash: bytes) -> None:
    """Begin an epoch."""
    clear(db, conversation)
    _insert(db, conversation, LogChain.start(confirmed_transcript_hash), b"")


def clear(db: apsw.Connection, conversation: int) -> None:
    """An epoch is over: no entry of it is read any more."""
    db.execute("DELETE FROM chain WHERE conversation = ?", (conversation,))
    db.execute("DELETE FROM had WHERE conversation = ?", (conversation,))


def add(db: apsw.Connection, conversation: int, entry_hash: bytes) -> None:
    """Go on by one entry, given by the SHA-256 of its bytes."""
    _insert(db, conversation, present(db, conversation).add(entry_hash), entry_hash)


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
    """Go back to the value after so many entries of the epoch; the others are known again if they come."""
    db.execute(
        "INSERT OR IGNORE INTO had (conversation, entry)"
        " SELECT conversation, entry FROM chain WHERE conversation = ? AND count > ? AND entry <> x''",
        (conversation, count),
    )
    db.execute("DELETE FROM chain WHERE conversation = ? AND count > ?", (conversation, count))


def keep_had(db: apsw.Connection, conversation: int, entry_hash: bytes) -> None:
    """Know an entry again that the lost end of a log may have had."""
    db.execute("INSERT OR IGNORE INTO had (conversation, entry) VALUES (?, ?)", (conversation, entry_hash))


def had(db: apsw.Connection, conversation: int, entry_hash: bytes) -> bool:
    """Whether this entry was read before, in a line of the log that is left."""
    row = db.execute("SELECT 1 FROM had WHERE conversation = ? AND entry = ?", (conversation, entry_hash))
    return row.fetchone() is not None


def claim(db: apsw.Connection, conversation: int, ends: tuple[LogEnd, ...] = ()) -> bytes:
    """Return what a message of ours says of the log: its ``authenticated_data``.

    :param ends: what it says of earlier epochs (`log_ends`)
    """
    return replace(present(db, conversation).mark, ends=ends).to_bytes()


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


def _insert(db: apsw.Connection, conversation: int, chain: LogChain, entry_hash: bytes) -> None:
    db.execute(
        "INSERT INTO chain (conversation, count, value, entry) VALUES (?, ?, ?, ?)",
        (conversation, chain.count, chain.digest, entry_hash),
    )
