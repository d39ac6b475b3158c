"""The append-only log: a Merkle tree with its proofs (RFC 9162 section 2.1).

What is stored are the roots of complete subtrees alone, by (level, index): the subtree of ``2**level``
leaves that begins at leaf ``index << level``. Such a node never changes, so a store only ever adds.
Who appends needs the *frontier* only: the largest complete subtrees from left to right, one for each bit
of the size (draft-ietf-keytrans-protocol calls them full subtrees). Nothing is computed anew at start.

An append adds at most log2(n) + 1 nodes and reads none; a proof reads at most 2 * log2(n) + 1.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

from securechat.mls.codec import AtMost, Bytes32, Uint64, WireStruct
from securechat.transparency.errors import MisusedTree

HASH: Final = 32
"""Bytes of a hash: SHA-256."""

MAX_LEVEL: Final = 40
MAX_SIZE: Final = 1 << MAX_LEVEL
"""Entries: a thousand a second for 35 years. It bounds what a proof may hold."""

MAX_INCLUSION: Final = MAX_LEVEL
MAX_CONSISTENCY: Final = MAX_LEVEL + 1
"""Hashes in a proof: the height of the tree, and for consistency one node more to begin with."""

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root of a log without entries (section 2.1.1)."""

InclusionPath = Annotated[tuple[Bytes32, ...], AtMost(MAX_INCLUSION)]
ConsistencyPath = Annotated[tuple[Bytes32, ...], AtMost(MAX_CONSISTENCY)]


class LogNodes(Protocol):
    """Where the log's nodes are kept."""

    def log_node(self, level: int, index: int) -> bytes:
        """Return the 32 bytes of a stored node; MissingNode if it was never stored."""


@dataclass(frozen=True, slots=True)
class LogNode:
    """One node to be stored: the root of the complete subtree of 2**level leaves at ``index << level``."""

    level: int
    index: int
    value: bytes


class Frontier(WireStruct, frozen=True):
    """A log as far as one must know it to append: its size and the roots of its full subtrees.

    ``peaks`` has one hash for each bit of ``size``, of the largest subtree first. It is stored whole, in one
    row.
    """

    size: Uint64
    peaks: Annotated[tuple[Bytes32, ...], AtMost(MAX_LEVEL + 1)]

    def root(self) -> bytes:
        """Return the root of the log, MTH of section 2.1.1; MisusedTree if the peaks do not fit the size."""
        if len(self.peaks) != self.size.bit_count():
            raise MisusedTree(f"A log of {self.size} entries has {self.size.bit_count()} peaks.")
        if not self.peaks:
            return EMPTY_ROOT
        *others, root = self.peaks
        for peak in reversed(others):
            root = hash_children(peak, root)
        return root


EMPTY_LOG: Final = Frontier(size=0, peaks=())


