"""TreeKEM: the path of a commit, made, merged and opened (RFC 9420 sections 7.4 to 7.6).

Whoever follows the group can merge a path (``merge_update_path``); only a member can open one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import msgspec

from securechat.mls import tree_hash, tree_math
from securechat.mls.cipher_suite import CipherSuite
from securechat.mls.codec import Opaque, SecretStruct, Uint8, Uint32, decode, encode
from securechat.mls.commit import UpdatePath, UpdatePathNode
from securechat.mls.errors import DecodeError, SecretError, ValidationError
from securechat.mls.group_context import GroupContext
from securechat.mls.kem import KeyPair
from securechat.mls.key_package import Identity
from securechat.mls.nodes import FromCommit, LeafIndex, LeafNode, NodeIndex, ParentNode, sign_leaf_node
from securechat.mls.randomness import random_bytes
from securechat.mls.ratchet_tree import RatchetTree, TreeDraft

_LABEL: Final = "UpdatePathNode"


class _StoredKey(SecretStruct, frozen=True):
    node: Uint32
    private: Opaque
    public: Opaque


class _StoredPrivate(SecretStruct, frozen=True):
    version: Uint8
    leaf_index: Uint32
    keys: tuple[_StoredKey, ...]


_STORED_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class TreePrivate:
    """The key pairs of a tree that one member holds: its leaf's, and some of the nodes' above."""

    leaf_index: LeafIndex
    keys: Mapping[NodeIndex, KeyPair]

    @classmethod
    def of(cls, leaf_index: LeafIndex, leaf_key: KeyPair) -> "TreePrivate":
        return cls(leaf_index, MappingProxyType({tree_math.node_of(leaf_index): leaf_key}))

    def with_keys(self, keys: Mapping[NodeIndex, KeyPair]) -> "TreePrivate":
        """Return these keys and the old ones at other nodes."""
        return TreePrivate(self.leaf_index, MappingProxyType({**self.keys, **keys}))

    def with_leaf_key(self, leaf_key: KeyPair) -> "TreePrivate":
        """Return the keys after one's own Update has been applied."""
        return self.with_keys({tree_math.node_of(self.leaf_index): leaf_key})

    def within(self, tree: RatchetTree) -> "TreePrivate":
        """Return the keys that belong to this tree: 7.5 asks to delete those that don't any more."""
        kept = {index: pair for index, pair in self.keys.items() if _public_key(tree, index) == pair.public}
        return TreePrivate(self.leaf_index, MappingProxyType(kept))

    def without_path_of(self, sender: LeafIndex, tree: RatchetTree) -> "TreePrivate":
        """Return the keys that a path of that sender does not replace or blank."""
        path = tree_math.direct_path(tree_math.node_of(sender), tree.leaf_count)
        kept = {index: pair for index, pair in self.keys.items() if index not in path}
        return TreePrivate(self.leaf_index, MappingProxyType(kept))

    def to_bytes(self) -> bytes:
        """Encode for the member's own store."""
        keys = tuple(_StoredKey(index, key.private, key.public) for index, key in sorted(self.keys.items()))
        return encode(_StoredPrivate(_STORED_VERSION, self.leaf_index, keys))

    @classmethod
    def from_bytes(cls, data: bytes) -> "TreePrivate":
        """Read what ``to_bytes`` gave; DecodeError if it is broken or of another version."""
        stored = decode(_StoredPrivate, data)
        if stored.version != _STORED_VERSION:
            raise DecodeError(f"private keys of version {stored.version} are not known")
        keys = {NodeIndex(key.node): KeyPair(key.private, key.public) for key in stored.keys}
        return cls(LeafIndex(stored.leaf_index), MappingProxyType(keys))


@dataclass(frozen=True, slots=True)
class CreatedPath:
    """What a committer has after making a path."""

    tree: RatchetTree
    update_path: UpdatePath
    private: TreePrivate
    commit_secret: bytes = field(repr=False)
    path_secrets: Mapping[NodeIndex, bytes] = field(repr=False)
    context: GroupContext

    def secret_for(self, new_member: LeafIndex) -> bytes:
        """The path secret that the Welcome gives to a new member (12.4.3.1)."""
        return self.path_secrets[tree_math.common_ancestor(new_member, self.private.leaf_index)]


@dataclass(frozen=True, slots=True)
class OpenedPath:
    """What a member learns from somebody else's path."""

    private: TreePrivate
    commit_secret: bytes = field(repr=False)


