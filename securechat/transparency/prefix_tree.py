"""The map from label to newest statement: a prefix tree with proofs of presence and absence.

A log proves that an entry is there, not that it is the newest or the only one of its label. This tree has at
most one place for each label, so a proof against its root says what is valid now, or that there is nothing.

The shape is that of draft-ietf-keytrans-protocol ("Prefix Tree"): a leaf stands where its label's first bits
lead, as high as no other label begins alike; what is not there is zeros. One set of labels has one tree, in
whatever order it grew::

    leaf   = SHA-256(0x02 || opaque label[32] || LabelState)        /* both of fixed size */
    parent = SHA-256(0x03 || left[32] || right[32])
    the empty tree, and a child that is not there = 32 zero bytes

Along the bits of one label each hash has one preimage that anybody can find, so a root has one answer for
each label: it can't be both there and not there, nor there with two states, even in a tree that no
honest server would have built. The tags keep leaves, parents and the log's hashes (0x00, 0x01) apart.

Nodes are kept by content: a node's name is its hash. A change reads and writes one path, old roots stay
readable for as long as the store keeps what they reached, and nothing is computed anew at start.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

from securechat.mls.codec import AtMost, Bytes32, WireStruct, decode, encode
from securechat.mls.errors import DecodeError
from securechat.transparency.entries import LABEL, LabelState
from securechat.transparency.errors import MissingNode, MisusedTree, Refused

NOTHING: Final = bytes(32)
"""The root of the empty tree and the value of a child that is not there."""

MAX_DEPTH: Final = 8 * LABEL
"""Levels: two labels differ within their 256 bits. Of 100,000 labels the deepest leaf is near level 33."""

_LEAF: Final = b"\x02"
_PARENT: Final = b"\x03"
_PARENT_LENGTH: Final = 1 + 32 + 32


class PrefixNodes(Protocol):
    """Where the tree's nodes are kept, by their hash."""

    def prefix_node(self, name: bytes) -> bytes:
        """Return the content whose SHA-256 is ``name``; MissingNode if it was never stored."""


class PrefixLeaf(WireStruct, frozen=True):
    """A label and what the tree says of it."""

    label: Bytes32
    state: LabelState


class PrefixProof(WireStruct, frozen=True):
    """Where the search for a label ends, and what stands beside its way, from the leaf up.

    ``leaf`` is of the label itself (it is there), of another label that begins alike (it is not there, else
    the two would stand deeper), or None: where it would stand there is nothing.
    """

    leaf: PrefixLeaf | None
    siblings: Annotated[tuple[Bytes32, ...], AtMost(MAX_DEPTH)]


@dataclass(frozen=True, slots=True)
class PrefixUpdate:
    """A new root, the nodes to be stored for it by name, and the names that it needs no more.

    What is not needed by the new root may still be needed by older ones (``distinguished.must_stay``); what
    is not may be dropped in the same transaction.
    """

    root: bytes
    added: tuple[tuple[bytes, bytes], ...]
    replaced: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a label's search ended: what is proven by it, and what a change of it replaces."""

    label: bytes
    proof: PrefixProof
    names: tuple[bytes, ...]
    """Of the nodes that were read, from the root down."""

    @property
    def state(self) -> LabelState | None:
        """What the tree says of the label; None if it says nothing."""
        leaf = self.proof.leaf
        return leaf.state if leaf is not None and leaf.label == self.label else None


def find(nodes: PrefixNodes, root: bytes, label: bytes) -> Place:
    """Search a label in the tree with this root. Reads one node a level.

    :raises MissingNode: the store lacks a node, or has another than its name says
    :raises MisusedTree: the label is none
    """
    if len(label) != LABEL:
        raise MisusedTree(f"A label has {LABEL} bytes, not {len(label)}.")
    name, leaf = root, None
    siblings: list[bytes] = []
    names: list[bytes] = []
    while name != NOTHING and leaf is None:
        content = nodes.prefix_node(name)
        if _name(content) != name:
            raise MissingNode(f"The store has another node under the name {name.hex()}.")
        names.append(name)
        if content[:1] == _LEAF:
            leaf = _read_leaf(content)
            continue
        if len(content) != _PARENT_LENGTH or content[:1] != _PARENT:
            raise MissingNode(f"What the store has as {name.hex()} is no node of a prefix tree.")
        pair = content[1:33], content[33:]
        bit = _bit(label, len(siblings))
        siblings.append(pair[1 - bit])
        name = pair[bit]
    return Place(label, PrefixProof(leaf=leaf, siblings=tuple(reversed(siblings))), tuple(names))


