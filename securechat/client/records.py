"""Conversations as rows: the one place that reads and writes the table ``conversation``."""

from collections.abc import Iterable
from typing import Final

import apsw
import msgspec
from msgspec import Struct

from securechat.client.events import Kind, Standing


class ConversationRecord(Struct, frozen=True):
    """A row; the columns are explained in ``migrations/0002_conversations.sql`` and later."""

    id: int
    name: str
    kind: Kind
    state: Standing
    room: str
    peer: str
    group_id: bytes | None
    title: str
    topic: str
    profile: bytes
    invited_by: str
    last_resort: bool
    untold_after: int
    cursor: int
    handshake_head: int
    epoch: int
    epoch_since: int
    held_code: str
    held_text: str
    incarnation: int
    gone_back: int
    successor: bytes
    predecessor: bytes
    expires_after: int
    newcomers: int
    timer_in_log: int

    @property
    def closed(self) -> bool:
        """Whether its group goes on as another one, which we are not in yet."""
        return self.successor != b""

    @property
    def held(self) -> bool:
        return self.held_code != ""

    @property
    def may_send(self) -> bool:
        """Until the user has joined, nothing leaves for the group; nor while it is held, or is closed."""
        return self.state is Standing.JOINED and not self.held and not self.closed


INCARNATION: Final = "incarnation"
"""The counter that holds the incarnation of the server that we last met."""

RESTORED_AT: Final = "restored_at"
"""The counter with the time (seconds since 1970) at which we last met a new incarnation."""

_COLUMNS: Final = ConversationRecord.__struct_fields__
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM conversation"  # noqa: S608 (our own field names)


def by_id(db: apsw.Connection, conversation: int) -> ConversationRecord:
    found = _one(db, f"{_SELECT} WHERE id = ?", conversation)
    if found is None:
        raise LookupError(conversation)
    return found


def by_name(db: apsw.Connection, name: str) -> ConversationRecord | None:
    return _one(db, f"{_SELECT} WHERE name = ?", name)


def by_group(db: apsw.Connection, group_id: bytes) -> ConversationRecord | None:
    return _one(db, f"{_SELECT} WHERE group_id = ?", group_id)


def every(db: apsw.Connection) -> list[ConversationRecord]:
    return [_record(row) for row in db.execute(f"{_SELECT} ORDER BY name")]


def insert(
    db: apsw.Connection, *, name: str, kind: Kind, state: Standing, room: str, **more: str | int | bytes
) -> ConversationRecord:
    values: dict[str, str | int | bytes] = {"name": name, "kind": kind, "state": state, "room": room, **more}
    columns, marks = ", ".join(_known(values)), ", ".join("?" * len(values))
    db.execute(
        f"INSERT INTO conversation ({columns}) VALUES ({marks})",  # noqa: S608 (checked by _known)
        tuple(values.values()),
    )
    return by_id(db, db.last_insert_rowid())


def update(db: apsw.Connection, conversation: int, **changes: str | int | bytes | None) -> ConversationRecord:
    settings = ", ".join(f"{column} = ?" for column in _known(changes))
    db.execute(
        f"UPDATE conversation SET {settings} WHERE id = ?",  # noqa: S608 (checked by _known)
        (*changes.values(), conversation),
    )
    return by_id(db, conversation)


def free_name(db: apsw.Connection, wanted: str) -> str:
    """Return ``wanted``, or the first of ``wanted-2``, ``wanted-3``... that is not taken."""
    name, number = wanted, 1
    while by_name(db, name) is not None:
        number += 1
        name = f"{wanted}-{number}"
    return name


def counter(db: apsw.Connection, name: str) -> int:
    """Return a number that only rises; one that was never set is 0."""
    row = db.execute("SELECT value FROM counter WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def set_counter(db: apsw.Connection, name: str, value: int) -> None:
    db.execute(
        "INSERT INTO counter (name, value) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        (name, value),
    )


def _one(db: apsw.Connection, sql: str, argument: str | int | bytes) -> ConversationRecord | None:
    row = db.execute(sql, (argument,)).fetchone()
    return None if row is None else _record(row)


def _record(row: tuple[object, ...]) -> ConversationRecord:
    return msgspec.convert(dict(zip(_COLUMNS, row, strict=True)), ConversationRecord, strict=False)


def _known(names: Iterable[str]) -> list[str]:
    unknown = [name for name in names if name not in _COLUMNS]
    if unknown:
        raise LookupError(unknown)
    return list(names)
