"""Who may have a connection: counting only, no socket and no clock (O-01).

A cap that refuses newcomers is a gift to whoever fills it with silent sockets. So below the cap on
all connections a newcomer always gets in, and where strangers are too many one of them goes. The
crowd pays: it is one of the address that has most of them (of equals, one that has had so many for
longest); of those the stage at which most stand, and there the oldest. Whoever shakes hands and
logs in is through all stages in three round trips, and new at each; who fills one with sockets
that wait loses them first.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv6Address
from typing import Final, Generic, TypeVar

from securechat.server.config import Connections

NETWORK_BITS: Final = 64
"""Of an IPv6 address: whoever has one address has the 2^64 beside it too."""

T = TypeVar("T")


class Stage(IntEnum):
    """How far a stranger has come."""

    SILENT = 0
    SPEAKING = 1
    """A whole ClientHello is here."""
    SECURED = 2
    """The TLS handshake is finished: the address is real, and work was done for it."""


@dataclass(frozen=True, slots=True)
class Room(Generic[T]):
    """What a newcomer finds: room, room once ``leaves`` has gone, or none (``refused``).

    ``reason`` names the cap that was reached: ``total``, ``strangers``, ``address``, or is empty.
    """

    reason: str = ""
    leaves: T | None = None

    @property
    def refused(self) -> bool:
        return bool(self.reason) and self.leaves is None


@dataclass(eq=False, slots=True)
class _Source(Generic[T]):
    """The strangers of one address, by stage, oldest first."""

    name: str
    stages: tuple[dict[T, None], ...] = field(default_factory=lambda: tuple({} for _ in Stage))

    @property
    def count(self) -> int:
        return sum(map(len, self.stages))

    @property
    def crowded(self) -> Stage:
        """Where most of them stand; of equals the one that is less far."""
        return max(Stage, key=lambda stage: len(self.stages[stage]))

    @property
    def first(self) -> T:
        return next(iter(self.stages[self.crowded]))


class Budget(Generic[T]):
    """Counts guests from their arrival to their end. Every step is a few dictionary operations."""

    def __init__(self, caps: Connections) -> None:
        self._caps = caps
        self._guests: dict[T, _Source[T] | None] = {}
        """Everybody; with a source as long as they are strangers."""
        self._sources: dict[str, _Source[T]] = {}
        self._ranks: dict[tuple[int, Stage], dict[_Source[T], None]] = {}
        """Sources by how many strangers they have and where most of those stand."""
        self._most = 0
        self._strangers = 0

    def __len__(self) -> int:
        return len(self._guests)

    @property
    def strangers(self) -> int:
        return self._strangers

    @property
    def sources(self) -> int:
        """How many addresses the strangers come from."""
        return len(self._sources)

    def judge(self, source: str) -> Room[T]:
        """Say what a newcomer from there finds; changes nothing."""
        known = self._sources.get(source)
        if known is not None and known.count >= self._caps.before_login_per_address:
            return Room("address", known.first)
        if self._strangers >= self._caps.before_login:
            return Room("strangers", self.expendable())
        if len(self._guests) >= self._caps.total:
            return Room("total", self.expendable())
        return Room()

    def expendable(self) -> T | None:
        """The stranger who would go next; None where nobody is a stranger."""
        while self._most:
            ranks = [self._ranks.get((self._most, stage), {}) for stage in Stage]
            crowded = max(ranks, key=len)
            if crowded:
                return next(iter(crowded)).first
            self._most -= 1
        return None

    def enter(self, source: str, guest: T) -> None:
        """A newcomer came in, for whom there is room."""
        found = self._sources.get(source)
        if found is None:
            found = self._sources[source] = _Source(source)
        else:
            self._unrank(found)
        found.stages[Stage.SILENT][guest] = None
        self._guests[guest] = found
        self._strangers += 1
        self._rank(found)

    def advance(self, guest: T, stage: Stage) -> None:
        """A stranger has come further."""
        source = self._guests.get(guest)
        if source is not None:
            self._unrank(source)
            for places in source.stages:
                places.pop(guest, None)
            source.stages[stage][guest] = None
            self._rank(source)

    def admit(self, guest: T) -> None:
        """A stranger has logged in: its place among strangers is free."""
        if guest in self._guests:
            self._leave_strangers(guest)
            self._guests[guest] = None

    def leave(self, guest: T) -> None:
        """A guest has gone, or is being sent away; more than once does nothing."""
        if guest in self._guests:
            self._leave_strangers(guest)
            del self._guests[guest]

    def _leave_strangers(self, guest: T) -> None:
        source = self._guests[guest]
        if source is None:
            return
        self._unrank(source)
        for places in source.stages:
            places.pop(guest, None)
        self._strangers -= 1
        if source.count:
            self._rank(source)
        else:
            del self._sources[source.name]

    def _rank(self, source: _Source[T]) -> None:
        count = source.count
        self._ranks.setdefault((count, source.crowded), {})[source] = None
        self._most = max(self._most, count)

    def _unrank(self, source: _Source[T]) -> None:
        rank = (source.count, source.crowded)
        del self._ranks[rank][source]
        if not self._ranks[rank]:
            del self._ranks[rank]


def source_of(address: str) -> str:
    """What counts as one place on the net: an IPv4 address, the /64 of an IPv6 one."""
    if ":" not in address:
        return address
    found = IPv6Address(address.partition("%")[0])
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return (int(found) >> (128 - NETWORK_BITS)).to_bytes(NETWORK_BITS // 8, "big").hex()
