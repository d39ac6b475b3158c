"""What the database knows of attachments: whose they are, how far they have come, when they go.

An attachment is whole when the disk has all of it, and readable only then. One that is ``going`` can
neither be read nor added to; its row stays until its file is deleted, so that no crash leaves a file
that nobody knows.
"""

from typing import Any, Final

import apsw
from msgspec import Struct

from securechat.server.config import Quotas
from securechat.server.errors import Refusal
from securechat.server.quota import disk_full
from securechat.server.swept import ROWS, Cutoffs, Step, Swept, delete
from securechat.server.values import Caller

LEAST_BYTES: Final = 64 * 1024
"""What an attachment counts at least: a row, an inode and a name have a size too."""

KEPT_SHARE: Final = 2
"""The archive gets one part in so many of what an account's files may take: others can still be sent."""

MAX_OPEN: Final = 8
"""Attachments of one account that are being uploaded."""

OPEN_SECONDS: Final = 7 * 24 * 3600
"""How long an upload may take: a gigabyte over the slowest line, with nights in between."""

RETRY_OPEN: Final = 20
"""Seconds until somebody asks again whether one of their uploads has ended."""

EVERYBODY: Final = 0
"""The account of the table ``files_of`` that stands for all."""


class Row(Struct, frozen=True):
    """One attachment. ``synced``: bytes that a power loss leaves; all of them once it is whole."""

    id: int
    account: int
    total: int
    synced: int
    is_going: bool
    created: int
    is_kept: bool = False
    """Whether it stays until its account lets go of it."""

    @property
    def is_whole(self) -> bool:
        return self.synced == self.total and not self.is_going


def find(db: apsw.Connection, name: bytes) -> Row | None:
    found: Any = db.execute(
        "SELECT id, account, total, synced, going, created, kept FROM file WHERE name = ?", (name,)
    ).fetchone()
    if found is None:
        return None
    row, account, total, synced, is_going, created, is_kept = found
    return Row(row, account, total, synced, bool(is_going), created, bool(is_kept))


class Held(Struct, frozen=True):
    """What lies here of somebody's attachments, or of everybody's: the columns of ``files_of``."""

    count: int = 0
    bytes: int = 0
    open: int = 0
    missing: int = 0


def held(db: apsw.Connection, account: int) -> Held:
    row: Any = db.execute(
        "SELECT count, bytes, open, missing FROM files_of WHERE account = ?", (account,)
    ).fetchone()
    return Held(*row) if row else Held()


def begin(  # noqa: PLR0913 - what is begun, for whom, and by which limits
    db: apsw.Connection,
    caller: Caller,
    name: bytes,
    total: int,
    *,
    limits: Quotas,
    room: int,
    now: int,
    is_kept: bool = False,
) -> Row:
    """Open an attachment; one of that name that is there already is returned as it stands.

    :param is_kept: it is of the account's archive
    :param room: bytes that attachments may still take of the disk, what is missing of open ones among them
    :raises Refusal: ``quota``: it is the account's doing; ``busy``: it is not, or passes by itself
    """
    if (known := find(db, name)) is not None:
        return known
    if total > limits.file_bytes:
        raise Refusal("quota", f"a file has at most {limits.file_bytes} bytes here")
    own, all_of_them, counts = held(db, caller.account), held(db, EVERYBODY), max(total, LEAST_BYTES)
    if own.bytes + counts > limits.account_file_bytes:
        raise Refusal(
            "quota",
            f"{limits.account_file_bytes} bytes of your files may lie here; the oldest expire in time",
        )
    if is_kept and _kept_bytes(db, caller.account) + counts > limits.account_file_bytes // KEPT_SHARE:
        raise Refusal(
            "quota", f"{limits.account_file_bytes // KEPT_SHARE} bytes of your archive may lie here"
        )
    if own.open >= MAX_OPEN:
        raise Refusal(
            "busy",
            f"{MAX_OPEN} files of yours are being uploaded, as many as may at once",
            retry_after=RETRY_OPEN,
        )
    is_full = limits.all_file_bytes is not None and all_of_them.bytes + counts > limits.all_file_bytes
    if is_full or all_of_them.missing + total > room:
        raise disk_full()
    db.execute(
        "INSERT INTO file (name, account, total, created, kept) VALUES (?, ?, ?, ?, ?)",
        (name, caller.account, total, now, int(is_kept)),
    )
    return Row(db.last_insert_rowid(), caller.account, total, 0, False, now, is_kept)  # noqa: FBT003 - a row


def _kept_bytes(db: apsw.Connection, account: int) -> int:
    found: Any = db.execute(
        "SELECT sum(max(total, ?)) FROM file WHERE account = ? AND kept = 1", (LEAST_BYTES, account)
    ).fetchone()
    return int(found[0] or 0)


def let_go_of_all(db: apsw.Connection, account: int) -> int:
    """Mark some of an account's attachments as going; return how many."""
    return delete(
        db,
        "UPDATE file SET going = 1 WHERE id IN (SELECT id FROM file WHERE account = ? AND going = 0 LIMIT ?)",
        (account, ROWS),
    )


def note_synced(db: apsw.Connection, row: int, synced: int) -> None:
    """The disk has so many bytes.

    :raises Refusal: ``no_file``: it was let go of meanwhile
    """
    db.execute("UPDATE file SET synced = ? WHERE id = ? AND going = 0", (synced, row))
    if db.changes() == 0:
        raise Refusal("no_file")


def let_go(db: apsw.Connection, caller: Caller, name: bytes) -> Row | None:
    """Mark an attachment of the caller's own as going; None where there is nothing of that name.

    :raises Refusal: ``forbidden``: it is somebody else's
    """
    row = find(db, name)
    if row is not None and row.account != caller.account:
        raise Refusal("forbidden", "this file is somebody else's")
    if row is not None:
        db.execute("UPDATE file SET going = 1 WHERE id = ?", (row.id,))
    return row


def expired(db: apsw.Connection, cutoffs: Cutoffs, after: int) -> Step:
    """Mark what has had its time, whole or not; the files go outside of the transaction."""
    count = delete(
        db,
        "UPDATE file SET going = 1 WHERE id IN "
        "(SELECT id FROM file WHERE going = 0 AND kept = 0 AND created < ? ORDER BY created LIMIT ?)",
        (cutoffs.files, ROWS),
    )
    never_finished = delete(
        db,
        "UPDATE file SET going = 1 WHERE id IN (SELECT id FROM file "
        "WHERE going = 0 AND synced < total AND created < ? ORDER BY created LIMIT ?)",
        (cutoffs.open_files, ROWS),
    )
    return Step(Swept(), after if ROWS in (count, never_finished) else None)


def going(db: apsw.Connection, *, after: int, limit: int) -> list[tuple[int, bytes]]:
    """Some of those whose files are to be deleted, behind a row: row and name."""
    rows: list[Any] = db.execute(
        "SELECT id, name FROM file WHERE going = 1 AND id > ? ORDER BY id LIMIT ?", (after, limit)
    ).fetchall()
    return [(row, name) for row, name in rows]


def forget(db: apsw.Connection, rows: list[int]) -> None:
    """The files of these are deleted."""
    db.executemany("DELETE FROM file WHERE id = ? AND going = 1", [(row,) for row in rows])


def unknown(db: apsw.Connection, names: list[bytes]) -> list[bytes]:
    """Those of some names that no row has."""
    return [name for name in names if find(db, name) is None]
