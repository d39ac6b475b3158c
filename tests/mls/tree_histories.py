"""Random histories of a ratchet tree, played on the fast tree and on the slow one side by side (M-04).

Keys are made up and nothing is signed: this is about the shape of trees and their hashes. pytest plays
short ones; a long one is played by

    python -m tests.mls.tree_histories [STEPS [LEAVES [SEED]]]
"""

import random
import sys
from dataclasses import dataclass, field
from typing import Final

from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.commit import UpdatePath, UpdatePathNode
from securechat.mls.credential import BasicCredential
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


_EVERY: Final = 50
"""Steps between two comparisons of a long history."""


def main(steps: int = 10_000, leaves: int = 1_000, seed: int = 1) -> None:
    history = History(random.Random(seed), usual_size=leaves)
    for _ in range(leaves // 2):
        history.add()
    for number in range(1, steps + 1):
        history.step()
        if number % _EVERY == 0 or number == steps:
            history.compare()
            check_parents(history.fast)
            print(f"{number} steps, {len(history.members())} members: the same", flush=True)
    assert history.slow.is_valid()


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
