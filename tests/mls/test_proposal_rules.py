"""Each rule of RFC 9420 sections 12.1 and 12.2, and of SelfRemove, broken by one well-signed message."""

from collections.abc import Callable

import msgspec
import pytest

from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.commit import Commit
from securechat.mls.commit_facts import ResolvedProposal
from securechat.mls.extensions import Extension, ExtensionType, RequiredCapabilities, extension_of
from securechat.mls.framing import Member, NewMemberCommit, SenderType
from securechat.mls.nodes import LeafIndex, LeafNode, LeafNodeSource, sign_leaf_node
from securechat.mls.proposal_rules import check_proposal_list
from securechat.mls.proposals import (
    Add,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKeyProposal,
    ProposalRef,
    ProposalValue,
    ReInit,
    Remove,
    SelfRemove,
    Update,
)
from securechat.mls.psk import ExternalPsk, PreSharedKeyID, ResumptionPsk, ResumptionPSKUsage
from tests.mls.public_stage import CAPABILITIES, Actor, Stage, identity, key_package, stage_of
from tests.mls.refusals import refused

NONCE = bytes(32)
PSK = PreSharedKeyProposal(PreSharedKeyID(ExternalPsk(b"the key"), NONCE))
REINIT = ReInit(b"next", 1, SUITE_3.number)
GIVE_UP = Remove(LeafIndex(2))


@pytest.fixture
def stage() -> Stage:
    return stage_of(4)


def update_of(stage: Stage, actor: Actor, **changes: object) -> Update:
    """An Update of this member whose leaf is changed and then signed, unless the signature is given."""
    leaf, _ = stage.update_leaf(actor)
    changed = msgspec.structs.replace(leaf, **changes)
    if "signature" not in changes:
        changed = sign_leaf_node(
            changed,
            actor.identity.signature_key,
            group_id=stage.group.context.group_id,
            leaf_index=actor.leaf,
        )
    return Update(changed)


def committed(stage: Stage, *entries: ProposalValue | ProposalRef) -> None:
    """Commit these by member 0, with the path of an empty commit."""
    path = stage.path(stage.actors[0], [])
    stage.group.verify_commit(stage.forged(stage.actors[0], entries, path), stage.pending)


# -- 12.1: a proposal by itself ----------------------------------------------


def test_an_update_brings_a_new_key(stage: Stage) -> None:
    actor = stage.actors[1]
    old = stage.group.tree.member(actor.leaf)
    with refused("encryption-key-kept"):
        stage.propose(actor, update_of(stage, actor, encryption_key=old.encryption_key))


def test_an_update_is_signed_for_its_place(stage: Stage) -> None:
    leaf, _ = stage.update_leaf(stage.actors[2])
    own = stage.actors[1].identity.signature_key
    moved = sign_leaf_node(
        msgspec.structs.replace(leaf, signature_key=own.public),
        own,
        group_id=b"stage",
        leaf_index=LeafIndex(2),
    )
    with refused("leaf-signature"):
        stage.propose(stage.actors[1], Update(moved))


def test_an_update_says_that_it_is_one(stage: Stage) -> None:
    bundle = key_package(who=stage.actors[1].identity)
    assert bundle.key_package.leaf_node.leaf_node_source is LeafNodeSource.KEY_PACKAGE
    with refused("leaf-source"):
        stage.propose(stage.actors[1], Update(bundle.key_package.leaf_node))


@pytest.mark.parametrize("leaf", [3, 4, 1000, 2**24, 2**32 - 1])
def test_a_remove_names_a_member(stage: Stage, leaf: int) -> None:
    stage.commit(stage.actors[0], [Remove(LeafIndex(3))])
    with refused("remove-blank"):
        stage.propose(stage.actors[1], Remove(LeafIndex(leaf)))


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_psk_nonce_is_as_long_as_a_hash(stage: Stage, length: int) -> None:
    psk = PreSharedKeyProposal(PreSharedKeyID(ExternalPsk(b"the key"), bytes(length)))
    with refused("psk-nonce-length"):
        stage.propose(stage.actors[1], psk)


@pytest.mark.parametrize("usage", [ResumptionPSKUsage.REINIT, ResumptionPSKUsage.BRANCH])
def test_a_key_for_a_new_group_is_not_used_in_a_running_one(stage: Stage, usage: ResumptionPSKUsage) -> None:
    psk = PreSharedKeyProposal(PreSharedKeyID(ResumptionPsk(usage, b"stage", 0), NONCE))
    with refused("psk-usage"):
        stage.propose(stage.actors[1], psk)


