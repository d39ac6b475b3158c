"""The archive of an account and this device become the same: what is new on either side goes to the other.

A round looks at the list (the box "archive"), reads the segments that are not here, the last first, takes
out what was withdrawn, and writes what is not there. Every step is stored before the next: after a kill
anywhere the next round goes on. The list is a compare-and-set, so of two devices that write at once one
looks again, finds what the other wrote, and adds what is still missing (docs/decisions/0019).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

import apsw
import msgspec

from securechat.client import archive_rows, records, transfers
from securechat.client.archive_arriving import Arriving
from securechat.client.archive_files import Ask, SegmentGone, get_segment, put_segment
from securechat.client.archive_format import (
    FULL,
    MAX_SEGMENTS,
    ArchiveDamaged,
    Entry,
    Manifest,
    Segment,
    decode_manifest,
    decode_segment,
    encode_manifest,
    encode_segment,
    entry_of,
    open_segment,
    seal_segment,
)
from securechat.client.change import Changes
from securechat.client.device import Device
from securechat.client.errors import ClientError, FileRefused
from securechat.client.events import Event, HistoryMoved, Notice
from securechat.client.settings import Setting, is_on, turn
from securechat.client.threads import in_thread
from securechat.membership.renewal import Secrets

BOX: Final = "archive"

PASSED: Final = "transfer"
"""The box of a hand-over (`handing_over`)."""

SERIAL: Final = "_serial"
"""Behind a box's name: the counter with its last serial; an older one is a server that went back, or lies."""

SEEN_IN: Final = "_incarnation"
"""Behind a box's name: the counter with the server's incarnation then. One that was restored has an older
list and says so; each box finds that out for itself."""

BATCH: Final = 100
"""Records taken in one transaction: some 10 ms in which nothing else is done."""

MAX_RACES: Final = 8
"""Times that a round begins anew because another device was faster."""

SMALL: Final = 64 * 1024
"""Bytes: what every file counts at least. A smaller segment is always written anew with what follows."""

TURNED_ON: Final = "another device of yours turned the archive on"
TURNED_OFF: Final = "another device of yours turned the archive off: what the server had of it is deleted"

SPREAD: Final = 86_400
"""Seconds by which devices may differ on when something was said."""

T = TypeVar("T")


class BoxIsNewer(ClientError):
    """The box has another serial than the one that was to be replaced."""


class Shelf(Protocol):
    """A sealed box of the account, by its label: what `client/boxes.py` has."""

    async def get(self, box: str) -> tuple[int, bytes] | None:
        """Return its serial and content; None if nothing was ever put there."""
        ...

    async def put(self, box: str, serial: int, content: bytes) -> None:
        """Put it in the place of what has the serial before.

        :raises BoxIsNewer: another device did so first
        """
        ...


@dataclass(slots=True)
class Stand:
    """The list as it stands at the server."""

    serial: int
    manifest: Manifest


