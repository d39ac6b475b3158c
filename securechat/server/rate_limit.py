"""How fast anybody may ask: token buckets, all rules in one table (O-04, O-05, O-09, A-06, M-14).

A bucket is one number, the time at which it will be full again, so a rule costs a message one
lookup and a few additions. Time is that of a monotonic clock. Buckets live in memory: whoever is let
off by a restart is let off once. They are bounded in number; full ones are dropped, and where no more
fit the rule says who pays for it. Nobody gets a fresh bucket by making a few others.
"""

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from securechat.server.config import Rate
from securechat.server.errors import ConfigError, Refusal

MAX_BUCKETS: Final = 50_000
"""Of one rule that are not full: about 12 MiB. All accounts of a large server that ask at once."""

LOOKED_AT: Final = 8
"""Old buckets that a new one looks at, to drop those that are full by now: more go than come."""

TOLERANCE: Final = 1e-9
"""Seconds by which floating point may be wrong."""


class By(StrEnum):
    """Whose bucket it is."""

    ACCOUNT = "account"
    ADDRESS = "address"
    """IPv4 addresses one by one, IPv6 by their /64."""
    CLIENT = "client"
    EVERYBODY = "everybody together"
    NAME = "user name that is asked for, known or not"
    PAIR = "account that asks and user asked for"


class WhenFull(StrEnum):
    """What a newcomer gets where no more buckets fit."""

    OPEN = "open"
    """It passes: the rule is about fairness among those who have proven who they are."""
    CLOSED = "closed"
    """It is refused: without the rule somebody could guess, or fill the disk."""
    SQUEEZED = "the least used goes"
    """It gets the place of the bucket that is nearest to full: the rule is by something that strangers make
    up as many of as they like. To be rid of a bucket they would have to use up all others as much."""


@dataclass(frozen=True, slots=True)
class Rule:
    """At most ``burst`` at once, ``per_second`` in the long run."""

    name: str
    burst: float
    per_second: float
    by: By
    when_full: WhenFull
    reason: str