def prove(nodes: PrefixNodes, root: bytes, label: bytes) -> PrefixProof:
    """Return the proof of what the tree with this root says of a label; errors as in ``find``."""
    return find(nodes, root, label).proof


def put(place: Place, state: LabelState) -> PrefixUpdate:
    """Return the tree in which the label that was searched has this state, instead of what was found.

    Reads nothing, adds one node a level and, if labels begin alike, one for each bit that they share.
    """
    root = place.names[0] if place.names else NOTHING
    if place.state == state:
        return PrefixUpdate(root, (), ())
    contents = _grown(place.proof, PrefixLeaf(place.label, state))
    added = tuple((_name(content), content) for content in contents)
    stays = place.proof.leaf is not None and place.state is None  # another label's leaf, further down
    return PrefixUpdate(added[-1][0], added, place.names[:-1] if stays else place.names)


def verify(root: bytes, label: bytes, proof: PrefixProof) -> LabelState | None:
    """Return what the tree with this root says of a label; None if it proves that it says nothing.

    :raises Refused: ``prefix-proof``, the proof does not lead to this root
    """
    found = proof.leaf
    if len(label) != LABEL or len(proof.siblings) > MAX_DEPTH:
        raise Refused("prefix-proof", "A proof in the prefix tree has a wrong size.")
    if found is not None and _shared_bits(found.label, label) < len(proof.siblings):
        raise Refused("prefix-proof", "The leaf does not stand on the label's way.")
    value = NOTHING if found is None else _name(_leaf_content(found))
    if _above(label, value, proof.siblings)[0] != root:
        raise Refused("prefix-proof", "The proof does not lead to the prefix tree's root.")
    return found.state if found is not None and found.label == label else None


def root_after(proof: PrefixProof, leaf: PrefixLeaf) -> bytes:
    """Return the root of the tree that ``proof`` was verified against, once ``leaf`` is put into it.

    The proof must be of the leaf's label, and verified: who follows the log needs nothing else of the tree.
    """
    return _name(_grown(proof, leaf)[-1])


def _grown(proof: PrefixProof, leaf: PrefixLeaf) -> list[bytes]:
    """Return the contents of the nodes from ``leaf`` up to the new root, lowest first."""
    contents = [_leaf_content(leaf)]
    other, siblings = proof.leaf, list(proof.siblings)
    if other is not None and other.label != leaf.label:
        between = _shared_bits(other.label, leaf.label) - len(siblings)
        siblings = [_name(_leaf_content(other)), *[NOTHING] * between, *siblings]
    _, parents = _above(leaf.label, _name(contents[0]), siblings)
    return contents + parents


def _above(label: bytes, value: bytes, siblings: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """Return the root over ``value`` on the label's way, and the parents' contents, lowest first."""
    contents = []
    for depth, sibling in zip(range(len(siblings) - 1, -1, -1), siblings, strict=True):
        pair = (sibling, value) if _bit(label, depth) else (value, sibling)
        contents.append(_PARENT + pair[0] + pair[1])
        value = _name(contents[-1])
    return value, contents


def _leaf_content(leaf: PrefixLeaf) -> bytes:
    return _LEAF + encode(leaf)


def _read_leaf(content: bytes) -> PrefixLeaf:
    try:
        return decode(PrefixLeaf, content[1:])
    except DecodeError:
        raise MissingNode("A leaf in the store does not decode.") from None


def _name(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _bit(label: bytes, depth: int) -> int:
    """Return the bit that decides at this depth, 0 for left; the first is the highest of the first byte."""
    return label[depth >> 3] >> (7 - (depth & 7)) & 1


def _shared_bits(one: bytes, other: bytes) -> int:
    """Return with how many equal bits two labels begin."""
    difference = int.from_bytes(one, "big") ^ int.from_bytes(other, "big")
    return MAX_DEPTH - difference.bit_length()
