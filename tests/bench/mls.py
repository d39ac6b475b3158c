"""What MLS costs: ``python -m tests.bench.mls [--sizes 2,10,100,1000] [--suite 3] [--large 5000] [--peer]``.

CPU time, medians. Beside each number stands the floor: what its primitives alone cost, by their
number in RFC 9420 and their price in this run. Warm: every member has committed once, so that a path
secret goes to one node at each level. Cold: nobody has, so that it goes to every member. ``--peer``
puts ts-mls 2.x beside it, in the same groups (it needs node, see ``tests/interop``).
"""

import argparse
import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import msgspec

from securechat.mls import ratchet_tree
from securechat.mls.cipher_suite import SUITES, CipherSuite
from securechat.mls.credential import BasicCredential
from securechat.mls.epoch import EpochState
from securechat.mls.examining import ExaminedCommit
from securechat.mls.group import Group
from securechat.mls.hpke import HPKECiphertext
from securechat.mls.kem import KeyPair
from securechat.mls.key_package import Identity, KeyPackageBundle, make_key_package
from securechat.mls.key_schedule import first_epoch
from securechat.mls.nodes import Capabilities, LeafIndex, Lifetime, NodeIndex
from securechat.mls.processing import ReceivedCommit
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import changed_nodes
from securechat.mls.secret_tree import Ratchet
from securechat.mls.snapshot import Snapshot
from securechat.mls.staging import CommitPlan
from securechat.mls.tree_math import direct_path, node_of
from securechat.mls.update_path import TreePrivate, create_update_path
from tests.bench.mls_peer import TsMls, running_ts_mls

_DAY: Final = 86_400
_RENEW: Final = CommitPlan(update=True)
_ADDS_AT_ONCE: Final = 1_024
_GOALS: Final = {
    ("encrypt 200 B", 2): 60e-6,
    ("decrypt 200 B", 2): 120e-6,
    ("update, warm", 1000): 4e-3,
    ("process it, nearest", 1000): 1.5e-3,
    ("process it, farthest", 1000): 1.5e-3,
    ("update, cold", 1000): 150e-3,
    ("join", 1000): 150e-3,
    ("create and add all", 1000): 400e-3,
    ("save after a message", 1000): 1e-3,
}
"""Of suite 3, on the machine where they were set; ``mls-notes.md``."""


@dataclass(frozen=True, slots=True)
class Unit:
    """What the primitives cost here and now, in seconds."""

    sign: float
    verify: float
    seal: float
    open: float
    derive: float
    generate: float
    expand: float
    aead: float

    @classmethod
    def measured(cls, suite: CipherSuite) -> "Unit":
        signer, pair = suite.signature.generate(), suite.kem.generate()
        content, seed, context = bytes(300), bytes(suite.hash_length), bytes(200)
        signature = signer.sign_with_label("floor", content)
        sealed = suite.encrypt_with_label(pair.public, "floor", context, seed)
        key, nonce = bytes(suite.aead.key_length), bytes(suite.aead.nonce_length)

        def opened() -> bytes:
            return suite.decrypt_with_label(pair.private, "floor", context, _copy(sealed))

        return cls(
            sign=_median(lambda: signer.sign_with_label("floor", content), 500),
            verify=_median(
                lambda: suite.verify_with_label(signer.public, "floor", content, signature=signature), 500
            ),
            seal=_median(lambda: suite.encrypt_with_label(pair.public, "floor", context, seed), 300),
            open=_median(opened, 300),
            derive=_median(lambda: suite.derive_key_pair(seed), 300),
            generate=_median(suite.kem.generate, 300),
            expand=_median(lambda: suite.expand_with_label(seed, "floor", b"", suite.hash_length), 1_000),
            aead=_median(lambda: suite.aead.seal(key, nonce, content, aad=b""), 1_000),
        )

    def floor(self, what: str, members: int) -> float:
        """The primitives that RFC 9420 asks for, and nothing else."""
        levels = (members - 1).bit_length()
        schedule = 20 * self.expand
        return {
            "encrypt 200 B": self.sign + 2 * self.aead + 5 * self.expand,
            "decrypt 200 B": self.verify + 2 * self.aead + 5 * self.expand,
            "update, warm": levels * (self.derive + self.seal) + self.generate + 3 * self.sign + schedule,
            "update, cold": levels * self.derive + (members - 1) * self.seal + self.generate + 3 * self.sign,
            "process it, nearest": 2 * self.verify + self.open + levels * self.derive + schedule,
            "process it, farthest": 2 * self.verify + self.open + self.derive + schedule,
            "join": (members + 1) * self.verify + self.open + levels * self.derive + schedule,
            "create and add all": (members - 1) * (2 * self.verify + self.seal) + levels * self.derive,
        }[what]


