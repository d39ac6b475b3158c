"""Commits that are valid, each at the edge of what somebody may do."""

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.membership import signing
from securechat.membership.identity import certify, make_rotation
from securechat.membership.room import Join, Kind, Role, without_absent
from securechat.membership.statement import Device as StatedDevice
from securechat.membership.statement import Revoked, make_statement
from securechat.mls.key_package import Identity
from securechat.mls.proposals import ReInit
from securechat.mls.psk import ResumptionPsk, ResumptionPSKUsage
from securechat.mls.staging import CommitPlan
from tests.membership.corpus import case
from tests.membership.scenes import changed, leave, news, orphans, pair, roles_of, second_device, team
from tests.membership.world import NOW, Device, Play, World, make_device, policy


@case(None)
def an_owner_adds_a_user() -> Play:
    world = team()
    return world.play(world.of("alice"), CommitPlan(add=(make_device("erin").key_package(),)))


@case(None)
def an_admin_adds_a_user_with_a_role() -> Play:
    world = team()
    plan = CommitPlan(
        add=(make_device("erin").key_package(),), extensions=policy(roles_of(world.room, erin=Role.READER))
    )
    return world.play(world.of("bob"), plan)


@case(None)
def a_member_adds_a_user_where_members_may() -> Play:
    world = team(join=Join.BY_MEMBER)
    return world.play(world.of("carol"), CommitPlan(add=(make_device("erin").key_package(),)))


@case(None)
def a_reader_adds_its_own_device() -> Play:
    world = team()
    dave = world.of("dave")
    return world.play(dave, CommitPlan(add=(second_device(dave).key_package(),)))


@case(None)
def a_reader_renews_its_keys() -> Play:
    world = team()
    return world.play(world.of("dave"), CommitPlan(update=True))


@case(None)
def a_waiting_update_is_committed_by_another() -> Play:
    world = team()
    carol = world.of("carol")
    world.propose(carol, world.groups[carol.client].propose_update())
    return world.play(world.of("dave"), CommitPlan())


@case(None)
def an_owner_removes_an_admin_and_drops_the_role() -> Play:
    world = team()
    room = roles_of(world.room, bob=Role.MEMBER)
    return world.play(
        world.of("alice"), CommitPlan(remove=(world.leaf(world.of("bob")),), extensions=policy(room))
    )


@case(None)
def an_admin_removes_a_member() -> Play:
    world = team()
    return world.play(world.of("bob"), CommitPlan(remove=(world.leaf(world.of("carol")),)))


@case(None)
def an_admin_bans_a_member() -> Play:
    world = team()
    room = roles_of(world.room, carol=Role.BANNED)
    return world.play(
        world.of("bob"), CommitPlan(remove=(world.leaf(world.of("carol")),), extensions=policy(room))
    )


@case(None)
def a_member_removes_its_own_other_device() -> Play:
    world = team()
    carol = world.of("carol")
    other = second_device(carol)
    world.add(carol, other)
    return world.play(carol, CommitPlan(remove=(world.leaf(other),)))


@case(None)
def a_reader_lets_an_admin_go_and_tidies_up() -> Play:
    world = team()
    leave(world, world.of("bob"))
    users = {world.of(user).uri for user in ("alice", "carol", "dave")}
    plan = CommitPlan(extensions=policy(without_absent(world.room, users)))
    return world.play(world.of("dave"), plan)


def revocation(device: Device, revoked: Device, *, generation: int = 2) -> bytes:
    """Return a statement of the account of one device that revokes another."""
    return make_statement(
        device.account_key,
        user=device.uri,
        devices=(StatedDevice(device.credential.client, device.identity.signature_key.public),),
        issued_at=NOW,
        revoked=(Revoked(revoked.credential.client, generation),),
    )


@case(None)
def a_reader_removes_a_revoked_device() -> Play:
    world = team()
    carol = world.of("carol")
    lost = second_device(carol)
    world.add(carol, lost)
    plan = CommitPlan(remove=(world.leaf(lost),), authenticated_data=revocation(carol, lost))
    return world.play(world.of("dave"), plan)


