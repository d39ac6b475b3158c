"""Takes pictures of what a power loss would leave, at random moments of SQLite's work (C-03)."""

import random
from collections.abc import Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import apsw

from tests.faults.disk import Disk, Operation, io_error

LOSSES: Final = "power losses"
MOMENTS: Final = frozenset({"write", "sync", "truncate", "delete"})
CHANCE: Final = 0.06
"""Of a picture, at each operation."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What a power loss would have left, and how much had been said by then."""

    files: dict[str, bytes]
    spoken: int
    """Length of what was said: promises of a server, words of a client."""


@dataclass
class Camera:
    """Takes pictures at random moments; the last loss is real."""

    disk: Disk
    random: random.Random
    spoken: Sized
    left: int
    pictures: list[Picture] = field(default_factory=list)
    lost: Picture | None = None

    def __call__(self, operation: Operation) -> None:
        if self.lost is not None:
            io_error(operation)
        if operation.verb not in MOMENTS or self.random.random() > CHANCE or self.left <= 0:
            return
        spoken = len(self.spoken)  # first: what is said meanwhile may be kept or not
        self.left -= 1
        picture = Picture(self.disk.after_power_loss(self.random), spoken)
        self.pictures.append(picture)
        if self.left == 0:
            self.lost = picture
            io_error(operation)


@contextmanager
def small_logs(chance: random.Random) -> Iterator[None]:
    """SQLite brings its log into the database often, so that losses in the middle of that come too."""
    pages = chance.choice([8, 30, 100, 1_000])

    def hook(db: apsw.Connection) -> None:
        db.wal_autocheckpoint(pages)

    apsw.connection_hooks.append(hook)
    try:
        yield
    finally:
        apsw.connection_hooks.remove(hook)