RULES: Final = (
    Rule(
        "before_login",
        2_000,
        50,
        By.ADDRESS,
        WhenFull.OPEN,
        "requests of strangers; a house of a thousand clients that all come back at once passes",
    ),
    Rule(
        "registrations_by_address",
        40,
        1 / 60,
        By.ADDRESS,
        WhenFull.SQUEEZED,
        "a class room passes; it also tells which names are taken, so 100 in any hour (O-09)",
    ),
    Rule(
        "registrations",
        1_000,
        1,
        By.EVERYBODY,
        WhenFull.CLOSED,
        "an account is a row for ever and a hash of 25 ms, from however many addresses; taken last, by "
        "who has valid signatures, a free name and, where it is needed, an invite",
    ),
    Rule(
        "passwords",
        5,
        1 / 180,
        By.NAME,
        WhenFull.SQUEEZED,
        "at most 10 wrong ones in any 15 minutes, whoever asks (A-06); a right one costs the name nothing",
    ),
    Rule(
        "passwords_by_day",
        60,
        1 / 1_440,
        By.NAME,
        WhenFull.SQUEEZED,
        "the back-off of who goes on guessing: one in 24 minutes",
    ),
    Rule(
        "passwords_by_address",
        30,
        1 / 10,
        By.ADDRESS,
        WhenFull.SQUEEZED,
        "one guess at each of many names (A-06); each is a hash of 25 ms, a right one's too (O-04)",
    ),
    Rule(
        "recoveries_by_address",
        30,
        1 / 10,
        By.ADDRESS,
        WhenFull.SQUEEZED,
        "recovery keys that are tried: as many as passwords",
    ),
    Rule(
        "recoveries",
        600,
        1 / 6,
        By.NAME,
        WhenFull.SQUEEZED,
        "wrong ones for one name, whoever tries: 140 bits are guessed by nobody, so what counts is that "
        "twenty addresses together do not keep an owner out who has nothing else left; a right one is free",
    ),
    Rule(
        "links",
        6,
        1 / 600,
        By.ACCOUNT,
        WhenFull.CLOSED,
        "new devices that ask to be linked: each makes the others speak and shows a person a question, and "
        "is one guess of 40 bits for who stands between (D-05)",
    ),
    Rule(
        "device_logins",
        60,
        1,
        By.CLIENT,
        WhenFull.OPEN,
        "a line that breaks every second passes; charged once the key is proven, or a stranger could "
        "use up somebody's",
    ),
    Rule(
        "messages",
        300,
        10,
        By.ACCOUNT,
        WhenFull.OPEN,
        "a page is pasted line by line, a bridge speaks for a busy room; each is stored and goes to "
        "up to a thousand clients",
    ),
    Rule(
        "bytes",
        128 * 1024 * 1024,
        16 * 1024,
        By.ACCOUNT,
        WhenFull.OPEN,
        "what changes something, blobs apart: ten padded messages a second for ever, or 2,000 of the "
        "largest at once",
    ),
    Rule(
        "blob_bytes",
        512 * 1024 * 1024,
        256 * 1024 * 1024 / 86_400,
        By.ACCOUNT,
        WhenFull.OPEN,
        "uploads: the cold commits of a busy group today, and 256 MiB on every other day",
    ),
    Rule(
        "file_uploads",
        4 * 1024 * 1024 * 1024,
        64 * 1024,
        By.ACCOUNT,
        WhenFull.OPEN,
        "bytes of attachments: as much as may lie here at once, and 5 GiB on every other day",
    ),
    Rule(
        "file_downloads",
        16 * 1024 * 1024 * 1024,
        1024 * 1024,
        By.ACCOUNT,
        WhenFull.OPEN,
        "the same for reading them: all that a few people sent, on all devices",
    ),
    Rule(
        "handshakes",
        240,
        1,
        By.ACCOUNT,
        WhenFull.OPEN,
        "groups, commits, proposals, key packages: two hundred people invited one by one pass (O-07)",
    ),
    Rule(
        "judging",
        20,
        0.1,
        By.ACCOUNT,
        WhenFull.OPEN,
        "seconds of a reader's thread, charged when they are used: a cold commit of 1,000 leaves is a "
        "second's work, and a storm of them would hold up everybody's (O-07)",
    ),
    Rule(
        "account_changes",
        20,
        1 / 600,
        By.ACCOUNT,
        WhenFull.CLOSED,
        "statements: each is kept for ever, and told to everybody who shares a group with the account",
    ),
    Rule(
        "claims",
        6,
        1 / 600,
        By.PAIR,
        WhenFull.OPEN,
        "nobody empties somebody's key packages alone (M-14); one's own devices are free",
    ),
    Rule(
        "look_ups",
        40,
        1 / 60,
        By.ACCOUNT,
        WhenFull.CLOSED,
        "accounts asked for, and claims of users who don't exist: 100 in any hour (O-09)",
    ),
    Rule(
        "reading",
        10_000,
        200,
        By.ACCOUNT,
        WhenFull.OPEN,
        "what changes nothing, acknowledgements too: a thousand logs and trees are fetched in one go",
    ),
    Rule(
        "refusals",
        128,
        8,
        By.CLIENT,
        WhenFull.OPEN,
        "a client's whole window may be refused twice; who goes on is not read for a second (O-05)",
    ),
)
"""What a large deployment uses, where that is enough for bridges and for a paste; each can be set."""

NAMES: Final = frozenset(rule.name for rule in RULES)


def check_names(names: Iterable[str]) -> None:
    """Refuse rates that are no rule's.

    :raises ConfigError: names them, and what there is
    """
    if unknown := sorted(set(names) - NAMES):
        raise ConfigError(f"rates: there is no {', '.join(unknown)}; there are {', '.join(sorted(NAMES))}")


