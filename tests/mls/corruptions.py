"""Every way to change one field of a ratchet tree, so that two checkers can be asked about each."""

import random
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from securechat.mls.nodes import FromCommit, FromUpdate, LeafIndex, LeafNode, Lifetime, ParentNode

Node = LeafNode | ParentNode
Nodes = list[Node | None]


def every_corruption(nodes: Sequence[Node | None], source: random.Random) -> Iterator[tuple[str, Nodes]]:
    """Each tree that differs from this one in one field, with what was done; ``source`` draws new values.

    Some are still valid, as a leaf that is blanked may be: what matters is that all agree.
    """
    for place, node in enumerate(nodes):
        for what, changed in _changed(place, node, nodes, source):
            bent = list(nodes)
            bent[place] = changed
            yield f"{what} at {place}", bent
        if place + 2 < len(nodes) and (node is not None or nodes[place + 2] is not None):
            bent = list(nodes)
            bent[place], bent[place + 2] = bent[place + 2], bent[place]
            yield f"swapped {place} and {place + 2}", bent
    if len(nodes) > 1:
        half = len(nodes) // 2
        yield "truncated to the left half", list(nodes[:half])
        yield "truncated to the right half", list(nodes[half + 1 :])


def one_corruption(nodes: Sequence[Node | None], source: random.Random) -> tuple[str, Nodes]:
    """One of them by chance: of a large tree there are many."""
    while True:
        place = source.randrange(len(nodes))
        options = list(_changed(place, nodes[place], nodes, source))
        if options:
            what, changed = source.choice(options)
            bent = list(nodes)
            bent[place] = changed
            return f"{what} at {place}", bent


def _changed(
    place: int, node: Node | None, nodes: Sequence[Node | None], source: random.Random
) -> Iterator[tuple[str, Node | None]]:
    others = [other for index, other in enumerate(nodes) if other is not None and index != place]
    alike = [other for other in others if isinstance(other, LeafNode) == (place % 2 == 0)]
    if node is None:
        if alike:
            yield "filled", source.choice(alike)
        return
    yield "blanked", None
    yield "another key", replace(node, encryption_key=source.randbytes(32))
    if others:
        yield "a copied key", replace(node, encryption_key=source.choice(others).encryption_key)
    if isinstance(node, ParentNode):
        yield from _changed_parent(node, len(nodes), source)
    else:
        yield from _changed_leaf(node, alike, source)


def _changed_parent(node: ParentNode, width: int, source: random.Random) -> Iterator[tuple[str, ParentNode]]:
    for what, parent_hash in _other_hashes(node.parent_hash, source):
        yield what, replace(node, parent_hash=parent_hash)
    unmerged = node.unmerged_leaves
    for number, leaf in enumerate(unmerged):
        yield (
            f"leaf {leaf} merged",
            replace(node, unmerged_leaves=(*unmerged[:number], *unmerged[number + 1 :])),
        )
        yield f"leaf {leaf} twice", replace(node, unmerged_leaves=tuple(sorted((*unmerged, leaf))))
    if len(unmerged) > 1:
        yield "out of order", replace(node, unmerged_leaves=unmerged[::-1])
    leaves = [LeafIndex(leaf) for leaf in range((width + 1) // 2 + 1)]
    for leaf in leaves if width < 40 else source.sample(leaves, 5):
        if leaf not in unmerged:
            more = tuple(sorted((*unmerged, leaf)))
            yield f"leaf {leaf} unmerged", replace(node, unmerged_leaves=more)


def _changed_leaf(
    node: LeafNode, alike: Sequence[Node], source: random.Random
) -> Iterator[tuple[str, LeafNode]]:
    yield "no commit's leaf", replace(node, origin=FromUpdate())
    yield "a key package's leaf", replace(node, origin=Lifetime(0, 1))
    for what, parent_hash in _other_hashes(node.parent_hash or b"", source):
        yield what, replace(node, origin=FromCommit(parent_hash))
    others = [other for other in alike if isinstance(other, LeafNode)]
    if others:
        yield "a copied signature key", replace(node, signature_key=source.choice(others).signature_key)


def _other_hashes(value: bytes, source: random.Random) -> Iterator[tuple[str, bytes]]:
    yield "another parent hash", source.randbytes(32)
    if value:
        yield "no parent hash", b""
        yield "a parent hash cut short", value[:-1]
        yield "a parent hash with one bit flipped", bytes([value[0] ^ 1]) + value[1:]
