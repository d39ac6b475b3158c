"""Whether the path of a commit is valid (RFC 9420 section 12.4.2); ValidationError names the rule.

The lengths, the ciphertexts' count and the parent hash are checked where the path is merged.
"""

from collections import Counter

from securechat.mls.commit import UpdatePath
from securechat.mls.errors import ValidationError
from securechat.mls.nodes import LeafIndex, LeafNode, LeafNodeSource
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.validation import (
    check_encryption_key,
    check_leaf,
    check_leaf_replaces,
    check_leaf_signature,
    check_leaf_source,
)


def check_path(
    path: UpdatePath, tree: RatchetTree, *, group_id: bytes, sender: LeafIndex, replaced: LeafNode | None
) -> None:
    """All rules about a path before it is merged into ``tree``, which has the proposals applied.

    ``replaced`` is the committer's old leaf; in an external commit the one it removes, if any.
    """
    check_path_leaf(path.leaf_node, tree, group_id=group_id, sender=sender)
    if replaced is not None:
        check_leaf_replaces(path.leaf_node, replaced)
    check_path_keys(path, tree)


def check_path_leaf(leaf: LeafNode, tree: RatchetTree, *, group_id: bytes, sender: LeafIndex) -> None:
    """7.3: the leaf of a path is valid, of source commit, signed for its place."""
    check_leaf_source(leaf, LeafNodeSource.COMMIT)
    check_leaf(leaf, tree.suite)
    check_leaf_signature(leaf, tree.suite, group_id=group_id, leaf_index=sender)


def check_path_keys(path: UpdatePath, tree: RatchetTree) -> None:
    """12.4.2: all keys of a path are keys, new to the tree, and different from one another."""
    keys = Counter([path.leaf_node.encryption_key, *(node.encryption_key for node in path.nodes)])
    for key, count in keys.items():
        check_encryption_key(key, tree.suite)
        if count > 1 or key in tree.census.encryption_keys:
            raise ValidationError("path-key-known", "12.4.2", "a key of the path is not new")
