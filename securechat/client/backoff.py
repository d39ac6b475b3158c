"""How long to wait before the next attempt: exponential, with full jitter.

Full jitter (a uniform draw between nothing and the bound) spreads a thousand clients of a server
that comes back; equal delays would bring them back together.
"""

import random
from typing import Final

FIRST_SECONDS: Final = 0.5
"""The bound of the first delay: a server that only restarts is found again at once."""

LONGEST_SECONDS: Final = 60.0
"""The bound of every delay: somebody who comes home waits half a minute on average."""

_DOUBLINGS: Final = 16
"""More than enough to reach the longest; keeps the power small."""


class Backoff:
    """The delays of one series of failures."""

    def __init__(self, source: random.Random) -> None:
        self._source = source
        self._failures = 0

    def next(self, *, at_least: float = 0.0) -> float:
        """Return the next delay in seconds; ``at_least`` is what the other side asked for."""
        bound = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(self._failures, _DOUBLINGS))
        self._failures += 1
        return at_least + self._source.uniform(0, bound)

    def reset(self) -> None:
        """Begin anew after a success."""
        self._failures = 0
