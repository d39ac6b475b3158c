"""What was said: the table ``message``, our own words from the moment they are typed.

A message that cannot be decrypted has its row too (Q-06), and one that was shown is known by
its MIMI id for good, so that it is shown once however often it comes (Q-03, M-11).
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import apsw
from msgspec import Struct

from securechat.client import forgetting
from securechat.client.doubt import KNOWN
from securechat.client.events import Message, MessageKind, MessageState
from securechat.client.rows import SELECT, Row, messages_of

_SHOWN_STATES: Final = "('received', 'unreadable')"

RECEIPT: Final = "receipt"
TYPING: Final = "typing"
FOLLOW_UP: Final = "follow_up"
"""The kind of our own words about a message."""
WITHDRAWAL: Final = "withdrawal"
"""The kind of those that take it, or a reaction to it, back: they hold no words."""

TIMER: Final = "timer"
"""The kind of a line that sets how long messages stay; shown as a text, and never changed."""

SHARED: Final = "shared"
"""The kind of a line that hands a newcomer what was said before; shown as a text, and never changed."""

_PASSING: Final = "('receipt', 'typing')"
"""Kinds of ours that are no words of a person."""


class Mark(StrEnum):
    """Who has read a message on this machine; each reader has a mark of its own."""

    PRINTED = "printed"
    SHOWN = "shown"


class Outgoing(Struct, frozen=True):
    """A message of ours that the server has not acknowledged: content, and what is in flight."""

    local_id: int
    text: str
    content: bytes
    timestamp: int
    sealed: bytes | None


class Draft(Struct, frozen=True, kw_only=True):
    """A message of ours, ready to be stored; ``hidden`` if it has no line of its own."""

    sender: str
    text: str
    content: bytes
    mimi_id: bytes
    timestamp: int
    key: str | None = None
    kind: str = MessageKind.TEXT
    hidden: bool = False
    about: bytes | None = None
    thread: str = ""
    lifetime: int = 0
    account_key: bytes = b""


class Arrival(Struct, frozen=True, kw_only=True):
    """What came from the log at a place of it, opened or not."""

    sender: str
    own: bool = False
    state: MessageState
    content: bytes = b""
    mimi_id: bytes | None = None
    text: str
    timestamp: int
    sequence: int
    epoch: int
    code: str = ""
    verified: str = KNOWN
    kind: str = MessageKind.TEXT
    about: bytes | None = None
    thread: str = ""
    mentions_me: bool = False
    lifetime: int = 0
    expires: int = 0
    account_key: bytes = b""
    """Of the device that said it, as MLS proves it."""


def add_outgoing(db: apsw.Connection, conversation: int, draft: Draft) -> Message:
    db.execute(
        "INSERT INTO message (conversation, mimi_id, sender, own, state, content, text, timestamp, key, kind,"
        " hidden, about, thread, lifetime, account_key)"
        " VALUES (?, ?, ?, 1, 'queued', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            conversation,
            draft.mimi_id,
            draft.sender,
            draft.content,
            draft.text,
            draft.timestamp,
            draft.key,
            draft.kind,
            int(draft.hidden),
            draft.about,
            draft.thread,
            draft.lifetime,
            draft.account_key,
        ),
    )
    return message(db, db.last_insert_rowid())


def add_received(db: apsw.Connection, conversation: int, arrival: Arrival) -> Message | None:
    """Keep what came from the log; None if a message of this MIMI id is known already."""
    unreadable = arrival.state is MessageState.UNREADABLE
    db.execute(
        "INSERT INTO message (conversation, mimi_id, sender, own, state, content, text, timestamp, sequence,"
        " epoch, code, verified, kind, hidden, about, thread, mentions_me, lifetime, expires, account_key)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (conversation, mimi_id) DO NOTHING",
        (
            conversation,
            arrival.mimi_id,
            arrival.sender,
            int(arrival.own),
            arrival.state,
            arrival.content,
            arrival.text,
            arrival.timestamp,
            arrival.sequence,
            arrival.epoch,
            arrival.code,
            arrival.verified,
            MessageKind.UNREADABLE if unreadable else arrival.kind,
            int(arrival.state is MessageState.NOT_SHOWN),
            arrival.about,
            arrival.thread,
            int(arrival.mentions_me),
            arrival.lifetime,
            arrival.expires,
            arrival.account_key,
        ),
    )
    return message(db, db.last_insert_rowid()) if db.changes() else None


def message(db: apsw.Connection, local_id: int) -> Message:
    row = db.execute(f"{SELECT} WHERE m.id = ?", (local_id,)).fetchone()
    if row is None:
        raise LookupError(local_id)
    return _one(db, row)


def messages(db: apsw.Connection, local_ids: Sequence[int]) -> list[Message]:
    """Return these messages in this order, read at once; at most some thousands."""
    marks = ", ".join("?" * len(local_ids))
    rows: dict[int, Row] = {
        row[0]: row for row in db.execute(f"{SELECT} WHERE m.id IN ({marks})", tuple(local_ids))
    }
    return messages_of(db, [rows[each] for each in local_ids])


def by_key(db: apsw.Connection, key: str) -> Message | None:
    row = db.execute(f"{SELECT} WHERE m.key = ?", (key,)).fetchone()
    return None if row is None else _one(db, row)


def latest(db: apsw.Connection, conversation: int, limit: int) -> list[Message]:
    """Return the last messages of a conversation, oldest first."""
    rows = db.execute(
        f"{SELECT} WHERE m.conversation = ? AND m.hidden = 0 ORDER BY m.id DESC LIMIT ?",
        (conversation, limit),
    ).fetchall()
    return messages_of(db, rows[::-1])


def troubles(db: apsw.Connection, conversation: int, limit: int) -> list[Message]:
    """Return the last of what bears a code, oldest first: what could not be read, and notes.

    Not what was refused, which was told by the server's own word, nor what came after we had left.
    """
    # +m.id: by the index of the conversation, not backwards through everybody's messages.
    rows = db.execute(
        f"{SELECT} WHERE m.conversation = ? AND m.code NOT IN ('', 'left') AND m.state <> 'refused'"
        " ORDER BY +m.id DESC LIMIT ?",
        (conversation, limit),
    ).fetchall()
    return messages_of(db, rows[::-1])


def last_noted(db: apsw.Connection, conversation: int, code: str) -> Message | None:
    """Return the last note of a conversation with this code."""
    row = db.execute(
        f"{SELECT} WHERE m.conversation = ? AND m.code = ? AND m.state = 'not_shown' AND m.mimi_id IS NULL"
        " ORDER BY +m.id DESC LIMIT 1",
        (conversation, code),
    ).fetchone()
    return None if row is None else _one(db, row)


def received_after(db: apsw.Connection, conversation: int, local_id: int, *, limit: int) -> list[Message]:
    """Return the last of what others said after a place: what a newly joined conversation has waiting."""
    rows = db.execute(
        f"{SELECT} WHERE m.conversation = ? AND m.id > ? AND m.own = 0 AND m.hidden = 0"
        f" AND m.state IN {_SHOWN_STATES} ORDER BY m.id DESC LIMIT ?",
        (conversation, local_id, limit),
    )
    return messages_of(db, rows.fetchall()[::-1])


def unmarked(db: apsw.Connection, mark: Mark, limit: int) -> list[Message]:
    """Return what others said that has no such mark, oldest first; nothing of rooms not joined."""
    rows = db.execute(f"{SELECT} {_unmarked(mark)} ORDER BY m.id LIMIT ?", (limit,))
    return messages_of(db, rows.fetchall())


def count_unmarked(db: apsw.Connection, mark: Mark, limit: int) -> int:
    """Return how many `unmarked` would return, without reading them."""
    found = db.execute(
        "SELECT count(*) FROM (SELECT 1 FROM message m JOIN conversation c ON c.id = m.conversation"  # noqa: S608
        f" {_unmarked(mark)} LIMIT ?)",
        (limit,),
    ).fetchone()
    return int(found[0]) if found else 0


def _unmarked(mark: Mark) -> str:
    return (
        f"WHERE m.{mark} = 0 AND m.own = 0 AND m.hidden = 0 AND m.deleted = 0"
        f" AND m.state IN {_SHOWN_STATES} AND c.state NOT IN ('invited', 'opening')"
    )


def set_mark(db: apsw.Connection, mark: Mark, local_ids: list[int]) -> None:
    db.executemany(f"UPDATE message SET {mark} = 1 WHERE id = ?", [(local_id,) for local_id in local_ids])  # noqa: S608 (constants)


def to_seal(db: apsw.Connection, conversation: int, limit: int) -> list[Outgoing]:
    """Return queued messages that are not in flight, in the order they were written."""
    rows = db.execute(
        "SELECT id, text, content, timestamp, sealed FROM message"
        " WHERE conversation = ? AND state = 'queued' AND sealed IS NULL ORDER BY id LIMIT ?",
        (conversation, limit),
    )
    return [Outgoing(*row) for row in rows]


def in_flight(db: apsw.Connection, conversation: int) -> int:
    return _count(db, "conversation = ? AND state = 'queued' AND sealed IS NOT NULL", conversation)


def in_flight_before(db: apsw.Connection, conversation: int, epoch: int) -> bool:
    """Whether messages are in flight that were sealed in an earlier epoch."""
    row = db.execute(
        "SELECT 1 FROM message WHERE conversation = ? AND state = 'queued' AND sealed IS NOT NULL"
        " AND epoch < ? LIMIT 1",
        (conversation, epoch),
    ).fetchone()
    return row is not None


def queued(db: apsw.Connection) -> int:
    """Return how much waits that a person has said: receipts and the like are nobody's words."""
    return _count(db, f"state = ? AND kind NOT IN {_PASSING}", "queued")


