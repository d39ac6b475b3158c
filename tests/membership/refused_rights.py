"""Commits by somebody who may not (rules.md C)."""

from dataclasses import replace

from securechat.membership.room import Join, Kind, Role, with_roles
from securechat.mls.cipher_suite import SUITE_HYBRID
from securechat.mls.extensions import Extension, ExtensionType
from securechat.mls.proposals import PreSharedKeyProposal
from securechat.mls.psk import ExternalPsk, PreSharedKeyID, ResumptionPsk, ResumptionPSKUsage
from securechat.mls.staging import CommitPlan
from tests.membership.accepted import reinit, revocation
from tests.membership.corpus import case
from tests.membership.scenes import changed, leave, news, orphans, pair, roles_of, second_device, team
from tests.membership.world import Play, World, make_device, policy


@case("direct-users")
def a_direct_conversation_begins_with_three() -> Play:
    alice = make_device("alice")
    devices = (make_device("bob"), make_device("carol"))
    plan = CommitPlan(add=tuple(device.key_package() for device in devices))
    return World(alice, Kind.DIRECT).play(alice, plan)


@case("direct-users")
def a_direct_conversation_begins_alone() -> Play:
    alice = make_device("alice")
    return World(alice, Kind.DIRECT).play(alice, CommitPlan(update=True))


@case("direct-users")
def a_third_user_is_added_to_a_direct_conversation() -> Play:
    world = pair()
    return world.play(world.of("bob"), CommitPlan(add=(make_device("carol").key_package(),)))


@case("direct-users")
def somebody_takes_the_place_of_who_left_a_direct_conversation() -> Play:
    world = pair()
    leave(world, world.of("bob"))
    world.commit(world.of("alice"), CommitPlan())
    return world.play(world.of("alice"), CommitPlan(add=(make_device("mallory").key_package(),)))


@case("add")
def a_member_adds_a_user_where_admins_do() -> Play:
    world = team()
    return world.play(world.of("carol"), CommitPlan(add=(make_device("erin").key_package(),)))


@case("add")
def a_reader_adds_a_user() -> Play:
    world = team(join=Join.BY_MEMBER)
    return world.play(world.of("dave"), CommitPlan(add=(make_device("erin").key_package(),)))


@case("add")
def a_member_adds_a_device_of_another() -> Play:
    world = team()
    return world.play(world.of("carol"), CommitPlan(add=(second_device(world.of("dave")).key_package(),)))


@case("add")
def a_banned_user_is_added() -> Play:
    world = team()
    alice = world.of("alice")
    world.commit(alice, CommitPlan(extensions=policy(roles_of(world.room, mallory=Role.BANNED))))
    return world.play(alice, CommitPlan(add=(make_device("mallory").key_package(),)))


@case("add")
def a_ban_is_lifted_for_who_is_added() -> Play:
    world = team()
    alice = world.of("alice")
    world.commit(alice, CommitPlan(extensions=policy(roles_of(world.room, mallory=Role.BANNED))))
    room = roles_of(world.room, mallory=Role.MEMBER)
    return world.play(alice, CommitPlan(add=(make_device("mallory").key_package(),), extensions=policy(room)))


@case("add")
def a_user_is_added_to_a_frozen_room() -> Play:
    world = orphans()
    return world.play(world.of("carol"), CommitPlan(add=(make_device("erin").key_package(),)))


@case("add")
def somebody_is_put_in_the_place_of_an_owner_who_leaves() -> Play:
    world = team(join=Join.BY_MEMBER)
    leave(world, world.of("alice"))
    return world.play(world.of("carol"), CommitPlan(add=(make_device("alice").key_package(),)))


@case("add")
def an_admin_puts_somebody_in_the_place_of_an_admin_who_leaves() -> Play:
    world = team()
    world.commit(world.of("alice"), CommitPlan(extensions=policy(roles_of(world.room, carol=Role.ADMIN))))
    leave(world, world.of("carol"))
    return world.play(world.of("bob"), CommitPlan(add=(make_device("carol").key_package(),)))


@case("add")
def a_speaker_gives_a_speakers_role_to_who_returns() -> Play:
    world = news()
    leave(world, world.of("dave"))
    return world.play(world.of("carol"), CommitPlan(add=(make_device("dave").key_package(),)))


@case("remove")
def a_member_removes_a_member() -> Play:
    world = team()
    return world.play(world.of("carol"), CommitPlan(remove=(world.leaf(world.of("dave")),)))


@case("remove")
def an_admin_removes_an_owner() -> Play:
    world = team()
    return world.play(world.of("bob"), CommitPlan(remove=(world.leaf(world.of("alice")),)))


