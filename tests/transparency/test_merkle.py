"""The append-only log: known roots, the slow definition, every proof of every small tree, flipped bits."""

import math
from functools import cache
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.mls.codec import decode, encode
from securechat.transparency.errors import MissingNode, MisusedTree
from securechat.transparency.merkle import (
    EMPTY_LOG,
    EMPTY_ROOT,
    MAX_CONSISTENCY,
    MAX_INCLUSION,
    MAX_SIZE,
    Frontier,
    append,
    hash_children,
    hash_leaf,
    prove_consistency,
    prove_inclusion,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from tests.transparency import slow_trees
from tests.transparency.stores import MemoryLog, log_of

CT_LEAVES: Final = tuple(
    bytes.fromhex(leaf)
    for leaf in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
)
CT_ROOTS: Final = (
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
"""What Certificate Transparency's implementations agree on (RFC 6962, kept by RFC 9162)."""

CT_CONSISTENCY: Final = {
    (2, 5): (
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ),
    (6, 7): (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ),
}

LARGEST: Final = 70
ENTRIES: Final = tuple(b"entry %d" % number for number in range(LARGEST))


@cache
def whole() -> MemoryLog:
    return log_of(ENTRIES)[0]


def test_the_roots_are_those_of_certificate_transparency() -> None:
    for size, root in enumerate(CT_ROOTS):
        assert log_of(CT_LEAVES[:size])[1].root().hex() == root


def test_consistency_paths_are_those_of_certificate_transparency() -> None:
    store, _ = log_of(CT_LEAVES)
    for (first, second), path in CT_CONSISTENCY.items():
        assert tuple(node.hex() for node in prove_consistency(store, first, second)) == path


def test_the_paths_of_seven_leaves_are_those_drawn_in_the_rfc() -> None:
    """RFC 9162 section 2.1.5, by its letters: the paths of d0, d3, d4, d6, the proofs from 3, 4, 6 to 7."""
    entries = tuple(b"d%d" % number for number in range(7))
    a, b, c, d, e, f, j = map(hash_leaf, entries)
    g, h, i = hash_children(a, b), hash_children(c, d), hash_children(e, f)
    k, m = hash_children(g, h), hash_children(i, j)
    store, frontier = log_of(entries)

    assert frontier.root() == hash_children(k, m)
    paths = [prove_inclusion(store, index, 7) for index in (0, 3, 4, 6)]
    assert paths == [(b, h, m), (c, g, m), (f, j, k), (i, k)]
    proofs = [prove_consistency(store, size, 7) for size in (3, 4, 6)]
    assert proofs == [(c, d, g, m), (m,), (i, j, k)]


@pytest.mark.parametrize("size", range(LARGEST + 1))
def test_every_proof_is_the_one_of_the_definition_and_verifies(size: int) -> None:
    entries, store = ENTRIES[:size], whole()
    root = slow_trees.mth(entries)
    assert log_of(entries)[1].root() == root_of(store, size) == root

    for index in range(size):
        path = prove_inclusion(store, index, size)
        assert list(path) == slow_trees.path(index, entries)
        assert verify_inclusion(hash_leaf(entries[index]), index, size, path, root=root)
    for first in range(size + 1):
        path = prove_consistency(store, first, size)
        assert list(path) == (slow_trees.proof(first, entries) if first else [])
        assert verify_consistency(
            first, size, path, first_root=slow_trees.mth(entries[:first]), second_root=root
        )


@settings(max_examples=30)
@given(st.data())
def test_a_proof_holds_for_nothing_else(data: st.DataObject) -> None:
    """Another leaf, index, size, root or path: one of them alone is enough."""
    size = data.draw(st.integers(1, LARGEST))
    index = data.draw(st.integers(0, size - 1))
    path = prove_inclusion(whole(), index, size)
    leaf, root = hash_leaf(ENTRIES[index]), root_of(whole(), size)

    for other in range(LARGEST + 1):
        if other != index:
            assert not verify_inclusion(leaf, other, size, path, root=root)
            if other < LARGEST:
                assert not verify_inclusion(hash_leaf(ENTRIES[other]), index, size, path, root=root)
        if other != size:
            assert not verify_inclusion(leaf, index, other, path, root=root_of(whole(), other))
    for wrong in changed(path):
        assert not verify_inclusion(leaf, index, size, wrong, root=root)


@settings(max_examples=30)
@given(st.data())
def test_a_log_extends_no_other_log(data: st.DataObject) -> None:
    second = data.draw(st.integers(2, LARGEST))
    first = data.draw(st.integers(1, second - 1))
    path = prove_consistency(whole(), first, second)
    roots = [root_of(whole(), size) for size in range(LARGEST + 1)]

    for other in range(LARGEST + 1):
        if other != first:
            assert not verify_consistency(
                first, second, path, first_root=roots[other], second_root=roots[second]
            )
            assert not verify_consistency(
                other, second, path, first_root=roots[other], second_root=roots[second]
            )
        if other != second:
            assert not verify_consistency(
                first, second, path, first_root=roots[first], second_root=roots[other]
            )
    for wrong in changed(path):
        assert not verify_consistency(
            first, second, wrong, first_root=roots[first], second_root=roots[second]
        )


def changed(path: tuple[bytes, ...]) -> list[tuple[bytes, ...]]:
    """Return paths that are not this one: a hash less, more, twice, swapped, shorter, with a bit flipped."""
    found: list[tuple[bytes, ...]] = [(*path, bytes(32)), (bytes(32), *path), (*path, *path), path[::-1]]
    for place, node in enumerate(path):
        before, after = path[:place], path[place + 1 :]
        found += [before + after, (*before, node, node, *after), (*before, node[:-1], *after)]
        number = int.from_bytes(node, "big")
        found += [(*before, (number ^ 1 << bit).to_bytes(32, "big"), *after) for bit in range(0, 256, 3)]
    return [other for other in found if other != path]


def test_every_bit_of_a_path_counts() -> None:
    size, index = 53, 37
    path = prove_inclusion(whole(), index, size)
    leaf, root = hash_leaf(ENTRIES[index]), root_of(whole(), size)
    for place, node in enumerate(path):
        for bit in range(256):
            flipped = (int.from_bytes(node, "big") ^ 1 << bit).to_bytes(32, "big")
            assert not verify_inclusion(
                leaf, index, size, (*path[:place], flipped, *path[place + 1 :]), root=root
            )


def test_a_parent_is_no_leaf_and_a_leaf_no_parent() -> None:
    """The prefixes 0x00 and 0x01: without them a parent's children would be an entry of the same hash."""
    one, other = hash_leaf(b"a"), hash_leaf(b"b")
    root = hash_children(one, other)
    assert not verify_inclusion(hash_leaf(one + other), 0, 1, (), root=root)
    assert not verify_inclusion(root, 0, 2, (other,), root=root)


def test_the_sizes_that_the_rfc_leaves_out() -> None:
    root = root_of(whole(), 5)
    assert verify_consistency(0, 5, (), first_root=EMPTY_ROOT, second_root=root)
    assert verify_consistency(5, 5, (), first_root=root, second_root=root)
    assert verify_consistency(0, 0, (), first_root=EMPTY_ROOT, second_root=EMPTY_ROOT)

    assert not verify_consistency(0, 5, (), first_root=root, second_root=root)
    assert not verify_consistency(0, 5, (root,), first_root=EMPTY_ROOT, second_root=root)
    assert not verify_consistency(0, 0, (), first_root=root, second_root=root)
    assert not verify_consistency(5, 5, (), first_root=root, second_root=EMPTY_ROOT)
    assert not verify_consistency(5, 5, (root,), first_root=root, second_root=root)
    assert not verify_consistency(5, 4, (), first_root=root, second_root=root_of(whole(), 4))
    assert not verify_consistency(4, 5, (), first_root=root_of(whole(), 4), second_root=root)
    assert not verify_inclusion(root, 0, 0, (), root=EMPTY_ROOT)
    assert not verify_inclusion(root, -1, 5, (), root=root)


def test_a_path_has_a_limit_however_large_the_log_is_said_to_be() -> None:
    leaf, long = bytes(32), (bytes(32),) * 10_000
    assert not verify_inclusion(leaf, 0, MAX_SIZE, long, root=leaf)
    assert not verify_inclusion(leaf, 0, MAX_SIZE + 1, long[:MAX_INCLUSION], root=leaf)
    assert not verify_consistency(1, MAX_SIZE, long, first_root=leaf, second_root=leaf)
    assert not verify_consistency(3, MAX_SIZE + 1, long[:MAX_CONSISTENCY], first_root=leaf, second_root=leaf)


def test_an_append_reads_nothing_and_adds_few_nodes() -> None:
    frontier, added = EMPTY_LOG, 0
    for size in range(1, 2049):
        frontier, nodes = append(frontier, hash_leaf(b"x"))
        assert len(nodes) <= math.log2(size) + 1
        added += len(nodes)
    assert added == 2 * 2048 - 1
    assert decode(Frontier, encode(frontier)) == frontier


def test_a_proof_reads_few_nodes() -> None:
    store, _ = log_of(tuple(b"%d" % number for number in range(1000)))
    for size in (999, 1000, 767, 513):
        for first in (1, 3, 499, size - 1):
            for prove in (prove_inclusion, prove_consistency):
                store.reads = 0
                prove(store, first, size)
                assert store.reads <= 2 * math.log2(size) + 1


def test_a_log_that_is_full_takes_no_more() -> None:
    with pytest.raises(MisusedTree, match="at most"):
        append(Frontier(MAX_SIZE, (bytes(32),)), bytes(32))


@pytest.mark.parametrize("peaks", [(), (bytes(32),) * 3])
def test_a_frontier_whose_peaks_do_not_fit_is_refused(peaks: tuple[bytes, ...]) -> None:
    broken = Frontier(5, peaks)
    with pytest.raises(MisusedTree):
        broken.root()
    with pytest.raises(MisusedTree):
        append(broken, bytes(32))


def test_what_cannot_be_proven_is_our_own_mistake() -> None:
    store = whole()
    for index, size in ((5, 5), (-1, 5), (0, 0), (0, MAX_SIZE + 1)):
        with pytest.raises(MisusedTree):
            prove_inclusion(store, index, size)
    for first, second in ((6, 5), (-1, 5), (1, MAX_SIZE + 1)):
        with pytest.raises(MisusedTree):
            prove_consistency(store, first, second)
    with pytest.raises(MisusedTree):
        append(EMPTY_LOG, b"no hash")
    with pytest.raises(MissingNode):
        prove_inclusion(store, 0, LARGEST + 30)
