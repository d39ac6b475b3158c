"""A conversation as it is scrolled through: pages by place, and messages by their id.

Places are local ids. Every query goes by an index that has only lines: however much is behind a
page, it costs the page.
"""

import string
from typing import Any, Final

import apsw

from securechat.client.errors import UnknownMessage
from securechat.client.events import Message
from securechat.client.rows import SELECT, messages_of
from securechat.content.errors import ContentError
from securechat.content.mimi import decode
from securechat.content.threads import is_topic_name, topic_name
from securechat.text import sanitise

MOST_AT_ONCE: Final = 1000
"""Messages of one page."""

LEAST_PREFIX: Final = 6
_FIRST: Final = "01"
"""What every id begins with: it need not be typed."""

_ID_DIGITS: Final = 64


def page(
    db: apsw.Connection,
    conversation: int,
    *,
    before: int = 0,
    after: int = 0,
    limit: int = 100,
    thread: str | None = None,
) -> list[Message]:
    """Return messages oldest first: the last before a place, or the first after one, or the last of all."""
    forward = after != 0 and before == 0
    where, order = "m.conversation = ? AND m.hidden = 0", "ASC" if forward else "DESC"
    bindings: list[int | str] = [conversation]
    if thread is not None:
        where += " AND m.thread = ? AND m.thread <> ''" if thread else " AND m.thread = ?"
        bindings.append(thread)
    for place, sign in ((before, "<"), (after, ">")):
        if place:  # below zero lies what was brought in
            where += f" AND m.id {sign} ?"
            bindings.append(place)
    bindings.append(max(0, min(limit, MOST_AT_ONCE)))
    rows: Any = db.execute(f"{SELECT} WHERE {where} ORDER BY m.id {order} LIMIT ?", bindings).fetchall()
    return messages_of(db, rows if forward else rows[::-1])


def said_since(db: apsw.Connection, local_id: int, limit: int) -> list[Message]:
    """Return what others said after a place, wherever it was, oldest first; nothing of rooms not joined."""
    rows: Any = db.execute(
        f"{SELECT} WHERE m.id > ? AND m.own = 0 AND m.hidden = 0 AND m.deleted = 0"
        " AND m.state IN ('received', 'unreadable') AND c.state NOT IN ('invited', 'opening')"
        " ORDER BY m.id LIMIT ?",
        (max(0, local_id), max(0, min(limit, MOST_AT_ONCE))),
    ).fetchall()
    return messages_of(db, rows)


def by_prefix(db: apsw.Connection, conversation: int, prefix: str) -> bytes:
    """Return the id of the one message whose id begins so; its first two digits may be left out.

    :raises UnknownMessage: there is none, or there are several
    """
    typed = prefix.strip().lower()
    if not LEAST_PREFIX <= len(typed) <= _ID_DIGITS or not set(typed) <= set(string.hexdigits):
        raise UnknownMessage(sanitise(typed))
    found = _beginning(db, conversation, typed) or _beginning(db, conversation, (_FIRST + typed)[:_ID_DIGITS])
    if not found:
        raise UnknownMessage(typed)
    if len(found) > 1:
        raise UnknownMessage(typed, several=True)
    return found[0]


def keep_topic(db: apsw.Connection, conversation: int, topic_id: bytes) -> None:
    """Remember the id of a topic whose name does not tell it."""
    name = topic_name(topic_id)
    if name and name.encode() != topic_id:
        db.execute(
            "INSERT OR IGNORE INTO topic (conversation, thread, id) VALUES (?, ?, ?)",
            (conversation, name, topic_id),
        )


def topic_of(db: apsw.Connection, conversation: int, thread: str) -> bytes | None:
    """Return the id of the topic that is called so here; None if nobody has written in it."""
    if is_topic_name(thread):
        return thread.encode()
    row = db.execute(
        "SELECT id FROM topic WHERE conversation = ? AND thread = ?", (conversation, thread)
    ).fetchone()
    return row[0] if row is not None else _told_by_contents(db, conversation, thread)


def _told_by_contents(db: apsw.Connection, conversation: int, thread: str) -> bytes | None:
    """Look for a topic of before its id was kept; what changed a message may say that it is in another."""
    rows: Any = db.execute(
        "SELECT content FROM message WHERE conversation = ? AND thread = ? AND thread <> '' AND hidden = 0"
        " AND imported IS NULL AND content <> x'' ORDER BY id LIMIT ?",
        (conversation, thread, MOST_AT_ONCE),
    )
    try:
        found = (decode(content).topic_id for (content,) in rows)
        return next((each for each in found if topic_name(each) == thread), None)
    except ContentError:
        return None


def _beginning(db: apsw.Connection, conversation: int, digits: str) -> list[bytes]:
    first, last = (bytes.fromhex(digits.ljust(_ID_DIGITS, fill)) for fill in "0f")
    rows: Any = db.execute(
        "SELECT mimi_id FROM message"
        " WHERE conversation = ? AND mimi_id BETWEEN ? AND ? AND hidden = 0 LIMIT 2",
        (conversation, first, last),
    )
    return [row[0] for row in rows]
