"""python -m tests.faults.planted server ...: the server with a fault planted: it answers before it commits.

A harness that does not catch this one proves nothing.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from unittest import mock

from securechat.cli.main import main
from securechat.server.named import NamedJob
from securechat.server.store.transaction import Transaction

LATE: Final = 0.02
"""Seconds between the answer and the commit."""


@contextmanager
def early_answers(late: float = 0.0) -> Iterator[None]:
    """A request is answered when it has been judged, and committed afterwards."""
    begin, run, done = NamedJob.__init__, NamedJob.run, NamedJob.done
    told: set[NamedJob] = set()
    loops: list[asyncio.AbstractEventLoop] = []

    def begun(job: NamedJob, *arguments: object, **named: object) -> None:
        loops[:] = [asyncio.get_running_loop()]
        begin(job, *arguments, **named)  # type: ignore[arg-type]

    def early(job: NamedJob, transaction: Transaction) -> None:
        run(job, transaction)
        if job._quick is None:
            return  # the tale is to begin well: only messages are answered early
        answered = threading.Event()
        loops[0].call_soon_threadsafe(_tell, lambda: NamedJob.done(job), answered)
        answered.wait(5)
        time.sleep(late)

    def once(job: NamedJob) -> None:
        if job not in told:
            told.add(job)
            done(job)

    with (
        mock.patch.object(NamedJob, "__init__", begun),
        mock.patch.object(NamedJob, "run", early),
        mock.patch.object(NamedJob, "done", once),
    ):
        yield


def _tell(answer: Callable[[], None], answered: threading.Event) -> None:
    answer()
    answered.set()


if __name__ == "__main__":
    with early_answers(LATE):
        main()
