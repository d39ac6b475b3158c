"""What a member of a run is told to do, and what it tells: values, a line of JSON each.

Whoever waits for an order's end puts a number into it; `Done` or `Story` brings it back.
"""

from enum import Enum
from typing import Final

import msgspec
from msgspec import Struct


class Account(Struct, frozen=True):
    """Who a member is, and how a run bends its client: nothing of it is about what is proved."""

    home: str
    user: str
    password: str
    server: str
    longest_backoff: float = 5.0
    """Seconds: a run's minutes are for faults, not for waiting."""
    silence: float = 60.0
    carried_above: int = 65536
    """Bytes from which on a commit goes as a blob: small, so that some do."""


class Say(Struct, frozen=True, tag=True):
    to: str
    text: str


class Verb(Enum):
    MAKE = "make"
    INVITE = "invite"
    REMOVE = "remove"
    LEAVE = "leave"


class Change(Struct, frozen=True, tag=True):
    """Change who is in a room; ``user`` is who is invited or removed."""

    verb: Verb
    room: str
    user: str = ""
    number: int = 0


class Renew(Struct, frozen=True, tag=True):
    """Commit fresh keys of one's own."""

    room: str


class Rival(Struct, frozen=True, tag=True):
    """Connect this device a second time, and go on with a third connection (Q-03)."""

    number: int = 0


class Settle(Struct, frozen=True, tag=True):
    """Be done once nothing of one's own waits and everything is read."""

    number: int = 0


class Recount(Struct, frozen=True, tag=True):
    """Say how things stand, with all messages or without."""

    lines: bool
    number: int = 0


Order = Say | Change | Renew | Rival | Settle | Recount


class Up(Struct, frozen=True, tag=True):
    """Open, with everything that came before stored."""


class Line(Struct, frozen=True, tag=True):
    """One message of a store."""

    place: str
    sender: str
    own: bool
    name: str
    state: str
    sequence: int
    local_id: int
    code: str


class Acked(Struct, frozen=True, tag=True):
    line: Line


class Shown(Struct, frozen=True, tag=True):
    line: Line


class Refused(Struct, frozen=True, tag=True):
    place: str
    name: str
    why: str


class In(Struct, frozen=True, tag=True):
    place: str


class Told(Struct, frozen=True, tag=True):
    what: str
    text: str


class Done(Struct, frozen=True, tag=True):
    number: int
    error: str = ""


class Place(Struct, frozen=True):
    """A conversation as it stands at one member."""

    name: str
    state: str
    held: str
    group: bytes
    cursor: int
    epoch: int
    code: str
    members: tuple[str, ...]


class Story(Struct, frozen=True, tag=True):
    """Everything a member's store has, oldest first."""

    number: int
    lines: tuple[Line, ...]
    places: tuple[Place, ...]


Report = Up | Acked | Shown | Refused | In | Told | Done | Story

ORDERS: Final = msgspec.json.Decoder(Order)
REPORTS: Final = msgspec.json.Decoder(Report)
