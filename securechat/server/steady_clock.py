"""The date by which things grow old: it goes no faster than time does (C-06).

A date that is set wrong, ten years on, would make everything that waits older than it may get: one
round of retention, and acknowledged messages are gone that nobody has fetched. So a date that has
leapt forward is not believed before it has stood for a day of uptime; until then things age by the
monotonic clock, which nobody sets. A server that was off for months waits that day too.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from securechat.server.config import DAY
from securechat.server.store.sqlite import open_for_reading
from securechat.server.values import Clock

LEAP: Final = DAY
"""Seconds ahead of what is expected from which on a date has leapt; and how long it has to stand."""

log = logging.getLogger("securechat.server.clock")


class SteadyClock:
    """Called like any clock; keep one and ask it often."""

    def __init__(self, now: Clock, known: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin.

        :param known: the last date that was believed (seconds since 1970); 0: none is known
        """
        self._now = now
        self._monotonic = monotonic
        self._date = known or now()
        self._up = monotonic()
        self._leapt: float | None = None

    def __call__(self) -> int:
        date, up = self._now(), self._monotonic()
        expected = self._date + int(up - self._up)
        if date > expected + LEAP:
            if self._leapt is None:
                self._leapt = up
                days = (date - expected) // DAY
                log.warning("the date has leapt %d days on: nothing ages by it before it stood for one", days)
            if up - self._leapt < LEAP:
                return expected
        self._date, self._up, self._leapt = date, up, None
        return date


def last_known(database: Path) -> int:
    """Return the newest date in the log of a server's database; 0 if there is none."""
    db = open_for_reading(database)
    try:
        row = db.execute("SELECT time FROM entry ORDER BY id DESC LIMIT 1").fetchone()
    finally:
        db.close()
    return int(row[0]) if row is not None else 0