def test_a_reinit_does_not_lower_the_version(stage: Stage) -> None:
    with refused("reinit-version"):
        stage.propose(stage.actors[1], ReInit(b"next", 0, SUITE_3.number))


def test_a_reinit_asks_for_extensions_that_a_group_can_have(stage: Stage) -> None:
    """Else the group would be closed, and nobody could begin the one it goes on as."""
    broken = (Extension(ExtensionType.REQUIRED_CAPABILITIES, b"\xff"),)
    with refused("context-extension-malformed"):
        stage.propose(stage.actors[1], ReInit(b"next", 1, SUITE_3.number, broken))


def test_context_extensions_are_unique(stage: Stage) -> None:
    twice = (Extension(0xF001, b"a"), Extension(0xF001, b"b"))
    with refused("duplicate-extension"):
        stage.propose(stage.actors[1], GroupContextExtensions(twice))


@pytest.mark.parametrize("known", [ExtensionType.REQUIRED_CAPABILITIES, ExtensionType.EXTERNAL_SENDERS])
def test_context_extensions_that_we_know_decode(stage: Stage, known: ExtensionType) -> None:
    broken = (Extension(known, b"\xff"),)
    with refused("context-extension-malformed"):
        stage.propose(stage.actors[1], GroupContextExtensions(broken))


def test_an_external_init_is_not_a_members(stage: Stage) -> None:
    with refused("sender-proposal-type"):
        stage.propose(stage.actors[1], ExternalInit(bytes([9]) + bytes(31)))


# -- 12.2: a list -------------------------------------------------------------


def test_the_committer_does_not_update(stage: Stage) -> None:
    with refused("update-by-committer"):
        committed(stage, update_of(stage, stage.actors[0]))


def test_the_committer_does_not_refer_to_its_own_update(stage: Stage) -> None:
    own = stage.propose_update(stage.actors[0])
    with refused("update-by-committer"):
        committed(stage, ProposalRef(own.reference))


def test_the_committer_does_not_remove_itself(stage: Stage) -> None:
    with refused("removes-committer"):
        committed(stage, Remove(LeafIndex(0)))


def test_the_committer_does_not_commit_that_it_leaves(stage: Stage) -> None:
    own = stage.propose(stage.actors[0], SelfRemove())
    with refused("removes-committer"):
        committed(stage, ProposalRef(own.reference))


def test_a_leaf_is_not_updated_and_removed(stage: Stage) -> None:
    update = stage.propose_update(stage.actors[2])
    with refused("several-for-leaf"):
        committed(stage, ProposalRef(update.reference), GIVE_UP)


def test_a_leaf_is_not_removed_twice(stage: Stage) -> None:
    with refused("several-for-leaf"):
        committed(stage, GIVE_UP, GIVE_UP)


def test_a_leaf_is_not_updated_twice(stage: Stage) -> None:
    updates = [stage.propose_update(stage.actors[2]) for _ in range(2)]
    with refused("several-for-leaf"):
        committed(stage, *(ProposalRef(update.reference) for update in updates))


def test_who_leaves_is_not_removed_too(stage: Stage) -> None:
    leaving = stage.propose(stage.actors[2], SelfRemove())
    with refused("several-for-leaf"):
        committed(stage, ProposalRef(leaving.reference), GIVE_UP)


def test_a_self_remove_is_only_referred_to(stage: Stage) -> None:
    with refused("self-remove-by-value"):
        committed(stage, SelfRemove())


def test_a_client_is_not_added_twice(stage: Stage) -> None:
    who = identity("dave")
    adds = [Add(key_package(who=who).key_package) for _ in range(2)]
    with refused("duplicate-add"):
        committed(stage, *adds)


def test_a_member_is_not_added_again(stage: Stage) -> None:
    again = key_package(who=stage.actors[2].identity)
    actor = stage.actors[0]
    message = stage.forged(actor, [Add(again.key_package)], None)
    with refused("duplicate-signature-key"):
        stage.group.verify_commit(message, [])


def test_a_member_is_removed_and_added_in_one_commit(stage: Stage) -> None:
    who = stage.actors[2].identity
    verified = stage.commit(stage.actors[0], [GIVE_UP], newcomers=[(who, key_package(who=who))])
    assert [added.leaf_index for added in verified.facts.added] == [2]


def test_a_psk_is_not_taken_twice(stage: Stage) -> None:
    with refused("duplicate-psk"):
        committed(stage, PSK, PSK)


def test_the_context_extensions_are_not_replaced_twice(stage: Stage) -> None:
    with refused("several-context-extensions"):
        committed(stage, GroupContextExtensions(()), GroupContextExtensions(()))


