"""What was said, found again: by words, by day, by bookmark. Everything here is a query, bounded by a limit.

Ids are those of the table ``message``; the newest are the highest.
"""

from datetime import date, datetime, time
from typing import Final

import apsw

from securechat.client.errors import UnknownMessage
from securechat.client.words import query_of

MIN_ID: Final = 6
"""Hex digits of a message's id that a person types: a slip of the finger hits none."""

_ID_SIZE: Final = 64

_SHOWN: Final = "m.hidden = 0 AND m.conversation NOT IN (SELECT id FROM conversation WHERE state = 'invited')"
"""Of a room one has not joined nothing is found: whoever invites could put anything there."""


def search(
    db: apsw.Connection, typed: str, *, conversation: int | None, limit: int, before: int
) -> list[int]:
    """Return the messages that have these words (see `query_of`), the newest first.

    :param before: only what is older than this message; 0 for all
    """
    query = query_of(typed, conversation=conversation)
    if query is None:
        return []
    rows = db.execute(
        "SELECT w.rowid FROM message_words w JOIN message m ON m.id = w.rowid"  # noqa: S608 - a constant
        f" WHERE w.message_words MATCH ? AND w.rowid < ? AND {_SHOWN}"
        " ORDER BY w.rowid DESC LIMIT ?",
        (query, before or _AFTER_ALL, limit),
    )
    return [row[0] for row in rows]


_AFTER_ALL: Final = (1 << 63) - 1
_EPOCH_YEAR: Final = 1970


def first_since(db: apsw.Connection, conversation: int, day: date) -> int:
    """Return the first message of a day (where this machine is) or after it; 0 if there is none."""
    try:
        since = int(datetime.combine(day, time.min).timestamp())
    except (OverflowError, OSError, ValueError):
        since = 0 if day.year < _EPOCH_YEAR else _AFTER_ALL  # a day that no clock of this machine reaches
    row = db.execute(
        "SELECT id FROM message WHERE conversation = ? AND hidden = 0 AND timestamp >= ?"
        " ORDER BY timestamp, id LIMIT 1",
        (conversation, since),
    ).fetchone()
    return 0 if row is None else int(row[0])


def local_id(db: apsw.Connection, named: str | int) -> int:
    """Return the message that a person or a program means.

    :param named: the number it has here, or its MIMI id in hex, or the beginning of that
    :raises UnknownMessage: there is none, or several begin like this
    """
    found = _numbered(db, named) if isinstance(named, int) else _beginning(db, named.lower())
    if len(found) != 1:
        raise UnknownMessage(str(named), several=len(found) > 1)
    return found[0]


def _numbered(db: apsw.Connection, number: int) -> list[int]:
    return [row[0] for row in db.execute("SELECT id FROM message WHERE id = ?", (number,))]


def _beginning(db: apsw.Connection, digits: str) -> list[int]:
    if not MIN_ID <= len(digits) <= _ID_SIZE or set(digits) - set("0123456789abcdef"):
        return []
    first, last = (bytes.fromhex(digits.ljust(_ID_SIZE, end)) for end in "0f")
    rows = db.execute(
        "SELECT id FROM message WHERE mimi_id BETWEEN ? AND ? AND mimi_id IS NOT NULL LIMIT 2", (first, last)
    )
    return [row[0] for row in rows]


def bookmark(db: apsw.Connection, message: int, *, on: bool, now: int) -> None:
    """Keep a message in mind, or no longer."""
    if on:
        db.execute("INSERT OR IGNORE INTO bookmark (message, kept) VALUES (?, ?)", (message, now))
    else:
        db.execute("DELETE FROM bookmark WHERE message = ?", (message,))


def mentions(db: apsw.Connection, limit: int) -> list[int]:
    """Return the messages of others that name us, the newest first."""
    rows = db.execute(
        "SELECT m.id FROM message m WHERE m.mentions_me = 1 AND m.own = 0"  # noqa: S608 - a constant
        f" AND {_SHOWN} ORDER BY m.id DESC LIMIT ?",
        (limit,),
    )
    return [row[0] for row in rows]


def bookmarks(db: apsw.Connection, limit: int) -> list[int]:
    """Return the messages that are kept in mind, the newest first."""
    rows = db.execute("SELECT message FROM bookmark ORDER BY message DESC LIMIT ?", (limit,))
    return [row[0] for row in rows]
