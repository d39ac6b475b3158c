"""The codes of the epochs we have been in, and those that others told us: rows, and what differs in them.

They are told, and compared, in `forks`. One room writes the tables.
"""

from typing import Any, Final

import apsw
from msgspec import Struct

from securechat.client.sentences import RESTORED
from securechat.membership.epoch_codes import EpochCode, told_code
from securechat.mls.group import Group

MAX_KEPT: Final = 64
"""Epochs of a conversation that others are compared with; who is further behind has been overtaken."""

EVERY_SECONDS: Final = 3600
"""How often one conversation is told of another: a large room may change its epoch all the time."""

_RESTORED: Final = ", ".join(f"'{code}'" for code in sorted(RESTORED))

_DUE: Final = f"""
SELECT c.id, c.group_id, c.incarnation, c.epoch, e.code FROM conversation c
JOIN epoch_code e ON e.conversation = c.id AND e.group_id = c.group_id AND e.epoch = c.epoch
LEFT JOIN epoch_code_told t ON t.conversation = ?1 AND t.about = c.id
WHERE c.id <> ?1 AND c.state = 'joined' AND c.incarnation = ?2
    AND (t.code IS NULL OR (t.code <> e.code AND abs(?3 - t.since) >= ?4))
    AND NOT EXISTS (SELECT 1 FROM hold WHERE conversation = c.id AND code IN ({_RESTORED}))
ORDER BY coalesce(t.since, 0), c.id LIMIT ?5
"""  # noqa: S608 - our own codes

_MOST: Final = (1 << 63) - 1
"""The largest number of a row; no server counts so far."""


class Own(Struct, frozen=True):
    """The present epoch of a conversation, as it may be told in others."""

    about: int
    told: EpochCode


def keep(db: apsw.Connection, conversation: int, group: Group) -> None:
    """Note the code of an epoch that we are in."""
    db.execute(
        "INSERT OR IGNORE INTO epoch_code (conversation, group_id, epoch, code) VALUES (?, ?, ?, ?)",
        (conversation, group.group_id, group.epoch, told_code(group.epoch_authenticator)),
    )
    if db.changes():
        db.execute(
            "DELETE FROM epoch_code WHERE conversation = ?1 AND id NOT IN"
            " (SELECT id FROM epoch_code WHERE conversation = ?1 ORDER BY id DESC LIMIT ?2)",
            (conversation, MAX_KEPT),
        )


def forget(db: apsw.Connection, conversation: int) -> None:
    """Our stay is over: another one may lead to epochs of the same numbers."""
    for table in ("epoch_code", "epoch_code_heard"):
        db.execute(f"DELETE FROM {table} WHERE conversation = ?", (conversation,))  # noqa: S608 - our own names


def due(db: apsw.Connection, conversation: int, *, incarnation: int, now: int, limit: int) -> list[Own]:
    """Return the groups whose present epoch was not told in a conversation, what was told longest ago first.

    None that looks for its place in the log of a restored server: where it stands is not sure.
    """
    rows: list[Any] = db.execute(_DUE, (conversation, incarnation, now, EVERY_SECONDS, limit)).fetchall()
    return [Own(about, EpochCode(*told)) for about, *told in rows]


def set_told(db: apsw.Connection, conversation: int, own: Own, *, now: int) -> None:
    db.execute(
        "INSERT OR REPLACE INTO epoch_code_told (conversation, about, code, since) VALUES (?, ?, ?, ?)",
        (conversation, own.about, own.told.code, now),
    )


def hear(db: apsw.Connection, user: str, heard: EpochCode, *, elsewhere: int) -> int | None:
    """Keep what somebody told of a group; return its conversation if that is not so here, or not yet.

    :param elsewhere: the conversation in which they told it: of itself none tells
    """
    if max(heard.epoch, heard.incarnation) > _MOST:
        return None
    row: Any = db.execute(
        "SELECT conversation, max(epoch), max(CASE epoch WHEN ?2 THEN code END) FROM epoch_code"
        " WHERE group_id = ?1 AND conversation <> ?3",
        (heard.group, heard.epoch, elsewhere),
    ).fetchone()
    conversation, newest, ours = row
    if conversation is None or ours == heard.code or (ours is None and heard.epoch <= newest):
        return None
    db.execute(
        "INSERT INTO epoch_code_heard (conversation, user, group_id, incarnation, epoch, code)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET group_id = excluded.group_id,"
        " incarnation = excluded.incarnation, epoch = excluded.epoch, code = excluded.code",
        (conversation, user, heard.group, heard.incarnation, heard.epoch, heard.code),
    )
    return int(conversation)


def differing(db: apsw.Connection, conversation: int, *, incarnation: int) -> set[str]:
    """Return who has told another code of an epoch than it has here, and was not let pass since."""
    rows: list[Any] = db.execute(
        "SELECT h.user FROM epoch_code_heard h JOIN epoch_code e"
        " ON e.group_id = h.group_id AND e.epoch = h.epoch AND e.conversation = h.conversation"
        " WHERE h.conversation = ? AND h.incarnation = ? AND h.epoch > h.passed AND h.code <> e.code",
        (conversation, incarnation),
    ).fetchall()
    return {user for (user,) in rows}


def let_pass(db: apsw.Connection, conversation: int) -> None:
    """The user goes on: what was told of the epochs up to the present one is not heard again."""
    db.execute(
        "UPDATE epoch_code_heard SET passed ="
        " (SELECT max(epoch) FROM epoch_code e WHERE e.conversation = epoch_code_heard.conversation)"
        " WHERE conversation = ?",
        (conversation,),
    )
