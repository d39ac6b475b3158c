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

Ghost = Callable[[Stage], ClaimedKeyPackage]
"""A key package as of bob, told to alice."""


def made_up(stage: Stage, user: str = "bob", *, client: str = GHOST, key: bytes | None = None) -> bytes:
    """A key package of a user that the server made; ``key`` is the account key it boasts of."""
    domain = stage.person(user).keys.domain
    return forged_key_package(domain, user, client, claims=key, now=now())


def of_nobody(stage: Stage) -> ClaimedKeyPackage:
    return ClaimedKeyPackage(GHOST, made_up(stage))


def in_bobs_name(stage: Stage) -> ClaimedKeyPackage:
    return ClaimedKeyPackage(GHOST, made_up(stage, key=stage.person("bob").keys.account_key))


def in_the_place_of_bobs(stage: Stage) -> ClaimedKeyPackage:
    keys = stage.person("bob").keys
    return ClaimedKeyPackage(keys.client, made_up(stage, client=keys.client, key=keys.account_key))


def somebody_elses(stage: Stage) -> ClaimedKeyPackage:
    """A true device, of carol."""
    return ClaimedKeyPackage(stage.person("carol").keys.client, published(stage, "carol"))


def lapsed(stage: Stage) -> ClaimedKeyPackage:
    """One that bob left long ago."""
    return _at_another_time(stage, now() - 40 * DAY)


def not_yet_valid(stage: Stage) -> ClaimedKeyPackage:
    return _at_another_time(stage, now() + 10 * DAY)


def valid_for_ever(stage: Stage) -> ClaimedKeyPackage:
    return _at_another_time(stage, now() - DAY, lasts=400)


def with_another_key(stage: Stage) -> ClaimedKeyPackage:
    """Bob's own, but what is sealed to him the server can open."""
    true = decode(KeyPackage, published(stage, "bob"))
    ours = decode(KeyPackage, made_up(stage))
    return _bobs(stage, msgspec.structs.replace(true, init_key=ours.init_key))


def with_another_leaf_key(stage: Stage) -> ClaimedKeyPackage:
    true = decode(KeyPackage, published(stage, "bob"))
    ours = decode(KeyPackage, made_up(stage))
    leaf = msgspec.structs.replace(true.leaf_node, encryption_key=ours.leaf_node.encryption_key)
    return _bobs(stage, msgspec.structs.replace(true, leaf_node=leaf))


def of_no_sense(stage: Stage) -> ClaimedKeyPackage:
    return ClaimedKeyPackage(stage.person("bob").keys.client, b"no key package at all")


GHOSTS: Final[dict[str, Ghost]] = {
    "a device that only the server knows": of_nobody,
    "a device in the name of his account": in_bobs_name,
    "his own device with a key of the server's": in_the_place_of_bobs,
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


def beside(stage: Stage, ghost: Ghost) -> Retort:
    """The true devices, and one more."""

    def retort(asked: ClaimKeyPackages, answer: object) -> object:
        if not isinstance(answer, ClaimedKeyPackages) or asked.user != "bob":
            return answer
        return ClaimedKeyPackages(answer.user, [*answer.packages, ghost(stage)])

    return retort


def instead(stage: Stage, ghost: Ghost) -> Retort:
    """The ghost alone."""

    def retort(asked: ClaimKeyPackages, answer: object) -> object:
        if not isinstance(answer, ClaimedKeyPackages) or asked.user != "bob":
            return answer
        return ClaimedKeyPackages(answer.user, [ghost(stage)])

    return retort


def only_older_suite(stage: Stage) -> Retort:
    """Bob's keys of the weaker suite, and none of the other."""

    def retort(asked: ClaimKeyPackages, answer: object) -> object:
        if not isinstance(answer, ClaimedKeyPackages) or asked.user != "bob":
            return answer
        old = published(stage, "bob", suite=SUITE_3.number)
        return ClaimedKeyPackages(answer.user, [ClaimedKeyPackage(stage.person("bob").keys.client, old)])

    return retort


def _bobs(stage: Stage, package: KeyPackage) -> ClaimedKeyPackage:
    return ClaimedKeyPackage(stage.person("bob").keys.client, encode(package))


def _at_another_time(stage: Stage, since: int, *, lasts: int = 30) -> ClaimedKeyPackage:
    identity = stage.engine("bob").device.identity
    bundle = make_key_package(identity, SUITE_HYBRID, lifetime=Lifetime(since, since + lasts * DAY))
    return _bobs(stage, bundle.key_package)
