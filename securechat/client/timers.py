"""Messages that disappear: their time runs from when they are read, of ours from when they are sent.

How long is a property of the conversation, set by whoever may speak in it, the last in the order of the
log; each message carries it, so that everybody forgets the same ones. A message may name a date instead
(section "Expiring"); nothing stays because of it that would go without it.
"""

from collections.abc import Sequence
from typing import Any, Final

import apsw

from securechat.client import forgetting, history, records
from securechat.client.change import Change
from securechat.client.events import MessageChanged
from securechat.content.mimi import Expiration, decode
from securechat.content.own_types import LEAST_TIMER, MAX_TIMER
from securechat.content.saying import SetsTimer, said

MOST_AT_ONCE: Final = 500
"""Messages forgotten in one change: how long nothing else can be done."""

PASSING_KEPT: Final = 31 * 86_400
"""Seconds that our own receipts are kept: as long as a restored server may ask for what it has lost."""

_UNITS: Final = (
    (86_400, "1 day", "{count} days"),
    (3600, "1 hour", "{count} hours"),
    (60, "1 minute", "{count} minutes"),
    (1, "1 second", "{count} seconds"),
)


def lifetime(expires: Expiration | None, *, now: int) -> tuple[int, int]:
    """Return how many seconds a message stays once it is read, and when it goes in any case; 0: for ever.

    More than a year is nonsense (section "General handling"); what is in the past goes at once.
    """
    if expires is None:
        return 0, 0
    if expires.relative:
        return min(max(expires.time, 1), MAX_TIMER), 0
    return 0, min(max(expires.time, 1), now + MAX_TIMER)


def unread_end(expires: Expiration | None, *, now: int) -> int:
    """Return when a message goes that is kept and that nobody reads, in seconds since 1970; 0: never."""
    stays, date = lifetime(expires, now=now)
    return now + stays if stays else date


def came(db: apsw.Connection, conversation: int, seconds: int) -> None:
    """The log has a timer, of whomever: the last in its order holds, for everybody."""
    records.update(db, conversation, timer_in_log=seconds)
    apply(db, conversation)


def apply(db: apsw.Connection, conversation: int) -> None:
    """Have what we write carry the timer that we set last and that is on its way, else that of the log."""
    row = db.execute(
        "SELECT id FROM message WHERE conversation = ? AND state = 'queued' AND kind = 'timer'"
        " ORDER BY id DESC LIMIT 1",
        (conversation,),
    ).fetchone()
    ours = _set_by(db, row[0]) if row is not None else None
    in_log = records.by_id(db, conversation).timer_in_log
    records.update(db, conversation, expires_after=in_log if ours is None else ours)


def placed(db: apsw.Connection, conversation: int, local_id: int) -> None:
    """A message of ours has its place in the log: if it set the timer, that holds from there on."""
    seconds = _set_by(db, local_id)
    if seconds is not None:
        came(db, conversation, seconds)


def _set_by(db: apsw.Connection, local_id: int) -> int | None:
    """Return to what a message of ours sets the timer; None if it does not."""
    row = db.execute("SELECT content FROM message WHERE id = ? AND kind = 'timer'", (local_id,)).fetchone()
    sets = said(decode(row[0]), domain="") if row is not None and row[0] else None
    return at_least(sets.seconds) if isinstance(sets, SetsTimer) else None


def at_least(seconds: int) -> int:
    """Return what is made of a timer that leaves nobody the time to read: our own messages would carry it."""
    return max(seconds, LEAST_TIMER) if seconds else 0


def sentence(seconds: int) -> str:
    """What is shown where the timer was set."""
    if not seconds:
        return "(messages stay from now on)"
    return f"(messages disappear {duration(seconds)} after they are read from now on)"


def duration(seconds: int) -> str:
    size, one, several = next(unit for unit in _UNITS if seconds % unit[0] == 0)
    count = seconds // size
    return one if count == 1 else several.format(count=count)


def start(db: apsw.Connection, local_ids: Sequence[int], *, now: int) -> None:
    """Let the time of messages run that have been read."""
    db.executemany(
        "UPDATE message SET expires = ? + lifetime WHERE id = ? AND lifetime > 0 AND expires = 0",
        [(now, local_id) for local_id in local_ids],
    )


def sweep(change: Change) -> int:
    """Forget what is due; return how much that was."""
    db = change.db
    rows: Any = db.execute(
        "SELECT id, conversation, mimi_id, hidden FROM message WHERE expires > 0 AND expires <= ?"
        " AND state <> 'queued' ORDER BY expires LIMIT ?",
        (change.now, MOST_AT_ONCE),
    ).fetchall()
    for local_id, conversation, mimi_id, hidden in rows:
        forgetting.disappear(db, conversation, local_id, mimi_id or b"")
        if not hidden:
            change.tell(MessageChanged(history.message(db, local_id)))
    return len(rows)


def next_due(db: apsw.Connection) -> int | None:
    """Return when the next message goes, in seconds since 1970."""
    row = db.execute("SELECT min(expires) FROM message WHERE expires > 0 AND state <> 'queued'").fetchone()
    return None if row is None else row[0]


def tidy(db: apsw.Connection, *, now: int) -> None:
    """At a start: drop what was never sent and is of no use any more, and what has long been sent."""
    db.execute(
        "DELETE FROM message WHERE kind IN ('receipt', 'typing')"
        " AND (timestamp < ? AND state <> 'queued'"
        " OR kind = 'typing' AND state = 'queued' AND sealed IS NULL)",
        (now - PASSING_KEPT,),
    )
