"""Opens the server's database: one SQLite file in WAL mode, synced at every commit.

``synchronous=FULL`` is what makes an answer a promise (Q-02): with NORMAL a power loss takes
acknowledged messages with it. A configuration that says otherwise is refused here.
"""

import contextlib
from pathlib import Path
from typing import Final

import apsw

from securechat.private_files import create_file
from securechat.server.errors import ConfigError, StoreFailed
from securechat.server.private_files import check_private_file, make_private_folder
from securechat.server.store.checkpoint import bound_log
from securechat.server.store.migrate import make_shrinkable, migrate

DATABASE: Final = "server.db"
SYNCHRONOUS: Final = "FULL"
LEAST: Final = 2
"""FULL, as SQLite counts: a connection that syncs less is not used."""

BUSY_MILLISECONDS: Final = 10_000
"""How long one server waits for another's transaction; a transaction takes milliseconds."""

STATEMENTS: Final = 200
"""Prepared statements kept per connection: more than we have."""


def prepare_database(folder: Path) -> Path:
    """Make folder and database where they are missing, bring them to the present shape."""
    path = folder / DATABASE
    try:
        make_private_folder(folder)
        with contextlib.suppress(FileExistsError):
            create_file(path, b"")
        check_private_file(path)
    except OSError as error:
        raise ConfigError(f"cannot use the data folder {folder}: {error.strerror}") from None
    db = open_database(path)
    try:
        migrate(db)
        make_shrinkable(db)
    finally:
        db.close()
    return path


def open_database(path: Path) -> apsw.Connection:
    """A connection for reading and writing, set up as above.

    :raises StoreFailed: the file is no database, or doesn't keep its promises
    """
    try:
        db = apsw.Connection(str(path), statementcachesize=STATEMENTS)
        db.set_busy_timeout(BUSY_MILLISECONDS)
        if not db.pragma("page_count"):  # only now can be said that free pages may be given back
            db.pragma("auto_vacuum", "incremental")
        mode = db.pragma("journal_mode", "wal")
        db.pragma("synchronous", SYNCHRONOUS)
        # What is let go of is overwritten where its page is written anyway. Bodies are sealed.
        db.pragma("secure_delete", "fast")
        bound_log(db, busy_milliseconds=BUSY_MILLISECONDS)
        synchronous = db.pragma("synchronous")
    except apsw.Error as error:
        raise StoreFailed(f"cannot open {path}: {error}") from None
    if mode != "wal":
        raise StoreFailed(f"{path} cannot be used in WAL mode: {mode}")
    if synchronous < LEAST:
        raise StoreFailed(f"{path} would not be synced at every commit: synchronous is {synchronous}")
    return db


def open_for_reading(path: Path) -> apsw.Connection:
    """A second connection: it sees what is committed and waits for no writer."""
    db = open_database(path)
    db.pragma("query_only", 1)
    return db
