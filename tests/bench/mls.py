"""What MLS costs in suite 3: ``python -m tests.bench.mls``.

Each row is the median of several runs in CPU time, next to its goal. Warm: every member has
committed once, so that path secrets go to few nodes. Cold: nobody has, so that one goes to every
member.
"""

import statistics
import sys
import time
from collections.abc import Callable
from typing import Final

import msgspec

from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.credential import BasicCredential
from securechat.mls.epoch import EpochState
from securechat.mls.examining import ExaminedCommit
from securechat.mls.group import Group
from securechat.mls.kem import KeyPair
from securechat.mls.key_package import Identity, KeyPackageBundle, make_key_package
from securechat.mls.key_schedule import first_epoch
from securechat.mls.nodes import Capabilities, LeafIndex, Lifetime, NodeIndex
from securechat.mls.public_group import PublicGroup
from securechat.mls.snapshot import Snapshot
from securechat.mls.staging import CommitPlan
from securechat.mls.tree_math import direct_path, node_of
from securechat.mls.update_path import TreePrivate, create_update_path

MEMBERS: Final = 1_000
_LIFETIME: Final = Lifetime(0, 2**32)
_CAPABILITIES: Final = Capabilities((1,), (3,), (0x0006,), (0x000A,), (1,))
_RENEW: Final = CommitPlan(update=True)


def main(members: int = MEMBERS) -> None:
    print(f"suite 3, {members} members, median CPU time")
    for row in (*_floor(), *_messages(), *_group(members)):
        print(row, flush=True)


def _floor() -> list[str]:
    """What no MLS in any language can go below here: goals assume 22 and 68 us."""
    signer, content = SUITE_3.signature.generate(), bytes(300)
    signature = signer.sign_with_label("floor", content)

    def verified() -> bool:
        return SUITE_3.verify_with_label(signer.public, "floor", content, signature=signature)

    return [
        _row(
            "Ed25519 sign 300 B",
            _median(lambda: signer.sign_with_label("floor", content), 2_000) * 1e6,
            "us",
            22,
        ),
        _row("Ed25519 verify 300 B", _median(verified, 1_000) * 1e6, "us", 68),
    ]


def _messages() -> list[str]:
    alice, bob = _pair()
    content, messages = bytes(200), []
    sealing = _median(lambda: messages.append(alice.encrypt(content)), 2_000)
    waiting = iter(messages)
    opening = _median(lambda: bob.decrypt(next(waiting)), 2_000)
    storing = _median(bob.secrets_bytes, 2_000)
    return [
        _row("encrypt 200 B", sealing * 1e6, "us", 60),
        _row("decrypt 200 B", opening * 1e6, "us", 120),
        _row("secrets_bytes after it", storing * 1e6, "us", None),
        _row("    their size", len(bob.secrets_bytes()), "bytes", None),
    ]


def _group(members: int) -> list[str]:
    identities = [_identity(number) for number in range(members)]
    bundles = [make_key_package(identity, SUITE_3, lifetime=_LIFETIME) for identity in identities[1:]]
    creator = Group.create(identities[0], suite=SUITE_3, group_id=b"bench")
    plan = CommitPlan(add=tuple(bundle.key_package for bundle in bundles), force_path=True)
    adding = _median(lambda: creator.stage_commit(plan), 3)
    staged = creator.stage_commit(plan)
    creator.merge(staged)
    assert staged.welcome is not None
    welcome, tree = staged.welcome, creator.tree_bytes()
    joining = _median(lambda: Group.join(welcome, bundles[0], identities[1], tree=tree), 5)
    cold = _median(lambda: creator.stage_commit(_RENEW), 5)
    committer, near_member, far_member = _warm_groups(creator, identities, bundles)
    warm = _median(lambda: committer.stage_commit(_RENEW), 20)
    message = committer.stage_commit(_RENEW).message
    near = _median(lambda: _process(near_member, message), 20)
    far = _median(lambda: _process(far_member, message), 20)
    epoch = _median(near_member.epoch_bytes_without_tree, 20)
    return [
        _row(f"create and add {members - 1} in one commit", adding * 1e3, "ms", 400),
        _row("join from Welcome with tree", joining * 1e3, "ms", 150),
        _row("update commit, cold tree", cold * 1e3, "ms", 150),
        _row("update commit, warm tree", warm * 1e3, "ms", 4),
        _row("    its size", len(message), "bytes", None),
        _row("process it, nearest member", near * 1e3, "ms", 1.5),
        _row("process it, farthest member", far * 1e3, "ms", 1.5),
        _row("epoch_bytes_without_tree", epoch * 1e3, "ms", None),
        _row("    their size", len(near_member.epoch_bytes_without_tree()), "bytes", None),
        _row("    with the tree", len(near_member.epoch_bytes()), "bytes", None),
        _row("secrets_bytes of a new epoch", len(near_member.secrets_bytes()), "bytes", None),
    ]


