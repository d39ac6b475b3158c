import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.mls import tree_math
from securechat.mls.nodes import LeafIndex, NodeIndex

leaf_counts = st.integers(0, 12).map(lambda depth: 1 << depth)


@given(leaf_counts, st.data())
def test_children_and_parent_agree(leaf_count: int, data: st.DataObject) -> None:
    node = NodeIndex(data.draw(st.integers(0, tree_math.node_count(leaf_count) - 1)))
    if tree_math.is_leaf(node):
        assert tree_math.node_of(tree_math.leaf_of(node)) == node
        return
    assert tree_math.parent(tree_math.left(node), leaf_count) == node
    assert tree_math.parent(tree_math.right(node), leaf_count) == node
    assert tree_math.sibling(tree_math.left(node), leaf_count) == tree_math.right(node)


@given(leaf_counts, st.data())
def test_a_leaf_is_below_exactly_its_direct_path(leaf_count: int, data: st.DataObject) -> None:
    leaf = LeafIndex(data.draw(st.integers(0, leaf_count - 1)))
    node = tree_math.node_of(leaf)
    above = {node, *tree_math.direct_path(node, leaf_count)}
    for other in map(NodeIndex, range(tree_math.node_count(leaf_count))):
        assert tree_math.is_below(leaf, other) == (other in above)


@given(leaf_counts.filter(lambda count: count > 1), st.data())
def test_the_common_ancestor_is_the_lowest_node_on_both_paths(leaf_count: int, data: st.DataObject) -> None:
    leaves = st.integers(0, leaf_count - 1).map(LeafIndex)
    one, other = data.draw(st.tuples(leaves, leaves).filter(lambda pair: pair[0] != pair[1]))
    path = tree_math.direct_path(tree_math.node_of(one), leaf_count)
    shared = set(path) & set(tree_math.direct_path(tree_math.node_of(other), leaf_count))
    assert tree_math.common_ancestor(one, other) == min(shared, key=tree_math.level)


def test_the_copath_of_the_lone_leaf_is_empty() -> None:
    assert tree_math.copath(NodeIndex(0), 1) == []


def test_the_copath_goes_up_beside_the_direct_path() -> None:
    assert tree_math.copath(NodeIndex(4), 4) == [6, 1]


@pytest.mark.parametrize("call", [tree_math.left, tree_math.right])
def test_a_leaf_has_no_children(call: object) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match="no children"):
        call(NodeIndex(6))


def test_a_parent_is_no_leaf() -> None:
    with pytest.raises(ValueError, match="is a parent"):
        tree_math.leaf_of(NodeIndex(5))
