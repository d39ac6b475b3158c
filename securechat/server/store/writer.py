"""The one thread that writes: a transaction takes what gathered while the last one ran (Q-02).

A job is judged and done inside the transaction, its answer leaves only after COMMIT has returned,
and COMMIT returns only after the disk has it. Jobs are taken in the order they came. What may be
refused runs in a SAVEPOINT of its own, so one that fails leaves the others alone.

When the database fails, nothing that was in the transaction is answered: the server stops
(``on_failure``) rather than go on with a disk that lies. A full disk is no lie: those jobs are
told so, and the next ones are tried.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Final, Generic, Protocol, TypeVar, cast

import apsw

from securechat.server.counters import Counters
from securechat.server.errors import Refusal, StoreFailed
from securechat.server.faults import internal
from securechat.server.store.sqlite import open_database
from securechat.server.store.transaction import Known, Transaction

MAX_BATCH: Final = 1_024
"""Jobs in one transaction: enough to share a sync, few enough that nobody waits long for one."""

log = logging.getLogger("securechat.server.store")

A = TypeVar("A")
T = TypeVar("T")


class Job(Protocol):
    """Something to be written, and somebody to be told."""

    def run(self, transaction: Transaction) -> None:
        """Judge and write, in the writer's thread; what may be undone goes through ``attempt``."""

    def done(self) -> None:
        """Told on the loop: what was written is on the disk."""

    def undone(self, refusal: Refusal) -> None:
        """Told on the loop: the transaction as a whole was not written."""


