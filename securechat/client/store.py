"""The client's store: one encrypted SQLite file per account (SQLite3 Multiple Ciphers).

Pages are sealed with ChaCha20-Poly1305 under a random key that ``keystore`` wraps; what is in
the file, its WAL or a torn page is never plaintext, and a flipped bit is an error, not data.
Durability is FULL: a transaction that returned is on the disk, so that one may speak (Q-05).
What the disk does wrong, in a write or in a read, is a `StoreError` with a sentence (C-04).

Schema: the numbered files in ``migrations/``, each run once, in one transaction with its number.
"""

import contextlib
import functools
import os
import re
import weakref
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, Self

import apsw

from securechat.client.errors import StoreDamaged, StoreError, StoreFailed, StoreTooNew
from securechat.client.private_files import check_file, create_file
from securechat.client.words import register_words

KEY_SIZE: Final = 32
BUSY_MILLISECONDS: Final = 5_000
"""The profile has one owner; only a reader from outside (a backup) could hold us up."""

Value = None | int | float | str | bytes
Row = tuple[Any, ...]
Bindings = Sequence[Value] | Mapping[str, Value]

_DAMAGE: Final = (apsw.NotADBError, apsw.CorruptError)
_FAILURES: Final = (
    apsw.FullError,
    apsw.IOError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.BusyError,
    apsw.NoMemError,
    apsw.PermissionsError,
    apsw.AuthError,
)
_FAULTS: Final = _DAMAGE + _FAILURES
"""What a disk can do to us. Any other error of SQLite is a bug of ours and stays what it is."""

_MIGRATION: Final = re.compile(r"(?P<number>[0-9]{4})_[a-z0-9_]+\.sql")


class _Cursor(apsw.Cursor):
    """What every statement of a store runs through, whoever reads: no error of the disk is SQLite's own."""

    def execute(self, *given: Any, **more: Any) -> apsw.Cursor:  # noqa: ANN401 - as `apsw.Cursor`
        try:
            return super().execute(*given, **more)
        except _FAULTS as fault:
            raise self._told(fault) from fault

    def executemany(self, *given: Any, **more: Any) -> apsw.Cursor:  # noqa: ANN401 - as `apsw.Cursor`
        try:
            return super().executemany(*given, **more)
        except _FAULTS as fault:
            raise self._told(fault) from fault

    def __next__(self) -> Any:  # noqa: ANN401 - as `apsw.Cursor`; `fetchall` comes through here
        try:
            return super().__next__()
        except _FAULTS as fault:
            raise self._told(fault) from fault

    def fetchone(self) -> Any:  # noqa: ANN401 - as `apsw.Cursor`
        try:
            return super().fetchone()
        except _FAULTS as fault:
            raise self._told(fault) from fault

    def _told(self, fault: apsw.Error) -> StoreError:
        return _error_of(self.connection.filename, fault)