def hash_leaf(entry: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 || entry) (section 2.1.1)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def hash_children(left: bytes, right: bytes) -> bytes:
    """Return the hash of a parent: SHA-256(0x01 || left || right) (section 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def append(frontier: Frontier, leaf: bytes) -> tuple[Frontier, tuple[LogNode, ...]]:
    """Return the frontier after one more leaf, and the nodes to be stored with it, lowest first.

    :param leaf: the leaf's hash, 32 bytes
    :raises MisusedTree: the log is full, or the hash or the frontier is none
    """
    if len(leaf) != HASH or len(frontier.peaks) != frontier.size.bit_count():
        raise MisusedTree("A leaf is appended by its hash, to a frontier.")
    if frontier.size >= MAX_SIZE:
        raise MisusedTree(f"A log has at most {MAX_SIZE} entries.")
    peaks, index, level = list(frontier.peaks), frontier.size, 0
    nodes = [LogNode(0, index, leaf)]
    while index & 1:
        index, level = index >> 1, level + 1
        nodes.append(LogNode(level, index, hash_children(peaks.pop(), nodes[-1].value)))
    return Frontier(frontier.size + 1, (*peaks, nodes[-1].value)), tuple(nodes)


def root_of(nodes: LogNodes, size: int) -> bytes:
    """Return the root that the log had when it had ``size`` entries."""
    return _subtree(nodes, 0, size) if size else EMPTY_ROOT


def prove_inclusion(nodes: LogNodes, index: int, size: int) -> tuple[bytes, ...]:
    """Return PATH(index, D_size) of section 2.1.3.1: at most log2(size) rounded up hashes, lowest first.

    :raises MisusedTree: there is no such entry in a log of this size
    """
    if not 0 <= index < size <= MAX_SIZE:
        raise MisusedTree(f"A log of {size} entries has no entry {index}.")
    path, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_subtree(nodes, middle, end))
            end = middle
        else:
            path.append(_subtree(nodes, start, middle))
            start = middle
    return tuple(reversed(path))


def prove_consistency(nodes: LogNodes, first: int, second: int) -> tuple[bytes, ...]:
    """Return PROOF(first, D_second) of section 2.1.4.1: at most log2(second) rounded up, plus 1, hashes.

    Empty if the sizes are equal, or the first is 0: every log begins with nothing.

    :raises MisusedTree: the first log is larger than the second
    """
    if not 0 <= first <= second <= MAX_SIZE:
        raise MisusedTree(f"A log of {second} entries does not extend one of {first}.")
    if first in (0, second):
        return ()
    path, start, end, is_old = [], 0, second, True
    while first != end:
        middle = start + _split(end - start)
        if first <= middle:
            path.append(_subtree(nodes, middle, end))
            end = middle
        else:
            path.append(_subtree(nodes, start, middle))
            start, is_old = middle, False
    if not is_old:
        path.append(_subtree(nodes, start, end))
    return tuple(reversed(path))


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], *, root: bytes) -> bool:
    """Whether the log of this size and root has this leaf (its hash) at ``index`` (section 2.1.3.2)."""
    if not 0 <= index < size <= MAX_SIZE or not _are_hashes(leaf, root, *path[: MAX_INCLUSION + 1]):
        return False
    at, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = hash_children(sibling, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = hash_children(found, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    first: int, second: int, path: Sequence[bytes], *, first_root: bytes, second_root: bytes
) -> bool:
    """Whether the log of ``second`` entries begins with the log of ``first`` entries (section 2.1.4.2).

    Sizes that the RFC leaves out: every log extends the empty one, and each extends itself; the path is empty
    then.
    """
    if not 0 <= first <= second <= MAX_SIZE:
        return False
    if not _are_hashes(first_root, second_root, *path[: MAX_CONSISTENCY + 1]):
        return False
    if first == second:
        return not path and first_root == second_root and (first > 0 or first_root == EMPTY_ROOT)
    if first == 0:
        return not path and first_root == EMPTY_ROOT
    steps = [first_root, *path] if first.bit_count() == 1 else list(path)
    return _consistent(first - 1, second - 1, steps, first_root=first_root, second_root=second_root)


def _consistent(at: int, last: int, steps: list[bytes], *, first_root: bytes, second_root: bytes) -> bool:
    """Steps 3 to 7 of section 2.1.4.2: ``at`` is fn there, ``last`` sn, ``old`` fr, ``new`` sr."""
    if not steps:
        return False
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = steps[0]
    for sibling in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = hash_children(sibling, old), hash_children(sibling, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = hash_children(new, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root


def _are_hashes(*values: bytes) -> bool:
    return all(len(value) == HASH for value in values)


def _split(count: int) -> int:
    """Return the largest power of two below ``count``: k of section 2.1.1."""
    return 1 << (count - 1).bit_length() - 1


def _subtree(nodes: LogNodes, start: int, end: int) -> bytes:
    """Return MTH of the leaves from ``start`` to before ``end``: a node of the tree at its own place."""
    lefts: list[bytes] = []
    while (count := end - start).bit_count() != 1:
        middle = start + _split(count)
        lefts.append(_stored(nodes, start, middle))
        start = middle
    found = _stored(nodes, start, end)
    for left in reversed(lefts):
        found = hash_children(left, found)
    return found


def _stored(nodes: LogNodes, start: int, end: int) -> bytes:
    level = (end - start).bit_length() - 1
    return nodes.log_node(level, start >> level)
