"""A closed group goes on as the group that was announced, and as no other (M-13)."""

from dataclasses import replace

import msgspec
import pytest

from securechat.membership.judge import judge, judge_creation, judge_later_successor, judge_successor
from securechat.membership.reinit import Closed, may_reinit, reinit_problem, suites_to_go_on_in
from securechat.membership.room import PRODUCT_SUITES, Role
from securechat.membership.roster import Roster
from securechat.mls.cipher_suite import SUITE_3, SUITE_HYBRID
from securechat.mls.continuing import reinitialise
from securechat.mls.group import Group
from securechat.mls.key_package import KeyPackage, make_key_package
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import ReInit
from securechat.mls.psk import ResumptionPsk, ResumptionPSKUsage
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.staging import CommitPlan
from tests.membership.scenes import changed, pair, roles_of, team
from tests.membership.world import LIFETIME, Device, World, make_device

CREATOR = LeafIndex(0)


def close(world: World, by: str) -> Closed:
    reinit = ReInit(b"n" * 32, 1, SUITE_3.number, world.public.context.extensions)
    world.commit(world.of(by), CommitPlan(reinit=reinit, force_path=True))
    return Closed(world.public, reinit)


def packages(world: World, besides: Device) -> tuple[KeyPackage, ...]:
    others = (device for device in world.devices.values() if device is not besides)
    return tuple(make_key_package(each.identity, SUITE_3, lifetime=LIFETIME).key_package for each in others)


def begun(world: World, by: str) -> tuple[Group, PublicGroup]:
    """The next group in epoch 0, and what its first commit leads to, by somebody with the old one's keys."""
    device = world.of(by)
    going_on = reinitialise(world.groups[device.client], packages(world, device))
    assert judge(going_on.staged.facts) is None
    return going_on.group, going_on.staged.verified.following


@pytest.mark.parametrize(("scene", "closes", "makes"), [(team, "alice", "alice"), (pair, "bob", "alice")])
def test_who_may_close_a_group_may_make_the_next_one(scene: type, closes: str, makes: str) -> None:
    world = scene()
    closed = close(world, closes)
    first, new = begun(world, makes)
    assert judge_creation(first.public, goes_on=True) is None
    assert judge_successor(closed, new, CREATOR) is None


def test_the_roles_of_a_room_that_goes_on_are_not_those_of_a_new_one() -> None:
    world = team()
    close(world, "alice")
    first, _ = begun(world, "alice")
    refused = judge_creation(first.public)
    assert refused is not None
    assert refused.rule == "creation"


def test_who_may_not_close_a_group_may_not_make_the_next_one_either() -> None:
    world = team()
    closed = close(world, "alice")
    device = world.of("bob")  # an admin, beside whom there is an owner
    staged = reinitialise(world.groups[device.client], packages(world, device)).staged
    refused = judge_successor(closed, staged.verified.following, CREATOR)
    assert refused is not None
    assert "@bob may not" in refused.text


@pytest.mark.parametrize(
    "fields",
    [
        {"group_id": b"o" * 32},
        {"cipher_suite": SUITE_HYBRID.number},
        {"extensions": ()},
    ],
)
def test_what_was_not_announced_is_refused(fields: dict[str, object]) -> None:
    world = team()
    closed = close(world, "alice")
    _, new = begun(world, "alice")
    refused = judge_successor(Closed(closed.public, changed(closed.reinit, **fields)), new, CREATOR)
    assert refused is not None
    assert "announced" in refused.text


def made_of(world: World, by: Device, members: tuple[Device, ...]) -> PublicGroup:
    """A group as announced, with whoever ``by`` lets in, whatever the library would say."""
    old = world.groups[by.client]
    reinit = old.state.reinit
    assert reinit is not None
    group = Group.create(by.identity, suite=SUITE_3, group_id=reinit.group_id, extensions=reinit.extensions)
    adds = tuple(make_key_package(each.identity, SUITE_3, lifetime=LIFETIME).key_package for each in members)
    psk = ResumptionPsk(ResumptionPSKUsage.REINIT, old.group_id, old.epoch)
    plan = CommitPlan(add=adds, psks=(psk,), force_path=True)
    return group.stage_commit(plan, psks=old.psk_source()).verified.following


@pytest.mark.parametrize("who", ["one less", "one more", "another in the place of one"])
def test_exactly_the_same_devices_come_along(who: str) -> None:
    world = team()
    closed = close(world, "alice")
    alice, bob, carol, dave = (world.of(user) for user in ("alice", "bob", "carol", "dave"))
    others = {
        "one less": (bob, carol),
        "one more": (bob, carol, dave, make_device("erin")),
        "another in the place of one": (bob, carol, make_device("dave")),
    }[who]
    assert judge_successor(closed, made_of(world, alice, (bob, carol, dave)), CREATOR) is None
    refused = judge_successor(closed, made_of(world, alice, others), CREATOR)
    assert refused is not None
    assert "members" in refused.text


