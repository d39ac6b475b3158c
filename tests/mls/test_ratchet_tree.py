import random
from collections.abc import Collection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.mls import ratchet_tree
from securechat.mls.cipher_suite import SUITE_3, SUITES
from securechat.mls.codec import encode_opaque
from securechat.mls.errors import DecodeError
from securechat.mls.nodes import LeafIndex, Lifetime, NodeIndex, ParentNode
from securechat.mls.ratchet_tree import RatchetTree, TreeDraft, changed_nodes
from securechat.mls.tree_validation import check_parents
from tests.mls.corruptions import every_corruption
from tests.mls.refusals import refused
from tests.mls.tree_histories import History

seeds = st.integers(0, 2**32)


def history(seed: int) -> History:
    return History(random.Random(seed))


def warm_tree(size: int) -> RatchetTree:
    """A tree without blank nodes; its parent hashes are made up."""
    told = history(size)
    draft = TreeDraft(told.fast)
    for _ in range(size - 1):
        draft.add(told.leaf(Lifetime(0, 1)))
    for index in range(1, 2 * size - 1, 2):
        draft.put(NodeIndex(index), ParentNode(told.source.randbytes(32), b"", ()))
    return draft.freeze()


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(1, 60))
def test_the_fast_tree_is_the_slow_one(seed: int, steps: int) -> None:
    """M-04, on valid trees."""
    told = history(seed)
    for _ in range(steps):
        told.step()
        told.compare()
    assert told.slow.is_valid()
    check_parents(told.fast)


@settings(deadline=None, max_examples=60)
@given(seeds, st.integers(1, 60))
def test_a_change_leaves_the_old_tree_as_it_was(seed: int, steps: int) -> None:
    told = history(seed)
    past: list[tuple[RatchetTree, bytes, bytes]] = []
    for _ in range(steps):
        past.append((told.fast, told.fast.to_bytes(), told.fast.tree_hash()))
        told.step()
    for tree, data, tree_hash in past:
        assert tree.to_bytes() == data
        assert RatchetTree.from_bytes(SUITE_3, data) == tree
        assert RatchetTree.from_bytes(SUITE_3, data).tree_hash() == tree_hash


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 60))
def test_the_census_follows_each_change(seed: int, steps: int) -> None:
    told = history(seed)
    for _ in range(steps):
        told.step()
        counted = RatchetTree.from_bytes(SUITE_3, told.fast.to_bytes()).census
        followed = told.fast.census
        for name in ("encryption_keys", "signature_keys", "profiles"):
            tally, expected = getattr(followed, name), getattr(counted, name)
            assert dict(tally.items()) == dict(expected.items())
            assert (tally.repeated > 0) == any(count > 1 for _, count in tally.items())


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(1, 60))
def test_a_store_that_keeps_rows_has_the_same_tree(seed: int, steps: int) -> None:
    told = history(seed)
    rows = dict(told.fast.rows())
    for _ in range(steps):
        before = told.fast
        told.step()
        for index, data in changed_nodes(before, told.fast):
            if data is None:
                rows.pop(index, None)
            else:
                rows[index] = data
        assert RatchetTree.from_rows(SUITE_3, rows.items()) == told.fast


def test_a_tree_read_again_has_not_changed() -> None:
    tree = warm_tree(9)
    assert list(changed_nodes(tree, RatchetTree.from_bytes(SUITE_3, tree.to_bytes()))) == []


@pytest.mark.parametrize("seed", range(12))
def test_one_corrupted_field_gets_the_same_verdict(seed: int) -> None:
    """M-04, on trees that are not valid: every field of every node, blanks, swaps and cuts among them."""
    told = history(seed)
    told.usual_size = 9
    for _ in range(20 + 3 * seed):
        told.step()
    assert told.verdict(list(told.fast.nodes))
    verdicts = [told.verdict(bent) for _, bent in every_corruption(told.fast.nodes, told.source)]
    assert False in verdicts


def test_an_update_in_a_warm_tree_of_1000_hashes_eleven_nodes() -> None:
    tree = warm_tree(1000)
    tree.tree_hash()
    draft = TreeDraft(tree)
    draft.update(LeafIndex(500), history(0).leaf(Lifetime(0, 1)))
    changed = draft.freeze()
    unknown = [index for index, known in enumerate(changed._hashes) if known is None]
    assert len(unknown) == 11
    assert changed.tree_hash() == RatchetTree.from_bytes(SUITE_3, changed.to_bytes()).tree_hash()


