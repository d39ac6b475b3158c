"""Gives memory back to the system after a crowd has gone (O-01).

What was freed lies in holes between what is still used, and glibc keeps it: after 10,000 handshakes that came
to nothing, hundreds of MiB. Asked to, it gives the holes back, about 10 ms for 100 MiB.
"""

import ctypes
import functools
from collections.abc import Callable
from typing import Final

CROWD: Final = 256
"""Connections that must have gone since the last time; fewer are not worth the walk through the heap."""


class Crowd:
    """Watches how many there are; says when so many have gone that their memory is worth asking for."""

    def __init__(self) -> None:
        self._most = 0

    def grew(self, count: int) -> None:
        self._most = max(self._most, count)

    def has_gone(self, count: int) -> bool:
        """Whether ``CROWD`` have gone from the most there were; then counting begins anew."""
        gone = self._most - count >= CROWD
        if gone:
            self._most = count
        return gone


def give_back() -> None:
    """Let go of freed memory, where the C library can; releases the GIL meanwhile."""
    trim = _trim()
    if trim is not None:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):  # another C library
        return None
