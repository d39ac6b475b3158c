"""A disk that forgets: a VFS for SQLite that knows what was synced and what was only written (C-03).

Below a folder that is given to it, a `Disk` keeps for each file what is on the platter, and in
order what was written since the last sync. `Disk.after_power_loss` returns what could be found
there if the power failed now: any of the unsynced writes may be missing, torn at a sector or have
overtaken others; files that were made or deleted without a sync of their folder may be back or gone.
What the file system orders itself it keeps in order: the names in a folder (a journal does that),
and two writes to the same sector.

The same disk fails on request: `Disk.operation` is called before everything that happens to a
file, and may raise what SQLite should find (`full`, `io_error`).

The VFS lies below the one that encrypts (``multipleciphers-...``), so it sees what a disk would.
"""

import functools
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, assert_never

import apsw

SECTOR: Final = 512
PREFIX: Final = 0.3
"""How often everything after some write is missing, as on a disk that keeps an order."""

NAME: Final = "faulty"
BELOW: Final = "unix"

CREATES: Final = apsw.SQLITE_OPEN_CREATE
SYNCS_ITS_FOLDER: Final = (
    apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL | apsw.SQLITE_OPEN_SUPER_JOURNAL
)
"""SQLite syncs the folder at the first sync of these, where it may have made them."""


@dataclass(frozen=True, slots=True)
class Operation:
    """Something that is about to happen to a file."""

    verb: str
    """``read``, ``write``, ``sync``, ``truncate``, ``delete`` or ``open``."""
    name: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class _Write:
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class _Truncate:
    size: int


@dataclass(slots=True, eq=False)
class _Content:
    """One file, whatever its name: what is on the platter, and what is on its way there."""

    platter: bytearray = field(default_factory=bytearray)
    pending: list[_Write | _Truncate] = field(default_factory=list)
    synced: bool = False

    def sync(self) -> None:
        for change in self.pending:
            _apply(self.platter, change)
        self.pending.clear()
        self.synced = True


_NameChange = tuple[str, _Content | None]
"""A name and what it stands for from now on."""