class ClientStore:
    """An open store. One writer at a time; calls are short and made on the owner's thread."""

    def __init__(self, path: Path, key: bytes) -> None:
        """Open an existing file (`create_store` makes one) and bring its schema up to date.

        :raises StoreDamaged: the key is another's, or the bytes are not what was written
        :raises StoreTooNew: a later release wrote it
        """
        self._path = path
        try:
            check_file(path)
            self._db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        except FileNotFoundError as problem:
            raise StoreDamaged(f"{path} is missing; restore the folder from a backup") from problem
        except _FAULTS as fault:
            raise _error_of(path, fault) from fault
        let_go_with(self, self._db)
        self._db.cursor_factory = _Cursor
        try:
            self._prepare(key)
        except BaseException:
            self._db.close()
            raise

    @contextlib.contextmanager
    def transaction(self) -> Iterator[apsw.Connection]:
        """Do several things or none. Everything that changes the store happens in one of these.

        :raises StoreFailed, StoreDamaged: nothing was changed, or all of it where the very end failed
        """
        # IMMEDIATE: what is read inside is what is written upon.
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @property
    def folder(self) -> Path:
        """Where it lies, with all that belongs to the account."""
        return self._path.parent

    @property
    def db(self) -> apsw.Connection:
        """The connection, to read from; what changes something goes through `transaction`."""
        return self._db

    def rows(self, sql: str, bindings: Bindings = ()) -> list[Row]:
        """Read all rows of a query."""
        return self._db.execute(sql, bindings).fetchall()

    def row(self, sql: str, bindings: Bindings = ()) -> Row | None:
        """Read the first row of a query, if there is one."""
        return self._db.execute(sql, bindings).fetchone()

    def value(self, sql: str, bindings: Bindings = ()) -> Any:  # noqa: ANN401 - the schema knows
        """Read the first column of the first row, None if there is no row."""
        found = self.row(sql, bindings)
        return None if found is None else found[0]

    def checkpoint(self) -> None:
        """Bring everything into the file and leave its log empty: nothing that was removed stays there."""
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        """Close the file; closing twice is harmless."""
        try:
            self._db.close()
        except _FAULTS as fault:
            raise _error_of(self._path, fault) from fault

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _prepare(self, key: bytes) -> None:
        db = self._db
        db.set_busy_timeout(BUSY_MILLISECONDS)
        _unlock(db, key)
        # The first read proves the key: SQLite has only remembered it until here.
        db.pragma("user_version")
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "full")
        db.pragma("secure_delete", 1)
        db.pragma("foreign_keys", 1)
        # Sorting and statements' journals stay in memory: a temporary file would be in the clear.
        db.pragma("temp_store", "memory")
        # A schema read from a disk is data: it may call nothing that has effects.
        db.pragma("trusted_schema", 0)
        migrate(db)


def let_go_with(holder: object, db: apsw.Connection) -> None:
    """Close a connection when its holder is forgotten: by itself one that knows words is never let go."""
    # Forced: whoever forgot it can be told nothing. A second closing does nothing.
    weakref.finalize(holder, db.close, True).atexit = False  # noqa: FBT003 - as apsw has it


def create_store(path: Path, key: bytes) -> ClientStore:
    """Make a new store, private from its first byte (its WAL inherits the mode).

    :raises FileExistsError: there is one already
    """
    create_file(path, b"")
    return ClientStore(path, key)


def remove_store(path: Path) -> None:
    """Remove a store and what SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}{suffix}")  # noqa: PTH108 - the suffix belongs to the whole name


def migrate(db: apsw.Connection, migrations: Sequence[tuple[int, str]] | None = None) -> None:
    """Run what the schema lacks, each file once, on a connection that knows the words it is made of."""
    register_words(db)
    steps = _migrations() if migrations is None else migrations
    latest = steps[-1][0]
    if _version(db) > latest:
        raise StoreTooNew("this account was used with a newer securechat; update it first")
    for number, sql in steps:
        if _version(db) >= number:
            continue
        db.execute("BEGIN IMMEDIATE")
        try:
            if _version(db) < number:
                db.execute(sql)
                db.execute(f"PRAGMA user_version = {number:d}")
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise


@functools.cache
def _migrations() -> list[tuple[int, str]]:
    """The files of this release: read once, however many stores are opened."""
    folder = resources.files("securechat.client") / "migrations"
    named = ((_MIGRATION.fullmatch(file.name), file) for file in folder.iterdir())
    steps = sorted((int(found["number"]), file.read_text("utf-8")) for found, file in named if found)
    if [number for number, _ in steps] != list(range(1, len(steps) + 1)):
        raise AssertionError("the migrations are not numbered 0001, 0002, ...")
    return steps


def _error_of(path: Path | str, fault: apsw.Error) -> StoreError:
    if isinstance(fault, _DAMAGE):
        text = f"{path} is damaged or sealed under another key; restore the folder from a backup"
        return StoreDamaged(text)
    return StoreFailed(f"cannot use {path}: {fault}")


def _version(db: apsw.Connection) -> int:
    return int(db.pragma("user_version"))


def _unlock(db: apsw.Connection, key: bytes) -> None:
    if len(key) != KEY_SIZE:
        raise ValueError(f"a store's key has {KEY_SIZE} bytes, not {len(key)}")
    if db.pragma("cipher", "chacha20") != "chacha20":
        raise AssertionError("this SQLite has no encryption: the package apsw stands beside apsw-sqlite3mc")
    db.pragma("key", "raw:" + key.hex())
