"""What clients were told is found in few steps while it is kept, and goes in small pieces (Q-05, O-06)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest

from securechat.protocol.limits import ANSWERS_KEPT
from securechat.server import expiry
from securechat.server.store import answers
from securechat.server.store.sqlite import open_database, prepare_database
from securechat.server.store.transaction import Known, Transaction
from securechat.server.swept import Cutoffs

CLIENTS = (1, 2, 3)
NEVER = Cutoffs(**dict.fromkeys(Cutoffs.__slots__, 0))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    opened = open_database(prepare_database(tmp_path / "data"))
    opened.execute(
        "INSERT INTO account (user, salt, login_hash, account_key, statement, created) "
        "VALUES ('alice', '', '', '', '', 1)"
    )
    for client in CLIENTS:
        opened.execute(
            "INSERT INTO client (account, name, device_key, credential, created) VALUES (1, ?, '', '', 1)",
            (f"client {client}",),
        )
    yield opened
    opened.close()


def tell(db: apsw.Connection, known: Known, told: dict[int, int]) -> None:
    """Decide so many more names of each client, in turns, in one transaction."""
    db.execute("BEGIN IMMEDIATE")
    known.look(db)
    transaction = Transaction(db, known)
    for turn in range(max(told.values())):
        for client in (client for client, count in told.items() if turn < count):
            name = transaction.standing(client).high_water + 1
            transaction.decide(client, name, b"d", refused=not name % 5, answer=said(client, name))
    transaction.write()
    db.execute("COMMIT")


def said(client: int, name: int) -> bytes:
    return b"%d to %d" % (name, client)


def found(db: apsw.Connection, client: int, names: range) -> list[int]:
    """Those of the names whose answer is there, and is theirs."""
    kept = {name: answers.find(db, client, name) for name in names}
    for name, each in kept.items():
        assert each is None or each == (b"d", not name % 5, said(client, name))
    return [name for name, each in kept.items() if each is not None]


def steps(db: apsw.Connection, client: int, name: int) -> int:
    """How much SQLite does to find an answer."""
    count = 0

    def one() -> bool:
        nonlocal count
        count += 1
        return False

    db.set_progress_handler(one, 1)
    try:
        assert answers.find(db, client, name) is not None
    finally:
        db.set_progress_handler(None)
    return count


def rounds(db: apsw.Connection, cutoffs: Cutoffs = NEVER) -> list[int]:
    """One round; how many went in each of its steps."""
    gone, after = [], 0
    while True:
        step = expiry.answers(db, cutoffs, after)
        gone.append(step.swept.answers)
        if step.after is None:
            return gone
        after = step.after


def names_there(db: apsw.Connection, client: int) -> list[int]:
    rows: list[Any] = db.execute(
        "SELECT name FROM answer WHERE client = ? ORDER BY name", (client,)
    ).fetchall()
    return [name for (name,) in rows]


@pytest.mark.parametrize("remembered", [True, False])
def test_every_answer_is_found_whoever_else_was_told_meanwhile(
    db: apsw.Connection, *, remembered: bool
) -> None:
    known = Known()
    for told in ({1: 31, 2: 1}, {1: 1}, {1: 1, 2: 64}, {3: 33, 1: 100}, {2: 200, 1: 7}):
        tell(db, known if remembered else Known(), told)
    for client, last in ((1, 140), (2, 265), (3, 33)):
        assert found(db, client, range(1, last + 10)) == list(range(1, last + 1))


def test_the_oldest_answer_is_a_few_steps_away(db: apsw.Connection) -> None:
    """A client that asks for nothing else costs the writer little (O-05)."""
    tell(db, Known(), {1: 3_000, 2: 3_000})
    assert max(steps(db, 1, 3_000 - back) for back in range(ANSWERS_KEPT)) < 3_000  # one by one: 40,000


def test_only_the_last_answers_of_each_client_stay(db: apsw.Connection) -> None:
    known = Known()
    tell(db, known, {1: 50, 2: 2_500})
    tell(db, Known(), {1: 10, 3: 1_500})

    assert sum(rounds(db)) == 2_500 + 1_500 - 2 * ANSWERS_KEPT
    assert sum(rounds(db)) == 0

    assert found(db, 1, range(1, 70)) == list(range(1, 61))
    assert found(db, 2, range(1, 2_600)) == list(range(2_500 - ANSWERS_KEPT + 1, 2_501))
    assert found(db, 3, range(1, 1_600)) == list(range(1_500 - ANSWERS_KEPT + 1, 1_501))


def test_a_round_looks_at_little_where_little_has_come_and_goes_on_from_there(
    db: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "ANSWER_ROWS", 40)
    monkeypatch.setattr(expiry, "ANSWERS_LOOKED_AT", 100)
    tell(db, Known(), {1: 2_000})
    db.execute("UPDATE answer_sweep SET head = 2000")

    assert rounds(db) == [40, 40, 20]
    assert names_there(db, 1)[0] == 101
    assert rounds(db) == [40, 40, 20]
    assert names_there(db, 1)[0] == 201

    tell(db, Known(), {2: 30})
    assert rounds(db) == [40, 40, 40, 40]  # 100 and twice 30
    assert names_there(db, 1)[0] == 361


def test_a_table_that_is_larger_than_a_round_is_gone_through_in_some(
    db: apsw.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "ANSWERS_LOOKED_AT", 700)
    tell(db, Known(), {1: 500, 2: 2_000})
    db.execute("UPDATE answer_sweep SET head = 2500")
    tell(db, Known(), {2: 500})

    gone = [sum(rounds(db)) for _ in range(6)]

    assert gone[0] > 0 < gone[1]
    assert gone[4:] == [0, 0]
    assert len(names_there(db, 1)) == 500
    assert names_there(db, 2) == list(range(2_500 - ANSWERS_KEPT + 1, 2_501))


def test_what_is_asked_of_the_answers_reads_no_whole_table(db: apsw.Connection) -> None:
    asked: set[str] = set()

    def note(_cursor: apsw.Cursor, sql: str, _bindings: object) -> bool:
        asked.add(sql)
        return True

    tell(db, Known(), {1: 3})
    db.exec_trace = note
    tell(db, Known(), {1: 3})
    rounds(db)
    assert answers.find(db, 1, 2) is not None
    db.exec_trace = None

    plans = {
        sql: [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", bindings(sql))]
        for sql in asked
        if "answer" in sql
    }
    assert len(plans) > 5
    found = [line for lines in plans.values() for line in lines if line.startswith("SCAN")]
    assert set(found) <= {"SCAN s", "SCAN step", "SCAN (subquery-1)", "SCAN answer_sweep"}


def bindings(sql: str) -> tuple[None, ...] | dict[str, None]:
    """Anything fits: a plan is made before a value is looked at."""
    return {"client": None, "name": None} if ":name" in sql else (None,) * sql.count("?")


def test_an_id_that_is_used_again_leads_nobody_to_anothers_answer(db: apsw.Connection) -> None:
    tell(db, Known(), {1: 40, 2: 40})
    db.execute("UPDATE client SET seen = 10 WHERE id != 3")
    away = replace(NEVER, answers=11)
    assert sum(rounds(db, away)) == 80

    tell(db, Known(), {3: 75})
    assert found(db, 1, range(1, 50)) == found(db, 2, range(1, 50)) == []
    tell(db, Known(), {1: 70, 2: 1})
    assert found(db, 1, range(1, 120)) == list(range(41, 111))
    assert found(db, 2, range(1, 50)) == [41]
    assert found(db, 3, range(1, 80)) == list(range(1, 76))
