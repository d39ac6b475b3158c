"""Moves the write-ahead log into the database, and keeps it small while somebody always reads.

SQLite's own way is to try after a commit, as far as readers allow, and to begin the log anew once
nobody reads from it. Under readers that overlap without end that moment never comes, and the log grows
as fast as is written. So once it is large, the writer waits for those who read, which is short.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

import apsw

MOVE_PAGES: Final = 1_000
"""Pages of the log from which on a commit moves them: SQLite's own number, 4 MiB."""

LARGE_PAGES: Final = 8_192
"""32 MiB, where one begins to wait for readers."""

WAIT_MILLISECONDS: Final = 100
"""How long a commit may wait for readers: they take milliseconds, but for a judge of large commits."""

WAIT_EVERY: Final = 1.0
"""Seconds between two such attempts: a reader that stays long, a backup, costs a tenth of the time."""

KEPT_BYTES: Final = 16 * 1024 * 1024
"""What the log's file is cut to when it begins anew."""

log = logging.getLogger("securechat.server.store")


def bound_log(
    db: apsw.Connection, *, busy_milliseconds: int, clock: Callable[[], float] = time.monotonic
) -> None:
    """Have a writing connection look after the log; ``busy_milliseconds`` is its timeout otherwise."""
    db.pragma("journal_size_limit", KEPT_BYTES)
    tried = -WAIT_EVERY

    def committed(db: apsw.Connection, _name: str, pages: int) -> int:
        nonlocal tried
        if pages < MOVE_PAGES:
            return apsw.SQLITE_OK
        wait = pages >= LARGE_PAGES and clock() - tried >= WAIT_EVERY
        try:
            if wait:
                tried = clock()
                db.set_busy_timeout(WAIT_MILLISECONDS)
            db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART if wait else apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.BusyError:
            pass  # somebody reads for long; the next attempt comes
        except apsw.Error as error:  # what was committed is in the log, and stays there
            log.warning("the write-ahead log could not be moved: %s", error)
        finally:
            if wait:
                db.set_busy_timeout(busy_milliseconds)
        return apsw.SQLITE_OK

    db.set_wal_hook(committed)
