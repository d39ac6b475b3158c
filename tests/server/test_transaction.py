"""What the writer remembers from one transaction to the next is never believed against the database."""

from pathlib import Path

import apsw
import pytest

from securechat.server.store import transaction
from securechat.server.store.sqlite import open_database, prepare_database
from securechat.server.store.transaction import Known, Standing, Transaction

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
