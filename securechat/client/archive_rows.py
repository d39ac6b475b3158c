"""What of the store goes into the archive: rows as records, and which of them are to be written.

What is to disappear never goes there, nor a room that one has not joined, nor what could not be read here.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from securechat.client.archive_format import (
    LAST_SECOND,
    LONGEST_NAME,
    VERSION,
    Mark,
    Place,
    Receipt,
    Record,
    Segment,
    Voice,
)

FIRST: Final = -(1 << 62)
"""Before every local id."""

MAX_MARKS: Final = 2_000
"""Reactions and votes that go with one message."""

MAX_RECEIPTS: Final = 1_000

_TO_WRITE: Final = (  # as the index has it
    "m.archived = 0 AND m.hidden = 0 AND m.lifetime = 0 AND m.expires = 0 AND m.state IN ('sent', 'received')"
    " AND m.kind IN ('text', 'poll', 'file', 'timer') AND coalesce(m.mimi_id, m.imported) IS NOT NULL"
    " AND m.conversation NOT IN (SELECT id FROM conversation WHERE state = 'invited')"
)

_SELECT: Final = (
    "SELECT m.id, m.conversation, coalesce(m.mimi_id, m.imported), m.sender, m.account_key, m.timestamp,"
    " m.text, m.sequence, m.kind,"
    " CASE WHEN m.kind IN ('poll', 'file') OR m.imported IS NOT NULL THEN m.content ELSE x'' END,"
    " coalesce(m.about, x''), m.thread, coalesce(t.id, x''), coalesce(m.version, x''), m.edited, m.deleted,"
    " m.mentions_me, m.closed, m.verified,"
    " CASE WHEN m.vouched <> '' THEN '@' || m.vouched WHEN m.imported IS NOT NULL THEN 'file' ELSE '' END,"
    " m.own FROM message m LEFT JOIN topic t ON t.conversation = m.conversation AND t.thread = m.thread"
)


class Row(Struct, frozen=True):
    """A message as it stands here: ``record`` numbers neither its place nor its voice yet."""

    local_id: int
    conversation: int
    voice: Voice
    record: Record

    @property
    def size(self) -> int:
        """Bytes of it in a segment, about."""
        return len(self.record.text) + len(self.record.content) + 64


def to_write(db: apsw.Connection, *, after: int = FIRST, limit: int) -> list[Row]:
    """Return what is not in the archive as it stands, oldest first, behind a local id."""
    rows: list[Any] = db.execute(
        f"{_SELECT} WHERE m.id > ? AND {_TO_WRITE} ORDER BY m.id LIMIT ?", (after, limit)
    ).fetchall()
    return _rows(db, rows)


def waiting(db: apsw.Connection) -> int:
    """Return how many messages are not in the archive as they stand."""
    found = db.execute(f"SELECT count(*) FROM message m WHERE {_TO_WRITE}").fetchone()  # noqa: S608
    return int(found[0]) if found else 0


def row_of(db: apsw.Connection, local_id: int) -> Row | None:
    """Return how a message stands."""
    return next(iter(_rows(db, db.execute(f"{_SELECT} WHERE m.id = ?", (local_id,)).fetchall())), None)


def segment_of(rows: Sequence[Row], places: Mapping[int, Place], before: Iterable[Segment] = ()) -> Segment:
    """Return a segment of these, behind what is still said of the ones before: an id stands once, the last.

    :param places: the conversations of the rows, by number
    """
    packing = _Packing()
    newest: set[tuple[Place | tuple[bytes, ...], bytes]] = {
        (_same(places[row.conversation]), row.record.id) for row in rows
    }
    older: list[tuple[Place, Voice, Record]] = []
    for segment in reversed(list(before)):
        for record in reversed(segment.records):
            key = (_same(segment.places[record.place]), record.id)
            if key not in newest:
                newest.add(key)
                older.append((segment.places[record.place], segment.voices[record.voice], record))
    for place, voice, record in reversed(older):
        packing.add(place, voice, record)
    for row in rows:
        packing.add(places[row.conversation], row.voice, row.record)
    return packing.segment()


def without(segment: Segment, ids: frozenset[bytes]) -> Segment:
    """Return a segment in which nothing of these messages stands any more, but that they were withdrawn."""
    kept = tuple(each for each in segment.records if each.id not in ids or each.deleted)
    return msgspec.structs.replace(segment, records=kept)


def note_written(db: apsw.Connection, rows: Sequence[Row]) -> int:
    """Note that these are in the archive, but for what has changed since; return how many."""
    count = 0
    for row in rows:
        if row_of(db, row.local_id) == row:
            db.execute("UPDATE message SET archived = 1 WHERE id = ?", (row.local_id,))
            count += 1
    return count


def strike_all_again(db: apsw.Connection) -> None:
    """What was withdrawn may stand in the archive once more: all of it is to leave."""
    db.execute(
        "INSERT INTO to_strike (id, time) SELECT coalesce(mimi_id, imported), timestamp FROM message"
        " WHERE deleted = 1 AND hidden = 0 AND coalesce(mimi_id, imported) IS NOT NULL ON CONFLICT DO NOTHING"
    )


def write_all_again(db: apsw.Connection) -> None:
    """There is no archive any more: if there is to be one again, all goes into it."""
    db.execute("UPDATE message SET archived = 0 WHERE archived = 1")
    for table in ("archive_segment", "to_strike"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names


def place_of(db: apsw.Connection, conversation: int) -> Place:
    """Return a conversation as the archive names it."""
    row: Any = db.execute(
        "SELECT kind, name, room, peer, title, topic, group_id, predecessor FROM conversation WHERE id = ?",
        (conversation,),
    ).fetchone()
    kind, name, room, peer, title, topic, group, predecessor = row
    groups = tuple(each for each in (group, predecessor) if each)
    return Place(kind, name, room, peer, title[:LONGEST_NAME], topic[:LONGEST_NAME], groups)


def strikes(db: apsw.Connection) -> dict[bytes, int]:
    """Return the messages whose words are to leave the archive, and when they were said."""
    rows: list[Any] = db.execute("SELECT id, time FROM to_strike").fetchall()
    return dict(rows)


def note_struck(db: apsw.Connection, ids: Iterable[bytes]) -> None:
    db.executemany("DELETE FROM to_strike WHERE id = ?", [(each,) for each in ids])


def known_segments(db: apsw.Connection, box: str) -> frozenset[bytes]:
    """Return the files of a box's list of which everything is here."""
    return frozenset(row[0] for row in db.execute("SELECT file FROM archive_segment WHERE box = ?", (box,)))