@pytest.mark.parametrize("other", [PSK, GIVE_UP, REINIT])
def test_a_reinit_comes_alone(stage: Stage, other: ProposalValue) -> None:
    with refused("reinit-not-alone"):
        committed(stage, REINIT, other)


def test_a_member_cannot_commit_an_external_init(stage: Stage) -> None:
    with refused("sender-proposal-type"):
        committed(stage, ExternalInit(bytes([9]) + bytes(31)))


def test_a_members_list_has_no_external_init_wherever_it_came_from(stage: Stage) -> None:
    smuggled = ResolvedProposal(
        ExternalInit(bytes([9]) + bytes(31)), None, SenderType.NEW_MEMBER_COMMIT, by_reference=True
    )
    with refused("external-init"):
        check_proposal_list([smuggled], stage.group.tree, committer=LeafIndex(0))


def test_all_who_process_a_proposal_know_its_type() -> None:
    stage = stage_of(3)
    old = identity("an old client", capabilities=msgspec.structs.replace(CAPABILITIES, proposals=()))
    stage.commit(stage.actors[0], newcomers=[(old, key_package(who=old))])
    leaving = stage.propose(stage.actors[2], SelfRemove())
    with refused("proposal-unsupported"):
        committed(stage, ProposalRef(leaving.reference))


def test_who_is_removed_need_not_know_the_type() -> None:
    stage = stage_of(3)
    old = identity("an old client", capabilities=msgspec.structs.replace(CAPABILITIES, proposals=()))
    stage.commit(stage.actors[0], newcomers=[(old, key_package(who=old))])
    leaving = stage.propose(stage.actors[2], SelfRemove())
    stage.commit(stage.actors[0], [Remove(LeafIndex(3))], [leaving])
    assert sorted(stage.actors) == [0, 1]


def test_the_commit_refers_to_what_is_known(stage: Stage) -> None:
    with refused("unknown-proposal"):
        committed(stage, ProposalRef(bytes(32)))


def test_a_proposal_of_the_last_epoch_is_unknown(stage: Stage) -> None:
    late = stage.propose(stage.actors[1], GIVE_UP)
    stage.commit(stage.actors[2])
    stage.pending = [late]
    with refused("unknown-proposal"):
        committed(stage, ProposalRef(late.reference))


# -- 12.4: whether there is a path ---------------------------------------------


@pytest.mark.parametrize(
    "proposals",
    [(), (GIVE_UP,), (GroupContextExtensions(()),), (PSK, GIVE_UP)],
    ids=lambda value: str(len(value)),
)
def test_what_needs_a_path_has_one(stage: Stage, proposals: tuple[ProposalValue, ...]) -> None:
    message = stage.forged(stage.actors[0], proposals, None)
    with refused("path-required"):
        stage.group.verify_commit(message, [])


def test_a_referred_update_or_leave_needs_a_path(stage: Stage) -> None:
    for proposal in (stage.propose_update(stage.actors[1]), stage.propose(stage.actors[2], SelfRemove())):
        message = stage.forged(stage.actors[0], [ProposalRef(proposal.reference)], None)
        with refused("path-required"):
            stage.group.verify_commit(message, stage.pending)


@pytest.mark.parametrize("proposal", [PSK, REINIT])
def test_what_needs_no_path_goes_without(stage: Stage, proposal: ProposalValue) -> None:
    facts = stage.commit(stage.actors[0], [proposal], path=False).facts
    assert (facts.path, facts.new_tree) == (False, facts.old_tree)


# -- 12.2: the list of an external commit ----------------------------------------


def joined(stage: Stage, *entries: ProposalValue | ProposalRef) -> None:
    """Join by an external commit that has these entries, with a path that would do for a plain one."""
    who = identity("outsider")
    message, _ = stage.external_message(who, [ExternalInit(bytes([9]) + bytes(31))])
    public = stage.group.verify_commit(message, [])
    commit = Commit(tuple(entries), public.commit.path)
    stage.group.verify_commit(stage.message(NewMemberCommit(), commit, who.signature_key), stage.pending)


INIT = ExternalInit(bytes([9]) + bytes(31))

