"""What the counters were a while ago, so that somebody can be told what happened lately."""

import asyncio
import math
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from securechat.server import security_log
from securechat.server.counters import Counters
from securechat.server.status import RecentStatus

TICK: Final = 1.0
"""Seconds between two timers; how late one comes is how far the loop is behind."""

TICKS_PER_LOOK: Final = 10
KEPT: Final = 31
"""Looks: five minutes of them."""


@dataclass(frozen=True, slots=True)
class Look:
    """Some counters at one moment of the loop's clock."""

    at: float
    messages: int = 0
    logins: int = 0
    logins_failed: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    limited: Counter[str] = field(default_factory=Counter)


class Lately:
    """Looks at the counters every ten seconds and at the clock every second; for the loop's thread."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._looks: deque[Look] = deque(maxlen=KEPT)
        self._lags: deque[float] = deque(maxlen=(KEPT - 1) * TICKS_PER_LOOK)
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def worst_lag(self) -> float:
        """Seconds by which the latest timer of the last minutes was late."""
        return max(self._lags, default=0.0)

    def start(self) -> None:
        self._tick(asyncio.get_running_loop().time())

    def _tick(self, due: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = loop.call_at(now + TICK, self._tick, now + TICK)  # first: whatever fails, it goes on
        self._lags.append(max(0.0, now - due))
        if self._ticks % TICKS_PER_LOOK == 0:
            self._take_look(now)
        self._ticks += 1

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _take_look(self, now: float) -> None:
        """Keep a look, and say which rates have refused somebody since the last: once, not each time."""
        new = self._look(now)
        old = self._looks[-1].limited if self._looks else Counter[str]()
        for rule, times in (new.limited - old).items():
            security_log.tell("limited", rule=rule, times=times)
        self._looks.append(new)

    def recent(self, now: float) -> RecentStatus:
        """Compare now with the oldest look that is kept."""
        new = self._look(now)
        old = self._looks[0] if self._looks else Look(now)
        seconds = max(new.at - old.at, 1.0)
        return RecentStatus(
            seconds=round(seconds, 1),
            messages_per_minute=round((new.messages - old.messages) * 60 / seconds, 1),
            logins=new.logins - old.logins,
            logins_failed=new.logins_failed - old.logins_failed,
            refused=dict(new.refused - old.refused),
            limited=dict(new.limited - old.limited),
        )

    def _look(self, at: float) -> Look:
        counters = self._counters
        return Look(
            at,
            counters.messages,
            counters.logins,
            counters.logins_failed,
            Counter(counters.connections_refused),
            Counter(counters.limited),
        )


def percentile(values: list[float], part: float) -> float:
    """The value that ``part`` of them do not exceed (nearest rank); 0.0 of none."""
    if not values:
        return 0.0
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]