def _copy(sealed: HPKECiphertext) -> HPKECiphertext:
    return HPKECiphertext(sealed.kem_output, sealed.ciphertext)


@dataclass(frozen=True, slots=True)
class Crowd:
    """The clients of a group: the first begins it and adds the others."""

    suite: CipherSuite
    identities: list[Identity]
    bundles: list[KeyPackageBundle]

    @classmethod
    def of(cls, suite: CipherSuite, members: int) -> "Crowd":
        identities = [_identity(suite, number) for number in range(members)]
        now = int(time.time())
        lifetime = Lifetime(now - _DAY, now + 20 * _DAY)
        return cls(
            suite, identities, [make_key_package(each, suite, lifetime=lifetime) for each in identities[1:]]
        )

    def begun(self) -> Group:
        return Group.create(self.identities[0], suite=self.suite, group_id=b"bench")

    def plans(self) -> Iterator[CommitPlan]:
        packages = [bundle.key_package for bundle in self.bundles]
        for first in range(0, len(packages), _ADDS_AT_ONCE):
            yield CommitPlan(add=tuple(packages[first : first + _ADDS_AT_ONCE]), force_path=True)


def main() -> None:
    options = _options()
    suite = SUITES[options.suite]
    unit = Unit.measured(suite)
    prices = "  ".join(f"{name} {getattr(unit, name) * 1e6:.1f}" for name in Unit.__slots__)
    print(f"suite {suite.name}; primitives in µs: {prices}")
    print(f"{'':<30}{'n':>6}{'ours':>12}{'floor':>12}{'ratio':>7}{'ts-mls':>12}{'times':>7}   goal")
    with ExitStack() as stack:
        peer = stack.enter_context(running_ts_mls()) if options.peer else None
        for row in _rows(suite, [int(size) for size in options.sizes.split(",")], peer):
            print(_line(*row, unit), flush=True)
    if options.large:
        _print_growth(suite, options.large, unit)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", default="2,10,100,1000")
    parser.add_argument("--suite", type=lambda number: int(number, 0), default=3)
    parser.add_argument("--large", type=int, default=0, help="how a warm commit grows, up to so many members")
    parser.add_argument("--peer", action="store_true")
    return parser.parse_args()


Row = tuple[str, int, float, float | None]
"""What, members, ours, theirs (seconds)."""


def _rows(suite: CipherSuite, sizes: Sequence[int], peer: TsMls | None) -> Iterator[Row]:
    yield from _messages(suite, peer)
    for size in sizes:
        yield from _group(suite, size, peer)


def _messages(suite: CipherSuite, peer: TsMls | None) -> Iterator[Row]:
    crowd = Crowd.of(suite, 2)
    alice = crowd.begun()
    staged = alice.stage_commit(next(crowd.plans()))
    alice.merge(staged)
    assert staged.welcome is not None
    bob = Group.join(staged.welcome, crowd.bundles[0], crowd.identities[1], tree=alice.tree_bytes()).group
    messages: list[bytes] = []
    sealing = _median(lambda: messages.append(bob.encrypt(bytes(200))), 2_000)
    waiting = iter(messages)
    opening = _median(lambda: alice.decrypt(next(waiting)), 2_000)
    theirs = peer.messages(alice) if peer else (None, None)
    yield "encrypt 200 B", 2, sealing, theirs[0]
    yield "decrypt 200 B", 2, opening, theirs[1]