@case(None)
def an_owner_changes_the_size_and_the_default() -> Play:
    world = team()
    return world.play(world.of("alice"), CommitPlan(extensions=policy(changed(world.room, max_clients=50))))


@case(None)
def an_admin_changes_the_profile_and_who_may_add() -> Play:
    world = team()
    room = changed(world.room, profile_hash=bytes([7]) * 32, join=Join.BY_MEMBER)
    return world.play(world.of("bob"), CommitPlan(extensions=policy(room)))


@case(None)
def an_admin_makes_a_member_a_reader() -> Play:
    world = team()
    return world.play(world.of("bob"), CommitPlan(extensions=policy(roles_of(world.room, carol=Role.READER))))


@case(None)
def an_admin_acts_as_owner_where_none_is_left() -> Play:
    world = team()
    leave(world, world.of("alice"))
    bob = world.of("bob")
    users = {world.of(user).uri for user in ("bob", "carol", "dave")}
    world.commit(bob, CommitPlan(extensions=policy(without_absent(world.room, users))))
    return world.play(bob, CommitPlan(extensions=policy(roles_of(world.room, bob=Role.OWNER))))


@case(None)
def a_member_adds_a_user_where_only_an_owner_is_left() -> Play:
    world = team(join=Join.BY_MEMBER)
    room = roles_of(world.room, bob=Role.MEMBER)
    world.commit(world.of("alice"), CommitPlan(extensions=policy(room)))
    return world.play(world.of("carol"), CommitPlan(add=(make_device("erin").key_package(),)))


@case(None)
def a_member_adds_a_user_where_only_an_admin_is_left() -> Play:
    world = team(join=Join.BY_MEMBER)
    leave(world, world.of("alice"))
    users = {world.of(user).uri for user in ("bob", "carol", "dave")}
    world.commit(world.of("bob"), CommitPlan(extensions=policy(without_absent(world.room, users))))
    return world.play(world.of("carol"), CommitPlan(add=(make_device("erin").key_package(),)))


@case(None)
def a_frozen_room_can_be_left() -> Play:
    world = orphans()
    leave(world, world.of("dave"))
    users = set(world.users_after(world.stage(world.of("carol"), CommitPlan()).facts))
    plan = CommitPlan(extensions=policy(without_absent(world.room, users)))
    return world.play(world.of("carol"), plan)


@case(None)
def a_new_device_joins_by_itself() -> Play:
    world = team()
    joiner = second_device(world.of("carol"))
    return world.shown(joiner, world.external(joiner))


@case(None)
def a_device_takes_its_own_place_again() -> Play:
    world = team()
    carol = world.of("carol")
    leaf = world.leaf(carol)
    return world.shown(carol, world.external(carol, remove=leaf))


@case(None)
def a_joiner_lets_go_who_is_leaving() -> Play:
    world = team()
    leave(world, world.of("dave"))
    joiner = second_device(world.of("carol"))
    return world.shown(joiner, world.external(joiner))


@case(None)
def an_owner_resets_a_user_who_lost_the_key() -> Play:
    world = team()
    again = make_device("carol")
    plan = CommitPlan(remove=(world.leaf(world.of("carol")),), add=(again.key_package(),))
    return world.play(world.of("alice"), plan)


@case(None)
def an_owner_resets_an_admin_who_keeps_the_role() -> Play:
    world = team()
    plan = CommitPlan(remove=(world.leaf(world.of("bob")),), add=(make_device("bob").key_package(),))
    return world.play(world.of("alice"), plan)


@case(None)
def a_member_takes_back_a_reader_who_leaves_and_returns() -> Play:
    world = team(join=Join.BY_MEMBER)
    leave(world, world.of("dave"))
    return world.play(world.of("carol"), CommitPlan(add=(make_device("dave").key_package(),)))


@case(None)
def a_member_takes_in_another_device_of_an_admin_who_leaves_with_one() -> Play:
    world = team(join=Join.BY_MEMBER)
    bob = world.of("bob")
    leave(world, bob)
    return world.play(world.of("carol"), CommitPlan(add=(second_device(bob).key_package(),)))


