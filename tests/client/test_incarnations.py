"""Which incarnations were left is kept for as many as are ever asked about."""

from pathlib import Path

import msgspec

from securechat.client import incarnations
from tests.client.members import MemberOf

FIRST = 1_000


def test_m_10_however_often_a_server_says_it_was_restored_the_note_of_it_is_bounded(tmp_path: Path) -> None:
    alice = MemberOf(tmp_path, "alice")
    alice.founds()
    with alice.changes.change() as change:
        for number in range(incarnations.MOST_LEFT + 9):
            record = msgspec.structs.replace(alice.record, incarnation=FIRST - number)
            incarnations.leave(change.db, record, number)

    kept = incarnations.left(alice.store.db, alice.record.id)
    last = incarnations.MOST_LEFT + 8
    assert alice.store.value("SELECT count(*) FROM left_incarnation") == incarnations.MOST_LEFT
    assert kept[0] == (FIRST - last, last), "the last first, whatever its number"

    with alice.changes.change() as change:
        incarnations.forget(change.db, alice.record.id)
    assert incarnations.left(alice.store.db, alice.record.id) == []
