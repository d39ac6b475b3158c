"""The disk that forgets does what it says: else the tests over it would prove nothing (C-03)."""

import random
from pathlib import Path

import apsw
import pytest

from securechat.client.store import create_store
from tests.faults.disk import Disk, faulty_disk, full, io_error, read_only, write_files

LOSSES = 60


def table_on(folder: Path, synchronous: str) -> apsw.Connection:
    db = apsw.Connection(str(folder / "some.db"))
    db.pragma("journal_mode", "wal")
    db.pragma("synchronous", synchronous)
    db.execute("CREATE TABLE word (body)")
    return db


def words_left(disk: Disk, into: Path, seed: int) -> list[str]:
    write_files(into, disk.after_power_loss(random.Random(seed)))
    db = apsw.Connection(str(into / "some.db"))
    try:
        assert db.pragma("integrity_check") == "ok"
        return [str(word) for (word,) in db.execute("SELECT body FROM word ORDER BY rowid")]
    except apsw.SQLError:
        return []  # not even the table
    finally:
        db.close()


def losses(tmp_path: Path, synchronous: str, *, lies: bool = False) -> set[int]:
    """How many of ten committed words are left, over many power losses."""
    (tmp_path / "disk").mkdir()
    with faulty_disk(tmp_path / "disk") as disk:
        db = table_on(disk.folder, synchronous)
        disk.sync_lies = lies
        for number in range(10):
            db.execute("INSERT INTO word VALUES (?)", (f"word {number}",))
        left = {len(words_left(disk, tmp_path / f"loss {seed}", seed)) for seed in range(LOSSES)}
        db.close()
    return left


def test_what_was_synced_is_there_after_every_power_loss(tmp_path: Path) -> None:
    assert losses(tmp_path, "full") == {10}


def test_what_was_not_synced_may_be_missing_from_any_place_on(tmp_path: Path) -> None:
    left = losses(tmp_path, "normal")
    assert min(left) < 3
    assert len(left) > 3


def test_a_sync_that_does_nothing_is_as_if_there_were_none(tmp_path: Path) -> None:
    assert min(losses(tmp_path, "full", lies=True)) < 3


def test_a_write_can_be_torn_where_sectors_meet(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    with faulty_disk(tmp_path / "disk") as disk:
        db = table_on(disk.folder, "off")
        db.execute("INSERT INTO word VALUES (?)", ("x" * 3000,))
        wholes = {
            disk.after_power_loss(random.Random(seed)).get("some.db-wal", b"") for seed in range(LOSSES)
        }
        db.close()
    assert len({whole.count(b"x") for whole in wholes}) > 5


def test_a_deletion_without_sync_may_not_have_happened(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    with faulty_disk(tmp_path / "disk") as disk:
        table_on(disk.folder, "full").close()  # the last connection removes the log, and syncs no folder
        found = [sorted(disk.after_power_loss(random.Random(seed))) for seed in range(LOSSES)]
    assert not (disk.folder / "some.db-wal").exists()
    assert ["some.db"] in found
    assert ["some.db", "some.db-wal"] in found


def test_an_encrypted_store_lies_on_it_sealed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    with faulty_disk(tmp_path / "disk") as disk:
        store = create_store(disk.folder / "store.db", bytes(32))
        with store.transaction() as db:
            db.execute("CREATE TABLE word (body)")
            db.execute("INSERT INTO word VALUES ('canary-7481')")
        found = disk.after_power_loss(random.Random(1))
        store.close()
    assert disk.counts["sync"] > 1
    assert sum(len(data) for data in found.values()) > 4096
    assert b"canary-7481" not in b"".join(found.values())


@pytest.mark.parametrize(
    ("fault", "error"), [(full, apsw.FullError), (io_error, apsw.IOError), (read_only, apsw.ReadOnlyError)]
)
def test_a_fault_is_what_sqlite_finds_and_goes_when_it_is_mended(
    tmp_path: Path, fault: object, error: type[apsw.Error]
) -> None:
    with faulty_disk(tmp_path) as disk:
        db = table_on(tmp_path, "full")
        honest, disk.operation = disk.operation, fault  # type: ignore[assignment]
        with pytest.raises(error):
            db.execute("INSERT INTO word VALUES ('one')")
        disk.operation = honest
        db.execute("INSERT INTO word VALUES ('two')")
        assert db.execute("SELECT body FROM word").fetchall() == [("two",)]
        db.close()
