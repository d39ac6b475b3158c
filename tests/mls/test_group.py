"""Alice, bob and carol: what a group is for."""

from dataclasses import replace

import pytest

from securechat.mls.cipher_suite import SUITE_3, SUITES, CipherSuite
from securechat.mls.credential import BasicCredential
from securechat.mls.errors import UsageError, ValidationError
from securechat.mls.examining import ExaminedApplication, ExaminedCommit, ExaminedProposal
from securechat.mls.extensions import Extension, ExtensionType, RequiredCapabilities, extension_of
from securechat.mls.framing import GroupInfo, decode_message
from securechat.mls.group import Group
from securechat.mls.key_package import Identity
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import Add, GroupContextExtensions, PreSharedKeyProposal, ReInit, Remove
from securechat.mls.protection import no_padding, padded_to
from securechat.mls.psk import ExternalPsk, PreSharedKeyID, ResumptionPsk, ResumptionPSKUsage
from securechat.mls.staging import CommitPlan, StagedCommit
from tests.mls.people import (
    CAPABILITIES,
    accept,
    add,
    bundle_of,
    everybody_follows,
    group_of,
    hear_each_other,
    identity,
    received,
    restarted,
)


@pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: suite.name)
def test_everybody_hears_everybody_in_every_suite(suite: CipherSuite) -> None:
    hear_each_other(group_of("alice", "bob", "carol", suite=suite))


def test_somebody_is_added_without_a_path() -> None:
    alice, bob = group_of("alice", "bob")
    carol_is = identity("carol")
    bundle = bundle_of(carol_is)
    staged = alice.stage_commit(CommitPlan(add=(bundle.key_package,)))
    assert not staged.facts.path
    everybody_follows(staged, alice, [bob])
    assert staged.welcome is not None
    carol = Group.join(staged.welcome, bundle, carol_is, tree=bob.tree_bytes()).group
    hear_each_other([alice, bob, carol])


def test_a_commit_that_adds_nobody_has_no_welcome() -> None:
    alice, bob = group_of("alice", "bob")
    assert alice.stage_commit(CommitPlan(update=True)).welcome is None
    staged = Group.join_externally(alice.group_info(), alice.tree_bytes(), bob.identity, remove=bob.own_leaf)
    assert staged.welcome is None


def test_what_is_published_of_an_epoch_is_without_its_tree() -> None:
    alice, _ = group_of("alice", "bob")
    staged = alice.stage_commit(CommitPlan(update=True))
    for message in (staged.group_info, alice.group_info()):
        info = decode_message(message)
        assert isinstance(info, GroupInfo)
        assert [extension.extension_type for extension in info.extensions] == [ExtensionType.EXTERNAL_PUB]


def test_everybody_renews_its_keys_in_turn() -> None:
    groups = group_of("alice", "bob", "carol", "dave", "erin")
    for committer in groups:
        others = [group for group in groups if group is not committer]
        everybody_follows(committer.stage_commit(CommitPlan(update=True)), committer, others)
    assert {group.epoch for group in groups} == {6}
    hear_each_other(groups)


def test_who_is_removed_reads_nothing_more() -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    staged = alice.stage_commit(CommitPlan(remove=(carol.own_leaf,)))
    everybody_follows(staged, alice, [bob, carol])
    assert carol.removed
    with pytest.raises(UsageError):
        carol.decrypt(alice.encrypt(b"carol is gone"))
    with pytest.raises(UsageError):
        carol.secrets_bytes()
    hear_each_other([alice, bob])


def test_an_update_proposal_takes_force_when_another_commits_it() -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    before = bob.public.tree.member(bob.own_leaf).encryption_key
    accept(bob.propose_update(), [alice, bob, carol])
    bob = restarted(bob)
    everybody_follows(alice.stage_commit(CommitPlan()), alice, [bob, carol])
    assert bob.public.tree.member(bob.own_leaf).encryption_key != before
    everybody_follows(carol.stage_commit(CommitPlan(update=True)), carol, [alice, bob])
    hear_each_other([alice, bob, carol])


def test_an_update_proposal_can_change_the_signature_key() -> None:
    alice, bob = group_of("alice", "bob")
    new = identity("bob again")
    accept(bob.propose_update(new), [alice, bob])
    everybody_follows(alice.stage_commit(CommitPlan()), alice, [bob])
    assert bob.identity == new
    hear_each_other([alice, restarted(bob)])


