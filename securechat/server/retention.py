"""Lets go of what has had its time, a little at a time (rules.md A, Retention; O-06).

The work is in ``expiry``; here are the times, the rounds and the pace. A round goes through all of it
in steps, each a job of the writer among others, with pauses between them so that it takes a small
share of the writer's time whatever there is to do. Where a round stands is in memory only: one that
is cut off begins anew, and finds less.
"""

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import apsw

from securechat.membership.identity import CLOCK_TOLERANCE
from securechat.server import config
from securechat.server.attachment_rows import OPEN_SECONDS
from securechat.server.blobs import KEPT_SECONDS
from securechat.server.config import DAY
from securechat.server.counters import Counters
from securechat.server.errors import Refusal
from securechat.server.expiry import JOBS
from securechat.server.faults import survived
from securechat.server.store.writer import Writer
from securechat.server.swept import Cutoffs, Swept
from securechat.server.values import Clock

FIRST_AFTER: Final = 20.0
"""Seconds from the start to the first round: clients that come back go first."""

EVERY: Final = 300.0
"""Seconds between the end of a round and the next."""

SHARE: Final = 10
"""A step is followed by a pause of so many times its length: a tenth of the writer's time at most."""

MIN_PAUSE: Final = 0.02

Pause = Callable[[float], float]
"""Seconds to wait after a step that took so many."""

log = logging.getLogger("securechat.server.retention")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a round stands: at which job, after which row."""

    job: int = 0
    after: int = 0

    def skipped(self) -> "Place | None":
        """Where the next job begins; None after the last."""
        return Place(self.job + 1) if self.job + 1 < len(JOBS) else None


class Retention:
    """Knows the times. Holds nothing else, so rounds may cross."""

    def __init__(self, times: config.Retention, now: Clock) -> None:
        self._times = times
        self._now = now

    def step(self, db: apsw.Connection, place: Place) -> tuple[Swept, Place | None]:
        """Do one bounded piece of work inside a transaction; return where the next begins (None: done)."""
        step = JOBS[place.job](db, self.cutoffs(), place.after)
        if step.after is not None:
            return step.swept, Place(place.job, step.after)
        return step.swept, place.skipped()

    def cutoffs(self) -> Cutoffs:
        now, times = self._now(), self._times
        handshakes = now - times.handshakes_seconds
        return Cutoffs(
            now=now,
            messages=now - times.messages_days * DAY,
            handshakes=handshakes,
            welcomes=now - times.welcomes_days * DAY,
            key_packages=now - CLOCK_TOLERANCE,
            uploads=now - KEPT_SECONDS,
            files=now - times.files_days * DAY,
            open_files=now - OPEN_SECONDS,
            answers=handshakes,
        )


class Sweeper:
    """The task that sweeps. For the loop's thread."""

    def __init__(
        self,
        writer: Writer,
        retention: Retention,
        *,
        counters: Counters,
        files: Callable[[Pause], Awaitable[int]] | None = None,
        first_after: float = FIRST_AFTER,
        every: float = EVERY,
    ) -> None:
        """Both times are seconds. ``files`` deletes those of attachments that go."""
        self._writer = writer
        self._retention = retention
        self._counters = counters
        self._files = files
        self._first_after = first_after
        self._every = every
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._rounds(), name="retention")

    async def close(self) -> None:
        """Stop between two steps; call it before the writer is closed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def sweep_now(self) -> Swept:
        """Go through everything without pauses.

        :raises Refusal: the database could not be written now
        """
        return await self._round(lambda _seconds: 0.0)

    async def _rounds(self) -> None:
        await asyncio.sleep(self._first_after)
        while True:
            try:
                await self._round(lambda seconds: max(MIN_PAUSE, seconds * SHARE))
            except Refusal as refusal:  # a full disk: the next round tries again
                log.warning("not all was let go of: %s", refusal)
            except Exception as error:  # noqa: BLE001 - a task's root: without it nothing would ever go again
                survived(self._counters, log, "retention", error)
            await asyncio.sleep(self._every)

    async def _round(self, pause: Pause) -> Swept:
        """Go through all of it: what cannot be done keeps nothing else from being done."""
        swept, refused = Swept(), None
        place: Place | None = Place()
        while place is not None:
            started, step = time.perf_counter(), functools.partial(self._retention.step, place=place)
            following = place.skipped()
            try:
                gone, following = await self._writer.find(step)
            except Refusal as refusal:
                refused, gone = refusal, Swept()
                if refusal.refused.code == "busy":  # a full disk takes no job, but files can leave it
                    following = None
            place = following
            self._counters.entries_expired += gone.expired
            swept += gone
            if place is not None:
                await asyncio.sleep(pause(time.perf_counter() - started))
        if self._files is not None:
            swept += Swept(files=await self._files(pause))
        if swept != Swept():
            log.info("let go of: %s", swept)
        if refused is not None:
            raise refused
        return swept
