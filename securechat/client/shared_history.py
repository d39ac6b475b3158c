"""What was said in a room before somebody came into it: packed by who let them in, judged by who gets it.

It proves nothing: whoever packs it could write anything. So it is shown under the names it gives with the
word of who shared it beside each (`doubt`), as nothing that is known; nothing can refer to it, and a true
message of the same id is still shown when it comes. Who may share how much is the room's policy, which all
in the room know: what goes beyond it is refused by everybody (docs/decisions/0019).
"""

from collections.abc import Collection, Iterable
from typing import Any, Final, Literal

import apsw
import msgspec
from msgspec import Struct

from securechat.client.archive_arriving import place_at
from securechat.client.change import Change
from securechat.client.doubt import IMPORTED
from securechat.client.events import FileInfo, Message, Notice
from securechat.client.exported import NotImported, Said, is_exported, read_said, safe_said
from securechat.client.history import messages
from securechat.client.newcomers import POLICY, handed_text
from securechat.client.records import ConversationRecord
from securechat.content.own_types import MAX_SHARED, MAX_SHARED_BYTES, SharedHistory
from securechat.membership.room import Join, Kind, Role, Room, acting_role
from securechat.text import sanitise

FORMAT: Final = "securechat-shared/1"

REFUSED: Final = "history_refused"

AT_ONCE: Final = 500


class SharedHeader(Struct, frozen=True, kw_only=True):
    """The first line: of which room (its URI), who packed it, and for whom, by user name."""

    format: Literal["securechat-shared/1"]
    room: str
    by: str
    user: str
    count: int


class NotShared(NotImported):
    """What was handed over is not what was announced; nothing of it was kept."""


def most(room: Room) -> int:
    """Return how many messages the policy lets a newcomer have."""
    return 0 if room.kind is Kind.DIRECT else min(room.history, MAX_SHARED)


def problem(
    shared: SharedHistory, room: Room, sender: str, present: Collection[str], *, me: str, invited_by: str
) -> str:
    """Return what is wrong with somebody's handing over of history; empty if nothing is.

    :param sender: a URI, as ``me`` and those who are ``present``; ``invited_by`` who let us in
    """
    if most(room) == 0:
        return "the room hands over no history"
    if shared.count > most(room):
        return "it is more than the room hands over"
    role = acting_role(room, sender, present)
    if role > Role.ADMIN and not (role is Role.MEMBER and room.join is Join.BY_MEMBER):
        return "its sender may let nobody in"
    if shared.user == me and sender != invited_by:
        return "its sender is not who let us in"
    return ""


def pack(
    db: apsw.Connection, record: ConversationRecord, *, by: str, user: str, limit: int
) -> tuple[int, bytes]:
    """Return the last messages of a room as they are handed to a user: how many, and as lines.

    Not what is to disappear, was withdrawn, or came from a file; not where a file lies on this machine.
    """
    lines: list[bytes] = []
    size = 0
    for message in _last(db, record.id, limit):
        line = msgspec.json.encode(_said(message))
        if size + len(line) + 1 > MAX_SHARED_BYTES - 1024:
            break
        size += len(line) + 1
        lines.append(line)
    header = SharedHeader(format=FORMAT, room=record.room, by=by, user=user, count=len(lines))
    return len(lines), b"\n".join([msgspec.json.encode(header), *reversed(lines)])


def unpack(
    content: bytes, record: ConversationRecord, shared: SharedHistory, *, by: str, user: str
) -> list[Said]:
    """Return the messages of a pack, oldest first.

    :raises NotShared: it is of another room, by or for somebody else, or not what was announced
    """
    # Line breaks alone would be millions of lines.
    first, *lines = content.split(b"\n", shared.count + 1)
    try:
        header = msgspec.json.decode(first, type=SharedHeader)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise NotShared("the history that was handed over is damaged") from None
    if header.room != record.room:
        raise NotShared("the history that was handed over is of another room")
    if (header.by, header.user) != (by, user):
        raise NotShared("the history that was handed over is somebody else's")
    if not len(lines) == header.count == shared.count:
        raise NotShared("the history that was handed over is not as long as was said")
    return [read_said(line, number) for number, line in enumerate(lines, 2)]


def take(change: Change, record: ConversationRecord, batch: Iterable[Said], *, by: str, at: int) -> int:
    """Keep messages under the word of who shared them; return how many were new.

    :param at: when they were shared, in seconds since 1970: nothing that was said before was said after
    """
    kept = 0
    for said in batch:
        safe = safe_said(said)
        safe = msgspec.structs.replace(safe, ts=min(safe.ts, at), edited=min(safe.edited, at))
        if not _is_here(change.db, record, bytes.fromhex(safe.id)):
            _insert(change.db, record, safe, by=by)
            kept += 1
    return kept


# The tables.


class Owed(Struct, frozen=True):
    id: int
    conversation: int
    user: str
    count: int
    content: bytes