def test_a_commit_can_change_the_committers_credential_and_key() -> None:
    alice, bob = group_of("alice", "bob")
    new = Identity(BasicCredential(b"alice, married"), identity("x").signature_key, CAPABILITIES)
    everybody_follows(alice.stage_commit(CommitPlan(new_leaf=new)), alice, [bob])
    assert alice.identity == new
    assert bob.public.tree.member(LeafIndex(0)).credential == new.credential
    hear_each_other([alice, bob])


def test_proposals_of_several_go_into_one_commit() -> None:
    alice, bob, carol, dave = group_of("alice", "bob", "carol", "dave")
    erin_is = identity("erin")
    bundle = bundle_of(erin_is)
    for message in (
        bob.propose_add(bundle.key_package),
        carol.propose_update(),
        bob.propose_remove(dave.own_leaf),
    ):
        accept(message, [alice, bob, carol, dave])
    staged = alice.stage_commit(CommitPlan())
    assert [proposal.by_reference for proposal in staged.facts.proposals] == [True] * 3
    everybody_follows(staged, alice, [bob, carol, dave])
    assert dave.removed
    assert staged.welcome is not None
    erin = Group.join(staged.welcome, bundle, erin_is, tree=alice.tree_bytes()).group
    hear_each_other([alice, bob, carol, erin])


def test_who_leaves_is_taken_out_by_somebody_else() -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    accept(carol.propose_self_remove(), [alice, bob, carol])
    with pytest.raises(UsageError):
        carol.propose_self_remove()
    everybody_follows(bob.stage_commit(CommitPlan()), bob, [alice, carol])
    assert carol.removed
    hear_each_other([alice, bob])


def test_a_committer_leaves_out_what_does_not_fit() -> None:
    alice, bob, carol, dave = group_of("alice", "bob", "carol", "dave")
    everybody = [alice, bob, carol, dave]
    accept(alice.propose_update(), everybody)  # its own: the path does it
    accept(dave.propose_update(), everybody)  # loses against dave's leaving
    accept(bob.propose_remove(dave.own_leaf), everybody)  # so does this
    accept(dave.propose_self_remove(), everybody)
    accept(bob.propose_remove(alice.own_leaf), everybody)  # nobody removes itself
    accept(carol.propose(ReInit(b"new", 1, 3)), everybody)  # never together with others
    staged = alice.stage_commit(CommitPlan())
    assert [type(each.proposal).__name__ for each in staged.facts.proposals] == ["SelfRemove"]
    everybody_follows(staged, alice, [bob, carol, dave])
    hear_each_other([alice, bob, carol])


def test_the_latest_update_of_a_member_is_taken() -> None:
    alice, bob = group_of("alice", "bob")
    first, second = bob.propose_update(), bob.propose_update()
    accept(first, [alice, bob])
    accept(second, [alice, bob])
    staged = alice.stage_commit(CommitPlan())
    assert [proposal.message for proposal in staged.references] == [second]
    everybody_follows(staged, alice, [bob])


def test_context_extensions_change_for_all() -> None:
    required = extension_of(
        ExtensionType.REQUIRED_CAPABILITIES, RequiredCapabilities(extension_types=(0xF001,))
    )
    alice, bob = group_of("alice", "bob", extensions=(required,))
    new = (required, Extension(0xF001, b"policy"))
    everybody_follows(bob.stage_commit(CommitPlan(extensions=new)), bob, [alice])
    assert alice.state.context.extensions == new
    accept(alice.propose(GroupContextExtensions((required,))), [alice, bob])
    everybody_follows(alice.stage_commit(CommitPlan()), alice, [bob])
    assert bob.state.context.extensions == (required,)


def test_a_group_does_not_begin_with_what_its_creator_cannot_read() -> None:
    """13.4 and 7.3 hold from epoch 0 on."""
    for extension, rule in (
        (Extension(0xF00F, b""), "context-extension-unsupported"),
        (
            extension_of(ExtensionType.REQUIRED_CAPABILITIES, RequiredCapabilities(proposal_types=(0xF00F,))),
            "required-capabilities",
        ),
    ):
        with pytest.raises(ValidationError) as raised:
            group_of("alice", extensions=(extension,))
        assert raised.value.rule == rule


def test_a_group_does_not_begin_with_a_leaf_that_others_would_refuse() -> None:
    who = replace(identity("alice"), leaf_extensions=(Extension(0xF00F, b""),))
    with pytest.raises(ValidationError) as raised:
        Group.create(who, suite=SUITE_3, group_id=b"tea")
    assert raised.value.rule == "leaf-extension-unlisted"
    with pytest.raises(UsageError):
        Group.create(identity("alice", SUITES[2]), suite=SUITE_3, group_id=b"tea")


