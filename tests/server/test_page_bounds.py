"""Where exactly an answer is full, and what stands where entries are gone (O-02, M-10, S-04)."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from securechat.protocol import messages as m
from securechat.protocol.limits import MAX_ENTRIES
from securechat.server.config import Quotas
from securechat.server.delivery import ANSWER_BYTES, SYNC_PAGE, Delivery
from securechat.server.groups import Groups
from securechat.server.quota import Quota
from securechat.server.store.sqlite import open_database, prepare_database
from securechat.server.values import Caller

GROUP = b"g" * 16
EVE = Caller(1, "eve", 1, "c")
ENTRY_COSTS = 128
WELCOME_COSTS = 192
THIRD = 64 * 1024
"""Three of these are what one answer may carry."""


@pytest.fixture
def delivery() -> Delivery:
    return Delivery(Groups(), Quota(Quotas()), lambda: 0)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    """One member of one log."""
    opened = open_database(prepare_database(tmp_path / "data"))
    opened.execute(
        "INSERT INTO account (user, salt, login_hash, account_key, statement, created) "
        "VALUES ('eve', x'', '', x'', x'', 0)"
    )
    opened.execute(
        "INSERT INTO client (account, name, device_key, credential, created) VALUES (1, 'c', '', '', 0)"
    )
    opened.execute(
        "INSERT INTO server (id, domain, identity_key, secret, incarnation) VALUES (1, 'd', '', '', 7)"
    )
    opened.execute("BEGIN")  # one sync for all of a test
    join(opened, GROUP)
    yield opened
    opened.execute("ROLLBACK")
    opened.close()


def join(db: apsw.Connection, group: bytes, *, start: int = 1, end: int | None = None) -> None:
    """A stay in a log of 600 places; another one if the log is there."""
    db.execute(
        "INSERT OR IGNORE INTO conversation (group_id, epoch, head, handshake_head, created) "
        "VALUES (?, 1, 600, 0, 0)",
        (group,),
    )
    db.execute(
        'INSERT INTO member (conversation, client, leaf, may_speak, start, "end", cursor) '
        "SELECT id, 1, 0, 1, ?, ?, 0 FROM conversation WHERE group_id = ?",
        (start, end, group),
    )


def lay(db: apsw.Connection, sizes: dict[int, int]) -> None:
    """Messages of so many bytes at these places; the log ends with the last."""
    db.executemany(
        "INSERT INTO entry (conversation, sequence, kind, epoch, client, time, body) "
        "VALUES (1, ?, 'message', 1, 1, 0, zeroblob(?))",
        sizes.items(),
    )
    db.execute("UPDATE conversation SET head = ? WHERE id = 1", (max(sizes),))


def places(answer: m.Entries) -> list[tuple[int, int]]:
    return [
        (each.first, each.last) if isinstance(each, m.Gap) else (each.sequence, each.sequence)
        for each in answer.entries
    ]


@pytest.mark.parametrize(("more", "count"), [(0, 3), (1, 2)])
def test_o_02_entries_fill_an_answer_to_its_last_byte(
    db: apsw.Connection, delivery: Delivery, more: int, count: int
) -> None:
    lay(db, {1: THIRD - ENTRY_COSTS, 2: THIRD - ENTRY_COSTS, 3: THIRD - ENTRY_COSTS + more, 4: 1})
    answer = delivery.fetch(db, EVE, m.Fetch(GROUP, 1))
    assert places(answer) == [(place, place) for place in range(1, count + 1)]
    assert ANSWER_BYTES == 3 * THIRD


@pytest.mark.parametrize(("more", "count"), [(0, 3), (1, 2)])
def test_o_02_welcomes_fill_an_answer_to_its_last_byte(
    db: apsw.Connection, delivery: Delivery, more: int, count: int
) -> None:
    for place in range(1, 5):
        db.execute(
            "INSERT INTO inbox (client, sequence, conversation, epoch, start, sender, body, time) "
            "VALUES (1, ?, 1, 1, 1, 1, zeroblob(?), 0)",
            (place, THIRD - WELCOME_COSTS + (more if place == 3 else 0)),
        )
    db.execute("UPDATE client SET inbox_head = 4")
    answer = delivery.fetch_inbox(db, EVE, m.FetchInbox(1))
    assert ([each.sequence for each in answer.entries], answer.head) == (list(range(1, count + 1)), 4)


def test_the_inbox_of_a_client_that_is_gone_is_empty(db: apsw.Connection, delivery: Delivery) -> None:
    gone = Caller(1, "eve", 99, "gone")
    assert delivery.fetch_inbox(db, gone, m.FetchInbox(1)) == m.InboxEntries([], 0)


def test_o_02_no_answer_has_more_entries_than_a_client_takes(db: apsw.Connection, delivery: Delivery) -> None:
    """A row gives two where something is missing before it: there is always room for both."""
    lay(db, dict.fromkeys(range(1, 601), 1))
    assert places(delivery.fetch(db, EVE, m.Fetch(GROUP, 1))) == [
        (place, place) for place in range(1, MAX_ENTRIES)
    ]


def test_m_10_a_log_full_of_holes_is_told_hole_by_hole(db: apsw.Connection, delivery: Delivery) -> None:
    lay(db, dict.fromkeys(range(2, 1201, 2), 1))
    assert places(delivery.fetch(db, EVE, m.Fetch(GROUP, 1))) == [
        (place, place) for place in range(1, MAX_ENTRIES + 1)
    ]


def test_m_10_what_has_expired_is_a_gap_with_the_hashes_of_just_that(
    db: apsw.Connection, delivery: Delivery
) -> None:
    lay(db, dict.fromkeys((1, 2, 3, 4, 7, 8), 1))
    digests = {place: hashlib.sha256(b"%d" % place).digest() for place in (2, 3, 7, 8)}
    for place, digest in digests.items():
        db.execute("UPDATE entry SET body = NULL, digest = ? WHERE sequence = ?", (digest, place))
    answer = delivery.fetch(db, EVE, m.Fetch(GROUP, 1))
    assert answer.entries == [
        m.Entry(1, "message", 1, "c", 0, b"\0"),
        m.Gap(2, 3, [digests[2], digests[3]]),
        m.Entry(4, "message", 1, "c", 0, b"\0"),
        m.Gap(5, 6, []),
        m.Gap(7, 8, [digests[7], digests[8]]),
    ]


def named(number: int) -> bytes:
    return b"h%015d" % number


@pytest.mark.parametrize("count", [1_000, 1_001])
def test_o_02_a_page_of_groups_is_full_at_a_thousand(
    db: apsw.Connection, delivery: Delivery, count: int
) -> None:
    for number in range(count - 1):
        join(db, named(number))
    answer = delivery.sync(db, EVE, m.Sync())
    assert [status.group for status in answer.groups] == [GROUP, *map(named, range(SYNC_PAGE - 1))][:1000]
    assert answer.more is (count > 1_000)


def test_o_02_a_group_whose_stays_do_not_fit_waits_for_the_next_page(
    db: apsw.Connection, delivery: Delivery
) -> None:
    """Half of them would look like all."""
    for number in range(SYNC_PAGE - 2):
        join(db, named(number))
    last = b"z" * 16
    join(db, last, end=5)
    join(db, last, start=7)
    answer = delivery.sync(db, EVE, m.Sync())
    assert (len(answer.groups), answer.more) == (SYNC_PAGE - 1, True)
    rest = delivery.sync(db, EVE, m.Sync(after=answer.groups[-1].group))
    assert [(status.group, status.start, status.end) for status in rest.groups] == [
        (last, 1, 5),
        (last, 7, 0),
    ]


def test_o_02_more_stays_in_one_group_than_a_page_takes_come_oldest_first(
    db: apsw.Connection, delivery: Delivery
) -> None:
    db.execute("DELETE FROM member")
    for start in range(1, SYNC_PAGE + 3):
        join(db, GROUP, start=start, end=start)
    answer = delivery.sync(db, EVE, m.Sync())
    assert [status.start for status in answer.groups] == list(range(1, SYNC_PAGE + 1))
    assert answer.more


@pytest.mark.parametrize(("asked", "restored"), [(0, None), (3, 40), (5, None), (7, None)])
def test_n_03_who_names_an_incarnation_that_ended_hears_what_is_left_of_it(
    db: apsw.Connection, delivery: Delivery, asked: int, restored: int | None
) -> None:
    """The present one is 7; of 5 nothing is known."""
    db.execute("INSERT INTO restore (conversation, ended, head) VALUES (1, 3, 40)")
    (status,) = delivery.sync(db, EVE, m.Sync(incarnation=asked)).groups
    assert status.restored == restored
