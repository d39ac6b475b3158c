"""Random histories of a ratchet tree, played on the fast tree and on the slow one side by side (M-04).

Keys are made up and nothing is signed: this is about the shape of trees and their hashes. pytest plays
short ones; a long one is played by

    python -m tests.mls.tree_histories --steps 10000 --leaves 1000 --seed 1 --minutes 60
"""

import argparse
import random
import sys
import time
import traceback
from dataclasses import dataclass, field
from typing import Final

from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.commit import UpdatePath, UpdatePathNode
from securechat.mls.credential import BasicCredential
from securechat.mls.errors import ValidationError
from securechat.mls.hpke import HPKECiphertext
from securechat.mls.nodes import (
    Capabilities,
    FromCommit,
    FromUpdate,
    LeafIndex,
    LeafNode,
    Lifetime,
    NodeIndex,
)
from securechat.mls.ratchet_tree import RatchetTree, TreeDraft
from securechat.mls.tree_validation import check_parents
from securechat.mls.update_path import merge_update_path
from securechat.mls.validation import check_encryption_keys_unique, check_signature_keys_unique
from tests.mls.corruptions import Nodes, one_corruption
from tests.mls.slow_tree import SlowTree

Origin = Lifetime | FromUpdate | FromCommit


@dataclass
class History:
    """Both trees, and a source of made-up keys that repeats for a seed."""

    source: random.Random
    usual_size: int = 25
    fast: RatchetTree = field(init=False)
    slow: SlowTree = field(init=False)

    def __post_init__(self) -> None:
        leaf = self.leaf(FromCommit(b""))
        self.fast = RatchetTree.of(SUITE_3, leaf)
        self.slow = SlowTree.of([leaf])

    def leaf(self, origin: Origin) -> LeafNode:
        key = self.source.randbytes
        capabilities = Capabilities(credentials=(1,))
        return LeafNode(key(32), key(32), BasicCredential(b"somebody"), capabilities, origin)

    def members(self) -> list[LeafIndex]:
        return [index for index, _ in self.fast.leaves()]

    def step(self) -> None:
        """One random change to both trees."""
        kinds = [self.add] * 3 + [self.path] * 6 + [self.update]
        if len(self.members()) > self.source.randint(1, self.usual_size):
            kinds += [self.remove] * 5
        self.source.choice(kinds)()

    def anybody(self) -> LeafIndex:
        return self.source.choice(self.members())

    def add(self) -> None:
        leaf = self.leaf(Lifetime(0, 1))
        draft = TreeDraft(self.fast)
        assert draft.add(leaf) == self.slow.add(leaf)
        self.fast = draft.freeze()

    def update(self) -> None:
        index, leaf = self.anybody(), self.leaf(FromUpdate())
        draft = TreeDraft(self.fast)
        draft.update(index, leaf)
        self.slow.update(index, leaf)
        self.fast = draft.freeze()

    def remove(self, index: LeafIndex | None = None) -> None:
        index = self.anybody() if index is None else index
        draft = TreeDraft(self.fast)
        draft.remove(index)
        self.slow.remove(index)
        self.fast = draft.freeze()

    def path(self, index: LeafIndex | None = None) -> None:
        """Apply a path whose parent hash the slow tree has computed; the fast one checks it."""
        index = self.anybody() if index is None else index
        sealed = [tuple(HPKECiphertext(b"", b"") for _ in spots) for spots in self.slow.recipients(index)]
        keys = [self.source.randbytes(32) for _ in sealed]
        leaf = self.leaf(FromCommit(self.slow.apply_path(index, keys)))
        nodes = tuple(UpdatePathNode(key, entry) for key, entry in zip(keys, sealed, strict=True))
        self.slow.leaves()[index].value = leaf
        self.fast = merge_update_path(self.fast, index, UpdatePath(leaf, nodes))

    def compare(self) -> None:
        """Both trees are the same, hash the same, resolve the same and find one another valid."""
        values, spots = self.slow.values(), self.slow.spots()
        assert list(self.fast.nodes) == values
        assert self.fast.tree_hash() == self.slow.tree_hash(self.slow.head)
        leaves = self.slow.leaves()
        for index, spot in enumerate(spots):
            found = [spots[node] for node in self.fast.resolution(NodeIndex(index))]
            assert found == self.slow.resolution(spot, leaves)

    def verdict(self, bent: Nodes) -> bool:
        """Ask both checkers about other nodes; they must say the same."""
        slow = SlowTree.of(bent).is_valid()
        fast = RatchetTree(SUITE_3, bent, [None] * len(bent), [None] * len(bent), None)
        assert accepts(fast) == slow
        return slow


