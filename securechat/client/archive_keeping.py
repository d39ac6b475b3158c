"""When the archive is looked after: soon after something was said, and now and then for what others wrote.

One task of the client does it while there is a connection. It holds up nobody; what goes wrong is told once.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import Final

from securechat.client import archive_rows, boxes, handing_over, records
from securechat.client.account_secret import NotPassedOn
from securechat.client.archive_format import ArchiveDamaged, Manifest
from securechat.client.archive_status import ArchiveStatus
from securechat.client.archiving import BOX, PASSED, Archive, BoxIsNewer, turn_archive
from securechat.client.boxes import BoxRefused
from securechat.client.engine import Engine
from securechat.client.errors import ClientError, Disconnected, FileRefused, RefusedByServer, StoreError
from securechat.client.events import Notice
from securechat.client.handing_over import KEPT_SECONDS, HandOver
from securechat.client.settings import Setting, is_on
from securechat.client.tasks import Tasks
from securechat.membership.renewal import Secrets
from securechat.membership.statement import StatementRefused, verify_statement
from securechat.text import sanitise

EVERY: Final = 60.0
"""Seconds between two rounds while things are said: what a lost device may cost."""

LOOK_EVERY: Final = 3600.0
"""Seconds between two rounds where nothing is: another device may have written what is not here."""

AFTER_TROUBLE: Final = 900.0
"""Seconds until a server is asked again that refused, or showed what we did not write."""

AT_CLOSE: Final = 64
"""Messages that are written before the account is closed here; fewer wait for the next start."""

CLOSE_SECONDS: Final = 5.0
HANDING_SECONDS: Final = 60.0
"""For which whoever leaves waits for a hand-over that is under way."""

EARLY: Final = (1.0, 5.0, 15.0, *[EVERY] * 6)
"""Seconds between the first rounds of a new device: who let it in writes meanwhile what it had not yet.

None is longer than what a lost device may cost: it has something to write, too.
"""

BEGAN: Final = "history_began"
"""The counter with the time (seconds since 1970) at which a device that was let in first ran."""

NEW_SECONDS: Final = 3600
"""For which it looks often for what the one that let it in hands over; then now and then, for a day."""

NOT_YET: Final = (
    "what was said before is not all here yet: the archive is off, so it comes while the device that let this"
    " one in is online"
)
NEVER_CAME: Final = (
    "what was said before did not all come: the archive is off, and no device of yours handed it over within"
    " a day; /archive on, on one that has it, gives it to all"
)


@dataclass(slots=True)
class Boxes:
    """The account's boxes, as a `Shelf`."""

    engine: Engine

    async def get(self, box: str) -> tuple[int, bytes] | None:
        try:
            return await self.engine.secrets.opened(box)
        except BoxRefused as refused:
            raise ArchiveDamaged(str(refused)) from None

    async def secrets(self) -> Secrets:
        """Return the account's secrets, as they are now; raises as `get`."""
        try:
            return await self.engine.secrets.current()
        except BoxRefused as refused:
            raise ArchiveDamaged(str(refused)) from None

    async def put(self, box: str, serial: int, content: bytes) -> None:
        engine = self.engine
        try:
            await boxes.put(
                engine.ask,
                await self.secrets(),
                content,
                user_uri=engine.device.user_uri,
                box=box,
                serial=serial,
            )
        except RefusedByServer as refused:
            if refused.code != "stale_box":
                raise
            raise BoxIsNewer from None