def _group(suite: CipherSuite, members: int, peer: TsMls | None) -> Iterator[Row]:
    crowd = Crowd.of(suite, members)
    creator = crowd.begun()
    plan = next(crowd.plans())
    adding = _median(lambda: crowd.begun().stage_commit(plan), 3)
    creating = peer.creates(suite.number, plan) if peer else None
    yield "create and add all", members, adding, creating
    staged = creator.stage_commit(plan)
    creator.merge(staged)
    assert staged.welcome is not None
    welcome, tree = staged.welcome, creator.tree_bytes()
    yield (
        "join",
        members,
        _median(lambda: Group.join(welcome, crowd.bundles[0], crowd.identities[1], tree=tree), 5),
        peer.joins(creator) if peer else None,
    )
    cold = _median(lambda: creator.stage_commit(_RENEW), 5)
    yield "update, cold", members, cold, peer.updates() if peer else None
    committer, near, far = warm_groups(creator, crowd)
    theirs = peer.warm(committer) if peer else (None, None)
    yield "update, warm", members, _median(lambda: committer.stage_commit(_RENEW), 20), theirs[0]
    committer, near, far = warm_groups(creator, crowd) if peer else (committer, near, far)
    message = committer.stage_commit(_RENEW).message
    yield "process it, nearest", members, _median(lambda: _process(near, message), 20), theirs[1]
    yield "process it, farthest", members, _median(lambda: _process(far, message), 20), theirs[1]
    yield from _state(far, committer, members)


def _state(group: Group, committer: Group, members: int) -> Iterator[Row]:
    """What is written after a message and after a commit, everybody having spoken; what it takes to keep."""
    secrets = group._now.secrets
    for leaf in range(members):
        secrets.consume(secrets.find_next(LeafIndex(leaf), Ratchet.APPLICATION))
    group.secret_rows()

    def saved() -> None:
        secrets.consume(secrets.find_next(LeafIndex(members - 1), Ratchet.APPLICATION))
        group.changed_secret_rows()

    yield "save after a message", members, _median(saved, 200), None
    old = group.public.tree
    group.merge(_received(group, committer.stage_commit(_RENEW).message))
    rows = list(changed_nodes(old, group.public.tree))

    def written() -> None:
        list(changed_nodes(old, group.public.tree))
        group.epoch_bytes_without_tree()
        group.secret_rows()

    yield f"save after a commit, {len(rows)} nodes", members, _median(written, 20), None
    epoch, sealed, identity = group.epoch_bytes(), group.secrets_bytes(), group.identity
    print(f"{'    bytes kept: tree, rest':<30}{members:>6}{len(group.tree_bytes()):>12,}", end="")
    print(f"{len(group.epoch_bytes_without_tree()):>12,}")
    print(f"{'    memory, MB':<30}{members:>6}{_memory(epoch, sealed, identity):>12.2f}")


def _memory(epoch: bytes, secrets: bytes, identity: Identity) -> float:
    """Megabytes that a member's state takes when it has been read and has followed once."""
    gc.collect()
    tracemalloc.start()
    kept = Group.from_bytes(epoch, secrets, identity)
    kept.stage_commit(CommitPlan(include_pending=False, update=True))
    kept.public.tree.tree_hash()
    gc.collect()
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return used / 1e6


def _print_growth(suite: CipherSuite, largest: int, unit: Unit) -> None:
    """Show that a warm commit costs what its levels cost: the limit of a tree is raised for it."""
    ratchet_tree.MAX_MEMBERS = 1 << (largest - 1).bit_length()  # type: ignore[misc]
    sizes = [size for size in (10, 50, 100, 500, 1_000, 2_000, 5_000, 10_000) if size < largest]
    for members in (*sizes, largest):
        crowd = Crowd.of(suite, members)
        creator = crowd.begun()
        for plan in crowd.plans():
            creator.merge(creator.stage_commit(plan))
        committer, _, far = warm_groups(creator, crowd)
        size, *rows = _measured(committer, far)
        for what, spent in zip(("update, warm", "process it, farthest"), rows, strict=True):
            print(_line(what, members, spent, None, unit), flush=True)
        print(f"{'    bytes sent':<30}{members:>6}{size:>12,.0f}", flush=True)


