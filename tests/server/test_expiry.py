"""Retention in small steps, each of which leaves a state like any other (O-06, rules.md A)."""

import hashlib
import itertools
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import apsw
import pytest

from securechat.protocol import messages as m
from securechat.server import config, expiry, log_expiry
from securechat.server.blobs import Blobs
from securechat.server.config import DAY
from securechat.server.delivery import Delivery
from securechat.server.errors import Refusal
from securechat.server.groups import Groups
from securechat.server.quota import Quota
from securechat.server.retention import Place, Retention
from securechat.server.store.checkpoint import KEPT_BYTES, bound_log
from securechat.server.store.sqlite import open_database, prepare_database
from securechat.server.swept import ROWS, Swept
from securechat.server.values import Caller
from tests.server.sweeping import open_cursors

NOW = 1_800_000_000
GROUPS = 4
CLIENTS = 3


@pytest.fixture
def db(tmp_path: Path) -> Iterator[apsw.Connection]:
    opened = open_database(prepare_database(tmp_path / "data"))
    for number in range(1, CLIENTS + 1):
        opened.execute(
            "INSERT INTO account (id, user, salt, login_hash, account_key, statement, created) "
            "VALUES (?, ?, x'', '', x'', x'', 0)",
            (number, f"user{number}"),
        )
        opened.execute(
            "INSERT INTO client (id, account, name, device_key, credential, created) "
            "VALUES (?1, ?1, ?2, x'', x'', 0)",
            (number, f"client{number}"),
        )
    yield opened
    opened.close()


def group_id(conversation: int) -> bytes:
    return bytes([conversation]) * 32


def fill(db: apsw.Connection, conversation: int, count: int, *, size: int = 100, age: int = 0) -> None:
    """A log of all clients: a commit at every hundredth place, else messages of the first client."""
    db.execute("BEGIN")
    db.execute(
        "INSERT INTO conversation (id, group_id, epoch, head, handshake_head, created) "
        "VALUES (?, ?, 0, ?, 0, 0)",
        (conversation, group_id(conversation), count),
    )
    db.executemany(
        "INSERT INTO entry (conversation, sequence, kind, epoch, client, time, body) "
        "VALUES (?, ?, ?, 0, 1, ?, ?)",
        (
            (
                conversation,
                place,
                "message" if place % 100 else "commit",
                NOW - age,
                place.to_bytes(size, "big"),
            )
            for place in range(1, count + 1)
        ),
    )
    for client in range(1, CLIENTS + 1):
        db.execute(
            "INSERT INTO member (conversation, client, leaf, may_speak, start, cursor) "
            "VALUES (?, ?, ?, 1, 1, 0)",
            (conversation, client, client - 1),
        )
    db.execute("UPDATE client SET stored = stored + ? WHERE id = 1", (size * count,))
    db.execute("COMMIT")


def read_to(db: apsw.Connection, conversation: int, client: int, place: int) -> None:
    db.execute(
        "UPDATE member SET cursor = ? WHERE conversation = ? AND client = ?", (place, conversation, client)
    )


def steps(db: apsw.Connection, *, days: float = 0) -> Iterator[Swept]:
    """A round, step by step, each in a transaction of its own."""
    retention = Retention(config.Retention(), lambda: int(NOW + days * DAY))
    place: Place | None = Place()
    while place is not None:
        db.execute("BEGIN IMMEDIATE")
        gone, place = retention.step(db, place)
        db.execute("COMMIT")
        yield gone


def whole_log(db: apsw.Connection, conversation: int, client: int) -> list[m.Entry | m.Gap]:
    """What a client reads from its cursor on."""
    delivery, caller = (
        Delivery(Groups(), Quota(config.Quotas()), lambda: NOW),
        Caller(client, f"user{client}", client, ""),
    )
    ((cursor,),) = db.execute(
        "SELECT cursor FROM member WHERE conversation = ? AND client = ?", (conversation, client)
    ).fetchall()
    following = int(str(cursor)) + 1
    found: list[m.Entry | m.Gap] = []
    while True:
        answer = delivery.fetch(db, caller, m.Fetch(group_id(conversation), following))
        if not answer.entries:
            return found
        found += answer.entries
        last = answer.entries[-1]
        following = 1 + (last.last if isinstance(last, m.Gap) else last.sequence)