@dataclass(slots=True)
class Archive:
    """One account's archive, as a device keeps it. ``secrets``: the account's, of which every key comes."""

    changes: Changes
    device: Device
    secrets: Callable[[], Awaitable[Secrets]]
    shelf: Shelf
    ask: Ask
    tell: Callable[[Event], None]
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    box: str = BOX
    stand: Stand | None = None
    """As it was last seen."""
    bad: set[bytes] = field(default_factory=set)
    """Segments that the server does not have, or not as they were put there: left alone, and said once."""

    async def round(self) -> None:
        """Do all there is to do.

        :raises ArchiveDamaged: what the server has is not what we wrote: nothing was taken, nothing written
        :raises RefusedByServer, FileRefused: no more of it is taken
        """
        await anew_where_newer(self._round)

    async def _round(self) -> None:
        stand = await self.look()
        if not await self._is_wanted(stand):
            return
        self.clean(stand.manifest)
        await self.read(stand.manifest)
        await self.write(stand)

    async def look(self) -> Stand:
        """Read the list; raises as `round`."""
        db = self.changes.db
        found = await self.shelf.get(self.box)
        serial, manifest = (0, Manifest()) if found is None else (found[0], decode_manifest(found[1]))
        seen, incarnation = self.seen, records.counter(db, records.INCARNATION)
        restored = incarnation != records.counter(db, self.box + SEEN_IN)
        if serial < seen and not restored:
            raise ArchiveDamaged(
                f"the server shows an older list of the archive ({serial}) than it had before ({seen})"
            )
        self.stand = Stand(serial, manifest)
        if serial != seen or restored:
            with self.changes.change() as change:
                if restored and self.box == BOX and self._lacks(serial, manifest):
                    # What it has lost with the list goes there again, whoever has written others since.
                    archive_rows.write_all_again(change.db)
                    archive_rows.strike_all_again(change.db)
                records.set_counter(change.db, self.box + SERIAL, serial)
                records.set_counter(change.db, self.box + SEEN_IN, incarnation)
        return self.stand

    def _lacks(self, serial: int, manifest: Manifest) -> bool:
        """Whether a list did not follow on what was seen last: then all is read, and held to it, anew."""
        known = archive_rows.known_segments(self.changes.db, self.box)
        return serial < self.seen or not known <= manifest.files

    @property
    def seen(self) -> int:
        """The serial of the list that was seen last; 0: none ever was."""
        return records.counter(self.changes.db, self.box + SERIAL)

    async def write(self, stand: Stand) -> Stand:
        """Write all that is not there, and take out what was withdrawn. Raises as `round`, and BoxIsNewer."""
        stand = await self._strike(stand)
        while rows := await self._gather():
            stand = await self._write(stand, rows)
        return stand

    async def empty(self, stand: Stand, *, on: bool) -> Stand:
        """Have the list name nothing, and let go of what it named. Raises as `write`."""
        gone = stand.manifest.files
        with self.changes.change() as change:
            for file in gone:
                archive_rows.note_upload(change.db, self.box, file)
        stand = await self.put(stand, Manifest(on=on))
        with self.changes.change() as change:
            for file in gone:
                archive_rows.forget_upload(change.db, file)
                transfers.let_go(change.db, file)
            if self.box == BOX:
                archive_rows.write_all_again(change.db)
            archive_rows.keep_known(change.db, self.box, frozenset())
        return stand

    # On and off.

    async def _is_wanted(self, stand: Stand) -> bool:
        """Whether there is to be an archive: the last word of any device of the account counts."""
        db = self.changes.db
        on = is_on(db, Setting.ARCHIVE)
        if on is stand.manifest.on:
            if not is_on(db, Setting.ARCHIVE_TOLD):
                with self.changes.change() as change:
                    turn(change.db, Setting.ARCHIVE_TOLD, on=True)
            if not on:
                self.clean(stand.manifest)
            return on
        if is_on(db, Setting.ARCHIVE_TOLD):  # another device has turned it
            with self.changes.change() as change:
                turn(change.db, Setting.ARCHIVE, on=stand.manifest.on)
                archive_rows.write_all_again(change.db)
                change.tell(Notice("archive", TURNED_ON if stand.manifest.on else TURNED_OFF))
            if not stand.manifest.on:
                self.clean(stand.manifest)
            return stand.manifest.on
        stand = await self.empty(stand, on=on)
        with self.changes.change() as change:
            turn(change.db, Setting.ARCHIVE_TOLD, on=True)
        if on:
            raise BoxIsNewer
        self.clean(stand.manifest)
        return False

    def clean(self, manifest: Manifest) -> None:
        """Let go of what was uploaded and never came into the list."""
        begun = archive_rows.uploads(self.changes.db, self.box)
        known = archive_rows.known_segments(self.changes.db, self.box)
        if not begun and known <= manifest.files:
            return
        with self.changes.change() as change:
            for file in begun:
                if file not in manifest.files:
                    transfers.let_go(change.db, file)
                archive_rows.forget_upload(change.db, file)
            archive_rows.keep_known(change.db, self.box, manifest.files)

    # From there to here.

    async def read(self, manifest: Manifest) -> None:
        known = archive_rows.known_segments(self.changes.db, self.box)
        missing = [each for each in reversed(manifest.segments) if each.file not in known | self.bad]
        done, oldest, new = manifest.count - sum(each.count for each in missing), 0, 0
        for number, entry in enumerate(missing, 1):
            new += await self._take(entry)
            done += entry.count
            oldest = min(oldest or entry.oldest, entry.oldest)
            if new:
                finished = number == len(missing)
                self.tell(HistoryMoved(done, manifest.count, oldest, finished=finished))

    async def _take(self, entry: Entry) -> int:
        """Take all of a segment; return how much of it was new here."""
        segment = await self._fetch(entry)
        if segment is None:
            return 0
        arriving = Arriving(self.device, segment)
        new = 0
        for end in range(len(segment.records), 0, -BATCH):
            with self.changes.change() as change:
                new += arriving.take(change, segment.records[max(0, end - BATCH) : end]).new
            await self.pause(0)
        with self.changes.change() as change:
            archive_rows.note_known(change.db, self.box, entry.file)
        return new

    async def _fetch(self, entry: Entry) -> Segment | None:
        """Return a segment; None if the server does not have it as it was put there, which is said.

        :raises BoxIsNewer: another device has put others in its place meanwhile
        """
        secrets = await self.secrets()
        try:
            sealed = await get_segment(self.ask, entry)
            return await in_thread(_opened, secrets, entry, sealed)
        except (ArchiveDamaged, SegmentGone) as problem:
            found = await self.shelf.get(self.box)
            if found is not None and self.stand is not None and found[0] > self.stand.serial:
                raise BoxIsNewer from None
            self.bad.add(entry.file)
            about = f"{entry.count} messages of the archive were not taken: {problem}"
            self.tell(Notice("archive_damaged", about))
            return None

    # From here to there.

    async def _write(self, stand: Stand, rows: list[archive_rows.Row]) -> Stand:
        """Write some messages: a segment of their own, or one with what the last small ones had."""
        kept, taken, before = list(stand.manifest.segments), list[Entry](), list[Segment]()
        size = sum(row.size for row in rows)
        while self.box == BOX and kept and kept[-1].file not in self.bad and _goes_with(kept[-1], size):
            segment = await self._fetch(kept[-1])
            if segment is None:
                break
            taken.append(kept.pop())
            before.insert(0, segment)
            size += taken[-1].size
        if len(kept) >= MAX_SEGMENTS:
            raise FileRefused(f"the archive is full: it has {MAX_SEGMENTS} segments")
        db = self.changes.db
        places = {number: archive_rows.place_of(db, number) for number in {row.conversation for row in rows}}
        segment = await in_thread(archive_rows.segment_of, rows, places, before)
        entry = await self._upload(segment, instead_of=taken)
        stand = await self.put(stand, _listing(stand.manifest, [*kept, entry]))
        await self._note(entry, gone=taken, rows=rows)
        return stand

    async def _gather(self) -> list[archive_rows.Row]:
        """Return what makes one segment."""
        rows: list[archive_rows.Row] = []
        while sum(row.size for row in rows) < FULL:
            after = rows[-1].local_id if rows else archive_rows.FIRST
            some = archive_rows.to_write(self.changes.db, after=after, limit=BATCH)
            rows += some
            if len(some) < BATCH:
                break
            await self.pause(0)
        return rows

    async def _strike(self, stand: Stand) -> Stand:
        """Write the segments anew that may have words which were withdrawn."""
        struck = archive_rows.strikes(self.changes.db)
        if not struck:
            return stand
        ids = frozenset(struck)
        for entry in stand.manifest.segments:
            if not any(entry.oldest - SPREAD <= time <= entry.newest + SPREAD for time in struck.values()):
                continue
            segment = await self._fetch(entry) if entry.file not in self.bad else None
            left = archive_rows.without(segment, ids) if segment is not None else None
            if segment is None or left is None or len(left.records) == len(segment.records):
                continue
            new = await self._upload(left, instead_of=[entry])
            listed = [new if each.file == entry.file else each for each in stand.manifest.segments]
            stand = await self.put(stand, _listing(stand.manifest, listed))
            await self._note(new, gone=[entry], rows=[])
        with self.changes.change() as change:
            archive_rows.note_struck(change.db, ids)
        return stand

    async def _upload(self, segment: Segment, *, instead_of: list[Entry]) -> Entry:
        content = await in_thread(encode_segment, segment)
        entry = entry_of(segment, len(content))
        # Asked for here: since the list was read, whoever has the last one may have been removed.
        pieces = await in_thread(seal_segment, (await self.secrets()).newest, entry, content)
        with self.changes.change() as change:
            for each in (entry, *instead_of):
                archive_rows.note_upload(change.db, self.box, each.file)
        await put_segment(self.ask, entry, pieces)
        return entry

    async def put(self, stand: Stand, manifest: Manifest) -> Stand:
        await self.shelf.put(self.box, stand.serial + 1, encode_manifest(manifest))
        self.stand = Stand(stand.serial + 1, manifest)
        with self.changes.change() as change:
            records.set_counter(change.db, self.box + SERIAL, self.stand.serial)
        return self.stand

    async def _note(self, entry: Entry, *, gone: list[Entry], rows: list[archive_rows.Row]) -> None:
        """The list has it: what is in it is archived, and what it takes the place of goes."""
        for at in range(0, len(rows), BATCH):
            with self.changes.change() as change:
                archive_rows.note_written(change.db, rows[at : at + BATCH])
            await self.pause(0)
        with self.changes.change() as change:
            archive_rows.note_known(change.db, self.box, entry.file)
            archive_rows.forget_upload(change.db, entry.file)
            for each in gone:
                archive_rows.forget_known(change.db, each.file)
                archive_rows.forget_upload(change.db, each.file)
                transfers.let_go(change.db, each.file)