@dataclass(slots=True)
class ArchiveKeeper:
    """Looks after one account's archive. Start it, close it before the engine."""

    engine: Engine
    archive: Archive = field(init=False)
    passing: HandOver = field(init=False)
    """Where there is no archive."""
    _tasks: Tasks = field(init=False)
    _called: asyncio.Event = field(default_factory=asyncio.Event)
    _handing: "asyncio.Task[None] | None" = None
    _told: str = ""
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        engine, shelf = self.engine, Boxes(self.engine)
        self._tasks = Tasks(self._trouble)
        self.archive, passing = (
            Archive(
                engine.changes,
                engine.device,
                shelf.secrets,
                shelf,
                engine.ask,
                engine.tell,
                box=box,
            )
            for box in (BOX, PASSED)
        )
        self.passing = HandOver(passing)

    def start(self) -> None:
        if self.engine.keys.account_secret:
            self._tasks.spawn(self._keep(), "archive")

    async def close(self) -> None:
        """Write what is much or asked for, if that can be done soon; the rest waits for the next start."""
        if self._handing is not None:
            await asyncio.wait([self._handing], timeout=HANDING_SECONDS)
        if self.engine.connected is not None and (self._much() or self._called.is_set()):
            with contextlib.suppress(TimeoutError, ClientError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self.now()
        await self._tasks.close()

    async def now(self) -> None:
        """Do a round.

        :raises ClientError: what was in its way
        """
        async with self._busy:
            await self.archive.round()

    def let_in(self) -> None:
        """A device was let into the account: see that it has what it may have, without delay."""
        if is_on(self.engine.store.db, Setting.ARCHIVE):
            self._called.set()
        else:
            self._handing = self._tasks.spawn(self._hand_over(), "hand-over")

    async def _hand_over(self) -> None:
        async with self._busy:
            await self.passing.give(int(self.engine.clock()))

    async def look(self) -> None:
        """Read the list; raises as `now`."""
        async with self._busy:
            await self.archive.look()

    def turn(self, *, on: bool) -> None:
        """Have the account keep an archive or not; what is there goes with the next round, at once."""
        with self.engine.changes.change() as change:
            turn_archive(change.db, on=on)
        self._called.set()

    def status(self) -> ArchiveStatus:
        db, stand = self.engine.store.db, self.archive.stand
        manifest = stand.manifest if stand is not None else Manifest()
        return ArchiveStatus(
            on=is_on(db, Setting.ARCHIVE),
            seen=stand is not None,
            messages=manifest.count,
            bytes=manifest.size,
            waiting=archive_rows.waiting(db) if is_on(db, Setting.ARCHIVE) else 0,
        )

    async def _keep(self) -> None:
        early = list(EARLY) if self._is_new() else []
        if not early and not handing_over.owed(self.engine.store.db):
            await self._wait(EVERY)
        while True:
            while self.engine.connected is None:
                await self.engine.stirred()
            wait = await self.look_after()
            if early:
                await self._wait(early.pop(0))
            else:
                await self._rest(wait)

    async def look_after(self) -> float:
        """Do a round, and tell what was in its way; return in how many seconds the next one may be due."""
        self._called.clear()
        try:
            await self.now()
            await self._see_to_hand_over()
            self._told = ""
        except (Disconnected, NotPassedOn, StoreError):
            pass  # the next round goes on
        except ClientError as error:
            self._trouble(error)
            return AFTER_TROUBLE
        return EVERY

    async def _see_to_hand_over(self) -> None:
        """Where there is no archive: hand over what is owed, read what is for us, let go of what is old."""
        db, passing, now = self.engine.store.db, self.passing, int(self.engine.clock())
        async with self._busy:
            if not is_on(db, Setting.ARCHIVE):
                await passing.give(now)
                await self._take(now)
                if passing.lies_there:
                    await passing.let_go(now - KEPT_SECONDS)
                return
            if self._waits() or handing_over.owed(db):  # all of it comes by the archive
                with self.engine.changes.change() as change:
                    handing_over.wait_no_longer(change.db)
                    handing_over.forget_owed(change.db, handing_over.owed(change.db))
            if passing.lies_there:
                await passing.let_go(now)

    async def _take(self, now: int) -> None:
        """Take what was handed over for this device, or say that it did not come."""
        waiting = handing_over.waiting(self.engine.store.db)
        if waiting is None:
            return
        all_came = await self.passing.take()
        over = all_came or abs(now - waiting.since) > KEPT_SECONDS
        late = abs(now - waiting.since) > NEW_SECONDS and not waiting.told
        if over or late:
            with self.engine.changes.change() as change:
                if over:
                    handing_over.wait_no_longer(change.db)
                else:
                    handing_over.note_late(change.db)
                if not all_came:
                    change.tell(Notice("archive", NEVER_CAME if over else NOT_YET))

    async def _rest(self, at_least: float) -> None:
        """Wait until there may be something to do."""
        began, longest = time.monotonic(), AFTER_TROUBLE if self._waits() else LOOK_EVERY
        await self._wait(at_least)
        while not self._called.is_set() and time.monotonic() - began < longest and not self._some():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self.engine.stirred()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._called.wait()

    def _is_new(self) -> bool:
        """Whether this device has just come to an account that was there before."""
        engine = self.engine
        try:
            is_first = verify_statement(engine.keys.statement).serial <= 1
        except StatementRefused:
            is_first = True
        began = records.counter(engine.store.db, BEGAN)
        if not is_first and not began:
            with engine.changes.change() as change:
                records.set_counter(change.db, BEGAN, max(change.now, 1))
        return not is_first and (not began or abs(engine.clock() - began) < NEW_SECONDS)

    def _some(self) -> bool:
        db = self.engine.store.db
        if not is_on(db, Setting.ARCHIVE_TOLD) or handing_over.owed(db):
            return True
        on = is_on(db, Setting.ARCHIVE)
        return on and bool(archive_rows.to_write(db, limit=1) or archive_rows.strikes(db))

    def _waits(self) -> bool:
        """Whether there may still come what was said before this device."""
        return handing_over.waiting(self.engine.store.db) is not None

    def _much(self) -> bool:
        db = self.engine.store.db
        return is_on(db, Setting.ARCHIVE) and len(archive_rows.to_write(db, limit=AT_CLOSE)) >= AT_CLOSE

    def _trouble(self, error: Exception) -> None:
        text = _sentence(error)
        if text != self._told:
            self._told = text
            self.engine.tell(Notice("archive", text))


def _sentence(error: Exception) -> str:
    if isinstance(error, RefusedByServer) and error.code == "quota":
        return (
            "the archive at the server is full: what is said from now on is not in it, and stays on this"
            " device; `archive off` deletes it"
        )
    if isinstance(error, ArchiveDamaged | FileRefused | RefusedByServer):
        return f"the archive was left as it is: {sanitise(str(error))}"
    return "something failed here; it is in the log"
