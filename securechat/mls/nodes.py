"""The nodes of a ratchet tree (RFC 9420 sections 7.1 and 7.2)."""

from typing import Annotated, Final, NewType

import msgspec

from securechat.mls.cipher_suite import CipherSuite
from securechat.mls.codec import (
    Enum8,
    Enum16,
    Opaque,
    Shape,
    Tagged,
    Uint16,
    Uint64,
    Unsigned,
    WireStruct,
    encode_before,
    encode_opaque,
)
from securechat.mls.credential import Credential
from securechat.mls.extensions import Extension
from securechat.mls.signature import SigningKey

LeafIndex = NewType("LeafIndex", int)
"""A member's place, counted among the leaves."""

NodeIndex = NewType("NodeIndex", int)
"""A node's place in the array of all nodes (appendix C)."""

Epoch = NewType("Epoch", int)
"""The number of a state of the group."""

Uint64Epoch = Annotated[Epoch, Unsigned(8)]
Uint32LeafIndex = Annotated[LeafIndex, Unsigned(4)]


DEFAULT_PROPOSALS: Final = frozenset(range(0x0001, 0x0008))
"""Proposal types supported by everybody and never listed in capabilities (section 7.2)."""


class ProtocolVersion(Enum16):
    MLS10 = 1


class Capabilities(WireStruct, frozen=True):
    """What a client supports; numbers we don't know are carried and ignored."""

    versions: tuple[Uint16, ...] = ()
    cipher_suites: tuple[Uint16, ...] = ()
    extensions: tuple[Uint16, ...] = ()
    proposals: tuple[Uint16, ...] = ()
    credentials: tuple[Uint16, ...] = ()


class LeafNodeSource(Enum8):
    KEY_PACKAGE = 1
    UPDATE = 2
    COMMIT = 3


class Lifetime(WireStruct, frozen=True):
    """A leaf that came by a key package: valid between two times, in seconds since 1970."""

    not_before: Uint64
    not_after: Uint64

    def contains(self, now: int) -> bool:
        return self.not_before <= now <= self.not_after

    @property
    def span(self) -> int:
        """Its length in seconds."""
        return self.not_after - self.not_before


class FromUpdate(WireStruct, frozen=True):
    """A leaf that came by an Update proposal."""


class FromCommit(WireStruct, frozen=True):
    """A leaf that came by the path of a commit, bound to it by the parent hash."""

    parent_hash: Opaque


LeafOrigin = Annotated[
    Lifetime | FromUpdate | FromCommit,
    Tagged(
        LeafNodeSource,
        {
            LeafNodeSource.KEY_PACKAGE: Lifetime,
            LeafNodeSource.UPDATE: FromUpdate,
            LeafNodeSource.COMMIT: FromCommit,
        },
    ),
]


class LeafNode(WireStruct, frozen=True):
    """A client's appearance in a group, signed by it (section 7.2)."""

    encryption_key: Opaque
    signature_key: Opaque
    credential: Credential
    capabilities: Capabilities
    origin: LeafOrigin
    extensions: tuple[Extension, ...] = ()
    signature: Opaque = b""

    @property
    def leaf_node_source(self) -> LeafNodeSource:
        return _SOURCES[type(self.origin)]

    @property
    def lifetime(self) -> Lifetime | None:
        return self.origin if isinstance(self.origin, Lifetime) else None

    @property
    def parent_hash(self) -> bytes | None:
        """The parent hash of a leaf that came by a commit, else None."""
        return self.origin.parent_hash if isinstance(self.origin, FromCommit) else None


_SOURCES: Final = {
    Lifetime: LeafNodeSource.KEY_PACKAGE,
    FromUpdate: LeafNodeSource.UPDATE,
    FromCommit: LeafNodeSource.COMMIT,
}


class ParentNode(WireStruct, frozen=True):
    """A subgroup's key (section 7.1)."""

    encryption_key: Opaque
    parent_hash: Opaque = b""
    unmerged_leaves: tuple[Uint32LeafIndex, ...] = ()


class NodeType(Enum8):
    LEAF = 1
    PARENT = 2


Node = Annotated[
    LeafNode | ParentNode, Tagged(NodeType, {NodeType.LEAF: LeafNode, NodeType.PARENT: ParentNode})
]

NODE: Final = Shape[LeafNode | ParentNode](Node)
OPTIONAL_NODE: Final = Shape[LeafNode | ParentNode | None](Node | None)
RATCHET_TREE: Final = Shape[tuple[LeafNode | ParentNode | None, ...]](tuple[Node | None, ...])
"""The ratchet_tree extension's data (section 12.4.3.3)."""


def leaf_node_tbs(
    leaf: LeafNode, *, group_id: bytes, leaf_index: LeafIndex, encoding: bytes | None = None
) -> bytes:
    """Return what a leaf's signature covers; the place counts only for leaves made within a group.

    ``encoding`` is the leaf's, for who has it: all but the signature, which comes last.
    """
    if encoding is None:
        tbs = encode_before(leaf, "signature")
    else:
        tbs = encoding[: -len(encode_opaque(leaf.signature))]
    if isinstance(leaf.origin, Lifetime):
        return tbs
    return tbs + encode_opaque(group_id) + leaf_index.to_bytes(4, "big")


def sign_leaf_node(leaf: LeafNode, signer: SigningKey, *, group_id: bytes, leaf_index: LeafIndex) -> LeafNode:
    """Return ``leaf`` with its signature; for a key package's leaf the place is not used."""
    tbs = leaf_node_tbs(leaf, group_id=group_id, leaf_index=leaf_index)
    return msgspec.structs.replace(leaf, signature=signer.sign_with_label("LeafNodeTBS", tbs))


def leaf_signature_holds(
    leaf: LeafNode,
    suite: CipherSuite,
    *,
    group_id: bytes,
    leaf_index: LeafIndex,
    encoding: bytes | None = None,
) -> bool:
    """Whether a leaf's signature is its own key's (section 7.3)."""
    tbs = leaf_node_tbs(leaf, group_id=group_id, leaf_index=leaf_index, encoding=encoding)
    return suite.verify_with_label(leaf.signature_key, "LeafNodeTBS", tbs, signature=leaf.signature)
