"""What the nodes of a tree have in common: which keys are taken, what the members can do.

The uniqueness and capability rules of RFC 9420 sections 7.3 and 12.2 ask about the whole tree. The
census answers them without a walk: it is counted once and then follows each change, so that a
commit to a group of 1,000 costs a few copies of dicts.
"""

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from securechat.mls.nodes import Capabilities, LeafNode, ParentNode

Key = TypeVar("Key", bound=Hashable)


class Profile(NamedTuple):
    """What matters of a leaf for the question whether members can work with one another."""

    credential_type: int
    capabilities: Capabilities


def profile_of(leaf: LeafNode) -> Profile:
    return Profile(leaf.credential.credential_type, leaf.capabilities)


class Census:
    """Counts over the nodes of one tree; belongs to the draft that changes it, then is only read."""

    __slots__ = ("crossed", "encryption_keys", "profiles", "signature_keys")

    def __init__(
        self,
        encryption_keys: "Tally[bytes]",
        signature_keys: "Tally[bytes]",
        profiles: "Tally[Profile]",
        crossed: int = 0,
    ) -> None:
        self.encryption_keys = encryption_keys
        self.signature_keys = signature_keys
        self.profiles = profiles
        self.crossed = crossed
        """How many keys are encryption key of one node and signature key of a leaf."""

    @classmethod
    def of(cls, nodes: Iterable[LeafNode | ParentNode | None]) -> "Census":
        census = cls(Tally(), Tally(), Tally())
        for node in nodes:
            if node is not None:
                census.enter(node)
        return census

    def copy(self) -> "Census":
        return Census(
            self.encryption_keys.copy(), self.signature_keys.copy(), self.profiles.copy(), self.crossed
        )

    def enter(self, node: LeafNode | ParentNode) -> None:
        if self.encryption_keys.enter(node.encryption_key):
            self.crossed += node.encryption_key in self.signature_keys
        if isinstance(node, LeafNode):
            if self.signature_keys.enter(node.signature_key):
                self.crossed += node.signature_key in self.encryption_keys
            self.profiles.enter(profile_of(node))

    def leave(self, node: LeafNode | ParentNode) -> None:
        if self.encryption_keys.leave(node.encryption_key):
            self.crossed -= node.encryption_key in self.signature_keys
        if isinstance(node, LeafNode):
            if self.signature_keys.leave(node.signature_key):
                self.crossed -= node.signature_key in self.encryption_keys
            self.profiles.leave(profile_of(node))


class Tally(Generic[Key]):
    """How often each key occurs, and how many keys occur more than once."""

    __slots__ = ("_counts", "repeated")

    def __init__(self, counts: dict[Key, int] | None = None, repeated: int = 0) -> None:
        self._counts = {} if counts is None else counts
        self.repeated = repeated

    def __contains__(self, key: object) -> bool:
        return key in self._counts

    def __iter__(self) -> Iterator[Key]:
        return iter(self._counts)

    def __len__(self) -> int:
        return len(self._counts)

    def items(self) -> Iterable[tuple[Key, int]]:
        return self._counts.items()

    def copy(self) -> "Tally[Key]":
        return Tally(self._counts.copy(), self.repeated)

    def enter(self, key: Key) -> bool:
        """Count one more; return whether it is the first."""
        count = self._counts.get(key, 0) + 1
        self._counts[key] = count
        if count == 2:
            self.repeated += 1
        return count == 1

    def leave(self, key: Key) -> bool:
        """Count one less; return whether it was the last."""
        count = self._counts[key] - 1
        if count:
            self._counts[key] = count
            if count == 1:
                self.repeated -= 1
            return False
        del self._counts[key]
        return True
