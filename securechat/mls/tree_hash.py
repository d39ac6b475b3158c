"""The two hashes over tree nodes: tree hashes (RFC 9420 section 7.8) and parent hashes (7.9).

Only the inputs of the hashes are put together here, from parts already encoded. Which node is hashed
when, and what is remembered, is the tree's business.
"""

from collections.abc import Callable
from typing import Final

from securechat.mls.codec import encode_opaque
from securechat.mls.nodes import LeafIndex

Hash = Callable[[bytes], bytes]

_LEAF: Final = b"\x01"
_PARENT: Final = b"\x02"
_ABSENT: Final = b"\x00"
_PRESENT: Final = b"\x01"


def leaf_hash(hash_: Hash, index: LeafIndex, leaf: bytes | None) -> bytes:
    """The tree hash of a leaf, given its encoding, or None where it is blank."""
    value = _ABSENT if leaf is None else _PRESENT + leaf
    return hash_(_LEAF + index.to_bytes(4, "big") + value)


def parent_node_hash(hash_: Hash, parent: bytes | None, *, left: bytes, right: bytes) -> bytes:
    """The tree hash of a parent, given its encoding, or None where it is blank, and its children's."""
    value = _ABSENT if parent is None else _PRESENT + parent
    return hash_(_PARENT + value + encode_opaque(left) + encode_opaque(right))


def parent_hash(hash_: Hash, *, encryption_key: bytes, parent_hash: bytes, sibling: bytes) -> bytes:
    """The parent hash of a node with that key and parent hash; ``sibling`` is the original tree hash."""
    return hash_(encode_opaque(encryption_key) + encode_opaque(parent_hash) + encode_opaque(sibling))
