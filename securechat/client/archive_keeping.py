"""When the archive is looked after: soon after something was said, and now and then for what others wrote.

One task of the client does it while there is a connection. It holds up nobody; what goes wrong is told once.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import Final

from securechat.client import archive_rows, boxes, records
from securechat.client.archive_format import ArchiveDamaged, Manifest
from securechat.client.archive_status import ArchiveStatus
from securechat.client.archiving import BOX, PASSED, Archive, BoxIsNewer, turn_archive
from securechat.client.boxes import BoxRefused
from securechat.client.engine import Engine
from securechat.client.errors import ClientError, Disconnected, FileRefused, RefusedByServer, StoreError
from securechat.client.events import Notice
from securechat.client.settings import Setting, is_on
from securechat.client.tasks import Tasks
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

EARLY: Final = (1.0, 5.0, 15.0, 60.0, 300.0)
"""Seconds between the first rounds of a new device: who let it in writes meanwhile what it had not yet."""

HANDED_OVER: Final = "handed_over"
"""The counter with the time (seconds since 1970) at which all of this device's history was handed over."""

BEGAN: Final = "history_began"
"""The counter with the time (seconds since 1970) at which a device that was let in first ran."""

NEW_SECONDS: Final = 3600
"""For which it looks for what the one that let it in hands over."""

KEPT_SECONDS: Final = 86_400
"""For which a hand-over waits for the device that it is for."""


HANDS_OVER: Final = "the archive is off: this device hands all it has of the history to the new one, once"


@dataclass(slots=True)
class Boxes:
    """The account's boxes, as a `Shelf`."""

    engine: Engine

    async def get(self, box: str) -> tuple[int, bytes] | None:
        engine = self.engine
        try:
            return await boxes.get(
                engine.ask, engine.keys.account_secret, user_uri=engine.device.user_uri, box=box
            )
        except BoxRefused as refused:
            raise ArchiveDamaged(str(refused)) from None

    async def put(self, box: str, serial: int, content: bytes) -> None:
        engine = self.engine
        try:
            await boxes.put(
                engine.ask,
                engine.keys.account_secret,
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
    passing: Archive = field(init=False)
    """Of a hand-over, where there is no archive."""
    _tasks: Tasks = field(init=False)
    _called: asyncio.Event = field(default_factory=asyncio.Event)
    _handing: "asyncio.Task[None] | None" = None
    _told: str = ""
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        engine = self.engine
        self._tasks = Tasks(self._trouble)
        self.archive, self.passing = (
            Archive(
                engine.changes,
                engine.device,
                engine.keys.account_secret,
                Boxes(engine),
                engine.ask,
                engine.tell,
                box=box,
            )
            for box in (BOX, PASSED)
        )

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
        """A device was let into the account: see that it has what it may have."""
        if is_on(self.engine.store.db, Setting.ARCHIVE):
            self._called.set()
        else:
            self._handing = self._tasks.spawn(self._hand_over(), "hand-over")

    async def _hand_over(self) -> None:
        async with self._busy:
            self.engine.tell(Notice("archive", HANDS_OVER))
            with self.engine.changes.change() as change:
                records.set_counter(change.db, HANDED_OVER, change.now)
            with contextlib.suppress(BoxIsNewer):  # another device does
                await self.passing.hand_over()

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
        is_new = bool(early)
        if not is_new:
            await self._wait(EVERY)
        while True:
            while self.engine.connected is None:
                await self.engine.stirred()
            wait = EVERY
            self._called.clear()
            try:
                await self.now()
                if not is_on(self.engine.store.db, Setting.ARCHIVE):
                    await self._see_to_hand_over(is_new=is_new)
                self._told = ""
            except (Disconnected, StoreError):
                pass  # the next round goes on
            except ClientError as error:
                self._trouble(error)
                wait = AFTER_TROUBLE
            if early:
                await self._wait(early.pop(0))
            else:
                await self._rest(wait)

    async def _see_to_hand_over(self, *, is_new: bool) -> None:
        """Where there is no archive: read what was handed to us, let go of what nobody has read."""
        db = self.engine.store.db
        handed = records.counter(db, HANDED_OVER)
        async with self._busy:
            if is_new:
                await self.passing.take_over()
            elif handed and abs(self.engine.clock() - handed) > KEPT_SECONDS:
                await self.passing.let_go()
                with self.engine.changes.change() as change:
                    records.set_counter(change.db, HANDED_OVER, 0)

    async def _rest(self, at_least: float) -> None:
        """Wait until there may be something to do."""
        began = time.monotonic()
        await self._wait(at_least)
        while not self._called.is_set() and time.monotonic() - began < LOOK_EVERY and not self._some():
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
        on = is_on(db, Setting.ARCHIVE)
        return not is_on(db, Setting.ARCHIVE_TOLD) or (
            on and bool(archive_rows.to_write(db, limit=1) or archive_rows.strikes(db))
        )

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
