"""Each rule about the parents of a received tree (RFC 9420 sections 7.1, 7.9.2, 12.4.3.1), broken (M-04)."""

import random

import pytest

from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.nodes import LeafIndex, NodeIndex, ParentNode
from securechat.mls.ratchet_tree import RatchetTree, TreeDraft
from securechat.mls.tree_validation import check_parents
from tests.mls.refusals import refused
from tests.mls.tree_histories import History


def told(size: int, *committed: int, then_add: int = 0) -> History:
    """A tree of so many members, of whom these have committed, with newcomers after."""
    history = History(random.Random(size))
    for _ in range(size - 1):
        history.add()
    for index in committed:
        history.path(LeafIndex(index))
    for _ in range(then_add):
        history.add()
    return history


def with_parent(tree: RatchetTree, index: int, **changes: object) -> RatchetTree:
    node = tree.parent(NodeIndex(index))
    assert node is not None
    fields = {
        "encryption_key": node.encryption_key,
        "parent_hash": node.parent_hash,
        "unmerged_leaves": node.unmerged_leaves,
        **changes,
    }
    draft = TreeDraft(tree)
    draft.put(NodeIndex(index), ParentNode(**fields))  # type: ignore[arg-type]
    return draft.freeze()


def test_blank_nodes_on_the_way_are_accepted() -> None:
    history = told(8, 0, 2, 5, 7)
    history.remove(LeafIndex(1))
    history.remove(LeafIndex(3))
    history.path(LeafIndex(0))
    tree = history.fast
    assert tree.node(NodeIndex(1)) is None  # leaf 0 chains past it
    check_parents(tree)


def test_unmerged_leaves_are_accepted() -> None:
    tree = told(6, 0, 4, then_add=2).fast
    root = tree.parent(tree.root)
    assert root is not None
    assert root.unmerged_leaves == (6, 7)
    check_parents(tree)


def test_unmerged_leaves_are_sorted() -> None:
    tree = told(6, 0, 4, then_add=2).fast
    for unmerged in ((7, 6), (6, 6, 7)):
        with refused("unmerged-unsorted"):
            check_parents(with_parent(tree, 7, unmerged_leaves=unmerged))


@pytest.mark.parametrize(("node", "unmerged"), [(7, (6, 7, 8)), (7, (2**32 - 1,)), (3, (6,))])
def test_unmerged_leaves_are_below(node: int, unmerged: tuple[int, ...]) -> None:
    tree = told(6, 0, 4, then_add=2).fast
    with refused("unmerged-not-below"):
        check_parents(with_parent(tree, node, unmerged_leaves=unmerged))


def test_unmerged_leaves_are_not_blank() -> None:
    tree = told(6, 0, 4, then_add=1).fast
    with refused("unmerged-not-below"):
        check_parents(with_parent(tree, 7, unmerged_leaves=(6, 7)))


def test_unmerged_leaves_are_listed_all_the_way() -> None:
    tree = told(7, 0, 4, then_add=1).fast
    between = tree.parent(NodeIndex(11))
    assert between is not None
    assert between.unmerged_leaves == (7,)
    with refused("unmerged-gap"):
        check_parents(with_parent(tree, 11, unmerged_leaves=()))


@pytest.mark.parametrize("index", [1, 3, 5, 7, 9, 11, 13])
def test_every_parent_is_checked(index: int) -> None:
    tree = told(8, 0, 2, 4, 6).fast
    check_parents(tree)
    with refused("parent-hash"):
        check_parents(with_parent(tree, index, encryption_key=SUITE_3.kem.generate().public))


@pytest.mark.parametrize("index", [1, 3, 5, 9, 11, 13])
def test_an_empty_parent_hash_is_no_parent_hash(index: int) -> None:
    tree = told(8, 0, 2, 4, 6).fast
    with refused("parent-hash"):
        check_parents(with_parent(tree, index, parent_hash=b""))


def test_a_parent_whose_leaf_was_updated_since_is_not_chained() -> None:
    history = told(4, 0)
    draft = TreeDraft(history.fast)
    leaf = history.fast.member(LeafIndex(2))
    draft.put(NodeIndex(0), leaf)  # as an Update would, had it not blanked the path
    with refused("parent-hash"):
        check_parents(draft.freeze())


def test_a_parent_made_up_by_an_insider_is_not_chained() -> None:
    tree = told(8, 0).fast
    draft = TreeDraft(tree)
    draft.put(NodeIndex(13), ParentNode(SUITE_3.kem.generate().public, b"", ()))
    with refused("parent-hash"):
        check_parents(draft.freeze())
