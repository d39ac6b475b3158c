"""Brings a database to the present shape: numbered SQL files, each run once, in order.

``user_version`` is the number of the last one. A file and its number become durable in one
transaction, so a start that is interrupted begins again where it was. Two servers that start at
once wait for each other at ``BEGIN IMMEDIATE``.
"""

import logging
from importlib import resources
from typing import Final

import apsw

from securechat.server.errors import StoreFailed

FOLDER: Final = "migrations"

INCREMENTAL: Final = 2
"""What SQLite says of a database whose free pages can be given back."""

log = logging.getLogger("securechat.server.store")


def migrate(db: apsw.Connection) -> int:
    """Run what is missing; return the version the database has now.

    :raises StoreFailed: the database was written by a newer server
    """
    scripts = _scripts()
    db.execute("BEGIN IMMEDIATE")
    try:
        version = int(db.pragma("user_version"))
        if version > len(scripts):
            raise StoreFailed(f"the database has version {version}; this server knows {len(scripts)}")
        for number, script in enumerate(scripts[version:], start=version + 1):
            db.execute(script)
            db.pragma("user_version", number)
        db.execute("COMMIT")
    finally:
        if not db.get_autocommit():
            db.execute("ROLLBACK")
    return len(scripts)


def make_shrinkable(db: apsw.Connection) -> None:
    """Write a database of before anew, once, so that free pages can be given back from then on.

    All or nothing, like any transaction; it needs the database's size on the disk for a while, and
    nobody beside it. Where that isn't so the database stays as it is, which costs only room.
    """
    if db.pragma("auto_vacuum") == INCREMENTAL:
        return
    db.pragma("auto_vacuum", "incremental")
    try:
        db.execute("VACUUM")
    except (apsw.FullError, apsw.BusyError) as error:
        log.warning("the database cannot be made to shrink now: %s", error)


def _scripts() -> list[str]:
    """The files in order; their numbers count from 0001 without a hole."""
    folder = resources.files("securechat.server.store") / FOLDER
    files = sorted(
        (item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name
    )
    for number, item in enumerate(files, start=1):
        if int(item.name.split("_", 1)[0]) != number:
            raise StoreFailed(f"{item.name} stands where migration {number:04} belongs")
    return [item.read_text(encoding="utf-8") for item in files]
