"""What the targets decode against: one group of our own making, the same in every process.

All randomness is seeded, so that a corpus unit that was sealed or signed for these people once is for
them the next time too.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeVar

from securechat.membership.room import extensions_for
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.group import Group
from securechat.mls.key_package import KeyPackageBundle, make_key_package
from securechat.mls.proposals import Add, Remove
from securechat.mls.randomness import RandomSource, drawn_from
from securechat.mls.staging import CommitPlan
from tests.membership.world import DOMAIN, LIFETIME, NOW, Device, World, make_device

__all__ = ["DOMAIN", "NOW", "SUITE_3", "Scene", "scene", "seeded"]

Made = TypeVar("Made")

DRAWN: Final = b"fuzz"


def source(seed: bytes) -> RandomSource:
    """Random bytes that are the same every time."""
    count = 0

    def draw(length: int) -> bytes:
        nonlocal count
        count += 1
        return hashlib.shake_128(seed + count.to_bytes(8, "big")).digest(length)

    return draw


def seeded(label: bytes, make: Callable[[], Made]) -> Made:
    """What ``make`` makes, the same every time."""
    with drawn_from(source(DRAWN + label)):
        return make()


@dataclass(frozen=True, slots=True)
class Scene:
    """alice, bob and carol are in a room, dave was; erin has a Welcome that she has not used."""

    alice: Device
    bob: Device
    dave: Device
    erin: Device
    erins: KeyPackageBundle
    world: World
    ours: Group
    """alice's"""
    theirs: Group
    """bob's"""
    welcome: bytes
    group_info: bytes
    """Of the epoch that erin is welcomed to."""
    tree: bytes
    messages: tuple[bytes, ...]
    """Of everything that a member can send in the epoch of ``ours`` and ``theirs``."""
    staged: bytes
    external: bytes
    """An external commit of alice as she stores it."""


@cache
def scene() -> Scene:
    return seeded(b"scene", _made)


def _made() -> Scene:
    alice, bob, carol, dave, erin = map(make_device, ("alice", "bob", "carol", "dave", "erin"))
    world = World(alice)
    world.add(alice, bob, carol, dave)
    for device in (bob, carol):
        world.commit(device, CommitPlan(update=True))
    world.commit(alice, CommitPlan(remove=(world.leaf(dave),)))
    ours, theirs = world.groups[alice.client], world.groups[bob.client]
    erins = make_key_package(erin.identity, SUITE_3, lifetime=LIFETIME)
    staged = ours.stage_commit(CommitPlan(add=(erins.key_package,), update=True))
    following = Group.from_bytes(ours.epoch_bytes(), ours.secrets_bytes(), alice.identity)
    following.merge(staged)
    assert staged.welcome is not None
    room = extensions_for(world.room)
    messages = (
        staged.message,
        ours.stage_commit(CommitPlan(extensions=room, update=True)).message,
        ours.stage_commit(CommitPlan(remove=(world.leaf(carol),))).message,
        ours.propose(Add(erins.key_package)),
        ours.propose(Remove(world.leaf(carol))),
        ours.propose_self_remove(),
        ours.propose_update(),
        ours.encrypt(b"hello", authenticated_data=bytes(20)),
        world.external(alice, remove=ours.own_leaf).message,
    )
    return Scene(
        alice=alice,
        bob=bob,
        dave=dave,
        erin=erin,
        erins=erins,
        world=world,
        ours=ours,
        theirs=theirs,
        welcome=staged.welcome,
        group_info=following.group_info(),
        tree=following.tree_bytes(),
        messages=messages,
        staged=staged.to_bytes(),
        external=world.external(alice, remove=ours.own_leaf).to_bytes(),
    )
