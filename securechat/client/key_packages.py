"""Key packages: what waits at the server so that others can add us while we are away.

Each is used once; a last-resort one keeps the door open when they have run out, and is made
anew after it was used (M-14). The private halves stay here until a Welcome uses them, or
until nobody may use them any more.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import apsw

from securechat.client.device import Device
from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.codec import encode
from securechat.mls.key_package import KeyPackageBundle, make_key_package
from securechat.mls.nodes import Lifetime
from securechat.protocol.messages import KeyPackageCount, PublishKeyPackages

DAY: Final = 86_400

TARGET: Final = 20
"""Key packages that wait when all is well: so many new groups while one is offline."""

OLDER_TARGET: Final = 5
"""The same of a suite that only devices and rooms of before need."""

REFILL_PART: Final = 5
"""Fewer than a fifth: time to make more."""

LIFETIME: Final = 30 * DAY
"""rules.md B allows a span of 32 days; the two days are for clocks that differ."""

TOLERANCE: Final = DAY
"""A lifetime begins a day ago, so that an adder whose clock is slow takes it."""

RENEW_LAST_RESORT: Final = 20 * DAY
"""Age at which a last-resort package is replaced, long before it lapses."""


def publications(
    db: apsw.Connection, device: Device, waiting: Mapping[int, KeyPackageCount], *, now: int
) -> Iterator[PublishKeyPackages]:
    """Yield what is to be left at the server, by what waits there in each suite; what has lapsed goes."""
    drop_lapsed(db, now)
    for suite, count in waiting.items():
        body = publication(db, device, suite, fresh=count.fresh, has_last_resort=count.last_resort, now=now)
        if body is not None:
            yield body


def publication(
    db: apsw.Connection, device: Device, suite: int, *, fresh: int, has_last_resort: bool, now: int
) -> PublishKeyPackages | None:
    """Make and store what the server lacks of one suite; None if it lacks nothing.

    :param fresh: how many unused ones wait there
    """
    target = _target(device, suite)
    missing = target - fresh if fresh < target // REFILL_PART else 0
    packages = [_make(db, device, suite, now=now, last_resort=False) for _ in range(missing)]
    last_resort = b""
    if not has_last_resort or _last_resort_is_due(db, suite, now):
        last_resort = _make(db, device, suite, now=now, last_resort=True)
    if not packages and not last_resort:
        return None
    return PublishKeyPackages(packages, last_resort)


def _target(device: Device, suite: int) -> int:
    """Return how many key packages of a suite wait when all is well."""
    return TARGET if suite == device.suites[0] else OLDER_TARGET


def find(db: apsw.Connection, references: list[bytes]) -> KeyPackageBundle | None:
    """Return the bundle that one of these references names."""
    for reference in references:
        row = db.execute("SELECT bundle FROM key_package WHERE reference = ?", (reference,)).fetchone()
        if row is not None:
            return KeyPackageBundle.from_bytes(row[0])
    return None


def used(db: apsw.Connection, bundle: KeyPackageBundle, *, last_resort: bool) -> None:
    """Forget a used bundle's private keys; a last-resort one is only marked as due for renewal."""
    if last_resort:
        db.execute("UPDATE key_package SET made_at = 0 WHERE reference = ?", (bundle.reference,))
    else:
        db.execute("DELETE FROM key_package WHERE reference = ?", (bundle.reference,))


def drop_lapsed(db: apsw.Connection, now: int) -> None:
    """Forget private keys that no adder may use any more, a day of tolerance included."""
    db.execute("DELETE FROM key_package WHERE not_after < ?", (now - 2 * TOLERANCE,))


def _last_resort_is_due(db: apsw.Connection, suite: int, now: int) -> bool:
    row = db.execute(
        "SELECT max(made_at) FROM key_package WHERE last_resort = 1 AND suite = ?", (suite,)
    ).fetchone()
    return row is None or row[0] is None or row[0] < now - RENEW_LAST_RESORT


def _make(db: apsw.Connection, device: Device, suite: int, *, now: int, last_resort: bool) -> bytes:
    lifetime = Lifetime(not_before=now - TOLERANCE, not_after=now + LIFETIME)
    bundle = make_key_package(
        device.identity, cipher_suite(suite), lifetime=lifetime, last_resort=last_resort
    )
    db.execute(
        "INSERT INTO key_package (reference, bundle, last_resort, made_at, not_after, suite)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (bundle.reference, bundle.to_bytes(), int(last_resort), now, lifetime.not_after, suite),
    )
    return encode(bundle.key_package)
