"""How long a thread has worked on something, for whoever is charged for it (O-05, O-07)."""

import time
from collections.abc import Callable
from typing import TypeVar

import apsw

T = TypeVar("T")


class Watch:
    """Measures a thread's own time: who waits for the processor is not charged for it."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0

    def timed(self, work: Callable[[apsw.Connection], T]) -> Callable[[apsw.Connection], T]:
        """The same work; once it is done, ``seconds`` says how long it took."""

        def run(db: apsw.Connection) -> T:
            began = time.thread_time()
            try:
                return work(db)
            finally:
                self.seconds = time.thread_time() - began

        return run
