"""The tables ``reaction``, ``vote`` and ``early_change``: what was said of other messages, and ends of polls.

A reaction or a vote is kept with its message or, for a while, before it: ``waiting``. Of each sender only
the last few wait, so that nobody can fill a store with words about messages that never come.
"""

from typing import Any, Final

import apsw
from msgspec import Struct

from securechat.content.saying import Closes, Reacts, Votes, Withdraws

MAX_REACTIONS_EACH: Final = 8
"""Reactions of one user to one message; what is more is let go of."""

MAX_WAITING_EACH: Final = 32
"""Of one sender in one conversation, for each kind. Their messages come in order, so few ever wait."""


NOT_PLACED: Final = -1
"""Where a poll is closed by us, and the log does not say so yet."""

LONG_AGO: Final = 1
"""Before all that comes: the place of what waited, and of what an earlier log of the conversation had."""


class Told(Struct, frozen=True, kw_only=True):
    """By whom and when it was said (seconds since 1970), its id, and its content as it was sealed.

    ``sequence`` is its place in the log; 0 of our own words, which have none yet. ``keys`` are the sender's
    account key and, behind it, those that it was rotated from.
    """

    sender: str
    keys: tuple[bytes, ...] = ()
    mimi_id: bytes
    timestamp: int
    content: bytes
    sequence: int = 0

    @property
    def key(self) -> bytes:
        return self.keys[0] if self.keys else b""


def is_of(key: bytes, keys: tuple[bytes, ...]) -> bool:
    """Whether what was said under an account key is of who has these; empty: the name alone decides."""
    return not key or key in keys


def put_reactions(
    db: apsw.Connection, conversation: int, reacts: Reacts, told: Told, *, waiting: bool
) -> None:
    """Keep what somebody reacts with; said again it changes its id only."""
    if reacts.instead_of is not None:
        known = reaction_of(db, conversation, reacts.instead_of)
        if known is not None and is_of(known[2], told.keys):
            drop_reaction(db, conversation, reacts.instead_of, told.sender)
    row = db.execute(
        "SELECT count(*) FROM reaction WHERE conversation = ? AND target = ? AND sender = ?",
        (conversation, reacts.target, told.sender),
    ).fetchone()
    room = MAX_REACTIONS_EACH - (row[0] if row else 0)
    for text in reacts.texts:
        db.execute(
            "UPDATE reaction SET mimi_id = ?"
            " WHERE conversation = ? AND target = ? AND sender = ? AND text = ?",
            (told.mimi_id, conversation, reacts.target, told.sender, text),
        )
        if db.changes() or room <= 0:
            continue
        room -= 1
        db.execute(
            "INSERT INTO reaction (conversation, target, sender, text, mimi_id, waiting, account_key)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (conversation, reacts.target, told.sender, text, told.mimi_id, int(waiting), told.key),
        )
    if waiting:
        _keep_last(db, "reaction", conversation, told.sender)


def drop_reaction(db: apsw.Connection, conversation: int, mimi_id: bytes, sender: str) -> None:
    db.execute(
        "DELETE FROM reaction WHERE conversation = ? AND mimi_id = ? AND sender = ?",
        (conversation, mimi_id, sender),
    )


def reaction_of(db: apsw.Connection, conversation: int, mimi_id: bytes) -> tuple[bytes, str, bytes] | None:
    """Return what a reaction is to, and whose it is: the name, and the account key."""
    row = db.execute(
        "SELECT target, sender, account_key FROM reaction WHERE conversation = ? AND mimi_id = ? LIMIT 1",
        (conversation, mimi_id),
    ).fetchone()
    return None if row is None else (row[0], row[1], row[2])


def said_under(db: apsw.Connection, conversation: int, target: bytes, sender: str, *, vote: bool) -> bytes:
    """Return the account key under which a user has voted or reacted there before; empty if it has not."""
    table = "vote" if vote else "reaction"
    row = db.execute(
        f"SELECT account_key FROM {table} WHERE conversation = ? AND target = ? AND sender = ?"  # noqa: S608
        " ORDER BY id LIMIT 1",
        (conversation, target, sender),
    ).fetchone()
    return b"" if row is None else row[0]


def own_reaction(
    db: apsw.Connection, conversation: int, target: bytes, sender: str, text: str
) -> bytes | None:
    """Return the id of a user's reaction with this text."""
    row = db.execute(
        "SELECT mimi_id FROM reaction WHERE conversation = ? AND target = ? AND sender = ? AND text = ?",
        (conversation, target, sender, text),
    ).fetchone()
    return None if row is None else row[0]


def put_vote(db: apsw.Connection, conversation: int, votes: Votes, told: Told, *, waiting: bool) -> None:
    """Keep what somebody is for, in the place of what was before; nothing at all takes it back.

    ``placed`` keeps what of it has a place in the log: ours may come there too late.
    """
    numbers = bytes(votes.numbers)
    db.execute(
        "INSERT INTO vote (conversation, target, sender, numbers, waiting, placed, account_key)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (conversation, target, sender) DO UPDATE SET numbers = excluded.numbers,"
        " placed = CASE WHEN ? THEN excluded.placed ELSE placed END",
        (
            conversation,
            votes.target,
            told.sender,
            numbers,
            int(waiting),
            numbers if told.sequence else b"",
            told.key,
            told.sequence > 0,
        ),
    )
    if waiting:
        _keep_last(db, "vote", conversation, told.sender)
    else:
        _drop_empty_vote(db, conversation, votes.target, told.sender)


