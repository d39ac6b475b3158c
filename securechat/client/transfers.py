"""Files on their way, as the store has them: an interrupted one goes on after a restart."""

import os
from pathlib import Path
from typing import Any, Final

import apsw
from msgspec import Struct

from securechat.client.errors import NoFile
from securechat.client.finding import MIN_ID, local_id
from securechat.content.attached import attached_file
from securechat.content.errors import ContentError
from securechat.content.mimi import decode
from securechat.content.sealed_file import SealedFile, read_file_part

_COLUMNS: Final = "id, conversation, path, caption, file, key, prefix, size, tags, digest, thumbnail"


class Sending(Struct, frozen=True, kw_only=True):
    """A file of ours that is being uploaded; nothing of it is in a message yet."""

    id: int
    conversation: int
    path: Path
    caption: str
    file: bytes
    key: bytes
    prefix: bytes
    size: int
    tags: bytes
    """Of all its sealed pieces: what has other tags is not what was sealed first, and is never sent."""
    digest: bytes
    thumbnail: bytes = b""

    def __repr__(self) -> str:
        return f"<Sending {self.id} of {self.size} bytes>"


class Fetching(Struct, frozen=True, kw_only=True):
    """A file of others that the user wants: it grows at ``part``, and lies at ``path`` once it is whole."""

    message: int
    part: Path | None
    path: Path | None


class Attached(Struct, frozen=True):
    """A message with a file in it."""

    message: int
    file: SealedFile


def add_sending(db: apsw.Connection, sending: Sending) -> Sending:
    """Store one; its ``id`` is the row's then."""
    db.execute(
        "INSERT INTO sending_file (conversation, path, caption, file, key, prefix, size, tags, digest,"
        " thumbnail) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            sending.conversation,
            os.fsencode(sending.path),
            sending.caption,
            sending.file,
            sending.key,
            sending.prefix,
            sending.size,
            sending.tags,
            sending.digest,
            sending.thumbnail,
        ),
    )
    return _sending(db, "id = ?", db.last_insert_rowid())[0]


def all_sending(db: apsw.Connection) -> list[Sending]:
    return _sending(db, "id > ?", 0)


def forget_sending(db: apsw.Connection, row: int) -> None:
    db.execute("DELETE FROM sending_file WHERE id = ?", (row,))


def fetching(db: apsw.Connection, message: int) -> Fetching | None:
    found: Any = db.execute("SELECT part, path FROM fetched_file WHERE message = ?", (message,)).fetchone()
    if found is None:
        return None
    part, path = (Path(os.fsdecode(each)) if each else None for each in found)
    return Fetching(message=message, part=part, path=path)


def note_fetching(db: apsw.Connection, message: int, part: Path) -> None:
    """A file grows here now; where it grew before is noted as a part that goes."""
    db.execute(
        "INSERT INTO fetched_file (message, part) VALUES (?, ?)"
        " ON CONFLICT (message) DO UPDATE SET part = excluded.part, path = x''",
        (message, os.fsencode(part)),
    )


def note_fetched(db: apsw.Connection, message: int, path: Path) -> None:
    """All of it is here, unless its message is gone by now: then it is the user's, and nobody knows of it."""
    db.execute("UPDATE fetched_file SET part = x'', path = ? WHERE message = ?", (os.fsencode(path), message))


def forget_fetching(db: apsw.Connection, message: int) -> None:
    """Its part is noted as one that goes."""
    db.execute("DELETE FROM fetched_file WHERE message = ?", (message,))


def note_sent(db: apsw.Connection, message: int, file: bytes) -> None:
    """A message of ours has this file: it goes with it."""
    db.execute("INSERT INTO sent_file (message, file) VALUES (?, ?)", (message, file))


def let_go(db: apsw.Connection, file: bytes) -> None:
    """Nobody will ask for a file of ours."""
    db.execute("INSERT INTO letting_go (file) VALUES (?) ON CONFLICT DO NOTHING", (file,))


def files_to_go(db: apsw.Connection) -> list[bytes]:
    """Files of ours that the server is still to be told of."""
    rows: list[Any] = db.execute("SELECT file FROM letting_go").fetchall()
    return [file for (file,) in rows]


def old_parts(db: apsw.Connection) -> list[bytes]:
    """Paths of parts that nothing will be added to, as the system spells them."""
    rows: list[Any] = db.execute("SELECT path FROM old_part").fetchall()
    return [path for (path,) in rows]


def is_gone(db: apsw.Connection, what: bytes) -> None:
    """One of the above is gone: ids are random, so it is no other's."""
    db.execute("DELETE FROM letting_go WHERE file = ?", (what,))
    db.execute("DELETE FROM old_part WHERE path = ?", (what,))


def attached(db: apsw.Connection, which: str) -> Attached:
    """Return the message of this id (hex, or how it begins) or number here, and the file in it.

    :raises UnknownMessage: there is none, or several begin like this
    :raises NoFile: it has no file, or none that we can open
    """
    is_number = which.isascii() and which.isdecimal() and len(which) < MIN_ID
    message = local_id(db, int(which) if is_number else which)
    row: Any = db.execute("SELECT content FROM message WHERE id = ?", (message,)).fetchone()
    return Attached(message, file_in(row[0]))


def file_in(content: bytes) -> SealedFile:
    """Return what a stored message says of its file.

    :raises NoFile: it has none, or none that we can open
    """
    try:
        found = attached_file(decode(content).part) if content else None
        if found is not None:
            return read_file_part(found.part)
    except ContentError as problem:
        raise NoFile(f"the file in this message cannot be opened: {problem}") from None
    raise NoFile("there is no file in this message")


def _sending(db: apsw.Connection, condition: str, argument: int) -> list[Sending]:
    rows: list[Any] = db.execute(
        f"SELECT {_COLUMNS} FROM sending_file WHERE {condition} ORDER BY id",  # noqa: S608 (constants)
        (argument,),
    ).fetchall()
    names = _COLUMNS.split(", ")
    return [
        Sending(**dict(zip(names, row, strict=True)) | {"path": Path(os.fsdecode(row[2]))}) for row in rows
    ]