async def anew_where_newer(work: Callable[[], Awaitable[T]]) -> T | None:
    """Do a piece of work, and begin it anew where another device has changed the list; raises what it raises.

    :returns: None where others were faster every time: the next round goes on
    """
    for _ in range(MAX_RACES):
        with contextlib.suppress(BoxIsNewer):
            return await work()
    return None


def turn_archive(db: apsw.Connection, *, on: bool) -> None:
    """Have the account keep an archive, or no longer; every device follows with its next round."""
    if on is not is_on(db, Setting.ARCHIVE):
        turn(db, Setting.ARCHIVE, on=on)
        turn(db, Setting.ARCHIVE_TOLD, on=not is_on(db, Setting.ARCHIVE_TOLD))


def _goes_with(last: Entry, size: int) -> bool:
    """Whether a segment is written anew with what comes behind it: each byte so only some times in all."""
    return last.size + size <= FULL and last.size <= max(2 * size, SMALL)


def _opened(secrets: Secrets, entry: Entry, sealed: bytes) -> Segment:
    """Blocks: for threads. What was sealed before the account's secret was made anew opens under that one."""
    for secret in secrets.older:
        with contextlib.suppress(ArchiveDamaged):
            return decode_segment(open_segment(secret, entry, sealed))
    return decode_segment(open_segment(secrets.newest, entry, sealed))


def _listing(manifest: Manifest, segments: list[Entry]) -> Manifest:
    return msgspec.structs.replace(manifest, segments=tuple(segments))
