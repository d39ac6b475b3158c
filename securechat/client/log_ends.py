"""How the log of past epochs ended, so that what was withheld at the end of one is missed in the next.

A message's claim is about its own epoch; nobody would ever claim the last messages before a commit. But
whoever reads that commit at its place has read the same log before it, so the chain's value there is
one for all. Each sender says it in a later epoch, until a message of theirs that did stands in a log
(docs/decisions/0010). Who was not there, or cannot know how that epoch's log ended, has no opinion.
"""

import hmac
from typing import Any, Final

import apsw

from securechat.client import log_chain, places
from securechat.client.records import ConversationRecord
from securechat.membership.chain import MAX_ENDS, LogEnd, read_mark
from securechat.membership.room import LOG_ENDS_EXTENSION
from securechat.mls.ratchet_tree import RatchetTree

MAX_KEPT: Final = 64
"""Epochs of a conversation that a claim is compared for; who was silent for longer has been overtaken."""


def close(db: apsw.Connection, record: ConversationRecord, tree: RatchetTree, *, sure: bool = True) -> None:
    """A commit ends the present epoch, whose log is read up to it: keep how it ended.

    :param tree: of that epoch
    :param sure: whether everybody who has left it has read the same before the commit
    """
    chain = log_chain.present(db, record.id)
    if places.own_between(db, record.id, record.cursor - chain.count, record.cursor):
        for row, _ in _to_tell(db, record, tree):
            db.execute("UPDATE log_end SET told = 1 WHERE id = ?", (row,))
    value = chain.value if sure else b""
    db.execute(
        "INSERT INTO log_end (conversation, group_id, epoch, value, told) VALUES (?, ?, ?, ?, 0)"
        " ON CONFLICT DO UPDATE SET value = excluded.value WHERE told = 1 AND log_end.value = x''",
        (record.id, record.group_id, record.epoch, value),
    )
    db.execute(
        "DELETE FROM log_end WHERE conversation = ?1 AND id NOT IN"
        " (SELECT id FROM log_end WHERE conversation = ?1 ORDER BY id DESC LIMIT ?2)",
        (record.id, MAX_KEPT),
    )


def doubt(db: apsw.Connection, record: ConversationRecord) -> None:
    """Have no opinion of how the present epoch's log ends: it is known to differ, or there is a gap in it."""
    db.execute(
        "INSERT OR REPLACE INTO log_end (conversation, group_id, epoch, value, told)"
        " VALUES (?, ?, ?, x'', 0)",
        (record.id, record.group_id, record.epoch),
    )


def keep_to_ourselves(db: apsw.Connection, record: ConversationRecord) -> None:
    """Don't tell how the present epoch's log ends: a member says that it differs, and that is known by now.

    What others say of it is compared all the same: one member's lie hides no truth of another.
    """
    db.execute(
        "INSERT OR IGNORE INTO log_end (conversation, group_id, epoch, value, told) VALUES (?, ?, ?, x'', 1)",
        (record.id, record.group_id, record.epoch),
    )


def forget(db: apsw.Connection, conversation: int) -> None:
    """The epochs before are of another stay, or a restored server may have ended them otherwise."""
    db.execute("DELETE FROM log_end WHERE conversation = ?", (conversation,))


def to_tell(db: apsw.Connection, record: ConversationRecord, tree: RatchetTree) -> tuple[LogEnd, ...]:
    """Return what a message sealed now says of earlier epochs: nothing where somebody does not understand."""
    return tuple(end for _, end in _to_tell(db, record, tree))


def present(record: ConversationRecord) -> bytes:
    """Return the present epoch, by the group's id and its number."""
    return _epoch(record.group_id or b"", record.epoch)


def _epoch(group: bytes, number: int) -> bytes:
    return group + number.to_bytes(8)


def differing(
    db: apsw.Connection, record: ConversationRecord, authenticated_data: bytes
) -> list[tuple[bytes, bytes]]:
    """Return the epochs that ended otherwise for a sender than for us, as far as both know, and how.

    Of those we say nothing any more, so that two who have compared their logs do not hold each other again;
    what further senders say of them is compared as before.
    """
    mark = read_mark(authenticated_data)
    differ = [each for each in mark.ends if not _agrees(db, record, each)] if mark is not None else []
    for each in differ:
        db.execute(
            "UPDATE log_end SET told = 1 WHERE conversation = ? AND group_id = ? AND epoch = ?",
            (record.id, each.group or record.group_id, each.epoch),
        )
    return [(_epoch(each.group or record.group_id or b"", each.epoch), each.value) for each in differ]


def _agrees(db: apsw.Connection, record: ConversationRecord, end: LogEnd) -> bool:
    row: Any = db.execute(
        "SELECT value FROM log_end WHERE conversation = ? AND group_id = ? AND epoch = ? AND value <> x''",
        (record.id, end.group or record.group_id, end.epoch),
    ).fetchone()
    return row is None or hmac.compare_digest(row[0], end.value)


def _to_tell(db: apsw.Connection, record: ConversationRecord, tree: RatchetTree) -> list[tuple[int, LogEnd]]:
    if not all(LOG_ENDS_EXTENSION in each.capabilities.extensions for each in tree.census.profiles):
        return []
    rows: list[Any] = db.execute(
        "SELECT id, group_id, epoch, value FROM log_end WHERE conversation = ? AND told = 0 AND value <> x''"
        " ORDER BY id DESC LIMIT ?",
        (record.id, MAX_ENDS),
    ).fetchall()
    return [
        (row, LogEnd(b"" if group == record.group_id else group, epoch, value))
        for row, group, epoch, value in rows
    ]
