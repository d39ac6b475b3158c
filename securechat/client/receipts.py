"""Receipts: that somebody has a message, or has read it (draft-mahy-mimi-message-status).

What we owe is noted when a message comes or is read, and goes out a few seconds later, all of a
conversation in one message. It tells others when we are there, so it goes only to people we have written
to ourselves (*correspondents*), and in a room only if all of it are; in larger rooms never, because each
receipt there is a message to everybody. What others report is kept of our own messages only.
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

import apsw

from securechat.client import history, timers
from securechat.client.change import Change
from securechat.client.compose import Written, frame_for, queue
from securechat.client.device import Device
from securechat.client.events import Kind, MessageChanged, Standing
from securechat.client.groups import Groups
from securechat.client.records import ConversationRecord
from securechat.client.settings import Setting, is_on
from securechat.content.message import report
from securechat.content.status import DELIVERED, READ, Reported

LARGEST_ROOM: Final = 8
"""Users of a conversation in which we tell whether we are there."""

MOST_LEAVES: Final = 10 * LARGEST_ROOM
"""Devices of so many users at most (rules.md B): beyond it nobody needs to be counted."""

GATHER_SECONDS: Final = 3.0
"""How long receipts are gathered: a conversation has at most one message of them in this time."""

MOST_AT_ONCE: Final = 430
"""Messages in one report: with what stands around them they fill a bucket of padding, 16 KiB."""

MOST_OWED: Final = 1000
"""Of a conversation; of older messages nothing is reported."""

SETTINGS: Final = {DELIVERED: Setting.DELIVERY, READ: Setting.READ}


def may_signal(db: apsw.Connection, record: ConversationRecord, others: Collection[str]) -> bool:
    """Whether the others may know when we are there."""
    if record.kind is Kind.ANNOUNCEMENT or not 0 < len(others) < LARGEST_ROOM:
        return False
    return all(is_correspondent(db, user) for user in others)


def is_correspondent(db: apsw.Connection, user: str) -> bool:
    return db.execute("SELECT 1 FROM correspondent WHERE user = ?", (user,)).fetchone() is not None


def owe(change: Change, conversation: int, local_id: int, status: int, *, now: float) -> None:
    """Note that a message is to be reported, unless that is turned off."""
    if not is_on(change.db, SETTINGS[status]):
        return
    change.db.execute(
        "INSERT INTO owed_receipt (message, conversation, status, since) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (message) DO UPDATE SET status = max(status, excluded.status)",
        (local_id, conversation, status, int(now * 1000)),
    )
    change.db.execute("UPDATE message SET reported = max(reported, ?) WHERE id = ?", (status, local_id))


def read_up_to(change: Change, conversation: int, local_id: int, *, now: float) -> None:
    """Take note that everything up to a message was read: it is reported, and its time runs."""
    db = change.db
    unread = "conversation = ? AND own = 0 AND hidden = 0 AND reported < 2 AND id <= ?"
    db.execute(
        "UPDATE message SET shown = 1,"  # noqa: S608 (a constant)
        " expires = CASE WHEN lifetime > 0 AND expires = 0 THEN ? + lifetime ELSE expires END"
        f" WHERE {unread}",
        (int(now), conversation, local_id),
    )
    rows: Any = db.execute(
        f"SELECT id FROM message WHERE {unread} AND mimi_id IS NOT NULL AND deleted = 0"  # noqa: S608
        " ORDER BY id DESC LIMIT ?",
        (conversation, local_id, MOST_OWED),
    ).fetchall()
    for (each,) in reversed(rows):
        owe(change, conversation, each, READ, now=now)
    db.execute(f"UPDATE message SET reported = 2 WHERE {unread}", (conversation, local_id))  # noqa: S608
    _keep_newest(db, conversation)
    change.wake(conversation)


def read_each(change: Change, local_ids: Sequence[int], *, now: float) -> None:
    """Take note that these messages were read, and no others."""
    for local_id in local_ids:
        row = change.db.execute(
            "SELECT conversation FROM message WHERE id = ? AND own = 0 AND hidden = 0 AND reported < 2"
            " AND mimi_id IS NOT NULL AND deleted = 0",
            (local_id,),
        ).fetchone()
        if row is not None:
            owe(change, row[0], local_id, READ, now=now)
            change.db.execute("UPDATE message SET reported = 2 WHERE id = ?", (local_id,))
            change.wake(row[0])
    timers.start(change.db, local_ids, now=int(now))


def due_in(db: apsw.Connection, conversation: int, *, now: float) -> float | None:
    """Return in how many seconds the receipts that are owed should go; None if there are none."""
    row = db.execute("SELECT min(since) FROM owed_receipt WHERE conversation = ?", (conversation,)).fetchone()
    if row is None or row[0] is None:
        return None
    waited = now - row[0] / 1000
    return max(0.0, GATHER_SECONDS - waited) if waited >= 0 else 0.0  # else the clock was set back


def put(
    change: Change,
    device: Device,
    record: ConversationRecord,
    others: Collection[str],
    *,
    now: float,
    groups: Groups | None = None,
) -> bool:
    """Queue one message with what is owed; whether there was anything that the others may know."""
    db = change.db
    if len(others) >= LARGEST_ROOM:
        db.execute("DELETE FROM owed_receipt WHERE conversation = ?", (record.id,))
        return False
    _keep_newest(db, record.id)
    if not may_signal(db, record, others):
        return False  # once we write to them they may
    rows: Any = db.execute(
        "SELECT o.message, m.mimi_id, o.status FROM owed_receipt o JOIN message m ON m.id = o.message"
        " WHERE o.conversation = ? ORDER BY o.message LIMIT ?",
        (record.id, MOST_AT_ONCE),
    ).fetchall()
    db.executemany("DELETE FROM owed_receipt WHERE message = ?", [(row[0],) for row in rows])
    # What is left waits its time: otherwise the answer to this one would bring out the next at once.
    db.execute("UPDATE owed_receipt SET since = ? WHERE conversation = ?", (int(now * 1000), record.id))
    on = {status for status, setting in SETTINGS.items() if is_on(db, setting)}
    reported = tuple((row[1], row[2]) for row in rows if row[2] in on and row[1])
    if reported:
        content = report(reported, frame_for(device, record, passing=True))
        written = Written(content=content, kind=history.RECEIPT, hidden=True)
        queue(change, device, record, written, now=int(now), groups=groups)
    return bool(reported)


def _keep_newest(db: apsw.Connection, conversation: int) -> None:
    db.execute(
        "DELETE FROM owed_receipt WHERE message IN (SELECT message FROM owed_receipt"
        " WHERE conversation = ? ORDER BY message DESC LIMIT -1 OFFSET ?)",
        (conversation, MOST_OWED),
    )


def take(change: Change, record: ConversationRecord, sender: str, reported: Reported) -> None:
    """Keep what somebody reports of our own messages; of others, or of none, it says nothing to us."""
    db = change.db
    for mimi_id, status in reported:
        if status not in SETTINGS:
            continue
        row = db.execute(
            "SELECT id FROM message WHERE conversation = ? AND mimi_id = ? AND own = 1 AND hidden = 0"
            " AND deleted = 0",
            (record.id, mimi_id),
        ).fetchone()
        if row is None:
            continue
        db.execute(
            "INSERT INTO receipt (message, user, status) VALUES (?, ?, ?) ON CONFLICT (message, user)"
            " DO UPDATE SET status = excluded.status WHERE excluded.status > status",
            (row[0], sender, status),
        )
        if db.changes() and record.state is not Standing.INVITED:
            change.tell(MessageChanged(history.message(db, row[0])))