def _measured(committer: Group, far: Group) -> tuple[float, float, float]:
    """Return the size of a commit, what it takes to make, and to process."""
    message = committer.stage_commit(_RENEW).message
    made = _median(lambda: committer.stage_commit(_RENEW), 20)
    return len(message), made, _median(lambda: _process(far, message), 20)


def warm_groups(creator: Group, crowd: Crowd) -> tuple[Group, Group, Group]:
    """Return the groups of the first, second and last member as they are when everybody has committed once.

    Only the paths are made. Each of 1,000 members following 1,000 commits would take half an hour, and
    committing from left to right n squared path secrets; in bit-reversed order it is n log n.
    """
    tree, context = creator.public.tree, creator.public.context
    keys = {NodeIndex(2 * (number + 1)): _leaf_key(each) for number, each in enumerate(crowd.bundles)}
    bits = (len(crowd.identities) - 1).bit_length()
    for leaf in sorted(range(len(crowd.identities)), key=lambda leaf: int(f"{leaf:0{bits}b}"[::-1], 2)):
        path = create_update_path(tree, LeafIndex(leaf), identity=crowd.identities[leaf], context=context)
        tree = path.tree
        keys |= path.private.keys
    context = msgspec.structs.replace(context, tree_hash=tree.tree_hash())
    epoch = first_epoch(crowd.suite, bytes(crowd.suite.hash_length))
    public = PublicGroup.of(context, tree, b"tag")
    groups = []
    for leaf in (0, 1, len(crowd.identities) - 1):
        node = node_of(LeafIndex(leaf))
        own = {index: keys[index] for index in (node, *direct_path(node, tree.leaf_count)) if index in keys}
        state = EpochState(public, epoch.secrets, TreePrivate(LeafIndex(leaf), own))
        groups.append(Group(Snapshot.begin(state, epoch.encryption_secret), crowd.identities[leaf]))
    return groups[0], groups[1], groups[2]


def _leaf_key(bundle: KeyPackageBundle) -> KeyPair:
    return KeyPair(bundle.encryption_key, bundle.key_package.leaf_node.encryption_key)


def _received(group: Group, message: bytes) -> ReceivedCommit:
    examined = group.examine(message)
    assert isinstance(examined, ExaminedCommit)
    return group.process(examined)


def _process(group: Group, message: bytes) -> None:
    _received(group, message)


def _identity(suite: CipherSuite, number: int) -> Identity:
    capabilities = Capabilities((1,), (suite.number,), (0x0006,), (0x000A,), (1,))
    return Identity(BasicCredential(b"member %d" % number), suite.signature.generate(), capabilities)


def _median(action: Callable[[], object], times: int) -> float:
    spent = []
    for _ in range(times):
        begin = time.thread_time()  # not the clock on the wall: others may be at work on the machine
        action()
        spent.append(time.thread_time() - begin)
    return statistics.median(spent)


def _line(what: str, members: int, ours: float, theirs: float | None, unit: Unit) -> str:
    floor = None if what.startswith("save") else unit.floor(what, members)
    cells = [f"{what:<30}{members:>6}{_time(ours):>12}"]
    cells.append(f"{_time(floor):>12}{ours / floor:>7.2f}" if floor else " " * 19)
    cells.append(f"{_time(theirs):>12}{theirs / ours:>7.0f}" if theirs else " " * 19)
    goal = _GOALS.get((what, members))
    return "".join(cells) + (f"   {_time(goal)}" if goal else "")


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:,.1f} µs" if seconds < 1e-3 else f"{seconds * 1e3:,.2f} ms"


if __name__ == "__main__":
    main()