def test_a_hash_that_is_known_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = warm_tree(16)
    tree.tree_hash()
    hashed: list[NodeIndex] = []
    compute = RatchetTree._hash

    def counting(
        self: RatchetTree, index: NodeIndex, data: bytes | None, without: Collection[LeafIndex]
    ) -> bytes:
        hashed.append(index)
        return compute(self, index, data, without)

    monkeypatch.setattr(RatchetTree, "_hash", counting)
    tree.tree_hash()
    draft = TreeDraft(tree)
    draft.put(NodeIndex(0), history(0).leaf(Lifetime(0, 1)))
    draft.freeze().tree_hash()
    assert sorted(hashed) == [0, 1, 3, 7, 15]


def test_the_tree_of_section_4_1_1_resolves_as_the_text_says() -> None:
    told = history(1)
    leaves = [told.leaf(Lifetime(0, 1)) for _ in range(8)]
    nodes: list[object] = [None] * 15
    for index in (0, 1, 3, 4, 5, 7):
        nodes[2 * index] = leaves[index]
    nodes[1] = ParentNode(b"X", b"", (LeafIndex(1),))
    nodes[9] = ParentNode(b"Y", b"", ())
    tree = RatchetTree(SUITE_3, nodes, [None] * 15, [None] * 15, None)  # type: ignore[arg-type]
    assert tree.resolution(NodeIndex(1)) == [1, 2]
    assert tree.resolution(NodeIndex(4)) == []
    # The picture has D at leaf 3 too, which the text forgets.
    assert tree.resolution(tree.root) == [1, 2, 6, 9, 14]


def test_the_tree_grows_and_shrinks_by_halves() -> None:
    told = history(2)
    sizes = [told.fast.leaf_count]
    for _ in range(4):
        told.add()
        sizes.append(told.fast.leaf_count)
    draft = TreeDraft(told.fast)
    draft.remove(LeafIndex(4))
    draft.remove(LeafIndex(2))
    shrunk = draft.freeze()
    assert sizes == [1, 2, 4, 4, 8]
    assert (shrunk.leaf_count, TreeDraft(shrunk).reserve()) == (4, 2)


def test_a_tree_that_is_one_node_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    told = history(6)
    nodes = [told.leaf(Lifetime(0, 1)), None, None, ParentNode(bytes(32), b"", ()), None, None, None]
    data = RatchetTree(SUITE_3, nodes, [None] * 7, [None] * 7, None).to_bytes()
    monkeypatch.setattr(ratchet_tree, "MAX_MEMBERS", 2)
    with pytest.raises(DecodeError, match="at most"):
        RatchetTree.from_bytes(SUITE_3, data)


def test_a_tree_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratchet_tree, "MAX_MEMBERS", 4)
    told = history(5)
    for _ in range(3):
        told.add()
    data = told.fast.to_bytes()
    with refused("group-size"):
        told.add()
    monkeypatch.setattr(ratchet_tree, "MAX_MEMBERS", 2)
    with pytest.raises(DecodeError, match="at most"):
        RatchetTree.from_bytes(SUITE_3, data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00",  # no node at all
        b"\x01\x00",  # one blank node
        b"\x01\x02",  # a presence byte of 2
        encode_opaque(b"\x01\x02\x00\x00\x00"),  # a parent where the first leaf belongs
    ],
)
def test_what_is_no_tree_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        RatchetTree.from_bytes(SUITE_3, data)


def test_a_tree_does_not_end_in_a_blank_node() -> None:
    inside = history(3).fast.to_bytes()[2:]
    assert RatchetTree.from_bytes(SUITE_3, encode_opaque(inside)).leaf_count == 1
    with pytest.raises(DecodeError, match="last node"):
        RatchetTree.from_bytes(SUITE_3, encode_opaque(inside + b"\x00"))


def test_bytes_after_the_tree_are_refused() -> None:
    """Also where they are nodes that would go on with it."""
    tree = warm_tree(2)
    begin = len(encode_opaque(tree.to_bytes())) - len(tree.to_bytes())
    inside = tree.to_bytes()[begin:]
    first = inside.index(b"\x01\x02")
    for more in (b"\x00", inside[first:]):
        with pytest.raises(DecodeError, match="length"):
            RatchetTree.from_bytes(SUITE_3, encode_opaque(inside[:first]) + more)


