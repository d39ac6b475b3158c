"""Random histories of a ratchet tree, played on the fast tree and on the slow one side by side (M-04).

Keys are made up and nothing is signed: this is about the shape of trees and their hashes. pytest plays
short ones; a long one is played by

    python -m tests.mls.tree_histories --steps 10000 --leaves 1000 --seed 1 --minutes 60
"""

import argparse
import random
import time
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


_EVERY: Final = 50
"""Steps between two comparisons of a long history."""


def main() -> None:
    options = _options()
    history = History(random.Random(options.seed), usual_size=options.leaves)
    for _ in range(options.leaves // 2):
        history.add()
    begun, refused = time.monotonic(), 0
    for number in range(1, options.steps + 1):
        history.step()
        if number % _EVERY == 0 or number == options.steps:
            history.compare()
            check_parents(history.fast)
            for _ in range(options.corruptions):
                what, bent = one_corruption(list(history.fast.nodes), history.source)
                assert_agreed(history, what, bent)
                refused += 1
            members = len(history.members())
            print(f"{number} steps, {members} members, {refused} corruptions: the same", flush=True)
        if time.monotonic() - begun > options.minutes * 60:
            break
    assert history.slow.is_valid()


def assert_agreed(history: History, what: str, bent: Nodes) -> None:
    try:
        history.verdict(bent)
    except AssertionError:
        raise AssertionError(f"the two checkers disagree about: {what}") from None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--leaves", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--corruptions", type=int, default=2, help="asked about at each comparison")
    parser.add_argument("--minutes", type=float, default=600.0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