@case(None)
def an_admin_gives_a_speakers_role_to_who_returns() -> Play:
    world = news()
    leave(world, world.of("dave"))
    return world.play(world.of("bob"), CommitPlan(add=(make_device("dave").key_package(),)))


@case(None)
def a_speaker_adds_a_reader_where_members_may() -> Play:
    return (world := news()).play(world.of("carol"), CommitPlan(add=(make_device("erin").key_package(),)))


@case(None)
def an_owner_makes_the_room_smaller_than_it_is() -> Play:
    world = team()
    return world.play(world.of("alice"), CommitPlan(extensions=policy(changed(world.room, max_clients=2))))


@case(None)
def the_last_place_is_taken() -> Play:
    world = team()
    alice = world.of("alice")
    world.commit(alice, CommitPlan(extensions=policy(changed(world.room, max_clients=5))))
    return world.play(alice, CommitPlan(add=(make_device("erin").key_package(),)))


@case(None)
def an_admin_changes_all_it_may_at_once() -> Play:
    world = team()
    room = changed(roles_of(world.room, carol=Role.READER), profile_hash=bytes([7]) * 32, join=Join.BY_MEMBER)
    return world.play(world.of("bob"), CommitPlan(extensions=policy(room)))


@case(None)
def a_member_commits_without_who_is_leaving() -> Play:
    world = team()
    leave(world, world.of("dave"))
    return world.play(world.of("carol"), CommitPlan(update=True, include_pending=False))


def rotated(device: Device, new_key: Ed25519PrivateKey | None = None) -> Identity:
    """Return the device's identity certified by a rotated account key."""
    new_key = new_key or signing.new_key()
    rotation = make_rotation(user=device.uri, old_key=device.account_key, new_key=signing.public_of(new_key))
    unsigned = msgspec.structs.replace(
        device.credential, account_key=rotation.new_key, rotations=(rotation,), generation=2
    )
    certificate = certify(unsigned, new_key, device.identity.signature_key.public)
    return device.but(certificate).identity


@case(None)
def a_device_carries_its_rotated_account_key() -> Play:
    world = team()
    carol = world.of("carol")
    return world.play(carol, CommitPlan(new_leaf=rotated(carol), update=True))


@case(None)
def the_groups_own_past_is_mixed_in() -> Play:
    world = team()
    carol = world.of("carol")
    context = world.public.context
    psk = ResumptionPsk(ResumptionPSKUsage.APPLICATION, context.group_id, context.epoch)
    return world.play(carol, CommitPlan(psks=(psk,)))


def reinit(world: World) -> ReInit:
    return ReInit(bytes(32), 1, 3, world.public.context.extensions)


@case(None)
def an_owner_starts_the_group_anew() -> Play:
    world = team()
    return world.play(world.of("alice"), CommitPlan(reinit=reinit(world)))


@case(None)
def an_admin_starts_the_group_anew_where_no_owner_is_left() -> Play:
    world = team()
    leave(world, world.of("alice"))
    room = without_absent(world.room, {world.of("bob").uri, world.of("dave").uri})
    world.commit(world.of("bob"), CommitPlan(extensions=policy(room), force_path=True))
    return world.play(world.of("bob"), CommitPlan(reinit=reinit(world)))


@case(None)
def either_of_two_starts_the_group_anew() -> Play:
    world = pair()
    return world.play(world.of("bob"), CommitPlan(reinit=reinit(world)))


@case(None)
def a_direct_conversation_begins_with_all_devices_of_both() -> Play:
    alice, bob = make_device("alice"), make_device("bob")
    world = World(alice, Kind.DIRECT)
    devices = (second_device(alice), bob, second_device(bob))
    return world.play(alice, CommitPlan(add=tuple(device.key_package() for device in devices)))


@case(None)
def one_of_two_adds_a_device_of_the_other() -> Play:
    world = pair()
    return world.play(world.of("alice"), CommitPlan(add=(second_device(world.of("bob")).key_package(),)))


@case(None)
def an_owner_adds_a_reader_to_an_announcement_room() -> Play:
    world = World(make_device("alice"), Kind.ANNOUNCEMENT)
    return world.play(world.of("alice"), CommitPlan(add=(make_device("bob").key_package(),)))