def check(db: apsw.Connection) -> None:
    """Whoever reads on finds every place once, with its body or its hash."""
    for conversation in range(1, GROUPS + 1):
        for client in range(1, CLIENTS + 1):
            at = None
            for each in whole_log(db, conversation, client):
                first, last = (each.first, each.last) if isinstance(each, m.Gap) else (each.sequence,) * 2
                assert at is None or first == at + 1
                assert isinstance(each, m.Entry) or len(each.hashes) == last - first + 1
                at = last
    stored = db.execute("SELECT coalesce(sum(length(body)), 0) FROM entry").fetchall()
    assert db.execute("SELECT stored FROM client WHERE id = 1").fetchall() == stored


@pytest.mark.parametrize("days", [0, 31])
def test_after_any_step_everybody_reads_a_whole_log(db: apsw.Connection, days: int) -> None:
    chance = random.Random(days)
    for conversation in range(1, GROUPS + 1):
        fill(db, conversation, 1_250)
        for client in range(1, CLIENTS + 1):
            read_to(db, conversation, client, chance.choice([0, 250, 700, 1_249, 1_250]))
    check(db)
    for _ in range(2):
        for _swept in steps(db, days=days):
            check(db)


def test_a_step_takes_no_more_than_its_share(db: apsw.Connection) -> None:
    for conversation in range(1, GROUPS + 1):
        fill(db, conversation, 3 * ROWS)
        for client in range(1, CLIENTS + 1):
            read_to(db, conversation, client, 3 * ROWS)

    taken = [swept.messages for swept in steps(db)]

    assert max(taken) <= ROWS
    assert sum(taken) == GROUPS * (3 * ROWS - 3 * ROWS // 100)


def test_a_step_of_long_bodies_ends_by_their_bytes(db: apsw.Connection) -> None:
    fill(db, 1, 90, size=60_000)
    for client in range(1, CLIENTS + 1):
        read_to(db, 1, client, 90)

    taken = [swept.messages for swept in steps(db)]

    assert max(taken) <= log_expiry.BYTES // 60_000 + 1
    assert sum(taken) == 90


def test_a_log_with_nothing_to_do_costs_no_look_at_its_members(db: apsw.Connection) -> None:
    fill(db, 1, 99)
    for client in range(1, CLIENTS + 1):
        read_to(db, 1, client, 99)
    assert sum(swept.messages for swept in steps(db)) == 99
    asked: list[str] = []

    def note(_: apsw.Cursor, statement: str, __: object) -> bool:
        asked.append(statement)
        return True

    db.exec_trace = note
    assert sum(list(steps(db)), Swept()) == Swept()
    assert [each for each in asked if "member" in each] == []


def test_o_06_commits_and_proposals_that_go_are_stored_by_nobody_any_more(db: apsw.Connection) -> None:
    fill(db, 1, 250)
    fill(db, 2, 1)
    db.execute("UPDATE entry SET kind = 'proposal' WHERE sequence = 150")
    db.execute("UPDATE entry SET body = NULL, blob = x'00', size = 5000 WHERE sequence = 200")
    db.execute("UPDATE client SET stored = stored - 100 + 5000 WHERE id = 1")
    fill(db, 3, 1)
    db.execute("UPDATE client SET stored = stored + 70 WHERE id = 1")
    list(steps(db, days=91))
    assert db.execute("SELECT DISTINCT kind, body FROM entry").fetchall() == [("message", None)]
    assert db.execute("SELECT stored FROM client WHERE id = 1").fetchall() == [(70,)]


def test_looking_at_logs_leaves_no_cursor_open(db: apsw.Connection) -> None:
    """Each that stays open makes the next statement dearer, and the server grow."""
    for conversation in range(1, GROUPS + 1):
        fill(db, conversation, 250)
        read_to(db, conversation, 1, 100)
        read_to(db, conversation, 2, 250)
    before = open_cursors()
    for days in (0, 31, 32):
        list(steps(db, days=days))

    assert open_cursors() == before


def test_who_left_long_ago_and_never_read_on_holds_up_nothing_after_its_time(db: apsw.Connection) -> None:
    fill(db, 1, 99)
    for client in (1, 2):
        read_to(db, 1, client, 99)
    db.execute('UPDATE member SET "end" = 10 WHERE client = 3')

    assert sum(list(steps(db, days=29)), Swept()) == Swept()
    assert sum(list(steps(db, days=31)), Swept()).expired == 99


def test_a_group_that_everybody_left_is_emptied(db: apsw.Connection) -> None:
    fill(db, 1, 99)
    db.execute('UPDATE member SET "end" = 10, cursor = 10')

    assert sum(list(steps(db)), Swept()).messages == 99


# Blobs


def put(db: apsw.Connection, client: int, data: bytes) -> bytes:
    """Upload in chunks; return the blob's name."""
    caller, blobs = Caller(client, f"user{client}", client, ""), Blobs(lambda: NOW)
    upload, done = hashlib.sha256(data).digest()[:16], m.Uploaded(0)
    for offset in range(0, len(data), 65_536):
        done = blobs.put_chunk(
            db, caller, m.PutChunk(upload, offset, len(data), data[offset : offset + 65_536])
        )
    return done.blob


def names(db: apsw.Connection) -> set[bytes]:
    return {name for (name,) in db.execute("SELECT name FROM upload") if isinstance(name, bytes)}


def test_a_blob_goes_when_the_last_that_refers_to_it_goes(db: apsw.Connection) -> None:
    fill(db, 1, 1)
    entry, welcome, info = (put(db, 1, bytes([kind]) * 70_000) for kind in range(3))
    db.execute("UPDATE upload SET claimed = 1")
    db.execute("UPDATE entry SET blob = ?, body = NULL", (entry,))
    db.execute(
        "INSERT INTO inbox (client, sequence, conversation, epoch, start, sender, blob, time) "
        "VALUES (2, 1, 1, 0, 1, 1, ?, ?)",
        (welcome, NOW),
    )
    db.execute("INSERT INTO epoch_state VALUES (1, 0, x'', NULL, ?, 1, 1)", (info,))
    assert sum(list(steps(db)), Swept()).uploads == 0

    db.execute("DELETE FROM inbox")
    assert sum(list(steps(db)), Swept()).uploads == 1
    db.execute("UPDATE epoch_state SET blob = NULL")
    assert sum(list(steps(db)), Swept()).uploads == 1
    assert names(db) == {entry}
    db.execute("DELETE FROM entry")
    assert sum(list(steps(db)), Swept()).uploads == 1
    assert db.execute("SELECT count(*) FROM chunk").fetchall() == [(0,)]


def test_an_upload_nobody_claims_goes_after_a_day(db: apsw.Connection) -> None:
    put(db, 1, b"x" * 70_000)

    assert sum(list(steps(db, days=0.9)), Swept()).uploads == 0
    assert sum(list(steps(db, days=1.1)), Swept()).uploads == 1
    assert db.execute("SELECT count(*) FROM chunk").fetchall() == [(0,)]


def test_uploads_of_days_ago_are_no_reason_to_refuse_new_ones(db: apsw.Connection) -> None:
    for number in range(8):
        put(db, 1, bytes([number]) * 10)
    with pytest.raises(Refusal, match="wait to be used"):
        put(db, 1, b"one too many")

    db.execute("UPDATE upload SET created = created - 100000")
    assert put(db, 1, b"the next day")


def test_a_blob_that_is_half_gone_is_nobodys(db: apsw.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same bytes, uploaded again meanwhile, are whole; and nothing more is taken in one step."""
    data = random.Random(1).randbytes(10 * 65_536)
    put(db, 1, data)
    db.execute("UPDATE upload SET claimed = 1")
    monkeypatch.setattr(expiry, "BLOB_BYTES", 2 * 65_536)
    chunks, seen = "SELECT count(*) FROM chunk", [10]
    for _ in steps(db):
        ((left,),) = db.execute(chunks).fetchall()
        assert isinstance(left, int)
        seen.append(left)
        if left == 6:
            name = put(db, 2, data)
            caller = Caller(2, "user2", 2, "")
            whole = b"".join(
                Blobs(lambda: NOW).get_blob(db, caller, m.GetBlob(name, offset)).data
                for offset in range(0, len(data), 65_536)
            )
            assert whole == data
    assert max(before - after for before, after in itertools.pairwise(seen)) <= 2
    assert names(db) == {hashlib.sha256(data).digest()}


def test_o_06_an_upload_in_crumbs_does_not_hold_up_what_comes_after_it(db: apsw.Connection) -> None:
    caller, blobs = Caller(1, "user1", 1, ""), Blobs(lambda: NOW)
    for offset in range(2_000):
        blobs.put_chunk(db, caller, m.PutChunk(b"u" * 16, offset, 4_000, b"x"))
    db.execute("UPDATE upload SET claimed = 1")
    taken = list(steps(db))
    assert sum(taken, Swept()).uploads == 1
    assert len(taken) <= len(expiry.JOBS) + 2_000 // ROWS
    assert db.execute("SELECT count(*) FROM chunk").fetchall() == [(0,)]


# The file


def test_what_a_flood_left_is_given_back(db: apsw.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expiry, "SPARE_PAGES", 64)
    fill(db, 1, 5_000, size=1_000)
    flooded = int(db.pragma("page_count"))
    for client in range(1, CLIENTS + 1):
        read_to(db, 1, client, 5_000)

    swept = list(steps(db))

    assert max(each.pages for each in swept) <= expiry.PAGES + 1  # and a page of the map of pages
    assert int(db.pragma("page_count")) < flooded // 5
    assert db.pragma("integrity_check") == "ok"


def test_a_small_surplus_stays_for_what_comes_next(db: apsw.Connection) -> None:
    fill(db, 1, 5_000, size=1_000)
    for client in range(1, CLIENTS + 1):
        read_to(db, 1, client, 5_000)

    assert sum(list(steps(db)), Swept()).pages == 0


class Reader:
    """Reads again and again, each time until the next one has begun."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._read, args=(number,)) for number in range(2)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _read(self, number: int) -> None:
        db = open_database(self._path)
        time.sleep(0.002 * number)
        while not self._ended.is_set():
            db.execute("BEGIN")
            db.execute("SELECT count(*) FROM server").fetchall()
            time.sleep(0.004)
            db.execute("ROLLBACK")
        db.close()


def test_the_write_ahead_log_stays_small_though_somebody_always_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without waiting for readers this log grows to all that is written."""
    monkeypatch.setattr("securechat.server.store.checkpoint.LARGE_PAGES", 1_500)
    monkeypatch.setattr("securechat.server.store.checkpoint.WAIT_EVERY", 0.0)
    path = prepare_database(tmp_path / "data")
    log = path.with_name("server.db-wal")
    db = open_database(path)
    with Reader(path):
        largest = 0
        for _ in range(300):
            db.execute(
                "INSERT INTO answer (id, client, name, previous, block, digest, refused, body) "
                "SELECT coalesce(max(id), 0) + 1, 1, 1, 0, 0, x'', 0, randomblob(200000) FROM answer"
            )
            largest = max(largest, log.stat().st_size)
    assert largest < 30_000_000 < 300 * 200_000
    db.close()


def test_a_reader_that_stays_costs_an_attempt_a_second_and_the_log_is_cut_when_it_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securechat.server.store.checkpoint.LARGE_PAGES", 1_100)
    monkeypatch.setattr("securechat.server.store.checkpoint.WAIT_MILLISECONDS", 1)
    path = prepare_database(tmp_path / "data")
    log = path.with_name("server.db-wal")
    now = 100.0
    db, reader = open_database(path), open_database(path)
    bound_log(db, busy_milliseconds=1_000, clock=lambda: now)
    reader.execute("BEGIN; SELECT count(*) FROM server").fetchall()
    insert = "INSERT INTO answer VALUES (?, 1, 1, 0, 0, x'', 0, zeroblob(200000))"
    for number in range(120):
        db.execute(insert, (number,))
    assert log.stat().st_size > KEPT_BYTES

    reader.execute("ROLLBACK")
    now += 1.0
    for number in range(120, 123):
        db.execute(insert, (number,))

    assert log.stat().st_size <= KEPT_BYTES
    db.close()
    reader.close()