def create_update_path(
    tree: RatchetTree,
    leaf_index: LeafIndex,
    *,
    identity: Identity,
    context: GroupContext,
    added: Collection[LeafIndex] = (),
) -> CreatedPath:
    """Give a committer a new leaf key and new keys above it (7.4, 7.5).

    ``tree`` has the proposals applied (and room for the leaf in an external commit), ``context`` is the
    provisional one but for its tree hash, ``added`` are the leaves that came with this commit.
    """
    filtered = tree.filtered_direct_path(leaf_index)
    secrets, commit_secret = _path_secrets(tree.suite, random_bytes(tree.suite.hash_length), len(filtered))
    pairs = [path_key_pair(tree.suite, secret) for secret in secrets]
    parents, leaf_parent_hash = _path_parents(tree, filtered, [pair.public for pair in pairs])
    leaf_pair = tree.suite.kem.generate()
    leaf = _path_leaf(identity, leaf_pair.public, leaf_parent_hash, context.group_id, leaf_index)
    new_tree = _with_path(tree, leaf_index, leaf, parents)
    context = msgspec.structs.replace(context, tree_hash=new_tree.tree_hash())
    path = UpdatePath(leaf, _sealed_nodes(tree, filtered, pairs, secrets, encode(context), added))
    indices = [index for index, _ in filtered]
    return CreatedPath(
        tree=new_tree,
        update_path=path,
        private=TreePrivate.of(leaf_index, leaf_pair).with_keys(dict(zip(indices, pairs, strict=True))),
        commit_secret=commit_secret,
        path_secrets=MappingProxyType(dict(zip(indices, secrets, strict=True))),
        context=context,
    )


def merge_update_path(
    tree: RatchetTree, sender: LeafIndex, path: UpdatePath, *, added: Collection[LeafIndex] = ()
) -> RatchetTree:
    """Return the tree with a path merged into it: its public part (7.5).

    ValidationError ``path-length``, ``path-ciphertexts`` or ``path-parent-hash``.
    """
    filtered = tree.filtered_direct_path(sender)
    if len(path.nodes) != len(filtered):
        raise ValidationError("path-length", "7.6", f"{len(path.nodes)} keys for {len(filtered)} nodes")
    new = _nodes_of(added)
    for (_, child), node in zip(filtered, path.nodes, strict=True):
        if len(node.encrypted_path_secret) != len(_recipients(tree, child, new)):
            raise ValidationError("path-ciphertexts", "7.6", "not one ciphertext for each recipient")
    keys = [node.encryption_key for node in path.nodes]
    parents, leaf_parent_hash = _path_parents(tree, filtered, keys)
    if path.leaf_node.parent_hash != leaf_parent_hash:
        raise ValidationError("path-parent-hash", "7.9.2", "the leaf does not commit to its path")
    return _with_path(tree, sender, path.leaf_node, parents)


def open_update_path(
    tree: RatchetTree,
    private: TreePrivate,
    sender: LeafIndex,
    path: UpdatePath,
    *,
    context: GroupContext,
    added: Collection[LeafIndex] = (),
) -> OpenedPath:
    """Decrypt a path that ``merge_update_path`` has accepted (7.5).

    ``tree`` and ``private`` are those with the proposals applied, ``context`` the provisional one with
    the merged tree's hash. SecretError where the path is not for us or not what it says.
    """
    private = private.within(tree)
    filtered = tree.filtered_direct_path(sender)
    place = _place_of(filtered, private.leaf_index)
    recipients = _recipients(tree, filtered[place][1], _nodes_of(added))
    position = next((number for number, index in enumerate(recipients) if index in private.keys), None)
    if position is None:
        raise SecretError("path-no-key", "7.5", "none of our keys opens the path")
    secret = tree.suite.decrypt_with_label(
        private.keys[recipients[position]].private,
        _LABEL,
        encode(context),
        path.nodes[place].encrypted_path_secret[position],
    )
    indices = [index for index, _ in filtered[place:]]
    publics = [node.encryption_key for node in path.nodes[place:]]
    keys, commit_secret = _derived_keys(tree.suite, secret, indices, publics)
    return OpenedPath(private.without_path_of(sender, tree).with_keys(keys), commit_secret)


def private_from_welcome(
    tree: RatchetTree, own: TreePrivate, *, signer: LeafIndex, path_secret: bytes
) -> TreePrivate:
    """Return a new member's keys, from the path secret its Welcome carries (12.4.3.1)."""
    if signer == own.leaf_index:
        raise SecretError("path-secret-key", "12.4.3.1", "the committer is the new member itself")
    lowest = tree_math.common_ancestor(own.leaf_index, signer)
    path = tree_math.direct_path(tree_math.node_of(signer), tree.leaf_count)
    path = path[path.index(lowest) :]
    above = [(index, node) for index in path if (node := tree.parent(index)) is not None]
    if not above or above[0][0] != lowest:
        raise SecretError("path-secret-key", "12.4.3.1", "the path secret is for a blank node")
    keys, _ = _derived_keys(
        tree.suite, path_secret, [index for index, _ in above], [node.encryption_key for _, node in above]
    )
    return own.with_keys(keys)


