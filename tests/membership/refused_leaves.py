"""Commits that bring in a leaf that may not be there (rules.md B)."""

from dataclasses import replace
from typing import Any

import msgspec

from securechat.membership import signing
from securechat.membership.identity import MAX_LEAVES_PER_USER, MAX_LIFETIME, certify
from securechat.membership.leaf_rules import MAX_ADDS
from securechat.mls.framing import SenderType
from securechat.mls.nodes import Lifetime
from securechat.mls.proposals import PreSharedKeyProposal
from securechat.mls.psk import PreSharedKeyID, ResumptionPsk, ResumptionPSKUsage
from securechat.mls.staging import CommitPlan
from tests.membership.accepted import rotated
from tests.membership.corpus import case
from tests.membership.scenes import leave, pair, second_device, team
from tests.membership.world import NOW, Device, Play, make_device


def added(device: Device, lifetime: Lifetime | None = None) -> Play:
    """Let an owner add a device."""
    world = team()
    package = device.key_package(lifetime) if lifetime else device.key_package()
    return world.play(world.of("alice"), CommitPlan(add=(package,)))


def recertified(device: Device, **fields: Any) -> Device:
    """Return the device with other fields in its credential, signed by its account."""
    unsigned = msgspec.structs.replace(device.credential, **fields)
    return device.but(certify(unsigned, device.account_key, device.identity.signature_key.public))


@case("leaf")
def d_03_a_device_that_the_account_did_not_sign_is_added() -> Play:
    mallory = signing.new_key()
    carols = make_device("carol").credential
    device = make_device("carol")
    forged = certify(carols, mallory, device.identity.signature_key.public)
    return added(device.but(forged))


@case("leaf")
def d_03_a_certificate_is_used_for_another_key() -> Play:
    return added(make_device("erin").but(make_device("erin").identity_bytes))


@case("leaf")
def d_03_the_server_puts_a_device_of_bob_into_a_direct_conversation() -> Play:
    world = pair()
    bob = world.of("bob")
    inserted = make_device("bob")
    credential = inserted.credential
    claimed = msgspec.structs.replace(credential, account_key=signing.public_of(bob.account_key))
    forged = certify(claimed, inserted.account_key, inserted.identity.signature_key.public)
    return world.play(world.of("alice"), CommitPlan(add=(inserted.but(forged).key_package(),)))


@case("leaf")
def a_credential_that_does_not_decode_is_added() -> Play:
    return added(make_device("erin").but(b"erin"))


@case("leaf")
def a_credential_with_trailing_bytes_is_added() -> Play:
    erin = make_device("erin")
    return added(erin.but(erin.identity_bytes + b"\0"))


@case("leaf")
def a_credential_of_a_later_version_is_added() -> Play:
    return added(recertified(make_device("erin"), version=2))


@case("leaf")
def a_user_of_another_domain_is_added() -> Play:
    return added(make_device("erin", domain="other.example"))


@case("leaf")
def a_client_of_another_domain_than_its_user_is_added() -> Play:
    return added(recertified(make_device("erin"), client=b"mimi://other.example/d/0123456789abcdef"))


@case("leaf")
def a_user_name_outside_the_grammar_is_added() -> Play:
    return added(recertified(make_device("erin"), user=b"mimi://chat.example/u/Erin"))


@case("leaf")
def an_account_that_does_not_allow_the_suite_is_added() -> Play:
    return added(make_device("erin", suites=(1,)))


@case("leaf")
def a_key_package_that_lives_too_long_is_added() -> Play:
    return added(make_device("erin"), Lifetime(NOW, NOW + MAX_LIFETIME + 1))


@case("leaf")
def a_broken_chain_of_rotations_is_added() -> Play:
    erin = make_device("erin")
    new_key = signing.new_key()
    good = replace(erin, identity=rotated(erin, new_key)).credential
    (rotation,) = good.rotations
    broken = msgspec.structs.replace(rotation, signature=bytes(64))
    unsigned = msgspec.structs.replace(good, rotations=(broken,))
    return added(erin.but(certify(unsigned, new_key, erin.identity.signature_key.public)))


@case("leaf")
def a_member_renews_to_an_unsigned_credential() -> Play:
    world = team()
    carol = world.of("carol")
    forged = certify(carol.credential, signing.new_key(), carol.identity.signature_key.public)
    return world.play(carol, CommitPlan(new_leaf=carol.but(forged).identity, update=True))


@case("successor")
def a_member_renews_to_another_user() -> Play:
    world = team()
    carol = world.of("carol")
    return world.play(carol, CommitPlan(new_leaf=make_device("erin").identity, update=True))


@case("successor")
def a_member_renews_to_another_client() -> Play:
    world = team()
    carol = world.of("carol")
    return world.play(carol, CommitPlan(new_leaf=second_device(carol).identity, update=True))


@case("successor")
def a_member_renews_to_another_account() -> Play:
    world = team()
    carol = world.of("carol")
    other = make_device("carol", client=carol.client)
    return world.play(carol, CommitPlan(new_leaf=other.identity, update=True))


@case("successor")
def a_member_renews_to_a_lower_generation() -> Play:
    world = team()
    carol = world.of("carol")
    world.commit(carol, CommitPlan(new_leaf=recertified(carol, generation=5).identity, update=True))
    return world.play(carol, CommitPlan(new_leaf=recertified(carol, generation=4).identity, update=True))


