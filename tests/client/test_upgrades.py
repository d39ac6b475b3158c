"""A profile of any version before is brought to the present, wherever that is interrupted (C-07)."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from securechat.client import holds
from securechat.client import store as stores
from securechat.client.private_files import create_file
from securechat.client.store import ClientStore, migrate

KEY = bytes(range(32))
STEPS = stores._migrations()

ROWS = {
    1: "INSERT INTO profile (id, user, client, domain, server_host, server_port, server_key, login_salt, "
    "device_key, account_key, account_key_sealed, credential, statement, registered) VALUES "
    "(1, 'alice', 'x', 'example.org', 'localhost', 7443, x'01', x'02', x'03', x'04', x'05', x'06', x'07', 1)",
    2: "INSERT INTO conversation (id, name, kind, state, room, peer, cursor, epoch) "
    "VALUES (1, '@bob', 'direct', 'joined', 'mimi://example.org/r/1', 'bob', 7, 2); "
    "INSERT INTO message (conversation, sender, own, state, content, text, timestamp) "
    "VALUES (1, 'bob', 0, 'received', x'08', 'hello', 1), (1, 'alice', 1, 'queued', x'09', 'later', 2); "
    "INSERT INTO contact (user, account_key, generation, first_seen, changed_to) "
    "VALUES ('bob', x'0a', 0, 1, NULL); INSERT INTO counter VALUES ('request_name', 5); "
    "INSERT INTO chain (conversation, count, value) VALUES (1, 0, x'0b'), (1, 1, x'0c')",
    3: "INSERT INTO left_incarnation VALUES (1, 4, 3); "
    "INSERT INTO kept_commit VALUES (1, 1, x'0d', x'90', 0, NULL, 1)",
    7: "UPDATE conversation SET held_code = 'log_altered', held_text = 'it differs'; "
    "INSERT INTO message (conversation, sender, own, state, content, text, timestamp, code) "
    "VALUES (1, '', 0, 'not_shown', x'', 'it differs', 9, 'log_altered')",
}
"""What each version can hold, by the number of the file that made room for it."""

KEPT = {
    "profile": "SELECT user, device_key, account_key_sealed, registered FROM profile",
    "conversation": "SELECT name, state, cursor, epoch FROM conversation",
    "message": "SELECT state, text, content FROM message ORDER BY id",
    "contact": "SELECT user, account_key, generation, first_seen, changed_to FROM contact",
    "chain": "SELECT conversation, count, value FROM chain",
    "left_incarnation": "SELECT * FROM left_incarnation",
    "kept_commit": "SELECT * FROM kept_commit",
    "counter": "SELECT value FROM counter WHERE name = 'request_name'",
}


def left_by(version: int, path: Path) -> None:
    """A store as the release of that version left it."""
    create_file(path, b"")
    db = apsw.Connection(str(path))
    stores._unlock(db, KEY)
    migrate(db, STEPS[:version])
    for number, sql in ROWS.items():
        if number <= version:
            db.execute(sql)
    db.close()


def kept(db: apsw.Connection) -> dict[str, list[Any]]:
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    return {table: db.execute(sql).fetchall() for table, sql in KEPT.items() if table in there}


def before(version: int, folder: Path) -> dict[str, list[Any]]:
    path = folder / "kept.db"
    left_by(version, path)
    db = apsw.Connection(str(path))
    stores._unlock(db, KEY)
    try:
        return kept(db)
    finally:
        db.close()


@pytest.mark.parametrize("version", range(1, len(STEPS)))
def test_c_07_what_was_there_is_there(tmp_path: Path, version: int) -> None:
    known = before(version, tmp_path)
    left_by(version, tmp_path / "store.db")

    with ClientStore(tmp_path / "store.db", KEY) as store:
        assert store.value("PRAGMA user_version") == len(STEPS)
        assert {table: rows for table, rows in kept(store.db).items() if table in known} == known
        assert known["profile"]


def test_c_07_what_was_on_hold_is_so_since_it_was_told(tmp_path: Path) -> None:
    left_by(7, tmp_path / "store.db")

    with ClientStore(tmp_path / "store.db", KEY) as store:
        assert holds.of(store.db, 1) == [holds.Hold("log_altered", "it differs", 9)]


def interruptions(version: int, folder: Path) -> Iterator[Path]:
    """Stores whose next migration ended before its first statement, before its second, up to its end.

    The ones after it have their own turn, as the next of a later version.
    """
    number, through, whole = 0, False, folder / "whole.db"
    left_by(version, whole)
    while not through:
        number += 1
        path = folder / f"cut-{number}.db"
        shutil.copyfile(whole, path)
        path.chmod(0o600)
        db = apsw.Connection(str(path))
        stores._unlock(db, KEY)
        left = number

        def count(*_statement: object) -> bool:
            nonlocal left
            left -= 1
            return left > 0

        db.exec_trace = count
        with contextlib.suppress(apsw.ExecTraceAbort):
            migrate(db, STEPS[: version + 1])
            through = True
        db.close()
        yield path


@pytest.mark.parametrize("version", range(1, len(STEPS)))
def test_c_07_interrupted_at_any_statement_it_goes_through_the_next_time(
    tmp_path: Path, version: int
) -> None:
    known = before(version, tmp_path)
    count = 0
    for path in interruptions(version, tmp_path):
        with ClientStore(path, KEY) as store:
            assert store.value("PRAGMA user_version") == len(STEPS)
            assert {table: rows for table, rows in kept(store.db).items() if table in known} == known
            assert store.value("PRAGMA integrity_check") == "ok"
        count += 1
    assert count > 3