def unreadable(db: apsw.Connection) -> int:
    return _count(db, "state = ?", "unreadable")


def mark_sealed(db: apsw.Connection, local_id: int, *, sealed: bytes, epoch: int) -> None:
    db.execute("UPDATE message SET sealed = ?, epoch = ? WHERE id = ?", (sealed, epoch, local_id))


def sealed_as(db: apsw.Connection, local_id: int) -> bytes | None:
    """Return the SHA-256 of a message's ciphertext; None if it has none."""
    row = db.execute("SELECT sealed FROM message WHERE id = ?", (local_id,)).fetchone()
    return None if row is None else row[0]


def unseal(db: apsw.Connection, local_id: int) -> None:
    """Put a message back: its ciphertext was refused for good, its content is sealed anew (rules.md A)."""
    db.execute("UPDATE message SET sealed = NULL WHERE id = ? AND state = 'queued'", (local_id,))
    forgetting.drop_orphans_of(db, local_id)


def unseal_all(db: apsw.Connection, conversation: int) -> None:
    db.execute(
        "UPDATE message SET sealed = NULL WHERE conversation = ? AND state = 'queued'", (conversation,)
    )
    forgetting.drop_orphans(db, conversation)


def mark_sent(db: apsw.Connection, local_id: int, *, sequence: int, now: int = 0) -> Message | None:
    """The server has it; None if that was known. From ``now`` (seconds since 1970) on its time runs."""
    db.execute(
        "UPDATE message SET state = 'sent', sequence = ?,"
        " expires = CASE WHEN lifetime > 0 AND expires = 0 THEN ? + lifetime ELSE expires END,"
        " content = CASE WHEN deleted = 1 THEN x'' ELSE content END"
        " WHERE id = ? AND state = 'queued'",
        (sequence, now, local_id),
    )
    return message(db, local_id) if db.changes() else None


