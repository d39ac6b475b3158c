"""Attachments: sealed files of up to a gigabyte, put and read piece by piece (docs/decisions/0011).

Who uploads one draws its id; to know it is the right to read it. The bytes lie in files
(`attachment_disk`), what is known of them in the database (`attachment_rows`). Both are touched in
threads of this module's own, so neither the loop nor who reads a log waits for a slow disk, and the
writer is asked only when a file begins, every ``SYNC_EVERY`` bytes, and when it is whole. What this keeps
in memory is how far uploads have come since then; a crash takes them back to what was synced.
"""

import asyncio
import errno
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from securechat.protocol.limits import MAX_CHUNK
from securechat.protocol.messages import (
    Answer,
    DeleteFile,
    Done,
    FilePiece,
    FileStored,
    GetFile,
    PutFile,
    RequestBody,
)
from securechat.server import attachment_rows as rows
from securechat.server.attachment_disk import FOLDER, Disk
from securechat.server.attachment_rows import Row
from securechat.server.config import DAY, Quotas, ServerConfig
from securechat.server.counters import Counters
from securechat.server.errors import Refusal
from securechat.server.fair_turns import FairTurns
from securechat.server.faults import internal, survived
from securechat.server.quota import DiskSpace, disk_full
from securechat.server.store.reader import Readers
from securechat.server.store.writer import Writer
from securechat.server.values import Caller, Clock

SYNC_EVERY: Final = 8 * 1024 * 1024
"""Bytes a power loss may take back from an upload that goes on; each such sync is a transaction too."""

THREADS: Final = 3
"""One may wait for a sync while the others read and write."""

NOBODY: Final = 0
"""Whose turn it is when the server works for itself."""

MAX_UPLOADS: Final = 10_000
"""Uploads of which is known how far they are beyond what was synced; about 5 MiB. The oldest goes first."""

AT_ONCE: Final = 64
"""Files deleted between two transactions."""

LOOKED_EVERY: Final = float(DAY)
"""Seconds between two searches for files that the database does not know."""

CLOSE_SECONDS: Final = 5
"""How long a stop waits for pieces that are being written."""

NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

T = TypeVar("T")

log = logging.getLogger("securechat.server.attachments")


@dataclass(slots=True)
class Upload:
    """An attachment that is being uploaded; ``received`` may be ahead of what is synced."""

    row: Row
    received: int
    synced: int


