"""The secret tree (RFC 9420 section 9): every message key of an epoch, each used once.

This is the one thing in the package that changes. A key is *found* first, which changes nothing,
and *consumed* when the message it opened has proved good; then the key, and all it was derived
from, is gone, from memory and from what is saved.

A message may be up to ``MAX_FORWARD`` generations ahead; that is checked before anything is
derived. The keys jumped over are kept for late messages, up to a limit.
"""

import heapq
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from securechat.mls import tree_math
from securechat.mls.cipher_suite import CipherSuite
from securechat.mls.codec import Enum8, Opaque, SecretStruct, Uint32, decode, encode
from securechat.mls.errors import DecodeError, SecretError, UsageError
from securechat.mls.nodes import LeafIndex, NodeIndex

MAX_FORWARD: Final = 1_000
"""How far ahead of what was seen a message may be: a hostile member makes us derive no more than that."""

MAX_KEPT: Final = 2_000
"""How many skipped keys are kept in an epoch; beyond, who skipped most loses the oldest."""

LAST_GENERATION: Final = 0xFFFF_FFFF
"""Generations are counted in four bytes; the last one is never used, so that none can wrap around."""


class Ratchet(Enum8):
    """The two chains of a member (section 9.1)."""

    HANDSHAKE = 1
    APPLICATION = 2


_LABELS: Final = {Ratchet.HANDSHAKE: "handshake", Ratchet.APPLICATION: "application"}


@dataclass(frozen=True, slots=True)
class MessageKey:
    """The key and nonce of one message, as found; ``SecretTree.consume`` makes it unfindable."""

    leaf: LeafIndex
    ratchet: Ratchet
    generation: int
    key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    _skipped_secrets: tuple[bytes, ...] = field(repr=False, default=())
    _next_secret: bytes = field(repr=False, default=b"")


@dataclass(slots=True, repr=False)
class _Chain:
    """One hash ratchet: the secret of the next generation, and keys that were jumped over."""

    generation: int
    secret: bytes
    kept: dict[int, tuple[bytes, bytes]]


class _StoredNode(SecretStruct, frozen=True):
    node: Uint32
    secret: Opaque


class _StoredKey(SecretStruct, frozen=True):
    generation: Uint32
    key: Opaque
    nonce: Opaque


class _StoredChain(SecretStruct, frozen=True):
    leaf: Uint32
    ratchet: Ratchet
    generation: Uint32
    secret: Opaque
    kept: tuple[_StoredKey, ...]


class _StoredTree(SecretStruct, frozen=True):
    leaf_count: Uint32
    nodes: tuple[_StoredNode, ...]
    chains: tuple[_StoredChain, ...]