class Disk:
    """The files below one folder. Made by `faulty_disk`."""

    sync_lies = False
    """A sync returns and has done nothing: what a missing fsync looks like from below."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.operation: Callable[[Operation], None] = well
        self.counts: dict[str, int] = {}
        self._names: dict[str, _Content] = {}
        self._on_platter: dict[str, _Content] = {}
        self._changes: list[_NameChange] = []

    def owns(self, name: str) -> bool:
        return Path(name).is_relative_to(self.folder)

    def after_power_loss(self, chance: random.Random) -> dict[str, bytes]:
        """What could be found if the power failed now: names below the folder, and contents."""
        with self.lock:
            names = dict(self._on_platter)
            for name, content in self._changes[: chance.randint(0, len(self._changes))]:
                _rename(names, name, content)
            found = {name: _left(content, chance) for name, content in names.items()}
        return {str(Path(name).relative_to(self.folder)): data for name, data in sorted(found.items())}

    def about_to(self, verb: str, name: str, size: int = 0) -> None:
        self.counts[verb] = self.counts.get(verb, 0) + 1
        self.operation(Operation(verb, Path(name).name, size))

    def opened(self, name: str, *, is_new: bool) -> _Content:
        """Take note of a file; one that was there before is taken to be safe on the platter."""
        content = self._names.get(name)
        if content is None or is_new:
            content = self._names[name] = _Content()
            if is_new:
                self._changes.append((name, content))
            else:
                content.platter.extend(Path(name).read_bytes())
                content.synced = True
                self._on_platter[name] = content
        return content

    def deleted(self, name: str, *, synced: bool) -> None:
        self._names.pop(name, None)
        self._changes.append((name, None))
        if synced:
            self.folder_synced()

    def folder_synced(self) -> None:
        for name, content in self._changes:
            _rename(self._on_platter, name, content)
        self._changes.clear()


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Put what was found after a power loss into a new folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_bytes(data)


def well(_: Operation) -> None:
    """Nothing is wrong with the disk."""


def full(operation: Operation) -> None:
    """There is no space left: nothing more can be written."""
    if operation.verb == "write":
        raise _failing(apsw.FullError, apsw.SQLITE_FULL, "no space left on the device")


def io_error(operation: Operation) -> None:
    """The device does not answer as it should."""
    code = {
        "read": apsw.SQLITE_IOERR_READ,
        "write": apsw.SQLITE_IOERR_WRITE,
        "sync": apsw.SQLITE_IOERR_FSYNC,
        "truncate": apsw.SQLITE_IOERR_TRUNCATE,
        "delete": apsw.SQLITE_IOERR_DELETE,
    }.get(operation.verb, apsw.SQLITE_IOERR)
    raise _failing(apsw.IOError, code, "input/output error")


def read_only(operation: Operation) -> None:
    """The file system was mounted anew for reading only, as Linux does when a disk fails."""
    if operation.verb in {"write", "truncate", "delete"}:
        raise _failing(apsw.ReadOnlyError, apsw.SQLITE_READONLY, "read-only file system")


def _failing(kind: type[apsw.Error], code: int, text: str) -> apsw.Error:
    error = kind(text)
    error.extendedresult = code  # type: ignore[attr-defined]  # read by apsw
    return error


@contextmanager
def faulty_disk(folder: Path) -> Iterator[Disk]:
    """Every database that is opened below ``folder`` inside the block lies on the disk that is returned."""
    disk = Disk(folder)
    _registered()
    before = apsw.vfs_names()[0]
    _MOUNTED.append(disk)
    apsw.set_default_vfs(f"multipleciphers-{NAME}")
    try:
        yield disk
    finally:
        _MOUNTED.remove(disk)
        apsw.set_default_vfs(before)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str, given: apsw.URIFilename | str, flags: list[int]) -> None:
        self._disk = disk
        self._name = name
        with disk.lock:
            is_new = not Path(name).exists()
            disk.about_to("open", name)
            super().__init__(BELOW, given, flags)
            self._content = disk.opened(name, is_new=is_new)
        self._syncs_folder = bool(flags[0] & SYNCS_ITS_FOLDER) and bool(flags[0] & CREATES)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's name
        self._disk.about_to("read", self._name, amount)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        with self._disk.lock:
            self._disk.about_to("write", self._name, len(data))
            super().xWrite(data, offset)
            self._content.pending.append(_Write(offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        with self._disk.lock:
            self._disk.about_to("truncate", self._name, newsize)
            super().xTruncate(newsize)
            self._content.pending.append(_Truncate(newsize))

    def xSync(self, flags: int) -> None:  # noqa: N802, ARG002 - SQLite's name and arguments
        with self._disk.lock:
            self._disk.about_to("sync", self._name)
            if self._disk.sync_lies:
                return
            self._content.sync()  # the true sync below is left out: no power fails on the machine of a test
            if self._syncs_folder:
                self._disk.folder_synced()
                self._syncs_folder = False


class _Vfs(apsw.VFS):
    """One for the process; each disk is a folder of it. What lies elsewhere goes straight through."""

    def __init__(self) -> None:
        super().__init__(NAME, BELOW)

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        disk = _disk_of(path)
        if disk is None or path is None or name is None:
            return apsw.VFSFile(BELOW, name, flags)
        return _File(disk, path, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802, FBT001 - SQLite's name and order
        disk = _disk_of(filename)
        if disk is None:
            super().xDelete(filename, syncdir)
            return
        with disk.lock:
            disk.about_to("delete", filename)
            super().xDelete(filename, syncdir)
            disk.deleted(filename, synced=syncdir)


_MOUNTED: Final[list[Disk]] = []


@functools.cache
def _registered() -> _Vfs:
    vfs = _Vfs()
    # SQLite makes its encrypting VFS over ours when it is named for the first time.
    apsw.Connection(":memory:", vfs=f"multipleciphers-{NAME}").close()
    return vfs


def _disk_of(name: str | None) -> Disk | None:
    return next((disk for disk in _MOUNTED if name is not None and disk.owns(name)), None)


def _rename(names: dict[str, _Content], name: str, content: _Content | None) -> None:
    if content is None:
        names.pop(name, None)
    else:
        names[name] = content


def _apply(data: bytearray, change: _Write | _Truncate) -> None:
    match change:
        case _Write(offset, written):
            if len(data) < offset:
                data.extend(bytes(offset - len(data)))
            data[offset : offset + len(written)] = written
        case _Truncate(size):
            del data[size:]
            data.extend(bytes(size - len(data)))
        case _:
            assert_never(change)


def _left(content: _Content, chance: random.Random) -> bytes:
    """What a file holds after the power failed: the platter, and some of what was on its way."""
    data = bytearray(content.platter)
    kept = chance.choice([0.0, 0.1, 0.5, 0.9, 1.0])
    first = chance.randint(0, len(content.pending)) if chance.random() < PREFIX else len(content.pending)
    for change in content.pending[:first]:
        match change:
            case _Write():
                for sector in _sectors(change):
                    if chance.random() < kept:
                        _apply(data, sector)
            case _Truncate():
                if chance.random() < kept:
                    _apply(data, change)
            case _:
                assert_never(change)
    return bytes(data)


def _sectors(write: _Write) -> Iterator[_Write]:
    """A write, cut where sectors meet: each part arrives or not, whatever the others do."""
    start, end = write.offset, write.offset + len(write.data)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        yield _Write(start, write.data[start - write.offset : stop - write.offset])
        start = stop