def _warm_groups(
    creator: Group, identities: list[Identity], bundles: list[KeyPackageBundle]
) -> tuple[Group, Group, Group]:
    """Return the groups of the first, second and last member as they are when everybody has committed once.

    Only the paths are made. Each of 1,000 members following 1,000 commits would take half an hour, and
    committing from left to right n squared path secrets; in bit-reversed order it is n log n.
    """
    tree, context = creator.public.tree, creator.public.context
    keys = {NodeIndex(2 * (number + 1)): _leaf_key(bundle) for number, bundle in enumerate(bundles)}
    bits = (len(identities) - 1).bit_length()
    for leaf in sorted(range(len(identities)), key=lambda leaf: int(f"{leaf:0{bits}b}"[::-1], 2)):
        path = create_update_path(tree, LeafIndex(leaf), identity=identities[leaf], context=context)
        tree = path.tree
        keys |= path.private.keys
    context = msgspec.structs.replace(context, tree_hash=tree.tree_hash())
    epoch = first_epoch(SUITE_3, bytes(32))
    public = PublicGroup.of(context, tree, b"tag")
    groups = []
    for leaf in (0, 1, len(identities) - 1):
        node = node_of(LeafIndex(leaf))
        own = {index: keys[index] for index in (node, *direct_path(node, tree.leaf_count)) if index in keys}
        state = EpochState(public, epoch.secrets, TreePrivate(LeafIndex(leaf), own))
        groups.append(Group(Snapshot.begin(state, epoch.encryption_secret), identities[leaf]))
    return groups[0], groups[1], groups[2]


def _leaf_key(bundle: KeyPackageBundle) -> KeyPair:
    return KeyPair(bundle.encryption_key, bundle.key_package.leaf_node.encryption_key)


def _process(group: Group, message: bytes) -> None:
    examined = group.examine(message)
    assert isinstance(examined, ExaminedCommit)
    group.process(examined)


def _pair() -> tuple[Group, Group]:
    alice, bob = _identity(0), _identity(1)
    bundle = make_key_package(bob, SUITE_3, lifetime=_LIFETIME)
    group = Group.create(alice, suite=SUITE_3, group_id=b"bench")
    staged = group.stage_commit(CommitPlan(add=(bundle.key_package,)))
    group.merge(staged)
    assert staged.welcome is not None
    return group, Group.join(staged.welcome, bundle, bob, tree=group.tree_bytes()).group


def _identity(number: int) -> Identity:
    return Identity(BasicCredential(b"member %d" % number), SUITE_3.signature.generate(), _CAPABILITIES)


def _median(action: Callable[[], object], times: int) -> float:
    spent = []
    for _ in range(times):
        begin = time.thread_time()  # not the clock on the wall: others may be at work on the machine
        action()
        spent.append(time.thread_time() - begin)
    return statistics.median(spent)


def _row(what: str, value: float, unit: str, goal: float | None) -> str:
    return f"{what:<42}{value:>12,.1f} {unit:<6}" + ("" if goal is None else f"goal {goal:g}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MEMBERS)
