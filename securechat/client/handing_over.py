"""A hand-over: where there is no archive, who lets a device in writes all that it has, for that one to read.

The segments are as those of the archive, under a box of their own; its list names the devices it is for,
and for which of them all is written. So one that was interrupted goes on, two that come at once each get
theirs, and none is emptied before the last has read it, or a day has passed (docs/decisions/0019).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import apsw
import msgspec

from securechat.client import archive_rows, records
from securechat.client.archive_format import MAX_ASKERS, Asker, Manifest
from securechat.client.archiving import Archive, Stand, anew_where_newer
from securechat.client.errors import FileRefused, RefusedByServer
from securechat.client.events import Notice

LIES_THERE: Final = "handed_over"
"""The counter that is not 0 while there is, as far as we know, a hand-over at the server."""

AWAITED: Final = "history_awaited"
"""The counter of a device that was linked: when that was, in seconds since 1970; 0 once it waits no longer
for what was said before."""

LATE: Final = "history_late"
"""The counter that is 1 once its owner was told that not all of it is here."""

KEPT_SECONDS: Final = 86_400
"""For which a hand-over waits for the device that it is for, and that one for it."""

HANDS_OVER: Final = "the archive is off: this device hands all it has of the history to the new one, once"
HANDED_OVER: Final = (
    "all this device has of the history lies at the server for the new one, sealed: it is deleted once that"
    " has read it, or after a day"
)
HANDED_IN_PART: Final = (
    "the server takes no more of the history that is handed to the new device: it gets the older part of it"
)
NOT_HANDED: Final = (
    "the history was not handed to a new device within a day; /archive on, and it reads all of it there"
)


@dataclass(slots=True)
class HandOver:
    """One device's part in it; ``archive`` is of the box `PASSED`. Nothing here runs twice at once."""

    archive: Archive

    async def give(self, now: int) -> None:
        """Write what devices that were let in here still wait for. Raises as `Archive.round`.

        :param now: seconds since 1970
        """
        late = [each for each in owed(self._db) if abs(now - each.since) > KEPT_SECONDS]
        if late:
            with self.archive.changes.change() as change:
                forget_owed(change.db, late)
                change.tell(Notice("archive", NOT_HANDED))
        if owed(self._db):
            await anew_where_newer(self._give)

    async def take(self) -> bool:
        """Read what there is; whether that is all that is meant for us. Raises as `Archive.round`."""
        return await anew_where_newer(self._take) or False

    async def let_go(self, before: int) -> None:
        """Delete what is there for devices that were let in before then. Raises as `Archive.round`."""
        await anew_where_newer(lambda: self._let_go(before))

    @property
    def lies_there(self) -> bool:
        """Whether there may be one at the server."""
        return records.counter(self._db, LIES_THERE) > 0

    @property
    def _db(self) -> apsw.Connection:
        return self.archive.changes.db

    async def _give(self) -> None:
        archive, wanting = self.archive, owed(self._db)
        stand = await self._look()
        archive.clean(stand.manifest)
        stand = await self._announce(stand, wanting)
        await archive.read(stand.manifest)
        said = HANDED_OVER
        try:
            await archive.write(stand)
        except (FileRefused, RefusedByServer) as refused:
            if isinstance(refused, RefusedByServer) and refused.code != "quota":
                raise
            said = HANDED_IN_PART
        stand = await archive.look()
        ready = {each.device for each in wanting}
        await self._list(stand, lambda each: msgspec.structs.replace(each, ready=True), ready)
        with archive.changes.change() as change:
            forget_owed(change.db, wanting)
            change.tell(Notice("archive", said))

    async def _announce(self, stand: Stand, wanting: list[Asker]) -> Stand:
        """Say for whom this is, so that nobody empties it meanwhile."""
        listed = {each.device for each in stand.manifest.askers}
        new = [each for each in wanting if each.device not in listed]
        if not new:
            return stand
        askers = (*stand.manifest.askers, *new)[-MAX_ASKERS:]
        stand = await self._put(stand, msgspec.structs.replace(stand.manifest, askers=askers))
        self.archive.tell(Notice("archive", HANDS_OVER))
        return stand

    async def _list(self, stand: Stand, changed: Callable[[Asker], Asker], devices: set[str]) -> None:
        askers = tuple(changed(each) if each.device in devices else each for each in stand.manifest.askers)
        await self._put(stand, msgspec.structs.replace(stand.manifest, askers=askers))

    async def _look(self) -> Stand:
        """Read the list; where it lacks what we knew to be there, all is to be written again."""
        archive, db = self.archive, self._db
        stand = await archive.look()
        known = archive_rows.known_segments(db, archive.box)
        if not known or not known <= stand.manifest.files:
            with archive.changes.change() as change:
                archive_rows.write_all_again(change.db)
        return stand

    async def _take(self) -> bool:
        archive = self.archive
        stand = await archive.look()
        await archive.read(stand.manifest)
        me = archive.device.client
        if not any(each.device == me and each.ready for each in stand.manifest.askers):
            return False
        with archive.changes.change() as change:
            wait_no_longer(change.db)
            records.set_counter(change.db, LIES_THERE, 1)  # until we know that it is seen to
        await self._keep_for(stand, tuple(each for each in stand.manifest.askers if each.device != me))
        return True

    async def _let_go(self, before: int) -> None:
        stand = await self.archive.look()
        self.archive.clean(stand.manifest)
        askers = tuple(each for each in stand.manifest.askers if each.since > before)
        if askers != stand.manifest.askers or (stand.manifest.segments and not askers):
            await self._keep_for(stand, askers)
        else:
            self._note(stand.manifest)

    async def _keep_for(self, stand: Stand, askers: tuple[Asker, ...]) -> None:
        if askers:
            await self._put(stand, msgspec.structs.replace(stand.manifest, askers=askers))
        else:
            stand = await self.archive.empty(stand, on=False)
            self._note(stand.manifest)

    async def _put(self, stand: Stand, manifest: Manifest) -> Stand:
        stand = await self.archive.put(stand, manifest)
        self._note(manifest)
        return stand

    def _note(self, manifest: Manifest) -> None:
        lies_there = int(bool(manifest.segments or manifest.askers))
        if lies_there != records.counter(self._db, LIES_THERE):
            with self.archive.changes.change() as change:
                records.set_counter(change.db, LIES_THERE, lies_there)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A device that was linked, and for all it knows has not all that was said before."""

    since: int
    told: bool


# The tables.


def owe(db: apsw.Connection, device: str, now: int) -> None:
    """Note that a device was let in here: it is to have what this one has."""
    db.execute(
        "INSERT INTO owed_device (device, since) VALUES (?, ?)"
        " ON CONFLICT (device) DO UPDATE SET since = excluded.since",
        (device, now),
    )


def owed(db: apsw.Connection) -> list[Asker]:
    rows: Any = db.execute("SELECT device, since FROM owed_device ORDER BY since, device").fetchall()
    return [Asker(device, max(since, 0)) for device, since in rows]


def forget_owed(db: apsw.Connection, these: list[Asker]) -> None:
    for each in these:
        db.execute("DELETE FROM owed_device WHERE device = ? AND since = ?", (each.device, each.since))


def wait(db: apsw.Connection, now: int) -> None:
    """Note that we have just been let in: what was said before is to come."""
    records.set_counter(db, AWAITED, max(now, 1))


def waiting(db: apsw.Connection) -> Waiting | None:
    since = records.counter(db, AWAITED)
    return Waiting(since, told=records.counter(db, LATE) > 0) if since else None


def note_late(db: apsw.Connection) -> None:
    records.set_counter(db, LATE, 1)


def wait_no_longer(db: apsw.Connection) -> None:
    records.set_counter(db, AWAITED, 0)
