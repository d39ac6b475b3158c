"""The working group's vectors about trees, one function per file format.

Each takes one case as the JSON has it and asserts; the conformance runner and pytest both call them.
"""

from collections.abc import Callable
from typing import Any

from securechat.mls import tree_math
from securechat.mls.tree_math import NodeIndex


def check_tree_math(case: dict[str, Any]) -> None:
    leaves: int = case["n_leaves"]
    nodes = [NodeIndex(index) for index in range(tree_math.node_count(leaves))]
    assert len(nodes) == case["n_nodes"]
    assert tree_math.root(leaves) == case["root"]
    assert [_or_none(tree_math.left, node) for node in nodes] == case["left"]
    assert [_or_none(tree_math.right, node) for node in nodes] == case["right"]
    assert [_or_none(tree_math.parent, node, leaves) for node in nodes] == case["parent"]
    assert [_or_none(tree_math.sibling, node, leaves) for node in nodes] == case["sibling"]


def _or_none(function: Callable[..., NodeIndex], *arguments: int) -> NodeIndex | None:
    try:
        return function(*arguments)
    except ValueError:
        return None
