"""Threads that read and judge: each with a connection of its own, none of them waits for the writer."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import apsw

from securechat.server.store.sqlite import open_for_reading

THREADS: Final = 2
"""One may check a large tree while the other answers."""

T = TypeVar("T")


class Readers:
    """Runs functions over a snapshot of what is committed."""

    def __init__(self, path: Path, *, threads: int = THREADS) -> None:
        self._path = path
        self._local = threading.local()
        self._opened: list[apsw.Connection] = []
        self._pool = ThreadPoolExecutor(threads, "securechat-reader")

    async def run(self, work: Callable[[apsw.Connection], T]) -> T:
        """Run ``work`` in one read transaction, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._run, work)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        for db in self._opened:
            with contextlib.suppress(apsw.Error):
                db.close()

    def _connection(self) -> apsw.Connection:
        """Open this thread's at its first work, not as the pool's initializer.

        One that fails breaks a pool for good, and a disk that can't be read now may be mended.
        """
        db: apsw.Connection | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = open_for_reading(self._path)
            self._opened.append(db)
        return db

    def _run(self, work: Callable[[apsw.Connection], T]) -> T:
        db = self._connection()
        db.execute("BEGIN")
        try:
            return work(db)
        finally:
            db.execute("ROLLBACK")