def note_known(db: apsw.Connection, box: str, file: bytes) -> None:
    db.execute("INSERT INTO archive_segment (file, box) VALUES (?, ?) ON CONFLICT DO NOTHING", (file, box))


def keep_known(db: apsw.Connection, box: str, files: frozenset[bytes]) -> None:
    """Forget segments that are in the list no more."""
    for file in known_segments(db, box) - files:
        forget_known(db, file)


def forget_known(db: apsw.Connection, file: bytes) -> None:
    db.execute("DELETE FROM archive_segment WHERE file = ?", (file,))


def uploads(db: apsw.Connection, box: str) -> list[bytes]:
    """Return the files that were begun and may be in no list of this box."""
    return [row[0] for row in db.execute("SELECT file FROM archive_upload WHERE box = ?", (box,))]


def note_upload(db: apsw.Connection, box: str, file: bytes) -> None:
    """A file is about to come into the list, or to leave it: in which it is, the list says."""
    db.execute("INSERT INTO archive_upload (file, box) VALUES (?, ?) ON CONFLICT DO NOTHING", (file, box))


def forget_upload(db: apsw.Connection, file: bytes) -> None:
    db.execute("DELETE FROM archive_upload WHERE file = ?", (file,))


class _Packing:
    """Numbers places and voices as they come."""

    def __init__(self) -> None:
        self._places: dict[Place, int] = {}
        self._voices: dict[Voice, int] = {}
        self._records: list[Record] = []

    def add(self, place: Place, voice: Voice, record: Record) -> None:
        self._records.append(
            msgspec.structs.replace(
                record,
                place=self._places.setdefault(place, len(self._places)),
                voice=self._voices.setdefault(voice, len(self._voices)),
            )
        )

    def segment(self) -> Segment:
        return Segment(VERSION, tuple(self._places), tuple(self._voices), tuple(self._records))


def _same(place: Place) -> Place | tuple[bytes, ...]:
    """What is one conversation under whatever name it has on this device or that."""
    return place.groups[:1] or place


def _rows(db: apsw.Connection, rows: list[Any]) -> list[Row]:
    marks = _marks(db, [(row[1], row[2]) for row in rows if row[19] == ""])
    receipts = _receipts(db, [row[0] for row in rows if row[20]])
    return [_row(row, marks.get((row[1], row[2]), ()), receipts.get(row[0], ())) for row in rows]


def _row(row: Any, marks: tuple[Mark, ...], receipts: tuple[Receipt, ...]) -> Row:  # noqa: ANN401 - a row
    local_id, conversation, mimi_id, sender, key, time, text, sequence, kind, content, about, thread = row[
        :12
    ]
    topic, version, edited, deleted, mentions_me, closed, verified, source, _ = row[12:]
    record = Record(
        place=0,
        id=mimi_id,
        voice=0,
        time=_second(time),
        text=text,
        sequence=max(sequence, 0),
        kind=kind,
        content=content,
        about=about,
        thread=thread,
        topic=topic,
        version=version,
        edited=_second(edited),
        deleted=bool(deleted),
        mentions_me=bool(mentions_me),
        closed=bool(closed),
        verified=verified,
        source=source,
        marks=marks,
        receipts=receipts,
    )
    return Row(local_id, conversation, Voice(sender, key), record)


def _second(time: int) -> int:
    """A time as it is written: a server may tell any, and none may cost what stands beside it."""
    return min(max(time, 0), LAST_SECOND)


def _marks(db: apsw.Connection, known: list[tuple[int, bytes]]) -> dict[tuple[int, bytes], tuple[Mark, ...]]:
    found: dict[tuple[int, bytes], tuple[Mark, ...]] = {}
    for conversation, target in known:
        rows: list[Any] = db.execute(
            "SELECT sender, account_key, text, x'', mimi_id FROM reaction"
            " WHERE conversation = ?1 AND target = ?2 AND waiting = 0"
            " UNION ALL SELECT sender, account_key, '', numbers, x'' FROM vote"
            " WHERE conversation = ?1 AND target = ?2 AND waiting = 0 LIMIT ?3",
            (conversation, target, MAX_MARKS),
        ).fetchall()
        if rows:
            found[conversation, target] = tuple(
                Mark(Voice(user, key), text, numbers, mimi_id) for user, key, text, numbers, mimi_id in rows
            )
    return found


def _receipts(db: apsw.Connection, local_ids: list[int]) -> dict[int, tuple[Receipt, ...]]:
    found: dict[int, tuple[Receipt, ...]] = {}
    for local_id in local_ids:
        rows: list[Any] = db.execute(
            "SELECT user, status FROM receipt WHERE message = ? ORDER BY user LIMIT ?",
            (local_id, MAX_RECEIPTS),
        ).fetchall()
        if rows:
            found[local_id] = tuple(Receipt(user, status) for user, status in rows)
    return found
