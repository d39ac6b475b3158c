import gc
import secrets
from pathlib import Path

import apsw
import pytest

from securechat.client.errors import StoreDamaged, StoreFailed, StoreTooNew, UnsafeFile
from securechat.client.store import ClientStore, create_store, migrate, remove_store
from tests.faults.disk import Operation, faulty_disk, io_error, well

KEY = bytes(range(32))
CANARY = b"canary-in-the-store"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


def new_store(path: Path) -> ClientStore:
    store = create_store(path, KEY)
    with store.transaction() as db:
        db.execute("CREATE TABLE notebook (name TEXT PRIMARY KEY, value INTEGER CHECK (value >= 0)) STRICT")
    return store


def note(store: ClientStore, name: str, value: int) -> None:
    with store.transaction() as db:
        db.execute("INSERT INTO notebook (name, value) VALUES (?, ?)", (name, value))


def read_all(path: Path) -> None:
    with ClientStore(path, KEY) as store:
        store.rows("SELECT * FROM notebook")
        store.rows("SELECT * FROM profile")
        if store.rows("PRAGMA integrity_check") != [("ok",)]:
            raise StoreDamaged("said in a row: it was the root of an empty table")


def test_what_was_written_is_there_after_opening_again(path: Path) -> None:
    with new_store(path) as store:
        note(store, "seen", 7)

    with ClientStore(path, KEY) as store:
        assert store.value("SELECT value FROM notebook WHERE name = 'seen'") == 7
        assert store.row("SELECT value FROM notebook WHERE name = 'unseen'") is None
        assert store.rows("SELECT name FROM notebook WHERE name = ?", ("seen",)) == [("seen",)]


def test_a_transaction_that_fails_leaves_nothing(path: Path) -> None:
    with new_store(path) as store:
        with pytest.raises(apsw.ConstraintError), store.transaction() as db:
            db.execute(
                "INSERT INTO notebook VALUES ('half', 1); INSERT INTO notebook VALUES ('negative', -1)"
            )

        note(store, "whole", 1)
        assert store.value("SELECT count(*) FROM notebook WHERE name IN ('half', 'whole')") == 1


def test_a_transaction_is_on_the_disk_before_it_returns(path: Path) -> None:
    with new_store(path) as store:
        assert store.value("PRAGMA synchronous") == 2
        assert store.value("PRAGMA journal_mode") == "wal"
        assert store.value("PRAGMA secure_delete") == 1
        assert store.value("PRAGMA temp_store") == 2


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("synchronous", 2), ("secure_delete", 1), ("temp_store", 2), ("foreign_keys", 1), ("trusted_schema", 0)],
)
def test_every_store_is_opened_as_it_promises(path: Path, pragma: str, value: int) -> None:
    """L-02: what is deleted is overwritten, and nothing is written beside the sealed file."""
    with new_store(path) as store:
        assert store.value(f"PRAGMA {pragma}") == value


def test_a_store_that_is_forgotten_is_closed(path: Path) -> None:
    store = new_store(path)
    note(store, "x", 1)
    db = store.db
    del store
    gc.collect()

    with pytest.raises(apsw.ConnectionClosedError):
        db.execute("SELECT 1")
    with ClientStore(path, KEY) as again:
        assert again.value("SELECT value FROM notebook") == 1


def test_a_second_store_of_one_name_is_not_made(path: Path) -> None:
    create_store(path, KEY).close()

    with pytest.raises(FileExistsError):
        create_store(path, KEY)


def test_nothing_of_it_can_be_read_on_the_disk(path: Path) -> None:
    """L-02."""
    with new_store(path) as store:
        with store.transaction() as db:
            db.execute("INSERT INTO notebook (name, value) VALUES (?, 1)", (CANARY.decode(),))
        files = list(path.parent.iterdir())
        assert path.with_name("store.db-wal") in files
        assert not any(CANARY in file.read_bytes() for file in files)


def test_another_key_opens_nothing(path: Path) -> None:
    create_store(path, KEY).close()

    with pytest.raises(StoreDamaged, match="another key"):
        ClientStore(path, secrets.token_bytes(32))


