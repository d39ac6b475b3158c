"""What the server writes is its owner's alone (L-01), and a database is moved forward once."""

import os
import stat
from pathlib import Path

import apsw
import pytest

from securechat.server.errors import ConfigError, StoreFailed
from securechat.server.store import migrate as migrations
from securechat.server.store.migrate import migrate
from securechat.server.store.sqlite import DATABASE, open_database, prepare_database
from tests.server.peer import registered
from tests.server.running import running_server


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}


async def test_l_01_everything_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with running_server(tmp_path) as app, registered(app, "alice"):
            found = modes(tmp_path)
    finally:
        os.umask(before)
    assert {mode for name, mode in found.items() if name == "data"} == {0o700}
    assert {mode for name, mode in found.items() if name != "data"} == {0o600}
    assert set(found) >= {"data", DATABASE, f"{DATABASE}-wal", "server.pem"}


def test_l_01_a_link_in_place_of_the_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(0o700)
    (tmp_path / "elsewhere").touch(0o600)
    (tmp_path / "data" / DATABASE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError):
        prepare_database(tmp_path / "data")


def test_l_01_a_folder_that_others_may_open_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    with pytest.raises(ConfigError, match="chmod"):
        prepare_database(tmp_path / "data")


def test_a_database_is_brought_forward_once(tmp_path: Path) -> None:
    db = open_database(prepare_database(tmp_path / "data"))
    version = db.pragma("user_version")
    db.execute(
        "INSERT INTO account (id, user, salt, login_hash, account_key, statement, created) "
        "VALUES (1, 'alice', x'', '', x'', x'', 0)"
    )
    assert migrate(db) == version
    assert db.execute("SELECT user FROM account").fetchall() == [("alice",)]


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    path = prepare_database(tmp_path / "data")
    open_database(path).pragma("user_version", 99)
    with pytest.raises(StoreFailed, match="99"):
        prepare_database(tmp_path / "data")


def test_a_migration_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = open_database(tmp_path / "new.db")
    monkeypatch.setattr(migrations, "_scripts", lambda: ["CREATE TABLE a (b);", "CREATE TABLE a (b);"])
    with pytest.raises(apsw.SQLError):
        migrate(db)
    assert db.pragma("user_version") == 0
    assert db.execute("SELECT count(*) FROM sqlite_schema").fetchall() == [(0,)]


def test_a_database_without_full_sync_is_not_what_we_open(tmp_path: Path) -> None:
    db = open_database(prepare_database(tmp_path / "data"))
    assert db.pragma("synchronous") == 2
    assert db.pragma("journal_mode") == "wal"
