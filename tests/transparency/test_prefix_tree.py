"""The prefix tree: one shape for one map, one answer for one label, every flipped bit refused."""

import hashlib
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.mls.codec import decode, encode
from securechat.mls.errors import DecodeError
from securechat.transparency.entries import LabelState
from securechat.transparency.errors import MissingNode, MisusedTree, Refused
from securechat.transparency.prefix_tree import (
    MAX_DEPTH,
    NOTHING,
    PrefixLeaf,
    PrefixProof,
    find,
    prove,
    put,
    root_after,
    verify,
)
from tests.transparency import slow_trees
from tests.transparency.stores import MemoryPrefix

LABELS = st.one_of(
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=1, max_size=1).map(lambda end: bytes(31) + end),  # they share 248 bits and more
    st.sampled_from([b"\x80" + bytes(31), b"\xc0" + bytes(31), b"\xff" * 32]),
)


def state(number: int) -> LabelState:
    digest = hashlib.sha256(b"%d" % number).digest()
    return LabelState(
        serial=number + 1, statement_hash=digest, revision=1, position=number, history=digest[::-1]
    )


def grown(labels: list[bytes]) -> tuple[MemoryPrefix, bytes, dict[bytes, LabelState]]:
    """Put each label in turn; drop what is replaced."""
    nodes, root, states = MemoryPrefix(), NOTHING, dict[bytes, LabelState]()
    for number, label in enumerate(labels):
        states[label] = state(number)
        update = put(find(nodes, root, label), states[label])
        for name in update.replaced:
            del nodes.nodes[name]
        nodes.nodes |= dict(update.added)
        root = update.root
    return nodes, root, states


MANY = [hashlib.sha256(b"label %d" % number).digest() for number in range(200)]


@settings(max_examples=50)
@given(st.lists(LABELS, max_size=20), LABELS)
def test_the_tree_is_the_one_of_the_definition_and_answers_for_every_label(
    labels: list[bytes], other: bytes
) -> None:
    nodes, root, states = grown(labels)
    assert root == slow_trees.prefix_root(states)
    for label in (*labels, other):
        assert verify(root, label, prove(nodes, root, label)) == states.get(label)


@settings(max_examples=30)
@given(st.lists(LABELS, max_size=12, unique=True))
def test_one_map_has_one_tree_in_whatever_order_it_grew(labels: list[bytes]) -> None:
    states = {label: state(number) for number, label in enumerate(labels)}
    roots = set()
    for order in (labels, labels[::-1], sorted(labels)):
        nodes, root = MemoryPrefix(), NOTHING
        for label in order:
            update = put(find(nodes, root, label), states[label])
            nodes.nodes |= dict(update.added)
            root = update.root
        roots.add(root)
    assert len(roots) == 1


@settings(max_examples=30)
@given(st.lists(LABELS, max_size=12), LABELS)
def test_a_proof_alone_tells_the_next_root(labels: list[bytes], label: bytes) -> None:
    nodes, root, states = grown(labels)
    leaf = PrefixLeaf(label, state(99))
    after = put(find(nodes, root, label), leaf.state).root
    assert root_after(prove(nodes, root, label), leaf) == after
    assert after == slow_trees.prefix_root(states | {label: leaf.state})


def test_what_is_kept_is_what_the_newest_root_reaches() -> None:
    nodes, root, states = grown([*MANY, *MANY[:50]])
    reached, todo = set(), [root]
    while todo:
        name = todo.pop()
        content = nodes.nodes[name]
        reached.add(name)
        if content[:1] == b"\x03":
            todo += [child for child in (content[1:33], content[33:]) if child != NOTHING]
    assert reached == set(nodes.nodes)
    assert len(states) == len(MANY)


def test_old_roots_stay_readable_where_nothing_is_dropped() -> None:
    nodes, root, roots = MemoryPrefix(), NOTHING, [NOTHING]
    for number, label in enumerate(MANY[:30]):
        update = put(find(nodes, root, label), state(number))
        nodes.nodes |= dict(update.added)
        root = update.root
        roots.append(root)
    for size, old in enumerate(roots):
        for number, label in enumerate(MANY[:30]):
            expected = state(number) if number < size else None
            assert verify(old, label, prove(nodes, old, label)) == expected


def test_an_update_reads_and_adds_one_path() -> None:
    nodes, root, _ = grown(MANY)
    nodes.reads = 0
    update = put(find(nodes, root, MANY[7]), state(1000))
    assert nodes.reads == len(update.added) == len(update.replaced) <= 3 * math.log2(len(MANY))
    assert all(hashlib.sha256(content).digest() == name for name, content in update.added)


def test_putting_what_is_there_changes_nothing() -> None:
    nodes, root, states = grown(MANY)
    update = put(find(nodes, root, MANY[3]), states[MANY[3]])
    assert (update.root, update.added, update.replaced) == (root, (), ())