OUTSIDE: dict[str, tuple[str, tuple[ProposalValue, ...]]] = {
    "no init": ("external-init-count", ()),
    "two inits": ("external-init-count", (INIT, INIT)),
    "two removes": ("external-removes", (INIT, GIVE_UP, Remove(LeafIndex(1)))),
    "extensions": ("sender-proposal-type", (INIT, GroupContextExtensions(()))),
    "reinit": ("sender-proposal-type", (INIT, REINIT)),
    "leave": ("sender-proposal-type", (INIT, SelfRemove())),
    "blank leaf": ("remove-blank", (INIT, Remove(LeafIndex(7)))),
    "a key twice": ("duplicate-psk", (INIT, PSK, PSK)),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_an_external_commit_holds_little(stage: Stage, case: str) -> None:
    rule, proposals = OUTSIDE[case]
    with refused(rule):
        joined(stage, *proposals)


def test_an_external_commit_adds_nobody_else(stage: Stage) -> None:
    with refused("sender-proposal-type"):
        joined(stage, INIT, Add(key_package().key_package))


def test_an_external_commit_refers_to_leaving_only(stage: Stage) -> None:
    remove = stage.propose(stage.actors[1], GIVE_UP)
    with refused("external-by-reference"):
        joined(stage, INIT, ProposalRef(remove.reference))


def test_a_joiner_does_not_remove_who_leaves(stage: Stage) -> None:
    leaving = stage.propose(stage.actors[2], SelfRemove())
    with refused("several-for-leaf"):
        joined(stage, INIT, GIVE_UP, ProposalRef(leaving.reference))


def test_an_external_commit_has_a_path(stage: Stage) -> None:
    commit = Commit((INIT,), None)
    message = stage.message(NewMemberCommit(), commit, identity("outsider").signature_key)
    with refused("path-required"):
        stage.group.verify_commit(message, [])


# -- 12.1.7, 7.3, 13.4: what the group asks of its members -------------------------


def required(*extension_types: int) -> GroupContextExtensions:
    wanted = RequiredCapabilities(extension_types, (), ())
    return GroupContextExtensions((extension_of(ExtensionType.REQUIRED_CAPABILITIES, wanted),))


def test_the_group_requires_only_what_all_support(stage: Stage) -> None:
    with refused("required-capabilities"):
        stage.commit(stage.actors[0], [required(0xF002)])


def test_default_types_may_be_required_and_are_not_listed(stage: Stage) -> None:
    stage.commit(stage.actors[0], [required(1, 2, 3, 4, 5, 0xF001)])
    assert stage.group.context.extensions == required(1, 2, 3, 4, 5, 0xF001).extensions


def test_the_groups_extensions_are_supported_by_all(stage: Stage) -> None:
    with refused("context-extension-unsupported"):
        stage.commit(stage.actors[0], [GroupContextExtensions((Extension(0xF002, b""),))])


def test_who_is_added_supports_the_new_extensions(stage: Stage) -> None:
    capable = msgspec.structs.replace(CAPABILITIES, extensions=())
    who = identity("dave", capabilities=capable)
    with refused("context-extension-unsupported"):
        stage.commit(
            stage.actors[0],
            [GroupContextExtensions((Extension(0xF001, b""),))],
            newcomers=[(who, key_package(who=who))],
        )


# -- 7.3: leaves that come with proposals ----------------------------------------

LeafChange = Callable[[LeafNode], LeafNode]

BAD_LEAVES: dict[str, dict[str, object]] = {
    "leaf-signature": {"signature": bytes(64)},
    "hpke-public-key": {"encryption_key": bytes(31)},
    "leaf-extension-unlisted": {"extensions": (Extension(0xF002, b""),)},
    "duplicate-extension": {"extensions": (Extension(0xF001, b""), Extension(0xF001, b""))},
    "leaf-credential-unlisted": {"capabilities": msgspec.structs.replace(CAPABILITIES, credentials=(2,))},
}


@pytest.mark.parametrize("rule", BAD_LEAVES)
def test_the_leaf_of_an_update_keeps_the_rules(stage: Stage, rule: str) -> None:
    with refused(rule):
        stage.propose(stage.actors[1], update_of(stage, stage.actors[1], **BAD_LEAVES[rule]))


def test_an_update_does_not_take_a_neighbours_key(stage: Stage) -> None:
    taken = stage.group.tree.member(LeafIndex(2)).encryption_key
    update = stage.propose(stage.actors[1], update_of(stage, stage.actors[1], encryption_key=taken))
    actor = stage.actors[0]
    with refused("duplicate-encryption-key"):
        stage.commit(actor, references=[update])


def test_a_proposal_of_somebody_who_is_not_there_is_refused(stage: Stage) -> None:
    key = stage.actors[0].identity.signature_key
    with refused("no-such-member"):
        stage.group.verify_proposal(stage.message(Member(LeafIndex(9)), GIVE_UP, key))


def test_a_proposal_signed_by_another_member_is_refused(stage: Stage) -> None:
    key = stage.actors[0].identity.signature_key
    with refused("message-signature"):
        stage.group.verify_proposal(stage.message(Member(LeafIndex(1)), GIVE_UP, key))