def test_trees_are_equal_in_suite_and_in_every_node() -> None:
    tree = warm_tree(3)
    assert tree == RatchetTree.from_bytes(SUITE_3, tree.to_bytes())
    assert tree != RatchetTree.from_bytes(SUITES[1], tree.to_bytes())
    assert tree != history(5).fast
    assert (tree == tree.to_bytes()) is False


def test_a_tree_can_be_a_key_and_says_how_large_it_is() -> None:
    tree = warm_tree(3)
    assert {tree: "known"}[RatchetTree.from_bytes(SUITE_3, tree.to_bytes())] == "known"
    assert repr(tree) == "<RatchetTree of 3 members in 4 leaves>"


def test_a_tree_of_one_leaf_is_read_from_its_row() -> None:
    tree = warm_tree(1)
    assert RatchetTree.from_rows(SUITE_3, tree.rows()) == tree


def test_a_node_of_the_wrong_kind_is_refused() -> None:
    data = warm_tree(1).to_bytes()
    begin = data.index(b"\x01\x01")
    with pytest.raises(DecodeError, match="wrong kind"):
        RatchetTree.from_bytes(SUITE_3, data[:begin] + b"\x01\x02" + data[begin + 2 :])


@pytest.mark.parametrize("index", [-1, 2 * ratchet_tree.MAX_MEMBERS])
def test_rows_outside_any_tree_are_refused(index: int) -> None:
    with pytest.raises(DecodeError):
        ratchet_tree.bytes_of_rows([(NodeIndex(index), b"")])
    with pytest.raises(DecodeError):
        ratchet_tree.bytes_of_rows([(NodeIndex(0), b"one"), (NodeIndex(0), b"other")])


@pytest.mark.parametrize(
    "rows", [[], [(-1, b"")], [(2 * ratchet_tree.MAX_MEMBERS - 1, b"")]], ids=["none", "before", "behind"]
)
def test_rows_that_are_no_tree_are_not_read_as_one(rows: list[tuple[NodeIndex, bytes]]) -> None:
    with pytest.raises(DecodeError, match="no tree"):
        RatchetTree.from_rows(SUITE_3, rows)


def test_leaves_that_can_do_the_same_share_one_object() -> None:
    """A third of a megabyte of a tree of 1,000; what is shared is equal, so nothing else changes."""
    tree = RatchetTree.from_bytes(SUITE_3, warm_tree(3).to_bytes())
    assert len({id(leaf.capabilities) for _, leaf in tree.leaves()}) == 1
    assert tree == warm_tree(3)


def test_there_is_no_leaf_outside_the_tree() -> None:
    tree = warm_tree(4)
    assert [tree.leaf(LeafIndex(index)) for index in (-1, 4)] == [None, None]
    assert tree.leaf(LeafIndex(3)) is not None


def test_what_a_truncated_half_held_is_counted_no_more() -> None:
    """No commit leaves a parent over blank leaves; the counts are right in a hostile creator's tree too."""
    told = history(3)
    for _ in range(7):
        told.add()
    draft = TreeDraft(told.fast)
    for index in (4, 5, 6):
        draft.remove(LeafIndex(index))
    draft.put(NodeIndex(9), ParentNode(told.source.randbytes(32), b"", ()))
    draft.remove(LeafIndex(7))  # blanks what is above it, which 9 is not
    tree = draft.freeze()
    assert len(tree.nodes) == 7
    assert set(tree.census.encryption_keys) == {leaf.encryption_key for _, leaf in tree.leaves()}


def test_an_empty_half_of_a_large_tree_costs_nothing_to_resolve() -> None:
    """A tree of 5,000 members has 8,192 places: nobody walks through the others one by one."""
    tree = RatchetTree(SUITE_3, [None] * 8191, [None] * 8191, [None] * 8191, None)
    calls = 0

    class Counted(RatchetTree):
        def resolution(self, index: NodeIndex) -> list[NodeIndex]:
            nonlocal calls
            calls += 1
            return super().resolution(index)

    counted = Counted(SUITE_3, list(tree.nodes), [], [], None)
    assert counted.resolution(counted.root) == []
    assert calls == 1