def place_vote(db: apsw.Connection, conversation: int, votes: Votes, sender: str) -> None:
    """Our vote has its place in the log."""
    db.execute(
        "UPDATE vote SET placed = ? WHERE conversation = ? AND target = ? AND sender = ?",
        (bytes(votes.numbers), conversation, votes.target, sender),
    )
    _drop_empty_vote(db, conversation, votes.target, sender)


def undo_vote(db: apsw.Connection, conversation: int, target: bytes, sender: str) -> None:
    """Our vote came after the end of its poll: what we were for before counts."""
    db.execute(
        "UPDATE vote SET numbers = placed WHERE conversation = ? AND target = ? AND sender = ?",
        (conversation, target, sender),
    )
    _drop_empty_vote(db, conversation, target, sender)


def close_poll(db: apsw.Connection, local_id: int, *, sequence: int) -> None:
    """Note that a poll takes no votes from a place of the log on, the first of them if it is closed twice.

    :param sequence: 0: we close it, and the place is not known yet
    """
    db.execute(
        "UPDATE message SET closed = ? WHERE id = ? AND (closed = 0 OR ? > 0 AND (closed < 0 OR closed > ?))",
        (sequence or NOT_PLACED, local_id, sequence, sequence),
    )


def open_poll(db: apsw.Connection, local_id: int) -> None:
    """The end of a poll of ours was not taken: it goes on."""
    db.execute("UPDATE message SET closed = 0 WHERE id = ? AND closed = ?", (local_id, NOT_PLACED))


def put_early(db: apsw.Connection, conversation: int, about: Withdraws | Closes, told: Told) -> None:
    """Keep the end of a message or of a poll that is not here yet; nothing changes a withdrawn one."""
    db.execute(
        "INSERT INTO early_change"
        " (conversation, target, sender, account_key, mimi_id, content, timestamp, withdraws)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (conversation, target, sender, account_key) DO UPDATE SET"
        " mimi_id = excluded.mimi_id, content = excluded.content, timestamp = excluded.timestamp,"
        " withdraws = excluded.withdraws WHERE withdraws = 0",
        (
            conversation,
            about.target,
            told.sender,
            told.key,
            told.mimi_id,
            told.content,
            told.timestamp,
            int(isinstance(about, Withdraws)),
        ),
    )
    _keep_last(db, "early_change", conversation, told.sender)


def take_early(db: apsw.Connection, conversation: int, target: bytes) -> list[Told]:
    """Return, and forget, the changes that waited for a message."""
    rows: Any = db.execute(
        "SELECT sender, account_key, mimi_id, timestamp, content FROM early_change"
        " WHERE conversation = ? AND target = ? ORDER BY id",
        (conversation, target),
    ).fetchall()
    if rows:
        db.execute("DELETE FROM early_change WHERE conversation = ? AND target = ?", (conversation, target))
    return [
        Told(sender=sender, keys=(key,), mimi_id=mimi_id, timestamp=when, content=content, sequence=LONG_AGO)
        for sender, key, mimi_id, when, content in rows
    ]


def end_wait(db: apsw.Connection, conversation: int, target: bytes, *, options: int) -> bool:
    """Let what waited for a message count, now that it is here; whether there was anything.

    :param options: how many a poll has; 0 if the message is none
    """
    where = "WHERE conversation = ? AND target = ? AND waiting = 1"
    votes: Any = db.execute(f"SELECT id, numbers FROM vote {where}", (conversation, target)).fetchall()  # noqa: S608
    wrong = [(row[0],) for row in votes if not row[1] or max(row[1]) > options]
    db.executemany("DELETE FROM vote WHERE id = ?", wrong)
    db.execute(f"UPDATE vote SET waiting = 0 {where}", (conversation, target))  # noqa: S608 (constants)
    counted = db.changes()
    db.execute(f"UPDATE reaction SET waiting = 0 {where}", (conversation, target))  # noqa: S608 (constants)
    return bool(counted + db.changes())


def _drop_empty_vote(db: apsw.Connection, conversation: int, target: bytes, sender: str) -> None:
    """Forget who is for nothing, now and at every place of the log."""
    db.execute(
        "DELETE FROM vote WHERE conversation = ? AND target = ? AND sender = ?"
        " AND numbers = x'' AND placed = x''",
        (conversation, target, sender),
    )


def _keep_last(db: apsw.Connection, table: str, conversation: int, sender: str) -> None:
    waits = "" if table == "early_change" else "AND waiting = 1"
    db.execute(
        f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table}"  # noqa: S608 (our own names)
        f" WHERE conversation = ? AND sender = ? {waits} ORDER BY id DESC LIMIT -1 OFFSET ?)",
        (conversation, sender, MAX_WAITING_EACH),
    )