def provisional_context(context: GroupContext, tree: RatchetTree) -> GroupContext:
    """Return the context that a path is encrypted under: with the new tree's hash (12.4.1)."""
    return msgspec.structs.replace(context, tree_hash=tree.tree_hash())


def _path_secrets(suite: CipherSuite, first: bytes, count: int) -> tuple[list[bytes], bytes]:
    """Return ``count`` path secrets beginning with ``first``, and the commit secret after them (7.4)."""
    secrets = [first]
    for _ in range(count):
        secrets.append(suite.derive_secret(secrets[-1], "path"))
    return secrets[:-1], secrets[-1]


def path_key_pair(suite: CipherSuite, path_secret: bytes) -> KeyPair:
    """The key pair of the node that a path secret belongs to (7.4)."""
    return suite.derive_key_pair(suite.derive_secret(path_secret, "node"))


def _derived_keys(
    suite: CipherSuite, first: bytes, indices: Sequence[NodeIndex], publics: Sequence[bytes]
) -> tuple[dict[NodeIndex, KeyPair], bytes]:
    """Return the key pairs for these nodes and the commit secret, if the public keys agree (7.5)."""
    secrets, commit_secret = _path_secrets(suite, first, len(indices))
    keys = {}
    for index, public, secret in zip(indices, publics, secrets, strict=True):
        pair = path_key_pair(suite, secret)
        if pair.public != public:
            raise SecretError("path-secret-key", "7.5", f"the secret of node {index} gives another key")
        keys[index] = pair
    return keys, commit_secret


def _path_parents(
    tree: RatchetTree, filtered: Sequence[tuple[NodeIndex, NodeIndex]], keys: Sequence[bytes]
) -> tuple[dict[NodeIndex, ParentNode], bytes]:
    """Return the new nodes of a path, and the parent hash for its leaf: from the root down (7.5)."""
    above = b""
    parents = {}
    for (index, child), key in zip(reversed(filtered), reversed(keys), strict=True):
        parents[index] = ParentNode(key, above, ())
        above = tree_hash.parent_hash(
            tree.suite.hash, encryption_key=key, parent_hash=above, sibling=tree.node_hash(child)
        )
    return parents, above


def _path_leaf(
    identity: Identity, public: bytes, parent_hash: bytes, group_id: bytes, leaf_index: LeafIndex
) -> LeafNode:
    leaf = LeafNode(
        encryption_key=public,
        signature_key=identity.signature_key.public,
        credential=identity.credential,
        capabilities=identity.capabilities,
        origin=FromCommit(parent_hash),
        extensions=identity.leaf_extensions,
    )
    return sign_leaf_node(leaf, identity.signature_key, group_id=group_id, leaf_index=leaf_index)


def _with_path(
    tree: RatchetTree, leaf_index: LeafIndex, leaf: LeafNode, parents: Mapping[NodeIndex, ParentNode]
) -> RatchetTree:
    draft = TreeDraft(tree)
    draft.set_path(leaf_index, leaf, parents)
    return draft.freeze()


def _sealed_nodes(
    tree: RatchetTree,
    filtered: Sequence[tuple[NodeIndex, NodeIndex]],
    pairs: Sequence[KeyPair],
    secrets: Sequence[bytes],
    context: bytes,
    added: Collection[LeafIndex],
) -> tuple[UpdatePathNode, ...]:
    nodes, new = [], _nodes_of(added)
    for (_, child), pair, secret in zip(filtered, pairs, secrets, strict=True):
        sealed = [
            tree.suite.encrypt_with_label(_public_key(tree, index), _LABEL, context, secret)
            for index in _recipients(tree, child, new)
        ]
        nodes.append(UpdatePathNode(pair.public, tuple(sealed)))
    return tuple(nodes)


def _recipients(tree: RatchetTree, child: NodeIndex, new: Collection[NodeIndex]) -> list[NodeIndex]:
    """The nodes a path secret is encrypted to: the copath's resolution without new leaves (7.5)."""
    resolution = tree.resolution(child)
    return [index for index in resolution if index not in new] if new else resolution


def _nodes_of(added: Collection[LeafIndex]) -> frozenset[NodeIndex]:
    return frozenset(map(tree_math.node_of, added))


def _place_of(filtered: Sequence[tuple[NodeIndex, NodeIndex]], own: LeafIndex) -> int:
    """Where on the sender's filtered direct path its secret reaches us."""
    for place, (_, child) in enumerate(filtered):
        if tree_math.is_below(own, child):
            return place
    raise SecretError("path-no-key", "7.5", "the path does not come by our leaf")


def _public_key(tree: RatchetTree, index: NodeIndex) -> bytes:
    """The key of a node; empty, which is nobody's key, where there is none."""
    node = tree.node(index) if index < len(tree.nodes) else None
    return b"" if node is None else node.encryption_key
