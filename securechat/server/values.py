"""Values that the server's services hand to each other."""

from typing import Protocol

from msgspec import Struct

from securechat.protocol.messages import Answer, Carried, Entry, InboxEntry


class Caller(Struct, frozen=True):
    """Who asks: proven at login, the same for the life of a connection. Ids are the database's."""

    account: int
    user: str
    client: int = 0
    """0 where no client is bound: a login by password alone."""
    name: str = ""
    by_recovery: bool = False
    """By the recovery key; else without a client by password."""
    password_changed: int = 0
    """Of a login by password: which one it was, by when it was set (``account.password_changed``)."""

    @property
    def way(self) -> str:
        """How it was proven."""
        return "device" if self.client else "recovery key" if self.by_recovery else "password"


class GroupPush(Struct, frozen=True, gc=False):
    """A new entry, for the members' connections. ``echo``: the sender's own gets it too."""

    group: bytes
    clients: tuple[int, ...]
    entry: Entry
    echo: bool


class InboxPush(Struct, frozen=True, gc=False):
    client: int
    entry: InboxEntry


class Decision(Struct, frozen=True, gc=False):
    """What a request came to, to be told once the disk has it."""

    answer: Answer
    pushes: tuple[GroupPush | InboxPush, ...] = ()


class Clock(Protocol):
    def __call__(self) -> int:
        """Seconds since 1970."""


Columns = tuple[bytes | None, bytes | None, int | None]
"""How a Carried lies in a row: body, or blob and its size."""


def columns_of(carried: Carried) -> Columns:
    return (None, carried.blob, carried.size) if carried.blob else (carried.body, None, None)


def carried_of(columns: Columns) -> Carried:
    body, blob, size = columns
    return Carried(blob=blob, size=size or 0) if blob is not None else Carried(body or b"")