@case("remove")
def a_members_proposal_to_remove_is_committed_by_an_owner() -> Play:
    world = team()
    carol = world.of("carol")
    group = world.groups[carol.client]
    world.propose(carol, group.propose_remove(world.leaf(world.of("dave"))))
    return world.play(world.of("alice"), CommitPlan())


@case("remove")
def one_of_two_removes_the_other() -> Play:
    world = pair()
    return world.play(world.of("alice"), CommitPlan(remove=(world.leaf(world.of("bob")),)))


@case("remove")
def a_device_is_revoked_by_another_account() -> Play:
    world = team()
    carol, dave = world.of("carol"), world.of("dave")
    plan = CommitPlan(remove=(world.leaf(carol),), authenticated_data=revocation(dave, carol))
    return world.play(dave, plan)


@case("remove")
def another_device_than_the_revoked_is_removed() -> Play:
    world = team()
    carol = world.of("carol")
    evidence = revocation(carol, second_device(carol))
    plan = CommitPlan(remove=(world.leaf(carol),), authenticated_data=evidence)
    return world.play(world.of("dave"), plan)


@case("remove")
def an_admin_removes_an_admin() -> Play:
    world = team()
    world.commit(world.of("alice"), CommitPlan(extensions=policy(roles_of(world.room, carol=Role.ADMIN))))
    room = roles_of(world.room, carol=Role.MEMBER)
    plan = CommitPlan(remove=(world.leaf(world.of("carol")),), extensions=policy(room))
    return world.play(world.of("bob"), plan)


@case("remove")
def a_device_is_removed_that_was_certified_after_its_revocation() -> Play:
    world = team()
    carol = world.of("carol")
    back = second_device(carol, generation=2)
    world.add(carol, back)
    plan = CommitPlan(remove=(world.leaf(back),), authenticated_data=revocation(carol, back, generation=2))
    return world.play(world.of("dave"), plan)


def with_psk(psk: ExternalPsk | ResumptionPsk) -> Play:
    """Touch up a commit that mixes in a key of the group's past: let it be another key."""
    world = team()
    context = world.public.context
    own = ResumptionPsk(ResumptionPSKUsage.APPLICATION, context.group_id, context.epoch)
    play = world.play(world.of("carol"), CommitPlan(psks=(own,)))
    (proposal,) = play.facts.proposals
    other = PreSharedKeyProposal(PreSharedKeyID(psk, bytes(32)))
    return Play(replace(play.facts, proposals=(replace(proposal, proposal=other),)))


@case("psk", real=False)
def a_key_from_elsewhere_is_mixed_in() -> Play:
    return with_psk(ExternalPsk(b"somebody's"))


@case("psk", real=False)
def a_key_of_another_group_is_mixed_in() -> Play:
    return with_psk(ResumptionPsk(ResumptionPSKUsage.APPLICATION, bytes(16), 1))


@case("psk", real=False)
def a_key_for_another_use_is_mixed_in() -> Play:
    play = with_psk(ExternalPsk(b""))
    own = ResumptionPsk(ResumptionPSKUsage.REINIT, play.facts.old_context.group_id, 1)
    (proposal,) = play.facts.proposals
    other = PreSharedKeyProposal(PreSharedKeyID(own, bytes(32)))
    return Play(replace(play.facts, proposals=(replace(proposal, proposal=other),)))


@case("reinit")
def a_member_starts_the_group_anew() -> Play:
    world = team()
    return world.play(world.of("carol"), CommitPlan(reinit=reinit(world)))


def announced(world: World, **fields: object) -> Play:
    """The owner announces something else than the room as it is."""
    return world.play(world.of("alice"), CommitPlan(reinit=changed(reinit(world), **fields)))


@case("reinit-room")
def a_group_goes_on_with_another_policy() -> Play:
    world = team()
    return announced(world, extensions=policy(changed(world.room, max_clients=7)))


@case("reinit-room")
def a_group_goes_on_under_an_id_that_is_none() -> Play:
    return announced(team(), group_id=b"short")


@case("reinit-room")
def a_group_goes_on_in_a_suite_that_is_none_of_ours() -> Play:
    return announced(team(), cipher_suite=1)


@case("reinit-room")
def a_group_goes_on_where_a_device_cannot_follow() -> Play:
    return announced(team(), cipher_suite=SUITE_HYBRID.number)


@case("reinit-room")
def a_group_goes_on_with_more_devices_than_may_be_in_it() -> Play:
    world = team()
    world.commit(world.of("alice"), CommitPlan(extensions=policy(changed(world.room, max_clients=3))))
    return announced(world)


@case("reinit-room")
def a_group_goes_on_with_a_role_that_nobody_has() -> Play:
    world = team()
    bob = world.of("bob")
    leave(world, world.of("alice"))
    second = second_device(bob)
    world.follow(second, world.external(second))
    return world.play(bob, CommitPlan(reinit=reinit(world)))


