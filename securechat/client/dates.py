"""Whether this machine's date can be believed: held against the server's (C-06).

Dates matter to key packages only: those made or thrown away by a wrong date would lock us out of
every group we are added to later. So while the two clocks are more than a day apart none is made
and none is thrown away, and the user is told. The server's word can delay that, and nothing else.
"""

import time
from collections.abc import Callable
from typing import Final

from securechat.client.device import Clock
from securechat.membership.identity import CLOCK_TOLERANCE

DAY: Final = 86_400.0


UNTIL_THEN: Final = "until they agree, new contacts and invitations may fail"


class Dates:
    """Our clock, and the server's as it was told at the login, carried on by the monotonic clock."""

    def __init__(self, clock: Clock, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._ahead: float | None = None
        """What the server's date has over our monotonic clock."""

    def told(self, server_time: int) -> None:
        """Take note of the server's time (seconds since 1970) at this moment."""
        self._ahead = server_time - self._monotonic()

    @property
    def apart(self) -> float:
        """Seconds that our clock is ahead of the server's; 0 while that is not known."""
        return 0.0 if self._ahead is None else self._clock() - (self._ahead + self._monotonic())

    @property
    def agree(self) -> bool:
        return abs(self.apart) <= CLOCK_TOLERANCE

    def sentence(self) -> str:
        """What to tell a user whose clock does not agree."""
        days = abs(round(self.apart / DAY))
        span = "1 day" if days == 1 else f"{days} days"
        if self.apart > 0:
            return f"this machine's date is {span} ahead of the server's: {UNTIL_THEN}"
        return f"this machine's date is {span} behind the server's: {UNTIL_THEN}"
