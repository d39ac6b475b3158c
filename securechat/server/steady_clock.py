"""A date that goes on as time does, whatever somebody sets (C-06).

A machine's date can be wrong for a while: a dead battery, a mistyped year, a time server that lies.
Believed at once, ten years on would make all that waits older than it may get, and ten years back would
stamp what comes now with a date that is too old once the right one returns: either way a round of
retention later acknowledged messages are gone that nobody has fetched. So a date that leaps by more
than a day is not believed before it has stood for a day of uptime; until then the date goes on by the
monotonic clock, which nobody sets.

A server has two of these. By one it stamps and judges: it begins with the machine's date, if that is
not before what the log has. By the other things grow old: it begins with what the log has, so that a
start by a wrong date lets go of nothing; a server that was off for months waits its day too.
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
"""Seconds from what is expected from which on a date has leapt; and how long it has to stand."""

log = logging.getLogger("securechat.server.clock")


class SteadyClock:
    """Called like any clock; keep one and ask it often, from any thread."""

    def __init__(self, now: Clock, known: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Begin.

        :param known: the last date that was believed (seconds since 1970); 0: none is known
        """
        self._now = now
        self._monotonic = monotonic
        self._believed = (known or now(), monotonic())
        """A date, and the uptime at that moment; one value, for threads that look at it together."""
        self._leapt: tuple[int, float] | None = None
        """The same of a leap that is not believed yet."""

    def __call__(self) -> int:
        date, up = self._now(), self._monotonic()
        known, since = self._believed
        expected = known + int(up - since)
        if abs(date - expected) <= LEAP:
            self._believed, self._leapt = (date, up), None
            return date
        return self._leap(date, up, expected)

    def _leap(self, date: int, up: float, expected: int) -> int:
        first, since = self._leapt or (date, up)
        if self._leapt is None or abs(date - (first + int(up - since))) > LEAP:
            since = up
            self._leapt = (date, up)
            where = "on" if date > expected else "back"
            log.warning(
                "the date has leapt %d days %s: it is believed once it has stood for a day",
                abs(date - expected) // DAY,
                where,
            )
        if up - since < LEAP:
            return expected
        self._believed, self._leapt = (date, up), None
        return date


def last_known(database: Path) -> int:
    """Return the newest date in the log of a server's database; 0 if there is none."""
    db = open_for_reading(database)
    try:
        row = db.execute("SELECT time FROM entry ORDER BY id DESC LIMIT 1").fetchone()
    finally:
        db.close()
    return int(row[0]) if row is not None else 0
