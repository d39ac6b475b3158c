"""Whether a ratchet tree, received as a whole, could have come about (RFC 9420 sections 7.9.2, 12.4.3.1).

The rules about parent nodes are here, each a function that raises ValidationError with its name; the
rules about leaves are in :mod:`securechat.mls.validation`. Every rule looks at every node it is about:
there is no early success.
"""

from itertools import pairwise

from securechat.mls import tree_hash, tree_math
from securechat.mls.errors import ValidationError
from securechat.mls.nodes import NodeIndex, ParentNode
from securechat.mls.ratchet_tree import RatchetTree


def check_parents(tree: RatchetTree) -> None:
    """All rules about the parent nodes of a received tree; ValidationError names the broken one."""
    check_unmerged_sorted(tree)
    check_unmerged_below(tree)
    check_unmerged_without_gaps(tree)
    check_parent_hashes(tree)


def check_unmerged_sorted(tree: RatchetTree) -> None:
    """7.1: unmerged leaves are listed in increasing order, so each at most once."""
    for index, node in _parents(tree):
        leaves = node.unmerged_leaves
        if any(one >= other for one, other in pairwise(leaves)):
            raise ValidationError("unmerged-unsorted", "7.1", f"at node {index}")


def check_unmerged_below(tree: RatchetTree) -> None:
    """12.4.3.1: an unmerged leaf is a non-blank descendant of the node that lists it."""
    for index, node in _parents(tree):
        for leaf in node.unmerged_leaves:
            if not tree_math.is_below(leaf, index) or tree.leaf(leaf) is None:
                raise ValidationError("unmerged-not-below", "12.4.3.1", f"leaf {leaf} at node {index}")


def check_unmerged_without_gaps(tree: RatchetTree) -> None:
    """12.4.3.1: the non-blank nodes between an unmerged leaf and the node that lists it list it too."""
    listed = {index: frozenset(node.unmerged_leaves) for index, node in _parents(tree)}
    for index, leaves in listed.items():
        for leaf in leaves:
            for between in tree_math.direct_path(tree_math.node_of(leaf), tree.leaf_count):
                if between == index:
                    break
                if between in listed and leaf not in listed[between]:
                    raise ValidationError("unmerged-gap", "12.4.3.1", f"leaf {leaf} at node {between}")


def check_parent_hashes(tree: RatchetTree) -> None:
    """7.9.2: each non-blank parent is chained by parent hash to exactly one node below it.

    That node is a leaf or a parent that is checked in turn, so all chains end in signed leaves.
    """
    for index, node in _parents(tree):
        left, right = tree_math.left(index), tree_math.right(index)
        chained = [
            _is_chained(tree, node, child=left, sibling=right),
            _is_chained(tree, node, child=right, sibling=left),
        ]
        if chained.count(True) != 1:
            raise ValidationError("parent-hash", "7.9.2", f"node {index} is not chained to one leaf")


def _is_chained(tree: RatchetTree, node: ParentNode, *, child: NodeIndex, sibling: NodeIndex) -> bool:
    """Whether a node under ``child`` carries the parent hash of ``node`` with that sibling (7.9.2)."""
    unmerged = {tree_math.node_of(leaf) for leaf in node.unmerged_leaves if tree_math.is_below(leaf, child)}
    resolution = tree.resolution(child)
    merged = [index for index in resolution if index not in unmerged]
    if len(merged) != 1 or len(resolution) != len(unmerged) + 1:
        return False  # nobody below was updated together with the node
    below = tree.node(merged[0])
    return below is not None and below.parent_hash == parent_hash_of(tree, node, sibling=sibling)


def parent_hash_of(tree: RatchetTree, node: ParentNode, *, sibling: NodeIndex) -> bytes:
    """The parent hash of a node of the tree with that copath child (7.9)."""
    return tree_hash.parent_hash(
        tree.suite.hash,
        encryption_key=node.encryption_key,
        parent_hash=node.parent_hash,
        sibling=tree.original_hash(sibling, node.unmerged_leaves),
    )


def _parents(tree: RatchetTree) -> list[tuple[NodeIndex, ParentNode]]:
    return [(NodeIndex(index), node) for index, node in enumerate(tree.nodes) if isinstance(node, ParentNode)]