class Writer:
    """Owns the writing connection and its thread. All methods are for the loop's thread."""

    def __init__(
        self,
        path: Path,
        *,
        riders: Callable[[], list[Job]],
        on_told: Callable[[], None],
        on_undone: Callable[[], None],
        on_failure: Callable[[StoreFailed], None],
        counters: Counters,
    ) -> None:
        """Start the thread.

        :param riders: gives jobs that nobody waits for and that go with the next transaction
        :param on_told: told on the loop when all jobs of a transaction have been told
        :param on_undone: told in the thread when a transaction was not written
        :param on_failure: told on the loop when nothing will be written any more
        """
        self._path = path
        self._riders = riders
        self._on_told = on_told
        self._on_undone = on_undone
        self._on_failure = on_failure
        self._counters = counters
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[list[Job] | None] = SimpleQueue()
        self._gathered: list[Job] = []
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="securechat-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Queue a job; those of one tick of the loop reach the thread together."""
        if self._closed:
            job.undone(Refusal("busy", "the server stops"))
            return
        if not self._gathered:
            self._loop.call_soon(self.hand_over)
        self._gathered.append(job)

    async def find(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run one function in a transaction, wait until it is on the disk, return what it found.

        :raises Refusal: what the function raised
        """
        waiter: asyncio.Future[T] = self._loop.create_future()
        self.submit(_Awaited(work, waiter))
        return await waiter

    async def close(self) -> None:
        """Finish what was submitted, then end the thread."""
        self.hand_over()
        self._closed = True
        self._queue.put(None)
        await self._loop.run_in_executor(None, self._thread.join)

    def hand_over(self) -> None:
        """Give the thread what has gathered, and what rides along."""
        if gathered := self._gathered + self._riders():
            self._queue.put(gathered)
            self._gathered = []

    def _work(self) -> None:
        try:
            db = open_database(self._path)
        except StoreFailed as error:
            self._fail(error)
            return
        known = Known()
        try:
            while (batch := self._take()) is not None:
                began = time.monotonic()
                refusal, appended = _transact(db, batch, known)
                if refusal is None:
                    self._counters.committed(len(batch), appended, time.monotonic() - began)
                else:
                    self._on_undone()
                self._loop.call_soon_threadsafe(self._tell, batch, refusal)
        except apsw.Error as error:
            self._fail(StoreFailed(f"the database failed: {type(error).__name__}: {error}"))
        except Exception:  # the root of the thread: whatever it is, nothing more is written
            log.exception("the writer failed")
            self._fail(StoreFailed("the writer failed"))
        finally:
            try:
                db.close()
            except apsw.Error as error:  # all that was answered is in its log, where the next start finds it
                log.warning("the database was not closed as it should be: %s", error)

    def _take(self) -> list[Job] | None:
        """Wait for a first job, then take what else is there; None is the end."""
        batch = self._queue.get()
        if batch is None:
            return None
        while len(batch) < MAX_BATCH and not self._queue.empty():
            more = self._queue.get()
            if more is None:
                self._queue.put(None)
                break
            batch = batch + more
        return batch

    def _tell(self, batch: list[Job], refusal: Refusal | None) -> None:
        _tell(batch, refusal)
        self._on_told()

    def _fail(self, error: StoreFailed) -> None:
        log.critical("%s", error)
        self._loop.call_soon_threadsafe(self._on_failure, error)


class _Awaited(Generic[T]):
    """A function whose caller waits for it."""

    __slots__ = ("_found", "_refusal", "_waiter", "_work")

    def __init__(self, work: Callable[[apsw.Connection], T], waiter: "asyncio.Future[T]") -> None:
        self._work = work
        self._waiter = waiter
        self._found: T | None = None
        self._refusal: Refusal | None = None

    def run(self, transaction: Transaction) -> None:
        self._refusal = attempt(transaction, self._attempt)

    def done(self) -> None:
        if self._waiter.cancelled():
            return
        if self._refusal is not None:
            self._waiter.set_exception(self._refusal)
        else:
            self._waiter.set_result(cast("T", self._found))

    def undone(self, refusal: Refusal) -> None:
        self._refusal = refusal
        self.done()

    def _attempt(self, db: apsw.Connection) -> None:
        self._found = self._work(db)


def _transact(db: apsw.Connection, batch: list[Job], known: Known) -> tuple[Refusal | None, int]:
    """Run a batch in one transaction; a refusal says that none of it was written, else how many messages."""
    try:
        db.execute("BEGIN IMMEDIATE")
        known.look(db)
        transaction = Transaction(db, known)
        for job in batch:
            job.run(transaction)
        transaction.write()
        db.execute("COMMIT")
    except (apsw.FullError, apsw.BusyError) as error:
        known.forget()
        if not db.get_autocommit():
            db.execute("ROLLBACK")
        log.error("nothing was written: %s", error)  # noqa: TRY400 - the reason is SQLite's, not in our stack
        return Refusal("busy", "the server cannot write now"), 0
    return None, transaction.appended


_DATABASE_FAILED: Final = (
    apsw.FullError,
    apsw.IOError,
    apsw.CorruptError,
    apsw.NoMemError,
    apsw.ReadOnlyError,
)


def attempt(transaction: Transaction, work: Callable[[apsw.Connection], object]) -> Refusal | None:
    """Run one job in a SAVEPOINT; what it wrote is undone when it refuses.

    A mistake of ours (anything but a failing database) is undone too, and told as ``internal``.
    """
    transaction.settle()
    db = transaction.db
    db.execute("SAVEPOINT job")
    refusal = judged(db, work)
    if refusal is not None:
        db.execute("ROLLBACK TO job")
    db.execute("RELEASE job")
    return refusal


def judged(arguments: A, work: Callable[[A], object]) -> Refusal | None:
    """Call one job's work; return its refusal, ``internal`` for a mistake of ours; raise a failing disk's."""
    try:
        work(arguments)
    except Refusal as refusal:
        return refusal
    except _DATABASE_FAILED:
        raise
    except Exception as error:  # noqa: BLE001 - a job's root: the other jobs of the batch go on
        return internal(log, "writing a request", error)
    return None


def _tell(batch: list[Job], refusal: Refusal | None) -> None:
    for job in batch:
        try:
            if refusal is None:
                job.done()
            else:
                job.undone(refusal)
        except Exception as error:  # noqa: BLE001 - a job's root: the other jobs of the batch are told
            internal(log, "telling of a request", error)