def test_a_missing_file_is_said(path: Path) -> None:
    with pytest.raises(StoreDamaged, match="missing"):
        ClientStore(path, KEY)


def test_a_link_in_its_place_is_refused(path: Path, tmp_path: Path) -> None:
    """L-01."""
    create_store(tmp_path / "elsewhere.db", KEY).close()
    path.symlink_to(tmp_path / "elsewhere.db")

    with pytest.raises(UnsafeFile, match="symbolic link"):
        ClientStore(path, KEY)


def test_a_flipped_bit_is_an_error_and_not_data(path: Path) -> None:
    """C-05: wherever the bit is, the store says so, by its one error."""
    with new_store(path) as store:
        for i in range(200):
            note(store, f"row {i}", i)
    whole = path.read_bytes()

    for place in range(5, len(whole), len(whole) // 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(StoreDamaged):
            read_all(path)


def test_a_full_disk_is_said_and_nothing_is_changed(path: Path) -> None:
    """C-04."""
    with new_store(path) as store:
        pages = store.value("PRAGMA page_count")
        store.value(f"PRAGMA max_page_count = {pages}")

        with pytest.raises(StoreFailed, match="full"), store.transaction() as db:
            db.execute("INSERT INTO notebook (name, value) VALUES (?, 1)", ("x" * 100_000,))

        store.value(f"PRAGMA max_page_count = {pages + 1000}")
        note(store, "room again", 1)
        assert store.value("SELECT count(*) FROM notebook WHERE length(name) = 100000") == 0


def test_c_04_a_disk_that_does_not_read_is_said_wherever_it_is_met(tmp_path: Path) -> None:
    with faulty_disk(tmp_path) as disk:
        store = new_store(tmp_path / "store.db")
        with store.transaction() as db:
            db.executemany(
                "INSERT INTO notebook VALUES (?, ?)", [(f"many {n:0200}", n) for n in range(2_000)]
            )
        reads = store.db.execute("SELECT name FROM notebook ORDER BY rowid")
        next(reads)
        disk.operation = failing_reads
        for reading in (
            lambda: list(reads),
            lambda: store.db.execute("SELECT * FROM notebook").fetchall(),
            lambda: store.db.execute("SELECT sum(length(name)) FROM notebook").fetchone(),
            lambda: store.value("SELECT count(*) FROM notebook WHERE value > 1"),
        ):
            store.db.execute("PRAGMA shrink_memory")
            with pytest.raises(StoreFailed, match=r"cannot use .*store\.db"):
                reading()
        disk.operation = well
        assert store.value("SELECT count(*) FROM notebook") == 2_000
        store.close()


def failing_reads(operation: Operation) -> None:
    if operation.verb == "read":
        io_error(operation)


def test_a_store_of_a_later_release_is_left_alone(path: Path) -> None:
    with new_store(path) as store, store.transaction() as db:
        db.execute("PRAGMA user_version = 9000")

    with pytest.raises(StoreTooNew, match="newer securechat"):
        ClientStore(path, KEY)


def test_each_migration_runs_once_and_in_order() -> None:
    db = apsw.Connection(":memory:")
    first = (1, "CREATE TABLE step (n INTEGER); INSERT INTO step VALUES (1);")
    second = (2, "INSERT INTO step VALUES (2);")

    migrate(db, [first])
    migrate(db, [first, second])
    migrate(db, [first, second])

    assert db.execute("SELECT n FROM step").fetchall() == [(1,), (2,)]


def test_a_migration_that_fails_leaves_the_version_before_it() -> None:
    """C-07."""
    db = apsw.Connection(":memory:")
    first = (1, "CREATE TABLE step (n INTEGER);")

    with pytest.raises(apsw.SQLError):
        migrate(db, [first, (2, "INSERT INTO step VALUES (2); NOT SQL;")])

    assert db.pragma("user_version") == 1
    assert db.execute("SELECT n FROM step").fetchall() == []


def test_a_removed_store_leaves_nothing_beside_it(path: Path) -> None:
    store = new_store(path)
    note(store, "x", 1)

    remove_store(path)
    store.close()
    remove_store(path)

    assert list(path.parent.iterdir()) == []
