"""Where the nodes of a ratchet tree are: arithmetic on indices, no tree needed (RFC 9420, appendix C).

A tree with 2**d leaves lies in an array of 2**(d+1) - 1 nodes: leaf ``i`` at ``2 * i``, a parent
between its two subtrees, so the number of trailing one bits of an index is the node's level.
Every ``leaf_count`` here is such a power of two.
"""

from typing import Final

from securechat.mls.nodes import LeafIndex, NodeIndex

MAX_LEAVES: Final = 2**24
"""No index from the wire may reach this: a hostile 32-bit index would make us build the tree up to it."""


def node_of(leaf: LeafIndex) -> NodeIndex:
    """The place of a leaf in the array of nodes."""
    return NodeIndex(2 * leaf)


def leaf_of(node: NodeIndex) -> LeafIndex:
    """The leaf at an even node index."""
    if node & 1:
        raise ValueError(f"node {node} is a parent, not a leaf")
    return LeafIndex(node >> 1)


def is_leaf(node: NodeIndex) -> bool:
    return not node & 1


def level(node: NodeIndex) -> int:
    """The height of a node above the leaves: its trailing one bits."""
    return (node ^ (node + 1)).bit_length() - 1


def node_count(leaf_count: int) -> int:
    return 2 * leaf_count - 1 if leaf_count else 0


def root(leaf_count: int) -> NodeIndex:
    """The top of the smallest tree that holds this many leaves."""
    if leaf_count < 1:
        raise ValueError("a tree has at least one leaf")
    return NodeIndex((1 << (leaf_count - 1).bit_length()) - 1)


def left(node: NodeIndex) -> NodeIndex:
    height = level(node)
    if height == 0:
        raise ValueError(f"leaf node {node} has no children")
    return NodeIndex(node ^ (1 << (height - 1)))


def right(node: NodeIndex) -> NodeIndex:
    height = level(node)
    if height == 0:
        raise ValueError(f"leaf node {node} has no children")
    return NodeIndex(node ^ (3 << (height - 1)))


def parent(node: NodeIndex, leaf_count: int) -> NodeIndex:
    if node == root(leaf_count):
        raise ValueError("the root has no parent")
    return _above(node)


def sibling(node: NodeIndex, leaf_count: int) -> NodeIndex:
    above = parent(node, leaf_count)
    return right(above) if node < above else left(above)


def direct_path(node: NodeIndex, leaf_count: int) -> list[NodeIndex]:
    """The ancestors of a node, lowest first, the root included (4.1.2)."""
    top = root(leaf_count)
    path: list[NodeIndex] = []
    while node != top:
        node = _above(node)
        path.append(node)
    return path


def copath(node: NodeIndex, leaf_count: int) -> list[NodeIndex]:
    """The sibling of the node and of each of its ancestors but the root, lowest first (4.1.2)."""
    return [right(above) if child < above else left(above) for child, above in path_pairs(node, leaf_count)]


def path_pairs(node: NodeIndex, leaf_count: int) -> list[tuple[NodeIndex, NodeIndex]]:
    """Each (child, parent) step on the way from a node to the root."""
    path = direct_path(node, leaf_count)
    return list(zip([node, *path], path, strict=False))


def common_ancestor(one: LeafIndex, other: LeafIndex) -> NodeIndex:
    """The lowest node above two different leaves."""
    if one == other:
        raise ValueError("a leaf has no common ancestor with itself")
    height = (one ^ other).bit_length()
    return NodeIndex(((one >> height) << (height + 1)) + (1 << height) - 1)


def is_below(leaf: LeafIndex, node: NodeIndex) -> bool:
    """Whether a leaf is in the subtree that a node heads."""
    height = level(node)
    return leaf >> height == node >> (height + 1)


def _above(node: NodeIndex) -> NodeIndex:
    step = 1 << level(node)
    return NodeIndex((node | step) & ~(step << 1))
