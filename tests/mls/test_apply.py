"""Proposals are applied in the order of RFC 9420 section 12.3, whatever order they are listed in."""

import random

import pytest

from securechat.mls.apply import apply_proposals
from securechat.mls.commit_facts import ResolvedProposal
from securechat.mls.errors import UsageError
from securechat.mls.extensions import Extension
from securechat.mls.framing import SenderType
from securechat.mls.nodes import FromUpdate, LeafIndex
from securechat.mls.proposals import Add, GroupContextExtensions, ProposalValue, Remove, SelfRemove, Update
from tests.mls.public_stage import key_package
from tests.mls.tree_histories import History


def group_of(size: int) -> History:
    history = History(random.Random(size))
    for _ in range(size - 1):
        history.add()
    return history


def by(sender: int | None, proposal: ProposalValue) -> ResolvedProposal:
    leaf = None if sender is None else LeafIndex(sender)
    return ResolvedProposal(proposal, leaf, SenderType.MEMBER, by_reference=True)


def test_removed_leaves_are_free_before_anybody_is_added() -> None:
    history = group_of(4)
    add, remove = Add(key_package().key_package), Remove(LeafIndex(1))
    applied = apply_proposals(history.fast, (), [by(0, add), by(0, remove)], external=False)
    assert [added.leaf_index for added in applied.added] == [1]
    assert applied.tree.leaf(LeafIndex(1)) == add.key_package.leaf_node


def test_who_is_added_first_gets_the_leftmost_leaf() -> None:
    history = group_of(6)
    adds = [Add(key_package(name).key_package) for name in "abc"]
    listed = [by(0, add) for add in adds] + [by(0, Remove(LeafIndex(index))) for index in (4, 2)]
    applied = apply_proposals(history.fast, (), listed, external=False)
    assert [added.leaf_index for added in applied.added] == [2, 4, 6]
    assert [added.key_package for added in applied.added] == [add.key_package for add in adds]


def test_those_who_leave_go_after_updates_and_before_those_removed() -> None:
    history = group_of(6)
    leaf = history.leaf(FromUpdate())
    listed = [by(0, Remove(LeafIndex(1))), by(2, SelfRemove()), by(3, Update(leaf))]
    applied = apply_proposals(history.fast, (), listed, external=False)
    assert [removed.leaf_index for removed in applied.removed] == [2, 1]
    assert [removed.leaf_node for removed in applied.removed] == [
        history.fast.member(LeafIndex(index)) for index in (2, 1)
    ]
    assert [(updated.leaf_index, updated.new) for updated in applied.updated] == [(3, leaf)]


def test_a_tree_is_truncated_before_it_is_extended_again() -> None:
    history = group_of(5)
    listed = [by(0, Remove(LeafIndex(4))), by(0, Remove(LeafIndex(3)))]
    assert apply_proposals(history.fast, (), listed, external=False).tree.leaf_count == 4
    adds = [by(0, Add(key_package(name).key_package)) for name in "ab"]
    assert apply_proposals(history.fast, (), [*listed, *adds], external=False).tree.leaf_count == 8


def test_the_extensions_are_replaced_as_a_whole() -> None:
    history = group_of(2)
    old, new = (Extension(0xF001, b"old"), Extension(0xF002, b"")), (Extension(0xF001, b"new"),)
    assert apply_proposals(history.fast, old, [], external=False).extensions == old
    replaced = by(0, GroupContextExtensions(new))
    assert apply_proposals(history.fast, old, [replaced], external=False).extensions == new


def test_room_is_made_for_who_joins_from_outside() -> None:
    history = group_of(4)
    joined = apply_proposals(history.fast, (), [], external=True)
    assert (joined.joiner, joined.tree.leaf_count, joined.tree.leaf(LeafIndex(4))) == (4, 8, None)
    replacing = apply_proposals(history.fast, (), [by(None, Remove(LeafIndex(2)))], external=True)
    assert (replacing.joiner, replacing.tree.leaf_count) == (2, 4)


def test_an_update_has_a_sender() -> None:
    history = group_of(2)
    with pytest.raises(UsageError):
        apply_proposals(history.fast, (), [by(None, Update(history.leaf(FromUpdate())))], external=False)