def test_a_device_comes_along_with_the_account_that_it_had() -> None:
    world = team()
    closed = close(world, "alice")
    alice, bob, carol, dave = (world.of(user) for user in ("alice", "bob", "carol", "dave"))
    taken_over = make_device("dave", client=dave.client)  # the same names, by another account key
    refused = judge_successor(closed, made_of(world, alice, (bob, carol, taken_over)), CREATOR)
    assert refused is not None
    assert "account key" in refused.text


def test_a_group_that_has_gone_on_before_everybody_was_there_is_refused() -> None:
    world = team()
    closed = close(world, "alice")
    _, new = begun(world, "alice")
    later = msgspec.structs.replace(new.context, epoch=2)
    refused = judge_successor(closed, PublicGroup(later, new.tree, b"", b""), CREATOR)
    assert refused is not None
    assert "before everybody" in refused.text


@pytest.mark.parametrize("leaf", [CREATOR, LeafIndex(9)])
def test_a_creator_that_is_nobody_is_refused(leaf: LeafIndex) -> None:
    world = team()
    closed = close(world, "alice")
    _, new = begun(world, "alice")
    expected = None if leaf == CREATOR else "successor-group"
    refused = judge_successor(closed, new, leaf)
    assert (refused and refused.rule) == expected


def test_what_cannot_be_read_is_no_successor_and_has_none() -> None:
    """A judgement never raises."""
    world = team()
    closed = close(world, "alice")
    _, new = begun(world, "alice")
    bare = PublicGroup(changed(closed.public.context, extensions=()), closed.public.tree, b"", b"")
    nobodys = RatchetTree.of(SUITE_3, make_device("x").but(b"no").key_package().leaf_node)
    for before, after, rule in (
        (bare, new, "room"),
        (replace(closed.public, tree=nobodys), new, "leaf"),
        (closed.public, replace(new, tree=nobodys), "leaf"),
    ):
        for refused in (
            judge_successor(Closed(before, closed.reinit), after, CREATOR),
            judge_later_successor(Closed(before, closed.reinit), after),
        ):
            assert refused is not None
            assert refused.rule == rule


def test_no_suite_leads_to_a_weaker_one() -> None:
    best, older = PRODUCT_SUITES
    assert suites_to_go_on_in(best) == (best,)
    assert suites_to_go_on_in(older) == (best, older)
    assert suites_to_go_on_in(1) == PRODUCT_SUITES


def test_a_downgrade_is_no_way_to_go_on() -> None:
    world = team()
    context = msgspec.structs.replace(world.public.context, cipher_suite=SUITE_HYBRID.number)
    older = ReInit(b"n" * 32, 1, SUITE_3.number, context.extensions)
    members = Roster.of_tree(world.public.tree)
    problem = reinit_problem(older, context, world.room, members)
    assert problem is not None
    assert "no weaker" in problem
    assert reinit_problem(older, world.public.context, world.room, members) is None


def test_owners_may_and_admins_where_no_owner_is_left() -> None:
    world = team()
    alice, bob, carol = (world.of(user).uri for user in ("alice", "bob", "carol"))
    room, everybody = world.room, {alice, bob, carol}
    assert [may_reinit(room, user, everybody) for user in (alice, bob, carol, None)] == [
        True,
        False,
        False,
        False,
    ]
    assert may_reinit(room, bob, {bob, carol})
    assert not may_reinit(room, alice, {bob, carol})
    assert not may_reinit(roles_of(room, bob=Role.MEMBER), bob, {bob, carol})


def test_two_who_went_on_are_known_in_any_epoch_by_the_announcement_and_their_accounts() -> None:
    """D-06: for who has lost the keys that let one in."""
    world = pair()
    closed = close(world, "bob")
    _, new = begun(world, "alice")
    later = PublicGroup(changed(new.context, epoch=7), new.tree, b"", b"")

    assert judge_later_successor(closed, later) is None
    for context in (changed(later.context, group_id=b"o" * 32), changed(later.context, extensions=())):
        refused = judge_later_successor(closed, PublicGroup(context, new.tree, b"", b""))
        assert refused is not None
        assert "announced" in refused.text


def test_another_account_under_the_name_of_one_of_two_is_not_who_went_on() -> None:
    """D-04."""
    world = pair()
    closed = close(world, "alice")
    alice = world.of("alice")
    taken_over = make_device("bob")
    refused = judge_later_successor(closed, made_of(world, alice, (taken_over,)))
    assert refused is not None
    assert "another account" in refused.text


def test_one_of_two_alone_is_not_who_went_on() -> None:
    world = pair()
    closed = close(world, "alice")
    own = make_device("alice", world.of("alice").account_key)
    refused = judge_later_successor(closed, made_of(world, world.of("alice"), (own,)))
    assert refused is not None
    assert "two users" in refused.text


def test_what_a_room_has_gone_on_to_cannot_be_told_later() -> None:
    world = team()
    closed = close(world, "alice")
    _, new = begun(world, "alice")
    refused = judge_later_successor(closed, new)
    assert refused is not None
    assert "before it could be looked at" in refused.text
