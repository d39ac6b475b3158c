"""The thread that writes, by itself: what is submitted is told once, whatever ends it (Q-02, C-04, S-04)."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from msgspec import Raw

from securechat.protocol.messages import Appended, Refused, SendMessage
from securechat.protocol.server_connection import Requested
from securechat.server.counters import Counters
from securechat.server.errors import Refusal, StoreFailed
from securechat.server.named import NamedJob, is_new
from securechat.server.store import writer as writer_module
from securechat.server.store.sqlite import open_database, prepare_database
from securechat.server.store.transaction import Known, Standing, Transaction
from securechat.server.store.writer import Job, Writer, _Awaited, _transact, attempt
from securechat.server.values import Caller, Decision, GroupPush, InboxPush

ALICE = Caller(1, "alice", 1, "one")


class Noted:
    """A job that says what became of it, and does what it is told in the thread."""

    def __init__(self, said: list[str], name: str, work: Callable[[Transaction], object] = id) -> None:
        self._said = said
        self._name = name
        self._work = work

    def run(self, transaction: Transaction) -> None:
        self._work(transaction)

    def done(self) -> None:
        self._said.append(f"{self._name} done")

    def undone(self, refusal: Refusal) -> None:
        self._said.append(f"{self._name} {refusal.refused.code}")


class Asker:
    """Who asked: keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []

    def decided(self, _request_id: int, answer: bytes) -> None:
        self.told.append(answer)

    def declined(self, _request_id: int, refused: Refused) -> None:
        self.told.append(refused.code)

    def push(self, pushes: tuple[GroupPush | InboxPush, ...]) -> None:
        raise AssertionError(pushes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = prepare_database(tmp_path / "data")
    db = open_database(path)
    db.execute(
        "INSERT INTO account (user, salt, login_hash, account_key, statement, created) "
        "VALUES ('alice', '', '', '', '', 1)"
    )
    db.execute(
        "INSERT INTO client (account, name, device_key, credential, created) VALUES (1, 'one', '', '', 1)"
    )
    db.close()
    return path


def writer_on(path: Path, failures: list[StoreFailed] | None = None) -> Writer:
    return Writer(
        path,
        riders=list,
        on_told=lambda: None,
        on_undone=lambda: None,
        on_failure=([] if failures is None else failures).append,
        counters=Counters(),
    )


async def test_what_was_submitted_before_the_end_is_written_and_nothing_after(path: Path) -> None:
    said: list[str] = []
    writer, started, go_on = writer_on(path), threading.Event(), threading.Event()

    def slow(_: Transaction) -> None:
        started.set()
        assert go_on.wait(20)

    writer.submit(Noted(said, "first", slow))
    await asyncio.to_thread(started.wait, 20)
    writer.submit(Noted(said, "second"))
    await asyncio.sleep(0)  # handed over, behind the first
    writer.submit(Noted(said, "third"))
    closing = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    writer.submit(Noted(said, "late"))
    go_on.set()
    async with asyncio.timeout(20):
        await closing
    await asyncio.sleep(0)
    assert said == ["late busy", "first done", "second done", "third done"]


async def test_jobs_that_gather_while_one_is_written_share_a_transaction(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[int] = []
    real = _transact

    def count(db: apsw.Connection, batch: list[Job], known: Known) -> tuple[Refusal | None, int]:
        batches.append(len(batch))
        return real(db, batch, known)

    monkeypatch.setattr(writer_module, "_transact", count)
    monkeypatch.setattr(writer_module, "MAX_BATCH", 3)
    said: list[str] = []
    writer, started, go_on = writer_on(path), threading.Event(), threading.Event()

    def slow(_: Transaction) -> None:
        started.set()
        assert go_on.wait(20)

    writer.submit(Noted(said, "0", slow))
    await asyncio.to_thread(started.wait, 20)
    for number in range(1, 6):
        writer.submit(Noted(said, str(number)))
        await asyncio.sleep(0)
    go_on.set()
    await writer.close()
    await asyncio.sleep(0)
    assert said == [f"{number} done" for number in range(6)]
    assert batches == [1, 3, 2]


async def test_how_long_transactions_took_is_counted(path: Path) -> None:
    counters = Counters()
    writer = Writer(
        path,
        riders=list,
        on_told=lambda: None,
        on_undone=lambda: None,
        on_failure=lambda _: None,
        counters=counters,
    )
    began = asyncio.get_running_loop().time()
    await writer.find(lambda _: None)
    await writer.close()
    assert 0 < counters.transaction_seconds <= asyncio.get_running_loop().time() - began


async def test_a_mistake_in_the_thread_is_told_as_the_end(path: Path) -> None:
    """A job that fails outside of its savepoint leaves nobody knows what behind."""
    failures: list[StoreFailed] = []
    said: list[str] = []
    writer = writer_on(path, failures)
    writer.submit(Noted(said, "wrong", lambda _: 1 / 0))
    async with asyncio.timeout(20):
        while not failures:  # noqa: ASYNC110 - told by a callback of the loop
            await asyncio.sleep(0.005)
    await writer.close()
    assert str(failures[0]) == "the writer failed"
    assert said == []


def test_c_04_who_finds_the_database_taken_tries_again_later(path: Path) -> None:
    db, other = open_database(path), open_database(path)
    db.set_busy_timeout(0)
    known = Known()
    known.clients[1] = Standing(9, 0, 0, 0)
    other.execute("BEGIN IMMEDIATE")
    refusal, _ = _transact(db, [], known)
    assert refusal is not None
    assert refusal.refused.code == "busy"
    assert known.clients == {}
    other.execute("ROLLBACK")
    assert _transact(db, [], known) == (None, 0)


def test_a_refused_job_leaves_those_beside_it_alone(path: Path) -> None:
    def write(db: apsw.Connection) -> None:
        db.execute("UPDATE client SET seen = seen + 1")

    def write_and_refuse(db: apsw.Connection) -> None:
        write(db)
        raise Refusal("quota")

    db, told = open_database(path), []
    jobs: list[Job] = [
        Noted([], "job", lambda transaction, work=work: told.append(attempt(transaction, work)))  # type: ignore[misc]
        for work in (write, write_and_refuse, write)
    ]
    assert _transact(db, jobs, Known()) == (None, 0)
    assert [None if refusal is None else refusal.refused.code for refusal in told] == [None, "quota", None]
    assert db.execute("SELECT seen FROM client").get == 2


def job_named(name: int, asker: Asker, *, raw: bytes = b"raw") -> NamedJob:
    requested = Requested(1, name, SendMessage(b"g" * 16, 0, b"x"), Raw(raw))
    return NamedJob(asker, ALICE, requested, quick=lambda *_: Decision(Appended(name), ()))


def test_q_05_what_is_sent_twice_in_one_transaction_is_decided_once(path: Path) -> None:
    db, askers = open_database(path), [Asker() for _ in range(4)]
    jobs = [
        job_named(1, askers[0]),
        job_named(1, askers[1]),
        job_named(1, askers[2], raw=b"other"),
        job_named(3, askers[3]),
    ]
    assert _transact(db, list(jobs), Known()) == (None, 0)
    for job in jobs:
        job.done()
    assert askers[0].told == askers[1].told != []
    assert [asker.told for asker in askers[2:]] == [["conflict"], ["out_of_order"]]
    assert db.execute("SELECT high_water FROM client").get == 1


def test_q_05_only_a_name_that_is_not_decided_is_judged(path: Path) -> None:
    db = open_database(path)
    db.execute("UPDATE client SET high_water = 1")
    assert [is_new(db, ALICE, name) for name in (1, 2)] == [False, True]
    assert is_new(db, Caller(1, "alice", 99, "gone"), 1)


async def test_c_04_who_waits_for_what_was_not_written_is_told() -> None:
    waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    _Awaited(lambda _: None, waiter).undone(Refusal("busy"))
    assert waiter.done()
    assert str(waiter.exception()) == "busy"