@case("context-extensions")
def an_owner_adds_an_extension() -> Play:
    world = team()
    senders = Extension(ExtensionType.EXTERNAL_SENDERS, b"\0")
    return world.play(world.of("alice"), CommitPlan(extensions=policy(world.room, senders)))


@case("context-extensions")
def an_owner_drops_what_is_required() -> Play:
    world = team()
    return world.play(world.of("alice"), CommitPlan(extensions=policy(world.room)[1:]))


@case("room")
def an_owner_drops_the_room() -> Play:
    world = team()
    return world.play(world.of("alice"), CommitPlan(extensions=policy(world.room)[:1]))


@case("room")
def an_owner_breaks_the_room() -> Play:
    world = team()
    return world.play(world.of("alice"), CommitPlan(extensions=policy(changed(world.room, max_clients=0))))


@case("room")
def an_owner_begins_rules_that_members_do_not_know() -> Play:
    world = team()
    return world.play(world.of("alice"), CommitPlan(extensions=policy(changed(world.room, rules=2))))


@case("update-needed")
def a_room_follows_newer_rules() -> Play:
    alice = make_device("alice")
    newer = policy(changed(World(alice).room, rules=2))
    return World(alice, extensions=newer).play(alice, CommitPlan(update=True))


@case("room")
def a_group_is_no_room() -> Play:
    alice = make_device("alice")
    return World(alice, extensions=()).play(alice, CommitPlan(update=True))


@case("room-identity")
def an_owner_makes_an_announcement_room_of_a_room() -> Play:
    world = team()
    room = changed(World(make_device("alice"), Kind.ANNOUNCEMENT).room, room=world.room.room)
    roles = with_roles(room, {world.of("alice").uri: Role.OWNER, world.of("bob").uri: Role.ADMIN})
    return world.play(world.of("alice"), CommitPlan(extensions=policy(roles)))


@case("room-identity")
def an_owner_renames_the_rooms_address() -> Play:
    world = team()
    other = World(make_device("alice")).room.room
    return world.play(world.of("alice"), CommitPlan(extensions=policy(changed(world.room, room=other))))


@case("room-change")
def a_member_changes_the_profile() -> Play:
    world = team()
    room = changed(world.room, profile_hash=bytes([1]) * 32)
    return world.play(world.of("carol"), CommitPlan(extensions=policy(room)))


@case("room-change")
def a_member_makes_itself_an_owner() -> Play:
    world = team()
    return world.play(
        world.of("carol"), CommitPlan(extensions=policy(roles_of(world.room, carol=Role.OWNER)))
    )


@case("room-change")
def an_admin_makes_an_admin() -> Play:
    world = team()
    return world.play(world.of("bob"), CommitPlan(extensions=policy(roles_of(world.room, carol=Role.ADMIN))))


@case("room-change")
def an_admin_takes_an_owners_role() -> Play:
    world = team()
    return world.play(world.of("bob"), CommitPlan(extensions=policy(roles_of(world.room, alice=Role.MEMBER))))


@case("room-change")
def an_admin_changes_the_size() -> Play:
    world = team()
    return world.play(world.of("bob"), CommitPlan(extensions=policy(changed(world.room, max_clients=5))))


@case("room-change")
def a_direct_conversation_gets_a_profile() -> Play:
    world = pair()
    room = changed(world.room, profile_hash=bytes([1]) * 32)
    return world.play(world.of("alice"), CommitPlan(extensions=policy(room)))


@case("room-change")
def a_member_changes_a_frozen_room() -> Play:
    world = orphans()
    room = with_roles(world.room, {world.of("carol").uri: Role.OWNER})
    return world.play(world.of("carol"), CommitPlan(extensions=policy(room)))


@case("stale-roles")
def an_owner_removes_an_admin_and_keeps_the_role() -> Play:
    world = team()
    return world.play(world.of("alice"), CommitPlan(remove=(world.leaf(world.of("bob")),)))


@case("stale-roles")
def a_role_is_given_to_somebody_who_is_not_there() -> Play:
    world = team()
    return world.play(world.of("alice"), CommitPlan(extensions=policy(roles_of(world.room, erin=Role.ADMIN))))


@case("stale-roles")
def a_frozen_room_is_not_tidied_up() -> Play:
    world = orphans()
    return world.play(world.of("carol"), CommitPlan(update=True))


@case("banned")
def a_member_is_banned_and_stays() -> Play:
    world = team()
    return world.play(
        world.of("alice"), CommitPlan(extensions=policy(roles_of(world.room, carol=Role.BANNED)))
    )


@case("room-full")
def a_full_room_grows() -> Play:
    world = team()
    alice = world.of("alice")
    world.commit(alice, CommitPlan(extensions=policy(changed(world.room, max_clients=4))))
    return world.play(alice, CommitPlan(add=(make_device("erin").key_package(),)))
