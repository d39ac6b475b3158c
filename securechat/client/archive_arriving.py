"""Records of the archive take their place in the history of a device that does not have them.

What they say is believed: only a device of this account could seal them (D-07), and each saw what it wrote
there verified by MLS. So what stands under our own name is ours. They are told to nobody, printed nowhere,
count as read, and are answered with no receipt. Local ids below zero come of the time, so that everything
stands in its order whatever comes first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from securechat.client import archive_rows, follow_ups, records, timeline
from securechat.client.archive_format import Place, Record, Segment, Voice
from securechat.client.change import Change
from securechat.client.device import Device
from securechat.client.events import Kind, MessageState, Standing
from securechat.client.exported import NotImported, Said, safe_said
from securechat.client.follow_ups import MAX_SHOWN
from securechat.client.records import ConversationRecord
from securechat.client.said_of import LONG_AGO
from securechat.names import NameRefused, fold_room_alias, fold_user
from securechat.text import sanitise

EPOCH: Final = 1_577_836_800
"""The first second of 2020: nothing was said here before."""

SECONDS_BITS: Final = 31
TIES_BITS: Final = 21
"""Local ids of one second. Both together stay within what every reader of JSON takes for a whole number."""

_FIRST: Final = -(1 << (SECONDS_BITS + TIES_BITS))
_HALF: Final = 1 << (TIES_BITS - 1)

SKEW: Final = 3600
"""Seconds that clocks of ours may differ by: what is later than our own first message comes by the log."""

SAME_MOMENT: Final = 60


class Arrived(Struct, frozen=True):
    """What came of some records: how many were new here."""

    new: int = 0


@dataclass(slots=True)
class Arriving:
    """One segment on its way into the store."""

    device: Device
    segment: Segment
    _homes: dict[int, ConversationRecord | None] = field(default_factory=dict)
    _first: dict[int, int | None] = field(default_factory=dict)

    def take(self, change: Change, some: Sequence[Record]) -> Arrived:
        """Keep some of its records, the last first."""
        new = sum(self._take(change, record) for record in reversed(some))
        return Arrived(new)

    def _take(self, change: Change, record: Record) -> bool:
        try:
            user = fold_user(self.segment.voices[record.voice].user)
        except NameRefused:
            return False
        voice = Voice(user, self.segment.voices[record.voice].key)
        home = self._home(change, record)
        if home is None:
            return False
        known = _known(change.db, home, record)
        if known is not None:
            _compare(change.db, known, record)
            return False
        place = self._free_place(change.db, home, record)
        return place is not None and self._insert(change, home, place, voice, record)

    def _home(self, change: Change, record: Record) -> ConversationRecord | None:
        if record.place not in self._homes:
            place = self.segment.places[record.place]
            self._homes[record.place] = _conversation(change, self.device, place)
        return self._homes[record.place]

    def _free_place(self, db: apsw.Connection, home: ConversationRecord, record: Record) -> int | None:
        """Where it belongs; None where our own log has what was said then, if not this."""
        placeholder = _placeholder(db, home, record)
        if placeholder is not None:
            db.execute("DELETE FROM message WHERE id = ?", (placeholder,))
            return placeholder
        if home.id not in self._first:
            row = db.execute(
                "SELECT timestamp FROM message WHERE conversation = ? AND id > 0 AND hidden = 0"
                " ORDER BY id LIMIT 1",
                (home.id,),
            ).fetchone()
            self._first[home.id] = None if row is None else int(row[0])
        first = self._first[home.id]
        if first is not None and record.time > first + SKEW:
            return None
        return place_at(db, record.time, record.sequence)

    def _insert(
        self, change: Change, home: ConversationRecord, place: int, voice: Voice, record: Record
    ) -> bool:
        db, from_log = change.db, record.source == ""
        content = record.content if from_log else _safe_said(record)
        if content is None:
            return False
        thread = sanitise(record.thread, limit=510)
        if from_log:
            _put_marks(db, home, record)
        own = voice.user == self.device.user and record.source in {"", "file"}
        db.execute(
            "INSERT INTO message (id, conversation, mimi_id, imported, sender, own, state, content, text,"
            " timestamp, printed, shown, reported, kind, about, thread, version, edited, deleted,"
            " mentions_me, closed, verified, account_key, vouched, archived)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 1, 2, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)"
            " ON CONFLICT DO NOTHING",
            (
                place,
                home.id,
                record.id if from_log else None,
                None if from_log else record.id,
                voice.user,
                int(own),
                MessageState.SENT if own and from_log else MessageState.RECEIVED,
                content,
                "" if record.deleted else sanitise(record.text, multiline=True, limit=MAX_SHOWN),
                record.time,
                record.kind,
                record.about or None,
                thread,
                record.version or None,
                record.edited,
                int(record.deleted),
                int(record.mentions_me),
                LONG_AGO if record.closed else 0,
                record.verified,
                voice.key,
                record.source.removeprefix("@") if record.source.startswith("@") else "",
            ),
        )
        if db.changes() == 0:
            return False
        if record.topic:
            timeline.keep_topic(db, home.id, record.topic)
        if from_log:
            _put_receipts(db, place, record)
            if _something_waits(db, home.id, record.id):
                follow_ups.settle(change, home, place, record.id, me=self.device.user_uri)
        return True


def _known(db: apsw.Connection, home: ConversationRecord, record: Record) -> int | None:
    column = "mimi_id" if record.source == "" else "imported"
    row = db.execute(
        f"SELECT id FROM message WHERE conversation = ? AND {column} = ?",  # noqa: S608 - one of two columns
        (home.id, record.id),
    ).fetchone()
    return None if row is None else int(row[0])


def _compare(db: apsw.Connection, local_id: int, record: Record) -> None:
    """What another device has written as it stands here need not be written again."""
    row = archive_rows.row_of(db, local_id)
    if row is not None and _as_said(row.record) == _as_said(record):
        db.execute("UPDATE message SET archived = 1 WHERE id = ? AND archived = 0", (local_id,))


def _as_said(record: Record) -> tuple[object, ...]:
    """What of a record is the same on every device that has read the same log."""
    marks = sorted((mark.by.user, mark.text, mark.numbers) for mark in record.marks)
    return record.text, record.deleted, record.closed, marks


def _conversation(change: Change, device: Device, place: Place) -> ConversationRecord | None:
    """Return where it belongs here: the group decides, a name only between two; else make it."""
    for group in place.groups:
        found = records.by_group(change.db, group) or _gone_on_from(change.db, group)
        if found is not None:
            return found if found.kind == place.kind else None
    try:
        if place.kind == Kind.DIRECT:
            return _direct(change, device, fold_user(place.peer))
        alias = "#" + fold_room_alias(place.name.removeprefix("#"))
    except NameRefused:
        return None
    return records.insert(
        change.db,
        name=records.free_name(change.db, alias),
        kind=Kind(place.kind),
        # What leads back into it is a Welcome, and that finds it by its group.
        state=Standing.LEFT,
        room=place.room,
        title=sanitise(place.title, limit=510),
        topic=sanitise(place.topic, limit=510),
        **({"group_id": place.groups[0]} if place.groups else {}),
    )


def _gone_on_from(db: apsw.Connection, group: bytes) -> ConversationRecord | None:
    row = db.execute("SELECT id FROM conversation WHERE predecessor = ?", (group,)).fetchone()
    return None if row is None else records.by_id(db, row[0])


def _direct(change: Change, device: Device, peer: str) -> ConversationRecord | None:
    if peer == device.user:
        return None
    return records.by_name(change.db, f"@{peer}") or records.insert(
        change.db,
        name=f"@{peer}",
        kind=Kind.DIRECT,
        state=Standing.OPENING,
        room=device.direct_room(peer),
        peer=peer,
    )


def _placeholder(db: apsw.Connection, home: ConversationRecord, record: Record) -> int | None:
    """Return what stands here for this message, which another device could read and this one could not."""
    row = db.execute(
        "SELECT id FROM message WHERE conversation = ? AND sequence = ? AND state = 'unreadable'"
        " AND hidden = 0 AND abs(timestamp - ?) <= ? LIMIT 1",
        (home.id, record.sequence, record.time, SAME_MOMENT),
    ).fetchone()
    return None if row is None or not record.sequence else int(row[0])


def place_at(db: apsw.Connection, time: int, sequence: int = 0) -> int:
    """Return a free local id for what was said then (seconds since 1970).

    In one second by the log's order; without that (0), or where another log has that place, what comes later
    stands before what came first. It costs the same however much was said in that second.
    """
    second = min(max(time - EPOCH, 0), (1 << SECONDS_BITS) - 1)
    base = _FIRST + (second << TIES_BITS)
    if sequence and not _is_taken(db, place := base + _HALF + sequence % _HALF):
        return place
    (first,) = db.execute(
        "SELECT min(id) FROM message WHERE id BETWEEN ? AND ?", (base, base + _HALF - 1)
    ).fetchone() or (None,)
    place = base + _HALF - 1 if first is None else int(first) - 1
    while _is_taken(db, place):  # a million in that second: on into the one before
        place -= 1
    return place


def _is_taken(db: apsw.Connection, place: int) -> bool:
    return db.execute("SELECT 1 FROM message WHERE id = ?", (place,)).fetchone() is not None


def _safe_said(record: Record) -> bytes | None:
    """What came from a file, or from somebody's copy, judged as it was when it came."""
    try:
        return msgspec.json.encode(safe_said(msgspec.json.decode(record.content, type=Said)))
    except (NotImported, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _put_marks(db: apsw.Connection, home: ConversationRecord, record: Record) -> None:
    for mark in record.marks:
        try:
            user = fold_user(mark.by.user)
        except NameRefused:
            continue
        if mark.numbers:
            db.execute(
                "INSERT INTO vote (conversation, target, sender, numbers, waiting, placed, account_key)"
                " VALUES (?, ?, ?, ?, 0, ?, ?) ON CONFLICT DO NOTHING",
                (home.id, record.id, user, mark.numbers, mark.numbers, mark.by.key),
            )
        elif sanitise(mark.text, limit=32) == mark.text:
            db.execute(
                "INSERT INTO reaction (conversation, target, sender, text, mimi_id, waiting, account_key)"
                " VALUES (?, ?, ?, ?, ?, 0, ?) ON CONFLICT DO NOTHING",
                (home.id, record.id, user, mark.text, mark.id, mark.by.key),
            )


def _put_receipts(db: apsw.Connection, place: int, record: Record) -> None:
    db.executemany(
        "INSERT INTO receipt (message, user, status) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(place, sanitise(each.user), each.status) for each in record.receipts],
    )


def _something_waits(db: apsw.Connection, conversation: int, target: bytes) -> bool:
    """Whether something was said of a message before it was here."""
    row: Any = db.execute(
        "SELECT EXISTS (SELECT 1 FROM reaction WHERE conversation = ?1 AND target = ?2 AND waiting = 1)"
        " OR EXISTS (SELECT 1 FROM vote WHERE conversation = ?1 AND target = ?2 AND waiting = 1)"
        " OR EXISTS (SELECT 1 FROM early_change WHERE conversation = ?1 AND target = ?2)"
        " OR EXISTS (SELECT 1 FROM message WHERE conversation = ?1 AND about = ?2 AND kind = 'early')",
        (conversation, target),
    ).fetchone()
    return bool(row[0])
