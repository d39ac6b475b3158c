"""Key packages that no honest directory hands out."""

from collections.abc import Callable
from typing import Final

import msgspec

from securechat.mls.cipher_suite import SUITE_3, SUITE_HYBRID
from securechat.mls.codec import decode, encode
from securechat.mls.key_package import KeyPackage, make_key_package
from securechat.mls.nodes import Lifetime
from securechat.protocol.messages import ClaimedKeyPackage, ClaimedKeyPackages, ClaimKeyPackages
from tests.scenarios.evil import forged_key_package
from tests.scenarios.evil_server.liar import Retort
from tests.scenarios.evil_server.stage import Stage
from tests.scenarios.simulation.face import now

DAY: Final = 86_400

GHOST: Final = "x" * 26
"""The device that the server makes up."""

Ghost = Callable[[Stage, str], ClaimedKeyPackage]
"""A key package as of somebody."""


def made_up(stage: Stage, user: str, *, client: str = GHOST, key: bytes | None = None) -> bytes:
    """A key package of a user that the server made; ``key`` is the account key it boasts of."""
    domain = stage.person(user).keys.domain
    return forged_key_package(domain, user, client, claims=key, now=now())


def of_nobody(stage: Stage, user: str) -> ClaimedKeyPackage:
    return ClaimedKeyPackage(GHOST, made_up(stage, user))


def in_their_name(stage: Stage, user: str) -> ClaimedKeyPackage:
    return ClaimedKeyPackage(GHOST, made_up(stage, user, key=stage.person(user).keys.account_key))


def in_the_place_of_theirs(stage: Stage, user: str) -> ClaimedKeyPackage:
    keys = stage.person(user).keys
    return ClaimedKeyPackage(keys.client, made_up(stage, user, client=keys.client, key=keys.account_key))


def somebody_elses(stage: Stage, user: str) -> ClaimedKeyPackage:
    """A true device, of another."""
    other = "carol" if user != "carol" else "alice"
    return ClaimedKeyPackage(stage.person(other).keys.client, published(stage, other))


def lapsed(stage: Stage, user: str) -> ClaimedKeyPackage:
    """One that was left long ago."""
    return _at_another_time(stage, user, now() - 40 * DAY)


def not_yet_valid(stage: Stage, user: str) -> ClaimedKeyPackage:
    return _at_another_time(stage, user, now() + 10 * DAY)


def valid_for_ever(stage: Stage, user: str) -> ClaimedKeyPackage:
    return _at_another_time(stage, user, now() - DAY, lasts=400)


def with_another_key(stage: Stage, user: str) -> ClaimedKeyPackage:
    """Their own, but what is sealed to them the server can open."""
    true = decode(KeyPackage, published(stage, user))
    ours = decode(KeyPackage, made_up(stage, user))
    return _of(stage, user, msgspec.structs.replace(true, init_key=ours.init_key))


def with_another_leaf_key(stage: Stage, user: str) -> ClaimedKeyPackage:
    true = decode(KeyPackage, published(stage, user))
    ours = decode(KeyPackage, made_up(stage, user))
    leaf = msgspec.structs.replace(true.leaf_node, encryption_key=ours.leaf_node.encryption_key)
    return _of(stage, user, msgspec.structs.replace(true, leaf_node=leaf))


def of_no_sense(stage: Stage, user: str) -> ClaimedKeyPackage:
    return ClaimedKeyPackage(stage.person(user).keys.client, b"no key package at all")


GHOSTS: Final[dict[str, Ghost]] = {
    "a device that only the server knows": of_nobody,
    "a device in the name of his account": in_their_name,
    "his own device with a key of the server's": in_the_place_of_theirs,
    "a device of somebody else": somebody_elses,
    "a key package that has lapsed": lapsed,
    "a key package of the future": not_yet_valid,
    "a key package that never lapses": valid_for_ever,
    "his key package with another key to open it": with_another_key,
    "his leaf with another key to open it": with_another_leaf_key,
    "bytes": of_no_sense,
}


def published(
    stage: Stage, user: str, *, suite: int = SUITE_HYBRID.number, last_resort: bool = False
) -> bytes:
    """A true key package that the server has of somebody."""
    row = stage.face.db.execute(
        "SELECT body FROM key_package p JOIN client c ON c.id = p.client"
        " WHERE c.name = ? AND p.suite = ? AND p.last_resort = ? ORDER BY p.id DESC",
        (stage.person(user).keys.client, suite, int(last_resort)),
    ).fetchone()
    assert row is not None
    assert isinstance(row[0], bytes)
    return row[0]


def beside(stage: Stage, user: str, ghost: Ghost) -> Retort:
    """The true devices, and one more."""

    def retort(asked: ClaimKeyPackages, answer: object) -> object:
        if not isinstance(answer, ClaimedKeyPackages) or asked.user != user:
            return answer
        return ClaimedKeyPackages(answer.user, [*answer.packages, ghost(stage, user)])

    return retort


def instead(stage: Stage, user: str, ghost: Ghost) -> Retort:
    """The ghost alone."""

    def retort(asked: ClaimKeyPackages, answer: object) -> object:
        if not isinstance(answer, ClaimedKeyPackages) or asked.user != user:
            return answer
        return ClaimedKeyPackages(answer.user, [ghost(stage, user)])

    return retort


def twice(_stage: Stage, user: str) -> Retort:
    """Each true device, two times: nobody can be added twice."""

    def retort(asked: ClaimKeyPackages, answer: object) -> object:
        if not isinstance(answer, ClaimedKeyPackages) or asked.user != user:
            return answer
        return ClaimedKeyPackages(answer.user, [*answer.packages, *answer.packages])

    return retort


def only_older_suite(stage: Stage, user: str) -> Retort:
    """The keys of the weaker suite, and none of the other."""

    def retort(asked: ClaimKeyPackages, answer: object) -> object:
        if not isinstance(answer, ClaimedKeyPackages) or asked.user != user:
            return answer
        old = published(stage, user, suite=SUITE_3.number)
        return ClaimedKeyPackages(answer.user, [ClaimedKeyPackage(stage.person(user).keys.client, old)])

    return retort


def _of(stage: Stage, user: str, package: KeyPackage) -> ClaimedKeyPackage:
    return ClaimedKeyPackage(stage.person(user).keys.client, encode(package))


def _at_another_time(stage: Stage, user: str, since: int, *, lasts: int = 30) -> ClaimedKeyPackage:
    identity = stage.engine(user).device.identity
    bundle = make_key_package(identity, SUITE_HYBRID, lifetime=Lifetime(since, since + lasts * DAY))
    return _of(stage, user, bundle.key_package)
