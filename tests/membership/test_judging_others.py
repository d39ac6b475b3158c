"""What the judge says of beginnings, trees and proposals, and that it always answers."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from securechat.membership.judge import judge, judge_creation, judge_proposal, judge_tree
from securechat.membership.room import Kind, Role, with_roles
from securechat.membership.verdict import Refusal
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.commit_facts import Added, Removed, ResolvedProposal, Updated
from securechat.mls.framing import SenderType
from securechat.mls.key_package import Identity
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import Add, ProposalValue, Remove, SelfRemove, Update
from securechat.mls.ratchet_tree import RatchetTree, TreeDraft
from securechat.mls.staging import CommitPlan
from tests.membership.refused_leaves import recertified
from tests.membership.scenes import changed, pair, roles_of, second_device, team
from tests.membership.world import Device, World, make_device, policy


def rule(refusal: Refusal | None) -> str | None:
    if refusal is not None:
        assert refusal.text.endswith(".")
    return None if refusal is None else refusal.rule


@pytest.mark.parametrize("kind", Kind)
def test_a_group_begins_with_its_creator(kind: Kind) -> None:
    world = World(make_device("alice"), kind)
    assert rule(judge_creation(world.public)) is None
    assert rule(judge_tree(world.public.context, world.public.tree)) is None


def test_a_group_begins_with_one_leaf() -> None:
    alice = make_device("alice")
    world = World(alice)
    two = replace(world.public, tree=with_leaves(world, second_device(alice)))
    assert rule(judge_creation(two)) == "creation"


def test_a_group_begins_in_epoch_0() -> None:
    world = World(make_device("alice"))
    world.commit(world.of("alice"), CommitPlan(update=True))
    assert rule(judge_creation(world.public)) == "creation"


def test_a_group_begins_with_the_policy_and_nothing_else() -> None:
    alice = make_device("alice")
    room = World(alice).room
    assert rule(judge_creation(World(alice, extensions=policy(room)[1:]).public)) == "creation"
    assert rule(judge_creation(World(alice, extensions=()).public)) == "room"
    newer = policy(changed(room, rules=2))
    assert rule(judge_creation(World(alice, extensions=newer).public)) == "update-needed"


def test_a_room_begins_with_its_creator_as_owner() -> None:
    alice = make_device("alice")
    for roles in ({}, {"bob": Role.OWNER}, {"alice": Role.OWNER, "bob": Role.ADMIN}):
        room = roles_of(with_roles(World(alice).room, {}), **roles)
        assert rule(judge_creation(World(alice, extensions=policy(room)).public)) == "creation"


def test_d_03_a_creator_is_certified_by_its_account() -> None:
    alice = make_device("alice")
    forged = alice.but(make_device("alice").identity_bytes)
    assert rule(judge_creation(World(forged).public)) == "leaf"


def test_a_joiner_takes_a_valid_tree() -> None:
    for world in (team(), pair()):
        assert rule(judge_tree(world.public.context, world.public.tree)) is None


def with_leaves(world: World, *devices: Device) -> RatchetTree:
    """Return the tree with more leaves, as a lying server could show it to a joiner."""
    draft = TreeDraft(world.public.tree)
    for device in devices:
        draft.add(device.key_package().leaf_node)
    return draft.freeze()


def test_a_joiner_refuses_a_tree_with_a_leaf_that_may_not_be_there() -> None:
    world = team()
    carol = world.of("carol")
    cases = {
        "leaf": make_device("erin").but(make_device("erin").identity_bytes),
        "client-twice": make_device("carol", carol.account_key, client=carol.client),
        "account-key": make_device("carol"),
    }
    for name, device in cases.items():
        assert rule(judge_tree(world.public.context, with_leaves(world, device))) == name


def test_a_joiner_refuses_an_eleventh_device() -> None:
    world = team()
    ten = with_leaves(world, *(second_device(world.of("carol")) for _ in range(9)))
    assert judge_tree(world.public.context, ten) is None
    eleven = with_leaves(world, *(second_device(world.of("carol")) for _ in range(10)))
    refusal = judge_tree(world.public.context, eleven)
    assert rule(refusal) == "account-key"
    assert refusal is not None
    assert refusal.text == "@carol has more than 10 devices."


def test_a_joiner_refuses_a_third_user_in_a_direct_conversation() -> None:
    world = pair()
    assert rule(judge_tree(world.public.context, with_leaves(world, make_device("eve")))) == "direct-users"


def test_a_joiner_refuses_a_group_that_is_no_room() -> None:
    world = World(make_device("alice"), extensions=())
    assert rule(judge_tree(world.public.context, world.public.tree)) == "room"


def proposed(proposal: ProposalValue, sender: str | None) -> str | None:
    world = team()
    leaf = None if sender is None else world.leaf(world.of(sender))
    return rule(judge_proposal(world.public.context, world.public.tree, proposal, leaf))


def test_only_leaving_and_renewing_can_be_proposed() -> None:
    assert proposed(SelfRemove(), "dave") is None
    assert proposed(SelfRemove(), None) == "proposal"
    assert proposed(Remove(LeafIndex(1)), "alice") == "proposal"
    assert proposed(Add(make_device("erin").key_package()), "alice") == "proposal"


def update_of(world: World, device: Device, identity: Identity | None = None) -> str | None:
    group = world.groups[device.client]
    verified = world.propose(device, group.propose_update(identity))
    assert isinstance(verified.proposal, Update)
    return rule(judge_proposal(world.public.context, world.public.tree, verified.proposal, verified.sender))


def test_an_update_is_a_successor_of_its_leaf() -> None:
    world = team()
    carol = world.of("carol")
    assert update_of(world, carol) is None
    assert update_of(world, carol, make_device("carol", client=carol.client).identity) == "successor"
    assert update_of(world, carol, carol.but(make_device("carol").identity_bytes).identity) == "leaf"
    world.add(carol, recertified(second_device(carol), generation=4))
    assert update_of(world, carol, recertified(carol, generation=3).identity) == "account-key"


def test_an_update_among_leaves_that_cannot_be_read_is_refused() -> None:
    world = team()
    carol = world.of("carol")
    verified = world.propose(carol, world.groups[carol.client].propose_update())
    for tree in (RatchetTree.of(SUITE_3, UNREADABLE), with_leaves(world, make_device("x").but(b"no"))):
        refusal = judge_proposal(world.public.context, tree, verified.proposal, LeafIndex(0))
        assert rule(refusal) == "leaf"


def test_nobody_proposes_from_an_empty_place_or_outside_a_room() -> None:
    world = team()
    tree, context = world.public.tree, world.public.context
    assert rule(judge_proposal(context, tree, SelfRemove(), LeafIndex(7))) == "proposal"
    bare = msgspec.structs.replace(context, extensions=())
    assert rule(judge_proposal(bare, tree, SelfRemove(), LeafIndex(0))) == "room"


UNREADABLE = make_device("x").but(b"no").key_package().leaf_node
WORLD = team()
FACTS = WORLD.stage(WORLD.of("alice"), CommitPlan(update=True)).facts
"""Facts to take apart: whatever is put together out of them, the judge answers."""

OTHER_ROOM = msgspec.structs.replace(
    FACTS.new_context, extensions=policy(changed(WORLD.room, profile_hash=bytes([1]) * 32))
)


def test_a_room_does_not_change_by_itself() -> None:
    assert rule(judge(replace(FACTS, new_context=OTHER_ROOM))) == "room-change"


def test_a_leaf_that_is_not_there_is_not_missed() -> None:
    nobody = ResolvedProposal(Remove(LeafIndex(9)), LeafIndex(0), SenderType.MEMBER, by_reference=False)
    assert judge(replace(FACTS, proposals=(nobody,))) is None


DEVICES = [make_device("alice"), make_device("erin"), make_device("erin", domain="other.example")]
LEAVES = st.sampled_from(
    [device.key_package().leaf_node for device in (*DEVICES, make_device("x").but(b"no"))]
    + [leaf for _, leaf in WORLD.public.tree.leaves()]
)
INDEXES = st.integers(0, 9).map(LeafIndex)
PACKAGES = st.sampled_from([device.key_package() for device in (*DEVICES, make_device("x").but(b"no"))])
PROPOSALS = st.one_of(
    st.builds(Add, PACKAGES), st.builds(Remove, INDEXES), st.just(SelfRemove()), st.builds(Update, LEAVES)
)
RESOLVED = st.builds(
    ResolvedProposal,
    PROPOSALS,
    st.one_of(st.none(), INDEXES),
    st.sampled_from(SenderType),
    by_reference=st.booleans(),
)
CONTEXTS = st.sampled_from(
    [
        FACTS.old_context,
        FACTS.new_context,
        OTHER_ROOM,
        pair().public.context,
        World(make_device("a"), extensions=()).public.context,
        World(make_device("a"), extensions=policy(changed(WORLD.room, rules=2))).public.context,
    ]
)
TREES = st.sampled_from(
    [
        FACTS.old_tree,
        with_leaves(WORLD, *DEVICES),
        RatchetTree.of(SUITE_3, UNREADABLE),
    ]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_the_judge_answers_whatever_the_facts(data: st.DataObject) -> None:
    facts = replace(
        FACTS,
        old_context=data.draw(CONTEXTS),
        new_context=data.draw(CONTEXTS),
        old_tree=data.draw(TREES),
        committer=data.draw(INDEXES),
        committer_leaf=data.draw(LEAVES),
        external=data.draw(st.booleans()),
        proposals=tuple(data.draw(st.lists(RESOLVED, max_size=4))),
        added=tuple(data.draw(st.lists(st.builds(Added, INDEXES, PACKAGES, LEAVES), max_size=3))),
        removed=tuple(data.draw(st.lists(st.builds(Removed, INDEXES, LEAVES), max_size=3))),
        updated=tuple(data.draw(st.lists(st.builds(Updated, INDEXES, LEAVES, LEAVES), max_size=2))),
        authenticated_data=data.draw(st.binary(max_size=8)),
    )
    verdict = judge(facts)
    assert verdict is None or (verdict.rule and verdict.text)
    tree_verdict = judge_tree(facts.old_context, facts.old_tree)
    assert tree_verdict is None or tree_verdict.text
    for proposal in facts.proposals:
        judged = judge_proposal(facts.old_context, facts.old_tree, proposal.proposal, proposal.sender)
        assert judged is None or judged.text
