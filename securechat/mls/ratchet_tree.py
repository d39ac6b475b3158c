"""The ratchet tree of one epoch, as a value (RFC 9420 sections 4 and 7).

A :class:`RatchetTree` never changes. A :class:`TreeDraft` is a tree being changed: it copies three
lists of pointers (a few microseconds at 1,000 members), forgets the hashes above each place it
touches, and freezes into the next tree, which shares every other node and hash with the last one.
Hashes are computed when first asked for and remembered, so an update in a group of 1,000 hashes
eleven nodes.

Trees here may be *invalid*: decoding checks the shape only, ``tree_validation`` says the rest.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final

from msgspec import structs

from securechat.mls import tree_hash, tree_math
from securechat.mls.census import Census
from securechat.mls.cipher_suite import CipherSuite
from securechat.mls.codec import ROOM_FACTOR, ROOM_SPARE, Shape, encode, encode_opaque, read_varint
from securechat.mls.errors import DecodeError, ValidationError
from securechat.mls.nodes import Capabilities, LeafIndex, LeafNode, NodeIndex, ParentNode

Node = LeafNode | ParentNode

MAX_MEMBERS: Final = 1 << 12
"""The most leaves a tree may have: four times the product's limit of 1,000 clients, which is policy. This
one bounds the work for a hostile tree: the worst of this size takes a joiner a second to refuse."""

_SHAPES: Final[tuple[Shape[LeafNode], Shape[ParentNode]]] = (Shape(LeafNode), Shape(ParentNode))
_PRESENT: Final = (b"\x01\x01", b"\x01\x02")
"""optional<Node>, present: presence byte and node type, by the parity of the index (12.4.3.3)."""


class RatchetTree:
    """A frozen tree: nodes in array order, hashes as far as known, encodings until they are hashed."""

    __slots__ = ("_census", "_encoded", "_hashes", "_nodes", "suite")

    suite: CipherSuite

    def __init__(
        self,
        suite: CipherSuite,
        nodes: list[Node | None],
        encoded: list[bytes | None],
        hashes: list[bytes | None],
        census: Census | None,
    ) -> None:
        """For this module: the lists become the tree's own. Use ``of``, ``from_bytes``, ``from_rows``."""
        self.suite = suite
        self._nodes = nodes
        self._encoded = encoded
        self._hashes = hashes
        self._census = census

    @classmethod
    def of(cls, suite: CipherSuite, leaf: LeafNode) -> "RatchetTree":
        """The tree of a new group: its creator's leaf alone (11)."""
        return cls(suite, [leaf], [None], [None], None)

    @classmethod
    def from_bytes(cls, suite: CipherSuite, data: bytes) -> "RatchetTree":
        """Decode a ``ratchet_tree`` extension (12.4.3.3); DecodeError if it is none."""
        return cls._padded(suite, *_decode_nodes(data))

    @classmethod
    def from_rows(cls, suite: CipherSuite, rows: Iterable[tuple[NodeIndex, bytes]]) -> "RatchetTree":
        """Rebuild a tree from what ``rows`` and ``changed_nodes`` gave a store."""
        encodings = dict(rows)
        if not encodings or not 0 <= max(encodings) < tree_math.node_count(MAX_MEMBERS):
            raise DecodeError("these rows are no tree")
        encoded = [encodings.get(NodeIndex(index)) for index in range(max(encodings) + 1)]
        nodes = [
            None if data is None else _SHAPES[index & 1].decode(data) for index, data in enumerate(encoded)
        ]
        return cls._padded(suite, nodes, encoded)

    @classmethod
    def _padded(
        cls, suite: CipherSuite, nodes: list[Node | None], encoded: list[bytes | None]
    ) -> "RatchetTree":
        """Extend to the right, to the next full tree (12.4.3.3)."""
        width = tree_math.node_count(1 << (len(nodes) // 2).bit_length())
        missing = [None] * (width - len(nodes))
        return cls(suite, [*_sharing(nodes), *missing], [*encoded, *missing], [None] * width, None)

    def to_bytes(self) -> bytes:
        """Encode as a ``ratchet_tree`` extension: no blank nodes after the last one (12.4.3.3)."""
        return bytes_of_rows(self.rows())

    def rows(self) -> Iterator[tuple[NodeIndex, bytes]]:
        """Each node that is not blank, with its encoding."""
        for index in map(NodeIndex, range(len(self._nodes))):
            data = self.encoding(index)
            if data is not None:
                yield index, data

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RatchetTree):
            return NotImplemented
        return self.suite == other.suite and self._nodes == other._nodes

    def __hash__(self) -> int:
        return hash(self.tree_hash())

    def __repr__(self) -> str:
        return f"<RatchetTree of {self.member_count} members in {self.leaf_count} leaves>"

    @property
    def leaf_count(self) -> int:
        """How many leaves the tree has, blank ones included: a power of two."""
        return (len(self._nodes) + 1) // 2

    @property
    def member_count(self) -> int:
        return sum(count for _, count in self.census.profiles.items())

    @property
    def root(self) -> NodeIndex:
        return tree_math.root(self.leaf_count)

    @property
    def nodes(self) -> Sequence[Node | None]:
        """All nodes in array order; not to be changed."""
        return self._nodes

    @property
    def census(self) -> Census:
        """The counts over this tree's nodes; not to be changed."""
        if self._census is None:
            self._census = Census.of(self._nodes)
        return self._census

    def node(self, index: NodeIndex) -> Node | None:
        return self._nodes[index]

    def parent(self, index: NodeIndex) -> ParentNode | None:
        node = self._nodes[index]
        return node if isinstance(node, ParentNode) else None

    def leaf(self, index: LeafIndex) -> LeafNode | None:
        """The leaf there; None where it is blank or outside the tree."""
        if not 0 <= index < self.leaf_count:
            return None
        node = self._nodes[2 * index]
        return node if isinstance(node, LeafNode) else None

    def member(self, index: LeafIndex) -> LeafNode:
        """The leaf there; ValidationError "no-such-member" where there is none."""
        leaf = self.leaf(index)
        if leaf is None:
            raise ValidationError("no-such-member", "7", f"leaf {index} is blank")
        return leaf

    def leaves(self) -> Iterator[tuple[LeafIndex, LeafNode]]:
        """Each leaf that is not blank, with its index."""
        for index, node in enumerate(self._nodes[::2]):
            if isinstance(node, LeafNode):
                yield LeafIndex(index), node

    def resolution(self, index: NodeIndex) -> list[NodeIndex]:
        """The non-blank nodes that cover what is not blank below a node (4.1.1)."""
        node = self._nodes[index]
        if isinstance(node, ParentNode):
            return [index, *(tree_math.node_of(LeafIndex(leaf)) for leaf in node.unmerged_leaves)]
        if node is not None:
            return [index]
        if self._is_all_blank(index):  # of 8,192 places for 5,000 members, nobody walks through the others
            return []
        return self.resolution(tree_math.left(index)) + self.resolution(tree_math.right(index))

    def filtered_direct_path(self, leaf: LeafIndex) -> list[tuple[NodeIndex, NodeIndex]]:
        """Each node of the filtered direct path with its child on the copath, lowest first (4.1.2)."""
        start = tree_math.node_of(leaf)
        path = tree_math.direct_path(start, self.leaf_count)
        copath = tree_math.copath(start, self.leaf_count)
        return [
            (node, child) for node, child in zip(path, copath, strict=True) if not self._is_all_blank(child)
        ]

    def _is_all_blank(self, index: NodeIndex) -> bool:
        """Whether the resolution of a node is empty: nothing at or below it holds a value."""
        if self._nodes[index] is not None:
            return False
        reach = (1 << tree_math.level(index)) - 1
        return not any(self._nodes[index - reach : index + reach + 1])  # a node is true, None is not

    def tree_hash(self) -> bytes:
        return self.node_hash(self.root)

    def node_hash(self, index: NodeIndex) -> bytes:
        """The tree hash of the subtree under a node (7.8)."""
        known = self._hashes[index]
        if known is None:
            known = self._hash(index, self.encoding(index), frozenset())
            self._hashes[index] = known
            self._encoded[index] = None  # as much memory as the nodes themselves, and seldom asked for again
        return known

    def original_hash(self, index: NodeIndex, without: Collection[LeafIndex]) -> bytes:
        """The tree hash under a node with some leaves blanked and nowhere unmerged (7.9)."""
        inside = frozenset(leaf for leaf in without if tree_math.is_below(leaf, index))
        if not inside:
            return self.node_hash(index)
        if tree_math.is_leaf(index):
            return self._hash(index, None, inside)
        node = self.parent(index)
        if node is None:
            return self._hash(index, None, inside)
        unmerged = tuple(leaf for leaf in node.unmerged_leaves if leaf not in inside)
        return self._hash(index, encode(ParentNode(node.encryption_key, node.parent_hash, unmerged)), inside)

    def _hash(self, index: NodeIndex, data: bytes | None, without: Collection[LeafIndex]) -> bytes:
        if tree_math.is_leaf(index):
            return tree_hash.leaf_hash(self.suite.hash, tree_math.leaf_of(index), data)
        return tree_hash.parent_node_hash(
            self.suite.hash,
            data,
            left=self.original_hash(tree_math.left(index), without),
            right=self.original_hash(tree_math.right(index), without),
        )

    def encoding(self, index: NodeIndex) -> bytes | None:
        """A node encoded, without the byte that says of which kind it is; None where it is blank."""
        node = self._nodes[index]
        if node is None:
            return None
        return self._encoded[index] or encode(node)


class TreeDraft:
    """A tree being changed. One owner, short life: make the changes, ``freeze``, forget it."""

    __slots__ = ("_census", "_encoded", "_first_blank", "_hashes", "_nodes", "_suite")

    def __init__(self, tree: RatchetTree) -> None:
        self._suite = tree.suite
        self._nodes = tree._nodes.copy()  # noqa: SLF001 - the draft is the tree's other half
        self._encoded = tree._encoded.copy()  # noqa: SLF001
        self._hashes = tree._hashes.copy()  # noqa: SLF001
        self._census = tree.census.copy()
        self._first_blank = 0  # no leaf before this one is blank

    def freeze(self) -> RatchetTree:
        """Return the changed tree; the draft is spent."""
        tree = RatchetTree(self._suite, self._nodes, self._encoded, self._hashes, self._census)
        del self._nodes, self._encoded, self._hashes, self._census  # they are the tree's now
        return tree

    def add(self, leaf: LeafNode) -> LeafIndex:
        """Put a new leaf at the leftmost blank place and list it as unmerged above (12.1.1)."""
        index = self.reserve()
        for above in tree_math.direct_path(tree_math.node_of(index), self._leaf_count):
            node = self._nodes[above]
            if isinstance(node, ParentNode):
                unmerged = tuple(sorted({*node.unmerged_leaves, index}))
                self.put(above, ParentNode(node.encryption_key, node.parent_hash, unmerged))
        self.put(tree_math.node_of(index), leaf)
        self._first_blank = index + 1
        return index

    def reserve(self) -> LeafIndex:
        """Make room for somebody who joins by an external commit: the leftmost blank leaf (12.4.2)."""
        index = self._leftmost_blank()
        if index == self._leaf_count:
            self._extend()
        return index

    def update(self, index: LeafIndex, leaf: LeafNode) -> None:
        """Replace a leaf and blank the nodes above it (12.1.2)."""
        self.set_path(index, leaf, {})

    def remove(self, index: LeafIndex) -> None:
        """Blank a leaf and the nodes above it, then truncate (12.1.3)."""
        self.set_path(index, None, {})
        self._first_blank = min(self._first_blank, index)
        while self._leaf_count > 1 and self._right_half_is_blank():
            self._truncate()

    def set_path(
        self, index: LeafIndex, leaf: LeafNode | None, parents: Mapping[NodeIndex, ParentNode]
    ) -> None:
        """Set a leaf and the nodes above it; those not given become blank (7.5)."""
        start = tree_math.node_of(index)
        self.put(start, leaf)
        for above in tree_math.direct_path(start, self._leaf_count):
            self.put(above, parents.get(above))

    def put(self, index: NodeIndex, node: Node | None) -> None:
        """Set one node and forget the hashes from it to the root."""
        old = self._nodes[index]
        if old is not None:
            self._census.leave(old)
        if node is not None:
            self._census.enter(node)
        self._nodes[index] = node
        self._encoded[index] = None
        self._hashes[index] = None
        for above in tree_math.direct_path(index, self._leaf_count):
            if self._hashes[above] is None:  # a hash is known only where all below are
                break
            self._hashes[above] = None

    @property
    def _leaf_count(self) -> int:
        return (len(self._nodes) + 1) // 2

    def _leftmost_blank(self) -> LeafIndex:
        for index in range(self._first_blank, self._leaf_count):
            if self._nodes[2 * index] is None:
                return LeafIndex(index)
        return LeafIndex(self._leaf_count)

    def _extend(self) -> None:
        """Double the leaves: a blank root, and a blank subtree to its right (7.7)."""
        if self._leaf_count >= MAX_MEMBERS:
            raise ValidationError("group-size", "7.7", f"a tree has at most {MAX_MEMBERS} leaves here")
        blank = [None] * (len(self._nodes) + 1)
        self._nodes += blank
        self._encoded += blank
        self._hashes += blank

    def _right_half_is_blank(self) -> bool:
        half = len(self._nodes) // 2
        return all(node is None for node in self._nodes[half + 1 :: 2])

    def _truncate(self) -> None:
        """Drop the root and the right subtree, whatever they hold (7.7)."""
        half = len(self._nodes) // 2
        for node in self._nodes[half:]:
            if node is not None:
                self._census.leave(node)
        del self._nodes[half:], self._encoded[half:], self._hashes[half:]


def changed_nodes(old: RatchetTree, new: RatchetTree) -> Iterator[tuple[NodeIndex, bytes | None]]:
    """Each node that is not the same in both, with its new encoding or None: for a store's rows."""
    for index, (earlier, later) in enumerate(zip_longest(old.nodes, new.nodes)):
        if earlier is not later and earlier != later:
            yield NodeIndex(index), None if later is None else new.encoding(NodeIndex(index))


def bytes_of_rows(rows: Iterable[tuple[NodeIndex, bytes]]) -> bytes:
    """What ``to_bytes`` of their tree gives; no node is decoded or checked."""
    parts: list[bytes] = []
    following = 0
    for index, data in sorted(rows):
        if not following <= index < tree_math.node_count(MAX_MEMBERS):
            raise DecodeError("these rows are no tree")
        parts += (b"\x00" * (index - following), _PRESENT[index & 1], data)
        following = index + 1
    return encode_opaque(b"".join(parts))


def _sharing(nodes: Iterable[Node | None]) -> Iterator[Node | None]:
    """The same nodes; leaves that can do the same share one object: a third of a megabyte at 1,000."""
    known: dict[Capabilities, Capabilities] = {}
    for node in nodes:
        if isinstance(node, LeafNode):
            shared = known.setdefault(node.capabilities, node.capabilities)
            if shared is not node.capabilities:
                yield structs.replace(node, capabilities=shared)
                continue
        yield node


def _decode_nodes(data: bytes) -> tuple[list[Node | None], list[bytes | None]]:
    length, position = read_varint(data, 0, len(data))
    if position + length != len(data):
        raise DecodeError("the length of the tree is not that of the data")
    nodes: list[Node | None] = []
    encoded: list[bytes | None] = []
    room = [ROOM_FACTOR * len(data) + ROOM_SPARE]  # all nodes have it together
    while position < len(data):
        if len(nodes) >= tree_math.node_count(MAX_MEMBERS):
            raise DecodeError(f"a tree has at most {MAX_MEMBERS} leaves")
        if data[position] == 0:
            nodes.append(None)
            encoded.append(None)
            position += 1
            continue
        parity = len(nodes) & 1
        if data[position : position + 2] != _PRESENT[parity]:
            raise DecodeError(f"node {len(nodes)} is of the wrong kind")
        node, end = _SHAPES[parity].decode_from(data, position + 2, room)
        nodes.append(node)
        encoded.append(data[position + 2 : end])
        position = end
    if not nodes or nodes[-1] is None:  # 12.4.3.3
        raise DecodeError("the last node of a tree is not blank")
    return nodes, encoded
