"""Copies of a running server's database, and what begins when one of them comes back (N-03).

A copy is older than the clients, so a server that starts on one begins a new *incarnation*: it
tells by its number that answers and log entries may be missing, and clients bring back what they
have (docs/protocol.md, "A server that was restored"). No key package of before is handed out again: the copy
can't know which ones were.
"""

import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import apsw

from securechat.errors import SecureChatError
from securechat.private_files import FILE_MODE
from securechat.server.directory import USED
from securechat.server.errors import ConfigError, StoreFailed
from securechat.server.private_files import check_folders_of
from securechat.server.store.sqlite import open_database, open_for_reading

STEP_PAGES: Final = 1024
"""Pages (4 KiB each) copied before we look whether to go on: a few milliseconds."""

_CHANCE_BITS: Final = 20
"""An incarnation is a time and some chance, so that a copy that is restored twice begins two."""

_SIDES: Final = ("-journal", "-wal", "-shm")

log = logging.getLogger("securechat.server")


class BackupFailed(SecureChatError):
    """There is no copy, and nothing of it was left."""


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """What a copy holds."""

    path: Path
    size: int
    """Bytes."""
    seconds: float
    accounts: int
    groups: int


def back_up(source: Path, target: Path, *, goes_on: Callable[[], bool] = lambda: True) -> BackupFacts:
    """Copy a database that is in use. Blocks: for a thread of its own.

    The copy is of one moment. Nobody waits for it; the write-ahead log grows until it is done. It
    appears under its name once it is whole, checked, marked as a copy and on the disk.

    :param goes_on: asked between steps; False gives up
    :raises BackupFailed: the text says why
    """
    began = time.monotonic()
    target = Path(os.path.abspath(target))  # noqa: PTH100 - resolve() would follow a link in its place
    if os.path.lexists(target):
        raise BackupFailed(f"{target} exists already")
    if not source.is_file():
        raise BackupFailed(f"there is no database at {source}")
    new = target.with_name(f".{target.name}.{secrets.token_hex(8)}")
    with _told(target), _removed_at_the_end(new):
        check_folders_of(target)  # SQLite opens it by its name: whoever may write there could swap it
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE))
        _copy(source, new, goes_on)
        accounts, groups = _finish(new)
        _sync(new)
        size = new.stat().st_size
        _put_in_place(new, target)
    return BackupFacts(target, size, time.monotonic() - began, accounts, groups)


def begin_incarnation_if_due(path: Path, *, restored: bool, now: int) -> bool:
    """Begin a new incarnation where the database is a copy, or its operator says so; whether it was.

    :param now: seconds since 1970
    """
    db = open_database(path)
    try:
        db.execute("BEGIN IMMEDIATE")
        try:
            due = _is_due(db, restored=restored)
            if due:
                begin_incarnation(db, now)
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
    finally:
        db.close()
    if due:
        log.warning("the data is an older copy: a new incarnation begins, clients bring back what they have")
    return due


def begin_incarnation(db: apsw.Connection, now: int) -> None:
    """Note in the caller's transaction where every log stands, and let go of all key packages.

    A package keeps its reference, so that it is not taken in again either.
    """
    (old,) = db.execute("SELECT incarnation FROM server").fetchone() or (0,)
    db.execute("INSERT INTO restore (conversation, ended, head) SELECT id, ?, head FROM conversation", (old,))
    db.execute("UPDATE key_package SET claimed = ?, body = x'' WHERE claimed = 0", (USED,))
    chance = secrets.randbits(_CHANCE_BITS)
    # By chance also where the clock was ahead when the copy was made: restored twice, it begins two.
    drawn = max(old + 1 + chance, now << _CHANCE_BITS | chance)
    db.execute("UPDATE server SET incarnation = ?, is_copy = 0", (drawn,))


def began_at(incarnation: int) -> int:
    """When an incarnation began, in seconds since 1970; 0 of the first, which came of no copy."""
    return incarnation >> _CHANCE_BITS


def _is_due(db: apsw.Connection, *, restored: bool) -> bool:
    found = db.execute("SELECT is_copy FROM server").fetchone()
    return found is not None and (restored or bool(found[0]))


@contextmanager
def _told(target: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, apsw.Error, ConfigError, StoreFailed) as error:
        text = error.strerror if isinstance(error, OSError) else str(error)
        raise BackupFailed(f"cannot make {target}: {text}") from None


@contextmanager
def _removed_at_the_end(path: Path) -> Iterator[None]:
    try:
        yield
    finally:
        for side in ("", *_SIDES):
            path.with_name(path.name + side).unlink(missing_ok=True)


def _copy(source: Path, new: Path, goes_on: Callable[[], bool]) -> None:
    """Copy all pages as they are at one moment.

    The open transaction holds that moment: without it SQLite would begin anew with every write of
    somebody else's, and on a busy server never end.
    """
    from_db = open_for_reading(source)
    to_db = apsw.Connection(str(new))
    try:
        to_db.pragma("synchronous", "OFF")  # it counts once it was synced as a whole
        from_db.execute("BEGIN")
        from_db.execute("SELECT id FROM server").fetchall()
        with to_db.backup("main", from_db, "main") as backup:
            while not backup.done:
                if not goes_on():
                    raise BackupFailed("the backup was given up: the server stops")
                backup.step(STEP_PAGES)
    finally:
        to_db.close()
        from_db.close()


def _finish(new: Path) -> tuple[int, int]:
    """Mark a copy as one and check it; return how many accounts and groups it has."""
    db = apsw.Connection(str(new), flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        db.pragma("journal_mode", "delete")  # one file, nothing beside it
        db.execute("UPDATE server SET is_copy = 1")
        if not db.changes():
            raise BackupFailed("the database belongs to no server yet")
        found = db.execute("PRAGMA integrity_check").fetchall()
        if found != [("ok",)]:
            raise BackupFailed(f"the copy is damaged, and so is the database: {found[0][0]}")
        (accounts,) = db.execute("SELECT count(*) FROM account").fetchone() or (0,)
        (groups,) = db.execute("SELECT count(*) FROM conversation").fetchone() or (0,)
    finally:
        db.close()
    return accounts, groups


def _put_in_place(new: Path, target: Path) -> None:
    os.link(new, target, follow_symlinks=False)  # unlike a rename, it takes nobody's place
    try:
        _sync(target.parent)
    except OSError:
        target.unlink()
        raise


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
