"""A VFS that sees what SQLite writes and syncs, and can fail at either."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import apsw


@dataclass
class Disk:
    """What has happened to the write-ahead log."""

    unsynced: bool = False
    writes: int = 0
    syncs: int = 0
    broken: bool = False
    """fsync fails, as a dying disk's does."""
    full: bool = False
    files: list[str] = field(default_factory=list)


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, base: str, name: apsw.URIFilename | str | None, flags: list[int]) -> None:
        self._disk = disk
        self._wal = name is not None and str(
            name.filename() if isinstance(name, apsw.URIFilename) else name
        ).endswith("-wal")
        super().__init__(base, name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        if self._wal:
            if self._disk.full:
                raise apsw.FullError("no space left on the device")
            self._disk.writes += 1
            self._disk.unsynced = True
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        if self._disk.broken:
            raise apsw.IOError("input/output error")
        super().xSync(flags)
        if self._wal:
            self._disk.syncs += 1
            self._disk.unsynced = False


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk, name: str, base: str) -> None:
        self._disk = disk
        self._base = base
        super().__init__(name, base, makedefault=True)

    def xOpen(self, name: apsw.URIFilename | str | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return _File(self._disk, self._base, name, flags)


@contextmanager
def watched_disk() -> Iterator[Disk]:
    """Every database opened in the block lies on a disk that is watched."""
    before = apsw.vfs_names()[0]
    disk = Disk()
    vfs = _Vfs(disk, f"watching-{id(disk)}", before)
    try:
        yield disk
    finally:
        vfs.unregister()
        apsw.set_default_vfs(before)
