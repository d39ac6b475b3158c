"""What the writer remembers from one transaction to the next is never believed against the database."""

from pathlib import Path

import apsw
import pytest

from securechat.server.store import transaction
from securechat.server.store.sqlite import open_database, prepare_database
from securechat.server.store.transaction import Known, Log, Standing, Transaction

GROUP = b"g" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = prepare_database(tmp_path / "data")
    db = open_database(path)
    db.execute(
        "INSERT INTO conversation (group_id, epoch, head, handshake_head, created) VALUES (?, 1, 5, 1, 1)",
        (GROUP,),
    )
    db.execute(
        "INSERT INTO account (user, salt, login_hash, account_key, statement, created) "
        "VALUES ('alice', '', '', '', '', 1)"
    )
    db.execute(
        "INSERT INTO client (account, name, device_key, credential, high_water, created) "
        "VALUES (1, 'one', '', '', 7, 1)"
    )
    db.close()
    return path


def head_in(db: apsw.Connection, known: Known) -> tuple[int, int]:
    """The head and the mark that a transaction would go on from."""
    db.execute("BEGIN IMMEDIATE")
    known.look(db)
    transaction = Transaction(db, known)
    log = transaction.log(GROUP)
    found = (0 if log is None else log.head, transaction.standing(1).high_water)
    db.execute("ROLLBACK")
    return found


def append(db: apsw.Connection, known: Known) -> None:
    db.execute("BEGIN IMMEDIATE")
    known.look(db)
    transaction = Transaction(db, known)
    log = transaction.log(GROUP)
    assert log is not None
    transaction.append(log, 1, 1, b"sealed")
    transaction.decide(1, transaction.standing(1).high_water + 1, b"", refused=False, answer=b"")
    transaction.write()
    db.execute("COMMIT")


def test_what_was_written_is_remembered_as_the_tables_have_it(path: Path) -> None:
    db, known = open_database(path), Known()
    append(db, known)
    append(db, known)

    assert head_in(db, known) == head_in(db, Known()) == (7, 9)
    assert known.clients[1].stored == len(b"sealed") * 2


def test_what_another_connection_has_written_is_read_anew(path: Path) -> None:
    db, other, known = open_database(path), open_database(path), Known()
    append(db, known)
    other.execute("UPDATE conversation SET head = 40")
    other.execute("UPDATE client SET high_water = 50")

    assert head_in(db, known) == (40, 50)


def test_what_this_connection_writes_otherwise_is_read_anew(path: Path) -> None:
    db, known = open_database(path), Known()
    append(db, known)
    db.execute("BEGIN IMMEDIATE")
    known.look(db)
    Transaction(db, known).settle()
    db.execute("UPDATE conversation SET head = 40")
    db.execute("COMMIT")

    assert head_in(db, known)[0] == 40


def test_what_is_remembered_is_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "MAX_KNOWN", 5)
    db, known = open_database(path), Known()
    append(db, known)
    known.clients.update({each: Standing(1, 0, 0, 0) for each in range(2, 6)})
    assert head_in(db, known) == (6, 8)
    assert len(known.clients) == 1, "it was forgotten as a whole, and read anew"


def test_logs_count_to_what_is_remembered_as_clients_do(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "MAX_KNOWN", 5)
    db, known = open_database(path), Known()
    append(db, known)
    known.logs.update({b"%d" % each: Log(each, 1, 1) for each in range(2, 5)})
    known.clients[2] = Standing(1, 0, 0, 0)
    assert head_in(db, known) == (6, 8)
    assert list(known.logs) == [GROUP], "six of both are one too many"


def test_as_many_as_may_be_are_remembered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "MAX_KNOWN", 5)
    db, known = open_database(path), Known()
    append(db, known)
    known.clients.update({each: Standing(1, 0, 0, 0) for each in range(2, 5)})
    head_in(db, known)
    assert set(known.clients) == {1, 2, 3, 4}


def test_a_client_that_is_gone_stands_at_the_beginning(path: Path) -> None:
    db = open_database(path)
    assert Transaction(db).standing(99) == Standing(0, 0, 0, 0)
    assert Transaction(db).log(b"nobody's") is None


@pytest.mark.parametrize("count", [1, 4, 5, 16, 21, 64, 85, 149])
def test_every_row_of_a_batch_is_written_once(path: Path, count: int) -> None:
    """Whatever statements it takes: 64 rows, 16, 4 and 1."""
    db = open_database(path)
    db.execute("BEGIN IMMEDIATE")
    written = Transaction(db)
    log = written.log(GROUP)
    assert log is not None
    for number in range(count):
        written.append(log, 1, 1, b"%d" % number)
        written.decide(1, written.standing(1).high_water + 1, b"d", refused=False, answer=b"%d" % number)
    written.write()
    written.write()
    db.execute("COMMIT")
    bodies = [b"%d" % number for number in range(count)]
    assert db.execute("SELECT body FROM entry ORDER BY sequence").fetchall() == [(each,) for each in bodies]
    assert db.execute("SELECT body FROM answer ORDER BY name").fetchall() == [(each,) for each in bodies]
    assert db.execute("SELECT head FROM conversation").get == 5 + count
    assert db.execute("SELECT high_water, stored FROM client").fetchone() == (
        7 + count,
        sum(map(len, bodies)),
    )
    assert written.appended == count