@dataclass(slots=True)
class _Place:
    """Who puts or deletes one attachment does so alone: two connections may bring it, or one take it away."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    wanted: int = 0


class Attachments:
    """For the loop's thread, which it never keeps."""

    def __init__(
        self,
        config: ServerConfig,
        database: Path,
        writer: Writer,
        *,
        now: Clock,
        aging: Clock,
        counters: Counters,
    ) -> None:
        """``aging``: by which things grow old (`steady_clock`)."""
        self._limits = config.quotas
        self._kept = config.retention.files_days * DAY
        self._disk = Disk(config.data / FOLDER)
        floor = (floor_of(config.quotas) + config.quotas.free_bytes) // 2
        self.space = DiskSpace(config.data, floor, free=lambda _: self._disk.room())
        """Looked at before each piece: what has begun has its place, and goes on where nothing begins."""
        self._threads = Readers(database, threads=THREADS)
        self._writer = writer
        self._now = now
        self._aging = aging
        self._counters = counters
        self._uploads: dict[bytes, Upload] = {}
        self._places: dict[bytes, _Place] = {}
        self._turns = FairTurns(THREADS)
        self._running: set[asyncio.Task[Any]] = set()
        self._closed = False
        self._looked = float("-inf")
        self.moving: dict[type[RequestBody], Callable[[Caller, Any], Awaitable[Answer]]] = {
            PutFile: self.put,
            GetFile: self.get,
            DeleteFile: self.delete,
        }
        """What answers which request."""

    async def close(self) -> None:
        """Finish the pieces that are being written; take nothing more."""
        self._closed = True
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
        await asyncio.get_running_loop().run_in_executor(None, self._threads.close)

    async def put(self, caller: Caller, body: PutFile) -> FileStored:
        """Add a piece, and say where the attachment stands.

        :raises Refusal: ``bad_request``, ``forbidden``, ``quota``, ``busy``, ``no_file``
        """
        return await self._whole(self._put(caller, body))

    async def get(self, caller: Caller, body: GetFile) -> FilePiece:
        """Read a piece.

        :raises Refusal: ``no_file``, ``gone``
        """
        # Whoever it is: the id is the right.
        piece = await self._run(lambda db: self._read(db, body), caller.account)
        self._counters.file_bytes_sent += len(piece.data)
        return piece

    async def delete(self, caller: Caller, body: DeleteFile) -> Done:
        """Let go of an attachment; its place is free when this returns.

        :raises Refusal: ``forbidden``, ``busy``
        """
        await self._whole(self._delete(caller, body))
        return Done()

    async def drop(self, account: int) -> int:
        """Let go of all attachments of an account; return how many."""
        count = 0
        while going := await self._writer.find(functools.partial(rows.let_go_of_all, account=account)):
            count += going
            await self.sweep(lambda _seconds: 0.0)
        return count

    async def sweep(self, pause: Callable[[float], float]) -> int:
        """Delete the files of what has had its time; return how many.

        :param pause: seconds to wait after a step that took so many
        """
        count = last = 0
        while found := await self._run(functools.partial(rows.going, after=last, limit=AT_ONCE)):
            began = time.perf_counter()
            last = found[-1][0]  # one that does not go now is tried at the next sweep
            count += await self._bury(found)
            await asyncio.sleep(pause(time.perf_counter() - began))
        if time.monotonic() - self._looked > LOOKED_EVERY:
            self._looked = time.monotonic()
            count += await self._sweep_unknown(pause)
        return count

    async def _whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Do what is not left half done when a connection ends."""
        if self._closed:
            work.close()
            raise Refusal("busy", "the server stops")
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(task)

    @asynccontextmanager
    async def _alone(self, name: bytes) -> AsyncIterator[None]:
        place = self._places.setdefault(name, _Place())
        place.wanted += 1
        try:
            async with place.lock:
                yield
        finally:
            place.wanted -= 1
            if not place.wanted:
                del self._places[name]

    async def _delete(self, caller: Caller, body: DeleteFile) -> None:
        row = await self._writer.find(lambda db: rows.let_go(db, caller, body.file))
        if row is not None:
            await self._bury([(row.id, body.file)])

    async def _put(self, caller: Caller, body: PutFile) -> FileStored:
        async with self._alone(body.file):
            upload = self._uploads.get(body.file) or await self._find(caller, body)
            if upload.row.account != caller.account:
                raise Refusal("forbidden", "this file is somebody else's")
            if upload.row.total != body.total:
                raise Refusal("bad_request", "a file's total does not change")
            end = body.offset + len(body.data)
            if end > body.total and body.offset == upload.received:
                raise Refusal("bad_request", "a piece ends within the total")
            if body.data and body.offset == upload.received:
                await self._add(upload, body, end)
            goes = 0 if upload.row.is_kept else upload.row.created + self._kept
            return FileStored(upload.received, goes)

    async def _add(self, upload: Upload, body: PutFile, end: int) -> None:
        sync = end == body.total or end - upload.synced >= SYNC_EVERY
        try:
            write = functools.partial(self._disk.write, body.file, body.offset, body.data, sync=sync)
            await self._run(lambda _db: write(), upload.row.account)
        except FileNotFoundError:
            self._uploads.pop(body.file, None)
            raise Refusal("no_file") from None
        except OSError as error:
            # What was written since the last sync may be lost: the next piece asks the disk.
            self._uploads.pop(body.file, None)
            raise _disk_failed(error) from None
        if sync:
            try:
                await self._writer.find(lambda db: rows.note_synced(db, upload.row.id, end))
            except Refusal:
                self._uploads.pop(body.file, None)
                raise
            upload.synced = end
        upload.received = end
        self._counters.file_bytes_received += len(body.data)
        if end == body.total:
            self._uploads.pop(body.file, None)

    async def _find(self, caller: Caller, body: PutFile) -> Upload:
        """An upload that memory does not know: begun now, before a restart, or whole."""
        row = await self._run(lambda db: rows.find(db, body.file), caller.account)
        if row is None:
            row = await self._begin(caller, body)
        if row.is_going:
            raise Refusal("no_file")
        if row.is_whole or row.account != caller.account:
            return Upload(row, row.synced, row.synced)
        try:
            kept = await self._run(lambda _db: self._disk.prepare(body.file, row.synced), caller.account)
        except OSError as error:
            raise _disk_failed(error) from None
        if len(self._uploads) >= MAX_UPLOADS:
            self._forget_one()
        upload = self._uploads[body.file] = Upload(row, kept, kept)
        return upload

    def _forget_one(self) -> None:
        """The oldest that nobody writes to: what is written is counted by whoever writes."""
        for name in self._uploads:
            if name not in self._places:
                del self._uploads[name]
                return

    async def _begin(self, caller: Caller, body: PutFile) -> Row:
        room = await self._run(lambda _db: self._disk.room(), caller.account) - floor_of(self._limits)
        begin = functools.partial(rows.begin, limits=self._limits, room=room, now=self._now())
        return await self._writer.find(lambda db: begin(db, caller, body.file, body.total, is_kept=body.kept))

    def _read(self, db: apsw.Connection, body: GetFile) -> FilePiece:
        """In a thread."""
        row = rows.find(db, body.file)
        if row is None or not row.is_whole:
            raise Refusal("no_file")
        try:
            data = self._disk.read(body.file, body.offset, MAX_CHUNK) if body.offset < row.total else b""
        except FileNotFoundError:
            raise Refusal("gone", "the server was restored without this file") from None
        except OSError as error:
            raise _disk_failed(error) from None
        return FilePiece(row.total, body.offset, data)

    async def _bury(self, found: list[tuple[int, bytes]]) -> int:
        """Delete files, then their rows: a crash in between does it again. Return how many went."""
        gone = []
        for row, name in found:
            async with self._alone(name):
                self._uploads.pop(name, None)
                if await self._run(functools.partial(self._removed, name=name)):
                    gone.append(row)
        await self._writer.find(lambda db: rows.forget(db, gone))
        return len(gone)

    def _removed(self, _db: apsw.Connection, name: bytes) -> bool:
        """In a thread. A file that cannot be removed keeps its row, and the others from nothing."""
        try:
            self._disk.remove(name)
        except OSError as error:
            survived(self._counters, log, "files", error)
            return False
        return True

    async def _sweep_unknown(self, pause: Callable[[float], float]) -> int:
        """Delete old files without a row: a power loss brought them back, or an older database was put back.

        Not the new ones: somebody may have put the wrong copy back, and notice.
        """
        count = 0
        for folder in await self._run(lambda _db: self._disk.folders()):
            began = time.perf_counter()
            count += await self._run(functools.partial(self._remove_unknown, folder=folder))
            await asyncio.sleep(pause(time.perf_counter() - began))
        return count

    def _remove_unknown(self, db: apsw.Connection, folder: Path) -> int:
        """In a thread."""
        try:
            found = rows.unknown(db, self._disk.older_than(folder, self._aging() - self._kept))
        except OSError as error:
            survived(self._counters, log, "files", error)
            return 0
        return sum(self._removed(db, name) for name in found)

    async def _run(self, work: Callable[[apsw.Connection], T], account: int = NOBODY) -> T:
        """Do what blocks, in a thread, when it is the account's turn."""
        async with self._turns.of(account):
            return await self._threads.run(work)


def floor_of(limits: Quotas) -> int:
    """Bytes that attachments leave free; never fewer than everything else does."""
    return max(limits.files_free_bytes, limits.free_bytes)


def _disk_failed(error: OSError) -> Refusal:
    if error.errno in NO_SPACE:
        return disk_full()
    return internal(log, "an attachment", error)
