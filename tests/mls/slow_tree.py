"""A ratchet tree written straight from the text of RFC 9420, to check the fast one by.

Linked nodes, no cache, no index arithmetic, no sharing: each question is answered by walking the
whole tree, each change by the steps as section 7 and 12.1 list them.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from securechat.mls.codec import encode, encode_opaque
from securechat.mls.nodes import LeafIndex, LeafNode, ParentNode

Value = LeafNode | ParentNode


@dataclass(eq=False)
class Spot:
    """A place in the tree: blank or not, with two children or none."""

    value: Value | None = None
    left: "Spot | None" = None
    right: "Spot | None" = None
    leaf_index: int | None = None

    @property
    def children(self) -> "list[Spot]":
        return [child for child in (self.left, self.right) if child is not None]


@dataclass(eq=False)
class SlowTree:
    head: Spot = field(default_factory=Spot)

    @classmethod
    def of(cls, values: list[Value | None]) -> "SlowTree":
        """From the nodes in array order: 12.4.3.3's recursive reading."""
        tree = cls(_build(values))
        tree._number()
        return tree

    def values(self) -> list[Value | None]:
        return [spot.value for spot in _in_order(self.head)]

    def spots(self) -> list[Spot]:
        return list(_in_order(self.head))

    def leaves(self) -> list[Spot]:
        return [spot for spot in _in_order(self.head) if not spot.children]

    def ancestors(self, spot: Spot) -> list[Spot]:
        """The direct path, lowest first."""
        return [other for other in reversed(_way_down(self.head, spot)) if other is not spot]

    # -- 12.1 ---------------------------------------------------------------

    def add(self, leaf: LeafNode) -> int:
        if all(spot.value is not None for spot in self.leaves()):
            self.head = Spot(None, self.head, _blank_like(self.head))
            self._number()
        spot = next(spot for spot in self.leaves() if spot.value is None)
        assert spot.leaf_index is not None
        for above in self.ancestors(spot):
            if isinstance(above.value, ParentNode):
                unmerged = sorted([*above.value.unmerged_leaves, LeafIndex(spot.leaf_index)])
                above.value = ParentNode(above.value.encryption_key, above.value.parent_hash, tuple(unmerged))
        spot.value = leaf
        return spot.leaf_index

    def update(self, index: int, leaf: LeafNode) -> None:
        spot = self.leaves()[index]
        spot.value = leaf
        for above in self.ancestors(spot):
            above.value = None

    def remove(self, index: int) -> None:
        spot = self.leaves()[index]
        spot.value = None
        for above in self.ancestors(spot):
            above.value = None
        while self.head.left and self.head.right and not _members(self.head.right):
            self.head = self.head.left

    # -- 7.5 ----------------------------------------------------------------

    def recipients(self, index: int) -> list[list[Spot]]:
        """To whom each path secret of this sender is encrypted, lowest node first."""
        return [self.resolution(beside) for _, beside in self.filtered_direct_path(self.leaves()[index])]

    def apply_path(self, index: int, keys: list[bytes]) -> bytes:
        """Blank the direct path, set the filtered one, and return the parent hash for the leaf."""
        leaf = self.leaves()[index]
        filtered = self.filtered_direct_path(leaf)
        for above in self.ancestors(leaf):
            above.value = None
        parent_hash = b""
        for (above, beside), key in reversed(list(zip(filtered, keys, strict=True))):
            above.value = ParentNode(key, parent_hash, ())
            parent_hash = self.parent_hash(above, beside)
        return parent_hash

    # -- 4.1 ----------------------------------------------------------------

    def resolution(self, spot: Spot, leaves: list[Spot] | None = None) -> list[Spot]:
        """``leaves`` may be given by who asks often: they are the tree's."""
        leaves = leaves or self.leaves()
        if spot.value is None:
            return [found for child in spot.children for found in self.resolution(child, leaves)]
        unmerged = spot.value.unmerged_leaves if isinstance(spot.value, ParentNode) else ()
        return [spot, *(leaves[index] for index in unmerged)]

    def filtered_direct_path(self, leaf: Spot) -> list[tuple[Spot, Spot]]:
        found = []
        below = leaf
        for above in self.ancestors(leaf):
            (beside,) = [child for child in above.children if child is not below]
            if self.resolution(beside):
                found.append((above, beside))
            below = above
        return found

    # -- 7.8, 7.9 -----------------------------------------------------------

    def tree_hash(self, spot: Spot) -> bytes:
        value = b"\x00" if spot.value is None else b"\x01" + encode(spot.value)
        if spot.left is None or spot.right is None:
            assert spot.leaf_index is not None
            return hashlib.sha256(b"\x01" + spot.leaf_index.to_bytes(4, "big") + value).digest()
        children = encode_opaque(self.tree_hash(spot.left)) + encode_opaque(self.tree_hash(spot.right))
        return hashlib.sha256(b"\x02" + value + children).digest()

    def original_tree_hash(self, parent: Spot, sibling: Spot) -> bytes:
        """7.9 to the letter: a subtree in which the leaves are blanked and removed everywhere."""
        assert isinstance(parent.value, ParentNode)
        gone = parent.value.unmerged_leaves
        other = _copied(sibling)
        for spot in _in_order(other):
            if spot.leaf_index in gone:
                spot.value = None
            elif isinstance(spot.value, ParentNode):
                left = tuple(index for index in spot.value.unmerged_leaves if index not in gone)
                spot.value = ParentNode(spot.value.encryption_key, spot.value.parent_hash, left)
        return self.tree_hash(other)

    def parent_hash(self, parent: Spot, sibling: Spot) -> bytes:
        assert isinstance(parent.value, ParentNode)
        return hashlib.sha256(
            encode_opaque(parent.value.encryption_key)
            + encode_opaque(parent.value.parent_hash)
            + encode_opaque(self.original_tree_hash(parent, sibling))
        ).digest()

    def is_valid(self) -> bool:
        """12.4.3.1 and 7.3, what they say of more than one node: unmerged leaves, keys, parent hashes."""
        values = [spot.value for spot in self.spots() if spot.value is not None]
        keys = [value.encryption_key for value in values]
        signing = [value.signature_key for value in values if isinstance(value, LeafNode)]
        return (
            all(self._unmerged_is_valid(spot) for spot in self.spots())
            and len(keys) == len(set(keys))
            and len(signing) == len(set(signing))
            and self.is_parent_hash_valid()
        )

    def _unmerged_is_valid(self, spot: Spot) -> bool:
        if not isinstance(spot.value, ParentNode):
            return True
        unmerged = list(spot.value.unmerged_leaves)
        below = {leaf.leaf_index: leaf for leaf in _members(spot)}
        if unmerged != sorted(set(unmerged)) or not below.keys() >= set(unmerged):
            return False
        for index in unmerged:
            for between in self.ancestors(below[index]):
                if between is spot:
                    break
                if isinstance(between.value, ParentNode) and index not in between.value.unmerged_leaves:
                    return False
        return True

    def is_parent_hash_valid(self) -> bool:
        """7.9.2, bottom up: chains from the leaves cover each non-blank parent exactly once."""
        covered: list[Spot] = []
        for leaf in self.leaves():
            lower = leaf
            while (upper := self._linked_above(lower)) is not None:
                covered.append(upper)
                lower = upper
        parents = [spot for spot in self.spots() if isinstance(spot.value, ParentNode)]
        return len(covered) == len(parents) and all(spot in covered for spot in parents)

    def _linked_above(self, lower: Spot) -> Spot | None:
        if lower.value is None or not lower.value.parent_hash:
            return None
        below = lower
        for above in self.ancestors(lower):
            (beside,) = [child for child in above.children if child is not below]
            if isinstance(above.value, ParentNode):
                rest = self.resolution(below)
                unmerged = [
                    self.leaves()[index]
                    for index in above.value.unmerged_leaves
                    if self.leaves()[index] in _in_order(below)
                ]
                if lower in rest:
                    rest.remove(lower)
                    if rest == unmerged and lower.value.parent_hash == self.parent_hash(above, beside):
                        return above
            below = above
        return None

    def _number(self) -> None:
        for index, spot in enumerate(self.leaves()):
            spot.leaf_index = index


def _build(values: list[Value | None]) -> Spot:
    if len(values) == 1:
        return Spot(values[0])
    middle = len(values) // 2
    return Spot(values[middle], _build(values[:middle]), _build(values[middle + 1 :]))


def _copied(spot: Spot) -> Spot:
    left, right = (None if child is None else _copied(child) for child in (spot.left, spot.right))
    return Spot(spot.value, left, right, spot.leaf_index)


def _blank_like(spot: Spot) -> Spot:
    if spot.left is None or spot.right is None:
        return Spot()
    return Spot(None, _blank_like(spot.left), _blank_like(spot.right))


def _in_order(spot: Spot) -> Iterator[Spot]:
    if spot.left is not None:
        yield from _in_order(spot.left)
    yield spot
    if spot.right is not None:
        yield from _in_order(spot.right)


def _way_down(start: Spot, goal: Spot) -> list[Spot]:
    if start is goal:
        return [start]
    for child in start.children:
        way = _way_down(child, goal)
        if way:
            return [start, *way]
    return []


def _members(spot: Spot) -> list[Spot]:
    return [other for other in _in_order(spot) if not other.children and other.value is not None]