def test_an_empty_tree_proves_absence_with_nothing() -> None:
    proof = prove(MemoryPrefix(), NOTHING, MANY[0])
    assert proof == PrefixProof(leaf=None, siblings=())
    assert verify(NOTHING, MANY[0], proof) is None


def proofs() -> list[tuple[bytes, bytes, PrefixProof]]:
    """(root, label, proof): there; not there beside another leaf; not there at all."""
    nodes, root, _ = grown(MANY)
    absent = [hashlib.sha256(b"absent %d" % number).digest() for number in range(200)]
    found = {prove(nodes, root, label).leaf is None: label for label in absent}
    assert set(found) == {True, False}
    return [(root, label, prove(nodes, root, label)) for label in (MANY[5], *found.values())]


@pytest.mark.parametrize("kind", range(3))
def test_every_bit_of_a_proof_counts(kind: int) -> None:
    root, label, proof = proofs()[kind]
    verify(root, label, proof)
    data = encode(proof)
    for bit in range(8 * len(data)):
        flipped = (int.from_bytes(data, "big") ^ 1 << bit).to_bytes(len(data), "big")
        with pytest.raises((Refused, DecodeError)):
            verify(root, label, decode(PrefixProof, flipped))


@pytest.mark.parametrize("kind", range(3))
def test_a_proof_is_of_no_other_label_and_root(kind: int) -> None:
    root, label, proof = proofs()[kind]
    for bit in range(256):
        flipped = (int.from_bytes(root, "big") ^ 1 << bit).to_bytes(32, "big")
        with pytest.raises(Refused):
            verify(flipped, label, proof)
    for other in MANY[:100]:
        if other != label and other != MANY[5]:
            with pytest.raises(Refused):
                verify(root, other, proof)


def test_nothing_there_is_not_said_of_a_label_that_is() -> None:
    """Absence of a label that is there: with its leaf left out, with another leaf, cut short, made longer."""
    nodes, root, states = grown(MANY)
    label = MANY[5]
    proof = prove(nodes, root, label)
    other = PrefixLeaf(MANY[6], states[MANY[6]])
    lies = [
        PrefixProof(None, proof.siblings),
        PrefixProof(other, proof.siblings),
        PrefixProof(None, ()),
        PrefixProof(None, proof.siblings[1:]),
        PrefixProof(proof.leaf, proof.siblings[:-1]),
        PrefixProof(proof.leaf, (NOTHING, *proof.siblings)),
        prove(nodes, root, MANY[6]),
        PrefixProof(None, prove(nodes, root, MANY[6]).siblings),
    ]
    for lie in lies:
        with pytest.raises(Refused, match="prefix-proof"):
            verify(root, label, lie)


def test_a_leaf_off_its_way_hides_no_label() -> None:
    """A tree that no honest server builds: another label's leaf where this one would stand."""
    one, other = bytes(32), b"\xff" * 32
    stray = PrefixLeaf(other, state(1))
    misplaced = hashlib.sha256(b"\x02" + encode(stray)).digest()
    root = hashlib.sha256(b"\x03" + misplaced + NOTHING).digest()
    with pytest.raises(Refused, match="prefix-proof"):
        verify(root, one, PrefixProof(stray, (NOTHING,)))


def test_a_proof_has_limits() -> None:
    deep = PrefixProof(None, (NOTHING,) * (MAX_DEPTH + 1))
    with pytest.raises(Refused):
        verify(NOTHING, bytes(32), deep)
    with pytest.raises(DecodeError):
        decode(PrefixProof, encode(deep))
    with pytest.raises(Refused):
        verify(NOTHING, bytes(31), PrefixProof(None, ()))


def test_two_labels_that_differ_in_their_last_bit_stand_at_the_bottom() -> None:
    one, other = bytes(32), bytes(31) + b"\x01"
    nodes, root, states = grown([one, other])
    proof = prove(nodes, root, one)
    assert len(proof.siblings) == MAX_DEPTH
    assert verify(root, one, proof) == states[one]
    assert verify(root, other, prove(nodes, root, other)) == states[other]


def test_a_store_that_lost_or_changed_a_node_is_found_before_it_proves_anything() -> None:
    nodes, root, _ = grown(MANY)
    content = nodes.nodes[root]
    nodes.nodes[root] = content[:-1] + bytes([content[-1] ^ 1])
    with pytest.raises(MissingNode, match="another node"):
        prove(nodes, root, MANY[0])
    for kind in (b"\x04" + content[1:], content + b"\x00", b"\x02leaf"):
        name = hashlib.sha256(kind).digest()
        nodes.nodes[name] = kind
        with pytest.raises(MissingNode):
            prove(nodes, name, MANY[0])
    del nodes.nodes[root]
    with pytest.raises(MissingNode):
        find(nodes, root, MANY[0])
    with pytest.raises(MisusedTree):
        prove(nodes, root, b"short")