def test_a_pre_shared_key_is_mixed_in() -> None:
    alice, bob = group_of("alice", "bob")
    known: dict[ExternalPsk | ResumptionPsk, bytes] = {ExternalPsk(b"shared over tea"): bytes(range(32))}
    plan = CommitPlan(psks=tuple(known))
    everybody_follows(alice.stage_commit(plan, psks=known.get), alice, [bob], psks=known.get)
    hear_each_other([alice, bob])


def test_a_resumption_key_of_an_earlier_epoch_is_known() -> None:
    alice, bob = group_of("alice", "bob")
    name = ResumptionPsk(ResumptionPSKUsage.APPLICATION, b"tea", alice.epoch)
    everybody_follows(alice.stage_commit(CommitPlan(update=True)), alice, [bob])
    everybody_follows(bob.stage_commit(CommitPlan(psks=(name,))), bob, [restarted(alice)])


def test_a_proposed_key_that_the_committer_does_not_have_is_left_out() -> None:
    alice, bob = group_of("alice", "bob")
    psk = PreSharedKeyProposal(PreSharedKeyID(ExternalPsk(b"of bob"), bytes(32)))
    accept(bob.propose(psk), [alice, bob])
    assert alice.stage_commit(CommitPlan()).facts.proposals == ()
    staged = bob.stage_commit(CommitPlan(), psks=lambda _: b"secret")
    everybody_follows(staged, bob, [alice], psks=lambda _: b"secret")


def test_who_verified_a_commit_in_public_need_not_do_it_again() -> None:
    alice, bob = group_of("alice", "bob")
    staged = alice.stage_commit(CommitPlan(update=True))
    examined = ExaminedCommit.of(bob.public.verify_commit(staged.message, bob.pending))
    alice.merge(staged)
    bob.merge(bob.process(examined))
    hear_each_other([alice, bob])


def test_a_reinitialised_group_is_closed_and_goes_on_elsewhere() -> None:
    alice, bob = group_of("alice", "bob")
    reinit = ReInit(b"new tea", 1, 3, ())
    everybody_follows(alice.stage_commit(CommitPlan(reinit=reinit)), alice, [bob])
    for group in (alice, restarted(bob)):
        assert not group.active
        with pytest.raises(UsageError):
            group.encrypt(b"one more thing")
        with pytest.raises(UsageError):
            group.stage_commit(CommitPlan())
    name = ResumptionPsk(ResumptionPSKUsage.REINIT, b"tea", alice.epoch)
    bundle = bundle_of(bob.identity)
    new_alice = Group.create(alice.identity, suite=alice.suite, group_id=b"new tea")
    staged = new_alice.stage_commit(
        CommitPlan(add=(bundle.key_package,), psks=(name,)), psks=alice.psk_source()
    )
    new_alice.merge(staged)
    assert staged.welcome is not None
    joined = Group.join(staged.welcome, bundle, bob.identity, tree=new_alice.tree_bytes(), origin=bob)
    hear_each_other([new_alice, joined.group])


def test_a_branch_takes_its_resumption_key_with_it() -> None:
    alice, bob, _ = group_of("alice", "bob", "carol")
    name = ResumptionPsk(ResumptionPSKUsage.BRANCH, b"tea", alice.epoch)
    bundle = bundle_of(bob.identity)
    branch = Group.create(alice.identity, suite=alice.suite, group_id=b"tea for two")
    staged = branch.stage_commit(CommitPlan(add=(bundle.key_package,), psks=(name,)), psks=alice.psk_source())
    branch.merge(staged)
    assert staged.welcome is not None
    joined = Group.join(staged.welcome, bundle, bob.identity, tree=branch.tree_bytes(), origin=bob)
    hear_each_other([branch, joined.group])


def test_two_clients_of_one_person_are_two_members() -> None:
    alice, bob = group_of("alice", "bob")
    (tablet,) = add(alice, [identity("alice")], [bob])
    assert tablet.identity.credential == alice.identity.credential
    hear_each_other([alice, bob, tablet])


def test_capabilities_need_not_list_the_groups_own_suite() -> None:
    alice, bob = group_of("alice", "bob")
    sparse = identity("carol", capabilities=CAPABILITIES.__class__(credentials=(1,)))
    hear_each_other([alice, bob, *add(alice, [sparse], [bob])])


def test_a_proposal_of_another_group_is_not_accepted() -> None:
    (alice, _), (other, bob) = group_of("alice", "bob"), group_of("alice", "bob", group_id=b"another")
    examined = other.examine(bob.propose_remove(LeafIndex(0)))
    assert isinstance(examined, ExaminedProposal)
    with pytest.raises(UsageError):
        alice.accept(examined)
    assert alice.pending == ()


