"""A profile of any version before is brought to the present, wherever that is interrupted (C-07)."""

import itertools
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import apsw
import pytest

from securechat.client import holds
from securechat.client import store as stores
from securechat.client.private_files import create_file
from securechat.client.store import ClientStore, migrate
from securechat.client.words import register_words

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


@cache
def empties() -> list[bytes]:
    """An empty store of each version, the first one's first: made in one pass."""
    made: list[bytes] = []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "store.db"
        create_file(path, b"")
        with opened(path) as db:
            for version in range(1, len(STEPS) + 1):
                migrate(db, STEPS[:version])
                made.append(path.read_bytes())
    return made


@contextmanager
def opened(path: Path) -> Iterator[apsw.Connection]:
    """A store as SQLite has it. No disk is waited for: what ends here are statements, not the machine."""
    db = apsw.Connection(str(path))
    try:
        stores._unlock(db, KEY)
        db.pragma("synchronous", "off")
        register_words(db)
        yield db
    finally:
        db.close()


def left_by(version: int, path: Path) -> None:
    """A store as the release of that version left it."""
    create_file(path, empties()[version - 1])
    with opened(path) as db:
        for number, sql in ROWS.items():
            if number <= version:
                db.execute(sql)


def kept(db: apsw.Connection) -> dict[str, list[Any]]:
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    return {table: db.execute(sql).fetchall() for table, sql in KEPT.items() if table in there}


@pytest.mark.parametrize("version", range(1, len(STEPS)))
def test_c_07_what_was_there_is_there(tmp_path: Path, version: int) -> None:
    left_by(version, tmp_path / "store.db")
    with opened(tmp_path / "store.db") as db:
        known = kept(db)

    with ClientStore(tmp_path / "store.db", KEY) as store:
        assert store.value("PRAGMA user_version") == len(STEPS)
        assert store.value("PRAGMA integrity_check") == "ok"
        assert {table: rows for table, rows in kept(store.db).items() if table in known} == known
        assert known["profile"]


def test_c_07_what_was_on_hold_is_so_since_it_was_told(tmp_path: Path) -> None:
    left_by(7, tmp_path / "store.db")

    with ClientStore(tmp_path / "store.db", KEY) as store:
        assert holds.of(store.db, 1) == [holds.Hold("log_altered", "it differs", 9)]


def all_of(db: apsw.Connection) -> tuple[object, ...]:
    """Everything that a store has: its version, its schema, every row of every table."""
    (version,) = db.execute("PRAGMA user_version").fetchone() or (0,)
    schema = db.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY type, name").fetchall()
    tables = [name for kind, name, sql in schema if kind == "table" and str(sql).startswith("CREATE TABLE")]
    rows = {name: db.execute(f'SELECT * FROM "{name}"').fetchall() for name in tables}  # noqa: S608
    return version, schema, rows


def upgraded(db: apsw.Connection, version: int, *, statements: int = 1 << 62) -> bool:
    """Run one migration, and end before this statement of it; whether it went through."""
    left = statements

    def count(*_statement: object) -> bool:
        nonlocal left
        left -= 1
        return left > 0

    db.exec_trace = count
    try:
        migrate(db, STEPS[: version + 1])
    except apsw.ExecTraceAbort:
        return False
    finally:
        db.exec_trace = None
    return True


@pytest.mark.parametrize("version", range(1, len(STEPS)))
def test_c_07_interrupted_at_any_statement_it_is_as_if_it_had_not_begun(tmp_path: Path, version: int) -> None:
    """Or as if it had gone through. What comes of either is told above; each migration has its own turn."""
    left_by(version, tmp_path / "whole.db")
    shutil.copyfile(tmp_path / "whole.db", tmp_path / "through.db")
    with opened(tmp_path / "whole.db") as db:
        before = all_of(db)
    with opened(tmp_path / "through.db") as db:
        assert upgraded(db, version)
        after = all_of(db)
    for number in itertools.count(1):
        path = tmp_path / f"cut-{number}.db"
        shutil.copyfile(tmp_path / "whole.db", path)
        with opened(path) as db:
            through = upgraded(db, version, statements=number)
        with opened(path) as db:
            assert all_of(db) == (after if through else before)
        if through:
            break
    assert number > 3