class RateLimiter:
    """For the loop's thread."""

    def __init__(
        self,
        overrides: Mapping[str, Rate],
        clock: Callable[[], float],
        *,
        rules: tuple[Rule, ...] = RULES,
        limited: Counter[str] | None = None,
    ) -> None:
        """Begin with full buckets.

        :param overrides: rates over those of the table, by name
        :param clock: monotonic, in seconds
        :param limited: counts by rule how often it said no
        :raises ConfigError: an override of no rule
        """
        check_names(set(overrides) - {rule.name for rule in rules})
        self._clock = clock
        self._limited: Counter[str] = Counter() if limited is None else limited
        self._buckets = {
            rule.name: _Buckets(rule, overrides.get(rule.name, Rate(rule.burst, rule.per_second)))
            for rule in rules
        }

    def take(self, rule: str, key: Hashable, cost: float = 1.0) -> float:
        """Take ``cost`` tokens, at most a bucket; return the seconds to wait, 0.0 where they were taken."""
        wait = self._buckets[rule].take(key, cost, self._clock())
        if wait:
            self._limited[rule] += 1
        return wait

    def wait(self, rule: str, key: Hashable, cost: float = 1.0) -> float:
        """Return how long ``take`` would ask to wait; takes nothing."""
        wait = self._buckets[rule].wait(key, cost, self._clock())
        if wait:
            self._limited[rule] += 1
        return wait

    def charge(self, rule: str, key: Hashable, cost: float = 1.0) -> None:
        """Take what has been used already, below nothing too: whoever comes next waits for it."""
        self._buckets[rule].charge(key, cost, self._clock())

    def give_back(self, rule: str, key: Hashable, cost: float = 1.0) -> None:
        """Return what was taken: it turned out to cost nothing."""
        self._buckets[rule].charge(key, -cost, self._clock())

    def check(self, rule: str, key: Hashable, cost: float = 1.0) -> None:
        """Take, or refuse.

        :raises Refusal: ``limited``, with the seconds to wait
        """
        if wait := self.take(rule, key, cost):
            raise limited(wait)

    def __len__(self) -> int:
        return sum(len(buckets) for buckets in self._buckets.values())


class _Buckets:
    """The buckets of one rule: when each will be full. One that is not here is full."""

    __slots__ = ("_burst", "_full_at", "_interval", "_numbers", "_queue", "_when_full", "_whole")

    def __init__(self, rule: Rule, rate: Rate) -> None:
        self._burst = rate.burst
        self._interval = 1 / rate.per_second
        self._whole = self._burst * self._interval
        self._when_full = rule.when_full
        self._full_at: dict[Hashable, float] = {}
        self._queue: list[tuple[float, int, Hashable]] = []
        """A heap with a place for each bucket, by when it was to be full the last time it was looked at."""
        self._numbers = itertools.count()
        """Of equals who came first: keys may be of kinds that don't compare."""

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: Hashable, cost: float, now: float) -> float:
        full_at = self._full_at.get(key)
        if full_at is None:
            return self._begin(key, cost, now)
        # Twice for every message: comparisons take half the time that calls of max and min do.
        begins = now if full_at < now else full_at  # noqa: FURB136 - see above
        taken = cost if cost < self._burst else self._burst  # noqa: FURB136 - see above
        later = begins + taken * self._interval
        wait = later - now - self._whole
        if wait > TOLERANCE:
            return wait
        self._full_at[key] = later
        return 0.0

    def wait(self, key: Hashable, cost: float, now: float) -> float:
        full_at = max(self._full_at.get(key, now), now)
        wait = full_at - now + (min(cost, self._burst) - self._burst) * self._interval
        return wait if wait > TOLERANCE else 0.0

    def charge(self, key: Hashable, cost: float, now: float) -> None:
        full_at = max(self._full_at.get(key, now), now) + cost * self._interval
        if key in self._full_at:
            self._full_at[key] = full_at
        elif full_at > now and self._has_room(now):
            self._put(key, full_at)

    def _begin(self, key: Hashable, cost: float, now: float) -> float:
        """The first tokens of a full bucket: they are always there, if the bucket has a place."""
        if not self._has_room(now):
            return 0.0 if self._when_full is WhenFull.OPEN else self._whole
        self._put(key, now + min(cost, self._burst) * self._interval)
        return 0.0

    def _put(self, key: Hashable, full_at: float) -> None:
        self._full_at[key] = full_at
        self._queue_up(key, full_at)

    def _queue_up(self, key: Hashable, full_at: float) -> None:
        heapq.heappush(self._queue, (full_at, next(self._numbers), key))

    def _has_room(self, now: float) -> bool:
        """Drop a few buckets that are full by now, or the one nearest to it where the rule says so."""
        for _ in range(LOOKED_AT):
            is_crowded = len(self._full_at) >= MAX_BUCKETS and self._when_full is WhenFull.SQUEEZED
            if not self._queue or (self._queue[0][0] > now and not is_crowded):
                break
            noted, _, key = heapq.heappop(self._queue)
            full_at = self._full_at[key]
            if full_at > max(noted, now):  # used since
                self._queue_up(key, full_at)
            else:
                del self._full_at[key]
        return len(self._full_at) < MAX_BUCKETS


def limited(wait: float, text: str = "") -> Refusal:
    """What who is too fast is told; decides nothing."""
    return Refusal("limited", text, retry_after=whole_seconds(wait))


def whole_seconds(wait: float) -> int:
    return max(1, math.ceil(wait))
