"""What the nodes of a tree have in common: which keys are taken, what the members can do.

The uniqueness and capability rules of RFC 9420 sections 7.3 and 12.2 ask about the whole tree. The
census answers them without a walk: it is counted once and then follows each change, so that a
commit to a group of 1,000 costs a few copies of dicts.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from securechat.mls.nodes import Capabilities, LeafNode, ParentNode

Key = TypeVar("Key")


class Profile(NamedTuple):
    """What matters of a leaf for the question whether members can work with one another."""

    credential_type: int
    capabilities: Capabilities


def profile_of(leaf: LeafNode) -> Profile:
    return Profile(leaf.credential.credential_type, leaf.capabilities)


class Census:
    """Counts over the nodes of one tree; belongs to the draft that changes it, then is only read."""

    __slots__ = ("encryption_keys", "profiles", "signature_keys")

    def __init__(
        self,
        encryption_keys: dict[bytes, int],
        signature_keys: dict[bytes, int],
        profiles: dict[Profile, int],
    ) -> None:
        self.encryption_keys = encryption_keys
        self.signature_keys = signature_keys
        self.profiles = profiles

    @classmethod
    def of(cls, nodes: Iterable[LeafNode | ParentNode | None]) -> "Census":
        census = cls({}, {}, {})
        for node in nodes:
            if node is not None:
                census.enter(node)
        return census

    def copy(self) -> "Census":
        return Census(self.encryption_keys.copy(), self.signature_keys.copy(), self.profiles.copy())

    def enter(self, node: LeafNode | ParentNode) -> None:
        keys = self.encryption_keys
        keys[node.encryption_key] = keys.get(node.encryption_key, 0) + 1
        if isinstance(node, LeafNode):
            keys = self.signature_keys
            keys[node.signature_key] = keys.get(node.signature_key, 0) + 1
            profile = profile_of(node)
            self.profiles[profile] = self.profiles.get(profile, 0) + 1

    def leave(self, node: LeafNode | ParentNode) -> None:
        _take_one(self.encryption_keys, node.encryption_key)
        if isinstance(node, LeafNode):
            _take_one(self.signature_keys, node.signature_key)
            _take_one(self.profiles, profile_of(node))


def _take_one(counts: dict[Key, int], key: Key) -> None:
    if counts[key] == 1:
        del counts[key]
    else:
        counts[key] -= 1