def accepts(tree: RatchetTree) -> bool:
    """Whether the fast checker finds the tree valid, apart from what one leaf says of itself."""
    try:
        check_parents(tree)
        check_encryption_keys_unique(tree.census)
        check_signature_keys_unique(tree.census)
    except ValidationError:
        return False
    return True


EVERY: Final = 50
"""Steps between two comparisons of a long history."""


@dataclass
class Played:
    """What a long history did."""

    steps: int = 0
    compared: int = 0
    most_members: int = 0
    most_leaves: int = 0
    refused: int = 0
    """Trees with one field changed that both checkers refused."""
    accepted: int = 0
    """And those that are valid trees too: both accepted them."""

    def __str__(self) -> str:
        return (
            f"{self.steps} steps, at most {self.most_members} members in {self.most_leaves} leaves, compared "
            f"{self.compared} times; of {self.refused + self.accepted} corrupted trees both refused "
            f"{self.refused} and accepted {self.accepted}"
        )


def play(history: History, *, steps: int, leaves: int, corruptions: int, until: float) -> Played:
    """Play a history that begins with half of ``leaves``, comparing now and then, and at its end.

    :param until: on the monotonic clock; no step is begun later
    :raises AssertionError: the two trees, or what is said of them, differ
    """
    played = Played()
    for _ in range(leaves // 2):
        history.add()
    while played.steps < steps and time.monotonic() < until:
        history.step()
        played.steps += 1
        played.most_members = max(played.most_members, len(history.members()))
        played.most_leaves = max(played.most_leaves, history.fast.leaf_count)
        if played.steps % EVERY == 0:
            _compare(history, corruptions, played)
            print(played, flush=True)
    if played.steps % EVERY or not played.steps:
        _compare(history, corruptions, played)
    return played


def _compare(history: History, corruptions: int, played: Played) -> None:
    history.compare()
    check_parents(history.fast)
    assert history.slow.is_valid()
    for _ in range(corruptions):
        what, bent = one_corruption(list(history.fast.nodes), history.source)
        try:
            valid = history.verdict(bent)
        except AssertionError:
            raise AssertionError(f"the two checkers disagree about: {what}") from None
        played.accepted += valid
        played.refused += not valid
    played.compared += 1


def main() -> int:
    """Play one long history; end with 1 when something is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--leaves", type=int, default=1_000, help="about so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corruptions", type=int, default=2, help="asked about at each comparison")
    parser.add_argument("--minutes", type=float, default=600.0, help="no step after that")
    asked = parser.parse_args()
    told = f"seed {asked.seed}, about {asked.leaves} leaves, {asked.corruptions} corruptions a time"
    print(told, flush=True)
    begun = time.monotonic()
    history = History(random.Random(asked.seed), usual_size=asked.leaves)
    try:
        played = play(
            history,
            steps=asked.steps,
            leaves=asked.leaves,
            corruptions=asked.corruptions,
            until=begun + asked.minutes * 60,
        )
    except (AssertionError, ValidationError):
        traceback.print_exc()
        print(f"WRONG: {told}; the same options tell it again")
        return 1
    print(f"{told}: {played}; {time.monotonic() - begun:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