def test_a_lost_race_costs_nothing() -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    lost = bob.stage_commit(CommitPlan(update=True))
    everybody_follows(alice.stage_commit(CommitPlan(update=True)), alice, [bob, carol])
    with pytest.raises(UsageError):
        bob.merge(lost)
    hear_each_other([alice, bob, carol])


def test_padding_hides_how_long_a_message_is() -> None:
    alice, bob = group_of("alice", "bob")
    sizes = padded_to((256, 1024))
    short, longer = alice.encrypt(b"a", padding=sizes), alice.encrypt(bytes(170), padding=sizes)
    assert len(short) == len(longer) < len(alice.encrypt(bytes(1100), padding=sizes))
    assert (bob.decrypt(short).content, bob.decrypt(longer).content) == (b"a", bytes(170))


def test_padding_fills_up_to_a_size_and_then_to_multiples_of_the_last() -> None:
    sizes = padded_to((256, 1024))
    lengths = (0, 1, 256, 257, 1024, 1025, 2048)
    assert [length + sizes(length) for length in lengths] == [256, 256, 256, 1024, 1024, 2048, 2048]
    assert [no_padding(length) for length in lengths] == [0] * len(lengths)


def test_a_padding_takes_nothing_away() -> None:
    alice, bob = group_of("alice", "bob")
    with pytest.raises(UsageError, match="padding"):
        alice.encrypt(b"hello", padding=lambda _length: -1)
    assert bob.decrypt(alice.encrypt(b"hello")).generation == 0  # no key was used up


def test_authenticated_data_comes_with_the_message() -> None:
    alice, bob = group_of("alice", "bob")
    heard = bob.decrypt(alice.encrypt(b"hello", authenticated_data=b"count 1"))
    assert (heard.authenticated_data, heard.generation, heard.epoch) == (b"count 1", 0, 1)
    assert alice.own_generation == 1


def test_members_export_the_same_secret() -> None:
    alice, bob = group_of("alice", "bob")
    assert alice.export("label", b"context", 77) == bob.export("label", b"context", 77)
    assert alice.export("label", b"context", 32) != alice.export("label", b"other", 32)
    with pytest.raises(UsageError):
        alice.export("label", b"", 255 * 32 + 1)


def test_an_application_message_is_told_from_a_commit() -> None:
    alice, bob = group_of("alice", "bob")
    assert isinstance(bob.examine(alice.encrypt(b"hello")), ExaminedApplication)
    assert isinstance(bob.examine(alice.stage_commit(CommitPlan()).message), ExaminedCommit)


def test_a_member_comes_back_by_an_external_commit() -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    staged = Group.join_externally(alice.group_info(), alice.tree_bytes(), bob.identity, remove=bob.own_leaf)
    stored = StagedCommit.from_bytes(staged.to_bytes())
    assert stored == staged
    back = Group.from_staged(stored, bob.identity)
    for group in (alice, bob, carol):
        group.merge(received(group, staged.message))
    assert bob.removed
    hear_each_other([alice, back, carol])


def test_a_joiner_takes_out_those_who_asked_to_leave() -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    leaving = carol.propose_self_remove()
    accept(leaving, [alice, bob, carol])
    dave_is = identity("dave")
    staged = Group.join_externally(
        bob.group_info(), bob.tree_bytes(), dave_is, self_removes=[leaving], authenticated_data=b"hi"
    )
    dave = Group.from_staged(staged, dave_is)
    for group in (alice, bob, carol):
        group.merge(received(group, staged.message))
    assert carol.removed
    assert staged.facts.authenticated_data == b"hi"
    hear_each_other([alice, bob, dave])


def test_only_an_external_commit_begins_a_group() -> None:
    alice, bob = group_of("alice", "bob")
    with pytest.raises(UsageError):
        Group.from_staged(alice.stage_commit(CommitPlan()), alice.identity)
    staged = Group.join_externally(alice.group_info(), alice.tree_bytes(), bob.identity, remove=bob.own_leaf)
    with pytest.raises(UsageError):
        Group.from_staged(staged, alice.identity)


def test_what_is_proposed_by_value_comes_with_the_plan() -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    bundle = bundle_of(identity("dave"))
    accept(bob.propose_update(), [alice, bob, carol])
    plan = CommitPlan(add=(bundle.key_package,), remove=(carol.own_leaf,), include_pending=False)
    staged = alice.stage_commit(plan)
    assert [each.proposal for each in staged.facts.proposals] == [
        Remove(carol.own_leaf),
        Add(bundle.key_package),
    ]
