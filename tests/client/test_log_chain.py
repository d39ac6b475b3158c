"""Each sender's claim about the log is compared with our own (rules.md A)."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from securechat.client import log_chain, records
from securechat.client.events import Kind, Standing
from tests.client.parts import a_store, changes_of

FIRST, SECOND, OTHER = (hashlib.sha256(text).digest() for text in (b"first", b"second", b"other"))


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    store = a_store(tmp_path)
    changes = changes_of(store)
    with changes.change() as change:
        for name in ("#one", "#two"):
            records.insert(change.db, name=name, kind=Kind.ROOM, state=Standing.JOINED, room=name)
        for room in (1, 2):
            log_chain.restart(change.db, room, b"c" * 32)
    yield changes.db
    store.close()


def test_a_claim_about_what_both_saw_agrees_also_when_more_came_since(db: apsw.Connection) -> None:
    log_chain.add(db, 1, FIRST)
    log_chain.add(db, 2, FIRST)
    claim = log_chain.claim(db, 1)
    log_chain.add(db, 2, SECOND)

    assert log_chain.agrees(db, 2, claim)


@pytest.mark.parametrize(
    ("seen", "ours"),
    [
        ([FIRST, SECOND], [FIRST]),
        ([FIRST, SECOND], [SECOND, FIRST]),
        ([FIRST], [OTHER]),
        ([FIRST], []),
    ],
    ids=["withheld", "reordered", "replaced", "never reached"],
)
def test_a_claim_about_something_else_does_not_agree(
    db: apsw.Connection, seen: list[bytes], ours: list[bytes]
) -> None:
    """M-10."""
    for entry in seen:
        log_chain.add(db, 1, entry)
    for entry in ours:
        log_chain.add(db, 2, entry)

    assert not log_chain.agrees(db, 2, log_chain.claim(db, 1))


def test_a_new_epoch_begins_a_new_chain(db: apsw.Connection) -> None:
    log_chain.add(db, 1, FIRST)
    old = log_chain.claim(db, 1)
    for room in (1, 2):
        log_chain.restart(db, room, b"d" * 32)

    assert log_chain.agrees(db, 2, log_chain.claim(db, 1))
    assert not log_chain.agrees(db, 2, old)


@pytest.mark.parametrize("claim", [b"", b"x", bytes(19), bytes(21)])
def test_a_claim_that_is_none_does_not_agree(db: apsw.Connection, claim: bytes) -> None:
    assert not log_chain.agrees(db, 1, claim)


def test_what_a_log_has_lost_is_known_again_until_its_epoch_ends(db: apsw.Connection) -> None:
    """N-03: another copy of the server may have it, and its keys are used up."""
    for digest in (FIRST, SECOND):
        log_chain.add(db, 1, digest)
    log_chain.cut(db, 1, 1)
    log_chain.keep_had(db, 1, OTHER)

    assert [log_chain.had(db, 1, digest) for digest in (FIRST, SECOND, OTHER)] == [False, True, True]
    assert not log_chain.had(db, 2, SECOND)

    log_chain.restart(db, 1, b"d" * 32)
    assert not log_chain.had(db, 1, SECOND)


def test_what_was_read_before_we_kept_note_of_it_is_cut_all_the_same(db: apsw.Connection) -> None:
    """C-07: rows of an earlier version do not say which entry led to them."""
    log_chain.add(db, 1, FIRST)
    db.execute("UPDATE chain SET entry = x''")
    log_chain.cut(db, 1, 0)
    assert log_chain.present(db, 1).count == 0
    assert not log_chain.had(db, 1, b"")