class Wanted(Struct, frozen=True):
    message: int
    conversation: int
    sender: str
    shared: SharedHistory
    at: int
    """When it was handed over, in seconds since 1970, as the server says."""


def owe(change: Change, record: ConversationRecord, room: Room, users: Iterable[str], *, by: str) -> None:
    """Note what those who have just come are handed by us: as it stands now, without what is said since."""
    for user in users:
        count, content = pack(change.db, record, by=by, user=user, limit=most(room))
        if count:
            change.tell(Notice(POLICY, handed_text(record.name, user, count)))
            change.db.execute(
                "INSERT INTO owed_history (conversation, user, count, content) VALUES (?, ?, ?, ?)",
                (record.id, user, count, content),
            )


def owed(db: apsw.Connection) -> Owed | None:
    row: Any = db.execute(
        "SELECT id, conversation, user, count, content FROM owed_history ORDER BY id LIMIT 1"
    ).fetchone()
    return None if row is None else Owed(*row)


def forget_owed(db: apsw.Connection, row: int) -> None:
    db.execute("DELETE FROM owed_history WHERE id = ?", (row,))


def want(
    db: apsw.Connection, record: ConversationRecord, message: int, sender: str, shared: SharedHistory
) -> None:
    """Note what was handed to us: the first of a stay."""
    db.execute(
        "INSERT INTO shared_history (message, conversation, sender, shared) SELECT ?1, ?2, ?3, ?4"
        " WHERE NOT EXISTS (SELECT 1 FROM shared_history WHERE conversation = ?2 AND message > ?5)"
        " ON CONFLICT DO NOTHING",
        (message, record.id, sender, msgspec.msgpack.encode(shared), record.untold_after),
    )


def wanted(db: apsw.Connection) -> Wanted | None:
    """Return what is to be fetched next: of rooms that one has joined."""
    row: Any = db.execute(
        "SELECT s.message, s.conversation, s.sender, s.shared, m.timestamp FROM shared_history s"
        " JOIN message m ON m.id = s.message JOIN conversation c ON c.id = s.conversation"
        " WHERE s.done = 0 AND c.state = 'joined' ORDER BY s.message LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    message, conversation, sender, shared, at = row
    decoded = msgspec.msgpack.decode(shared, type=SharedHistory)
    return Wanted(message, conversation, sender, decoded, max(at, 0))


def note_done(db: apsw.Connection, message: int) -> None:
    db.execute("UPDATE shared_history SET done = 1 WHERE message = ?", (message,))


def _last(db: apsw.Connection, conversation: int, limit: int) -> Iterable[Message]:
    """The last messages, the newest first."""
    rows: list[Any] = db.execute(
        "SELECT id FROM message WHERE conversation = ? AND hidden = 0 AND deleted = 0 AND lifetime = 0"
        " AND expires = 0 AND state IN ('sent', 'received') AND kind IN ('text', 'poll', 'file')"
        " AND (imported IS NULL OR vouched <> '') ORDER BY id DESC LIMIT ?",
        (conversation, limit),
    ).fetchall()
    for at in range(0, len(rows), AT_ONCE):
        for message in messages(db, [row[0] for row in rows[at : at + AT_ONCE]]):
            if is_exported(message) and message.verified != IMPORTED:
                yield message


def _said(message: Message) -> Said:
    file = message.file
    return Said(
        id=message.id,
        sender=message.sender,
        text=message.text,
        ts=max(message.timestamp, 0),
        kind=message.kind,
        reply_to=message.reply_to,
        thread=message.thread,
        edited=message.edited,
        reactions=message.reactions,
        poll=message.poll,
        file=FileInfo(name=file.name, content_type=file.content_type, size=file.size) if file else None,
    )


def _is_here(db: apsw.Connection, record: ConversationRecord, claimed: bytes) -> bool:
    found = db.execute(
        "SELECT 1 FROM message WHERE conversation = ?1 AND mimi_id = ?2"
        " UNION ALL SELECT 1 FROM message WHERE conversation = ?1 AND imported = ?2",
        (record.id, claimed),
    ).fetchone()
    return found is not None


def _insert(db: apsw.Connection, record: ConversationRecord, said: Said, *, by: str) -> None:
    # Never ours, whatever name it gives: we have said nothing here.
    db.execute(
        "INSERT INTO message (id, conversation, imported, sender, own, state, content, text, timestamp,"
        " printed, shown, reported, thread, edited, deleted, vouched)"
        " VALUES (?, ?, ?, ?, 0, 'received', ?, ?, ?, 1, 1, 2, ?, ?, ?, ?)",
        (
            place_at(db, said.ts),
            record.id,
            bytes.fromhex(said.id),
            said.sender,
            msgspec.json.encode(said),
            "" if said.deleted else said.text,
            said.ts,
            said.thread,
            said.edited,
            int(said.deleted),
            sanitise(by),
        ),
    )
