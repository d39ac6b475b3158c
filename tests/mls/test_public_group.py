import pytest

from securechat.mls.errors import StaleEpoch, UsageError, WrongGroup
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import Remove, SelfRemove
from securechat.mls.public_group import PublicGroup
from tests.mls.public_stage import Stage, identity, key_package, stage_of


def believed_by_a_joiner(stage: Stage) -> bool:
    """Whether somebody who gets GroupInfo and tree accepts the group and finds it the same."""
    signer = next(iter(stage.actors.values()))
    return PublicGroup.from_group_info(stage.group_info(signer), stage.group.tree) == stage.group


def test_everybody_follows_a_round_of_updates() -> None:
    stage = stage_of(9)
    for index in range(9):
        stage.commit(stage.actors[index])
        assert believed_by_a_joiner(stage)
    assert stage.group.context.epoch == 10


def test_the_facts_tell_who_came_went_and_changed() -> None:
    stage = stage_of(6)
    stage.propose_update(stage.actors[3])
    stage.propose(stage.actors[4], Remove(LeafIndex(2)))
    stage.propose(stage.actors[5], SelfRemove())
    dave = identity("dave")
    bundle = key_package(who=dave)

    facts = stage.commit(stage.actors[1], references=list(stage.pending), newcomers=[(dave, bundle)]).facts

    assert [removed.leaf_index for removed in facts.removed] == [5, 2]
    assert [updated.leaf_index for updated in facts.updated] == [3, 1]
    assert [(added.leaf_index, added.key_package) for added in facts.added] == [(2, bundle.key_package)]
    assert (
        facts.old_tree.leaf(LeafIndex(2)) != facts.new_tree.leaf(LeafIndex(2)) == bundle.key_package.leaf_node
    )
    assert (facts.committer, facts.external, facts.path) == (1, False, True)
    assert believed_by_a_joiner(stage)


def test_a_commit_of_adds_alone_needs_no_path() -> None:
    stage = stage_of(3)
    dave = identity("dave")
    facts = stage.commit(stage.actors[1], path=False, newcomers=[(dave, key_package(who=dave))]).facts
    assert (facts.path, facts.updated, facts.committer_leaf) == (False, (), facts.old_tree.leaf(LeafIndex(1)))
    assert believed_by_a_joiner(stage)


def test_somebody_joins_from_outside_past_those_who_leave() -> None:
    stage = stage_of(4)
    leaving = stage.propose(stage.actors[1], SelfRemove())
    facts = stage.join_externally(identity("dave"), references=[leaving]).facts
    assert (facts.committer, facts.external, facts.added) == (1, True, ())
    assert [removed.leaf_index for removed in facts.removed] == [1]
    assert believed_by_a_joiner(stage)


def test_a_joiner_from_outside_extends_a_full_tree() -> None:
    stage = stage_of(4)
    assert stage.join_externally(identity("erin")).facts.committer == 4
    assert stage.group.tree.leaf_count == 8
    assert believed_by_a_joiner(stage)


def test_a_client_that_lost_its_state_takes_its_old_place_again() -> None:
    stage = stage_of(5)
    lost = stage.actors[2].identity
    facts = stage.join_externally(lost, remove=LeafIndex(2)).facts
    assert facts.committer == 2
    assert facts.committer_leaf.signature_key == lost.signature_key.public
    assert believed_by_a_joiner(stage)


def test_the_lone_member_can_be_replaced_by_itself() -> None:
    stage = stage_of(1)
    stage.join_externally(stage.actors[0].identity, remove=LeafIndex(0))
    assert believed_by_a_joiner(stage)


def test_what_was_stored_is_read_again() -> None:
    stage = stage_of(5)
    stage.commit(stage.actors[3])
    assert PublicGroup.from_bytes(stage.group.to_bytes()) == stage.group


def test_a_commit_of_another_epoch_is_stale() -> None:
    stage = stage_of(3)
    verified = stage.commit(stage.actors[1])
    with pytest.raises(StaleEpoch) as refused:
        stage.group.verify_commit(verified.message, [])
    assert (refused.value.message_epoch, refused.value.group_epoch) == (1, 2)


def test_a_commit_of_another_group_is_refused() -> None:
    verified = stage_of(3)
    other = PublicGroup.from_bytes(
        verified.group.to_bytes().replace(b"\x05stage", b"\x05other"),
    )
    message = verified.commit(verified.actors[0]).message
    with pytest.raises(WrongGroup):
        other.verify_commit(message, [])


def test_a_verified_commit_applies_to_its_own_epoch_only() -> None:
    stage = stage_of(2)
    first = stage.commit(stage.actors[0])
    with pytest.raises(UsageError):
        stage.group.apply(first)