class SecretTree:
    """The message keys of one epoch that have not been used yet."""

    __slots__ = ("_chains", "_changed", "_nodes", "leaf_count", "suite")

    def __init__(self, suite: CipherSuite, encryption_secret: bytes, leaf_count: int) -> None:
        """Begin an epoch: ``leaf_count`` is that of its ratchet tree, blank leaves included."""
        self.suite = suite
        self.leaf_count = leaf_count
        self._nodes: dict[NodeIndex, bytes] = {tree_math.root(leaf_count): encryption_secret}
        self._chains: dict[tuple[LeafIndex, Ratchet], _Chain] = {}
        self._changed: set[int] = set()

    def __repr__(self) -> str:
        return f"<SecretTree of {self.leaf_count} leaves>"

    def next_generation(self, leaf: LeafIndex, ratchet: Ratchet) -> int:
        """Return the generation of the next message of ``leaf`` that we have not seen."""
        chain = self._chains.get((leaf, ratchet))
        return 0 if chain is None else chain.generation

    def find_next(self, leaf: LeafIndex, ratchet: Ratchet) -> MessageKey:
        """Return the first unused key of ``leaf``: what a sender takes."""
        return self.find(leaf, ratchet, self.next_generation(leaf, ratchet))

    def find(self, leaf: LeafIndex, ratchet: Ratchet, generation: int) -> MessageKey:
        """Return the key of this generation; nothing is changed yet.

        SecretError ``generation-used`` if it was used or dropped, ``generation-too-far`` if it
        is further ahead than ``MAX_FORWARD``.
        """
        if not 0 <= leaf < self.leaf_count:
            raise SecretError("no-such-leaf", "9", f"leaf {leaf} is outside the tree")
        chain = self._chains.get((leaf, ratchet))
        first = 0 if chain is None else chain.generation
        if generation < first:
            if chain is None or generation not in chain.kept:
                raise SecretError("generation-used", "9.2", f"generation {generation} is gone")
            return MessageKey(leaf, ratchet, generation, *chain.kept[generation])
        if generation - first > MAX_FORWARD or generation >= LAST_GENERATION:
            raise SecretError("generation-too-far", "9.1", f"{generation - first} generations ahead")
        secret = self._chain_secret(leaf, ratchet) if chain is None else chain.secret
        skipped = []
        for passed in range(first, generation):
            skipped.append(secret)
            secret = self._next(secret, passed)
        key, nonce = self._key_and_nonce(secret, generation)
        return MessageKey(
            leaf, ratchet, generation, key, nonce, tuple(skipped), self._next(secret, generation)
        )

    def consume(self, found: MessageKey) -> None:
        """Make ``found`` and all that leads to it unfindable (section 9.2)."""
        chain = self._chains.get((found.leaf, found.ratchet))
        if chain is None:
            chain = self._begin_chain(found.leaf, found.ratchet)
        if found.generation < chain.generation:
            if not hmac.compare_digest(chain.kept.get(found.generation, (b"", b""))[0], found.key):
                raise UsageError("this key is not in the tree any more")
            del chain.kept[found.generation]
            self._changed.add(_kept_row(found.leaf, found.ratchet, found.generation))
            return
        if chain.generation + len(found._skipped_secrets) != found.generation:  # noqa: SLF001
            raise UsageError("the tree has moved on since this key was found")
        for passed, secret in enumerate(found._skipped_secrets, chain.generation):  # noqa: SLF001
            chain.kept[passed] = self._key_and_nonce(secret, passed)
            self._changed.add(_kept_row(found.leaf, found.ratchet, passed))
        self._changed.add(_chain_row(found.leaf, found.ratchet))
        chain.generation = found.generation + 1
        chain.secret = found._next_secret  # noqa: SLF001
        if found._skipped_secrets:  # noqa: SLF001
            self._forget_surplus()

    def use_up(self, found: MessageKey) -> None:
        """The same for a key that was found some time ago: others may have been consumed since."""
        self.consume(self.find(found.leaf, found.ratchet, found.generation))

    def to_bytes(self) -> bytes:
        """Return what is left, to keep. Its size follows who has spoken, not the group's size."""
        nodes = tuple(_StoredNode(node, secret) for node, secret in sorted(self._nodes.items()))
        chains = tuple(
            _StoredChain(
                leaf,
                ratchet,
                chain.generation,
                chain.secret,
                tuple(_StoredKey(generation, *pair) for generation, pair in sorted(chain.kept.items())),
            )
            for (leaf, ratchet), chain in sorted(self._chains.items())
        )
        return encode(_StoredTree(self.leaf_count, nodes, chains))

    @classmethod
    def from_bytes(cls, suite: CipherSuite, data: bytes) -> "SecretTree":
        """Return what ``to_bytes`` gave; DecodeError if it is broken."""
        stored = decode(_StoredTree, data)
        if not 0 < stored.leaf_count <= tree_math.MAX_LEAVES:
            raise DecodeError("a secret tree of an impossible size")
        tree = cls(suite, b"", stored.leaf_count)
        tree._nodes = {NodeIndex(node.node): node.secret for node in stored.nodes}
        tree._chains = {
            (LeafIndex(chain.leaf), chain.ratchet): _Chain(
                chain.generation,
                chain.secret,
                {kept.generation: (kept.key, kept.nonce) for kept in chain.kept},
            )
            for chain in stored.chains
        }
        return tree

    def rows(self) -> dict[int, bytes]:
        """Return what is left as rows of a table, by their numbers; ``take_changes`` goes on from here."""
        numbers: set[int] = set(self._nodes)
        for (leaf, ratchet), chain in self._chains.items():
            numbers.add(_chain_row(leaf, ratchet))
            numbers.update(_kept_row(leaf, ratchet, generation) for generation in chain.kept)
        self._changed.clear()
        return {number: data for number in numbers if (data := self._row(number)) is not None}

    def take_changes(self) -> dict[int, bytes | None]:
        """Return the rows that changed since this was last asked, None for those that are to be deleted."""
        changed, self._changed = self._changed, set()
        return {number: self._row(number) for number in changed}

    @classmethod
    def from_rows(cls, suite: CipherSuite, leaf_count: int, rows: Mapping[int, bytes]) -> "SecretTree":
        """Return the tree that a table holds; DecodeError if it is broken."""
        tree = cls(suite, b"", leaf_count)
        tree._nodes.clear()
        for number, data in sorted(rows.items()):  # a chain before its kept keys
            tree._set_row(number, data)
        return tree

    def _row(self, number: int) -> bytes | None:
        kind, place = divmod(number, _CHAINS)
        if kind == 0:
            return self._nodes.get(NodeIndex(number))
        leaf, ratchet, generation = _place_of_row(place)
        chain = self._chains.get((leaf, ratchet))
        if chain is None:
            return None
        if kind == 1:
            return chain.generation.to_bytes(4, "big") + chain.secret
        return None if generation not in chain.kept else b"".join(chain.kept[generation])

    def _set_row(self, number: int, data: bytes) -> None:
        kind, place = divmod(number, _CHAINS)
        leaf, ratchet, generation = _place_of_row(place)
        if kind == 0 and number < tree_math.node_count(self.leaf_count):
            self._nodes[NodeIndex(number)] = data
        elif kind == 1 and leaf < self.leaf_count and len(data) == 4 + self.suite.hash_length:
            self._chains[leaf, ratchet] = _Chain(int.from_bytes(data[:4], "big"), data[4:], {})
        elif kind == 2 and (leaf, ratchet) in self._chains:
            length = self.suite.aead.key_length
            self._chains[leaf, ratchet].kept[generation] = data[:length], data[length:]
        else:
            raise DecodeError("these rows are no secret tree")

    def _next(self, secret: bytes, generation: int) -> bytes:
        return self.suite.derive_tree_secret(secret, "secret", generation, self.suite.hash_length)

    def _key_and_nonce(self, secret: bytes, generation: int) -> tuple[bytes, bytes]:
        aead = self.suite.aead
        return (
            self.suite.derive_tree_secret(secret, "key", generation, aead.key_length),
            self.suite.derive_tree_secret(secret, "nonce", generation, aead.nonce_length),
        )

    def _chain_secret(self, leaf: LeafIndex, ratchet: Ratchet) -> bytes:
        """Return where a chain that was never used begins, without changing the tree."""
        secrets, _ = self._walk_down(leaf)
        return self.suite.expand_with_label(secrets, _LABELS[ratchet], b"", self.suite.hash_length)

    def _walk_down(self, leaf: LeafIndex) -> tuple[bytes, dict[NodeIndex, bytes]]:
        """Return the leaf's secret, and the secrets that stay beside the way to it."""
        target = tree_math.node_of(leaf)
        above = [target, *tree_math.direct_path(target, self.leaf_count)]
        node = next((node for node in above if node in self._nodes), None)
        if node is None:
            raise SecretError("secrets-missing", "9.2", f"the secrets of leaf {leaf} are gone")
        secret = self._nodes[node]
        beside: dict[NodeIndex, bytes] = {}
        while node != target:
            sides = {tree_math.left(node): "left", tree_math.right(node): "right"}
            derived = {
                child: self.suite.expand_with_label(secret, "tree", side.encode(), self.suite.hash_length)
                for child, side in sides.items()
            }
            node = _towards(target, *sides)
            secret = derived.pop(node)
            beside.update(derived)
        return secret, beside

    def _begin_chain(self, leaf: LeafIndex, ratchet: Ratchet) -> _Chain:
        """Take the leaf's secret out of the tree; both its chains begin there."""
        secret, beside = self._walk_down(leaf)
        target = tree_math.node_of(leaf)
        for node in (target, *tree_math.direct_path(target, self.leaf_count)):
            self._nodes.pop(node, None)
            self._changed.add(node)
        self._nodes.update(beside)
        self._changed.update(beside)
        for each, label in _LABELS.items():
            start = self.suite.expand_with_label(secret, label, b"", self.suite.hash_length)
            self._chains[leaf, each] = _Chain(0, start, {})
            self._changed.add(_chain_row(leaf, each))
        return self._chains[leaf, ratchet]

    def _forget_surplus(self) -> None:
        sizes = [(len(chain.kept), place) for place, chain in self._chains.items()]
        surplus = sum(size for size, _ in sizes) - MAX_KEPT
        if surplus <= 0:
            return
        # Each chain is looked at once: a message of 200 bytes skips a thousand keys where a thousand spoke.
        fullest = [(-size, place, iter(sorted(self._chains[place].kept))) for size, place in sizes if size]
        heapq.heapify(fullest)
        for _ in range(surplus):
            size, place, oldest = fullest[0]
            generation = next(oldest)
            del self._chains[place].kept[generation]
            self._changed.add(_kept_row(*place, generation))
            heapq.heapreplace(fullest, (size + 1, place, oldest))


_CHAINS: Final = 1 << 60
"""Rows are numbered: below this, secrets of nodes; then chains; above twice this, keys that were kept."""


def _chain_row(leaf: LeafIndex, ratchet: Ratchet) -> int:
    return _CHAINS | leaf << 33 | (ratchet - 1) << 32


def _kept_row(leaf: LeafIndex, ratchet: Ratchet, generation: int) -> int:
    return _CHAINS + _chain_row(leaf, ratchet) | generation


def _place_of_row(place: int) -> tuple[LeafIndex, Ratchet, int]:
    """Return whose row it is: leaf, chain and, for a kept key, generation."""
    return LeafIndex(place >> 33), Ratchet((place >> 32 & 1) + 1), place & 0xFFFF_FFFF


def _towards(target: NodeIndex, left: NodeIndex, right: NodeIndex) -> NodeIndex:
    """Return the child under which ``target`` lies."""
    return left if tree_math.is_below(tree_math.leaf_of(target), left) else right