@case("successor")
def a_waiting_update_is_of_another_account() -> Play:
    world = team()
    carol = world.of("carol")
    other = make_device("carol", client=carol.client)
    world.propose(carol, world.groups[carol.client].propose_update(other.identity))
    return world.play(world.of("alice"), CommitPlan())


@case("successor")
def a_device_takes_its_place_again_with_another_account() -> Play:
    world = team()
    carol = world.of("carol")
    other = make_device("carol", client=carol.client)
    return world.shown(other, world.external(other, remove=world.leaf(carol)))


@case("client-twice")
def a_client_is_added_a_second_time() -> Play:
    world = team()
    carol = world.of("carol")
    again = make_device("carol", carol.account_key, client=carol.client)
    return world.play(carol, CommitPlan(add=(again.key_package(),)))


@case("client-twice")
def a_client_joins_beside_its_own_leaf() -> Play:
    world = team()
    carol = world.of("carol")
    again = make_device("carol", carol.account_key, client=carol.client)
    return world.shown(again, world.external(again))


@case("client-twice")
def a_client_of_another_user_is_added() -> Play:
    world = team()
    client = world.of("carol").client
    return world.play(world.of("alice"), CommitPlan(add=(make_device("erin", client=client).key_package(),)))


@case("leaves-per-user")
def an_eleventh_device_is_added() -> Play:
    world = team()
    carol = world.of("carol")
    devices = [second_device(carol) for _ in range(MAX_LEAVES_PER_USER)]
    return world.play(carol, CommitPlan(add=tuple(device.key_package() for device in devices)))


@case("account-key")
def a_device_of_another_account_is_added_beside_the_users_own() -> Play:
    world = team()
    return world.play(world.of("alice"), CommitPlan(add=(make_device("carol").key_package(),)))


@case("account-key")
def a_device_with_the_old_account_key_is_added_after_a_rotation() -> Play:
    world = team()
    carol = world.of("carol")
    world.commit(carol, CommitPlan(new_leaf=rotated(carol), update=True))
    return world.play(carol, CommitPlan(add=(second_device(carol).key_package(),)))


@case("account-key")
def a_device_with_a_replaced_certificate_is_added() -> Play:
    world = team()
    carol = world.of("carol")
    world.add(carol, second_device(carol, generation=3))
    return world.play(carol, CommitPlan(add=(second_device(carol, generation=2).key_package(),)))


@case("account-key")
def a_reset_in_a_direct_conversation() -> Play:
    world = pair()
    again = make_device("bob")
    leave(world, world.of("bob"))
    return world.play(world.of("alice"), CommitPlan(add=(again.key_package(),)))


@case("account-key")
def somebody_joins_as_a_user_who_is_leaving_with_another_account() -> Play:
    world = team()
    leave(world, world.of("carol"))
    joiner = make_device("carol")
    return world.shown(joiner, world.external(joiner))


@case("external-user")
def a_stranger_joins_by_itself() -> Play:
    world = team()
    joiner = make_device("erin")
    return world.shown(joiner, world.external(joiner))


@case("external-proposals")
def a_joiner_removes_another_device() -> Play:
    world = team()
    joiner = second_device(world.of("carol"))
    return world.shown(joiner, world.external(joiner, remove=world.leaf(world.of("dave"))))


@case("external-proposals")
def a_joiner_removes_its_users_other_device() -> Play:
    world = team()
    carol = world.of("carol")
    world.add(carol, second_device(carol))
    joiner = second_device(carol)
    return world.shown(joiner, world.external(joiner, remove=world.leaf(carol)))


@case("external-proposals", real=False)
def a_joiner_mixes_in_a_key() -> Play:
    world = team()
    joiner = second_device(world.of("carol"))
    facts = world.external(joiner).facts
    own = ResumptionPsk(ResumptionPSKUsage.APPLICATION, facts.old_context.group_id, facts.old_context.epoch)
    psk = PreSharedKeyProposal(PreSharedKeyID(own, bytes(32)))
    (init,) = facts.proposals
    return Play(replace(facts, proposals=(init, replace(init, proposal=psk))))


@case("external-self-removes")
def a_joiner_keeps_who_is_leaving() -> Play:
    world = team()
    leave(world, world.of("dave"))
    joiner = second_device(world.of("carol"))
    return world.shown(joiner, world.external(joiner, take=False))


@case("adds", real=False)
def too_many_are_added_at_once() -> Play:
    play = added(make_device("erin"))
    # Only the count is wrong: the one device stands there once for each place.
    return Play(replace(play.facts, added=play.facts.added * (MAX_ADDS + 1)))


@case("outsider", real=False)
def an_external_sender_proposes() -> Play:
    play = added(make_device("erin"))
    (proposal,) = play.facts.proposals
    outside = replace(proposal, sender=None, sender_type=SenderType.EXTERNAL)
    return Play(replace(play.facts, proposals=(outside,)))


@case("outsider", real=False)
def somebody_proposes_to_be_added() -> Play:
    play = added(make_device("erin"))
    (proposal,) = play.facts.proposals
    outside = replace(proposal, sender=None, sender_type=SenderType.NEW_MEMBER_PROPOSAL)
    return Play(replace(play.facts, proposals=(outside,)))