def is_hidden(db: apsw.Connection, local_id: int) -> bool:
    """Whether a message has no line of its own."""
    return db.execute("SELECT 1 FROM message WHERE id = ? AND hidden = 1", (local_id,)).fetchone() is not None


def is_passing(db: apsw.Connection, local_id: int) -> bool:
    return _count(db, f"id = ? AND kind IN {_PASSING}", local_id) > 0


def waiting(db: apsw.Connection, conversation: int) -> bool:
    """Whether anything of ours is not sent yet."""
    return _count(db, "conversation = ? AND state = 'queued'", conversation) > 0


def withdraw_unsent(db: apsw.Connection, local_id: int) -> bool:
    """Take a message back that has not left this machine; whether it was so."""
    db.execute(
        "UPDATE message SET state = 'refused', code = 'withdrawn'"
        " WHERE id = ? AND state = 'queued' AND sealed IS NULL",
        (local_id,),
    )
    unsent = bool(db.changes())
    forgetting.drop_orphans_of(db, local_id)
    return unsent


def mark_refused(db: apsw.Connection, local_id: int, code: str, *, now: int = 0) -> Message | None:
    """It will not be sent; its time runs from ``now`` (seconds since 1970) on, for it is read here."""
    db.execute(
        "UPDATE message SET state = 'refused', code = ?, sealed = NULL,"
        " expires = CASE WHEN lifetime > 0 AND expires = 0 THEN ? + lifetime ELSE expires END,"
        " content = CASE WHEN deleted = 1 THEN x'' ELSE content END"
        " WHERE id = ? AND state = 'queued'",
        (code, now, local_id),
    )
    if not db.changes():
        return None
    forgetting.drop_orphans_of(db, local_id)
    return message(db, local_id)


def own_sealed(db: apsw.Connection, conversation: int, sealed: bytes) -> int | None:
    """Return our message whose ciphertext has this SHA-256."""
    row = db.execute(
        "SELECT id FROM message WHERE conversation = ? AND sealed = ? AND own = 1", (conversation, sealed)
    ).fetchone()
    return None if row is None else int(row[0])


def last_id(db: apsw.Connection) -> int:
    row = db.execute("SELECT max(id) FROM message").fetchone()
    return row[0] or 0 if row else 0


def own_at(db: apsw.Connection, conversation: int, sequence: int) -> bytes | None:
    """Return the SHA-256 of our own ciphertext at this place of the log, if the server told us so."""
    row = db.execute(
        "SELECT sealed FROM message WHERE conversation = ? AND sequence = ? AND own = 1 AND state = 'sent'",
        (conversation, sequence),
    ).fetchone()
    return None if row is None else row[0]


def _count(db: apsw.Connection, condition: str, argument: str | int) -> int:
    row = db.execute(f"SELECT count(*) FROM message WHERE {condition}", (argument,)).fetchone()  # noqa: S608
    return int(row[0]) if row else 0


def _one(db: apsw.Connection, row: Row) -> Message:
    (found,) = messages_of(db, [row])
    return found
