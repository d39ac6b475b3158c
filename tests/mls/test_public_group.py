import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from securechat.mls import protection
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.codec import encode
from securechat.mls.commit import UpdatePath
from securechat.mls.credential import BasicCredential
from securechat.mls.errors import DecodeError, MLSError, StaleEpoch, UsageError, WrongGroup
from securechat.mls.extensions import EXTERNAL_SENDERS, Extension, ExtensionType, ExternalSender
from securechat.mls.framing import (
    ExternalSenderIndex,
    FramedContent,
    GroupInfo,
    Member,
    NewMemberProposal,
    SenderType,
    SenderValue,
    WireFormat,
    encode_message,
)
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import Add, ExternalInit, ProposalValue, Remove, SelfRemove
from securechat.mls.public_group import LAST_EPOCH, PublicGroup, VerifiedCommit
from securechat.mls.ratchet_tree import RatchetTree, changed_nodes
from securechat.mls.signature import SigningKey
from tests.mls.public_stage import Stage, identity, key_package, stage_of
from tests.mls.refusals import refused


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


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32), st.integers(5, 25))
def test_whatever_happens_all_members_and_joiners_agree(seed: int, steps: int) -> None:
    source = random.Random(seed)
    stage = stage_of(source.randint(1, 9))
    rows = dict(stage.group.tree.rows())
    for _ in range(steps):
        before = stage.group.tree
        random_step(stage, source)
        rows.update({index: data or b"" for index, data in changed_nodes(before, stage.group.tree)})
        stored = [(index, data) for index, data in rows.items() if data]
        assert RatchetTree.from_rows(SUITE_3, stored).tree_hash() == stage.group.context.tree_hash
        assert sorted(stage.actors) == [index for index, _ in stage.group.tree.leaves()]
    assert believed_by_a_joiner(stage)


def random_step(stage: Stage, source: random.Random) -> None:
    """One commit of random proposals by somebody, or somebody joining from outside."""
    committer, *others = source.sample(list(stage.actors.values()), len(stage.actors))
    if source.random() < 0.15:
        leaving = [stage.propose(actor, SelfRemove()) for actor in others[:1]]
        stage.join_externally(identity("outsider"), references=leaving)
    elif source.random() < 0.15:
        stage.join_externally(committer.identity, remove=committer.leaf)
    else:
        referred = [
            stage.propose(actor, SelfRemove()) if source.random() < 0.5 else stage.propose_update(actor)
            for actor in others[: source.randint(0, 2)]
        ]
        removed = [Remove(actor.leaf) for actor in others[2 : 2 + source.randint(0, 1)]]
        people = [identity("newcomer") for _ in range(source.randint(0, 3))]
        stage.commit(
            committer,
            removed,
            referred,
            path=bool(removed or referred or not people or source.random() < 0.5),
            newcomers=[(person, key_package(who=person)) for person in people],
        )


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


def test_only_a_commit_with_its_tag_is_concluded() -> None:
    stage = stage_of(2)
    actor = stage.actors[0]
    content = stage.commit_content(actor)
    prepared = stage.group.prepare_commit([], committer=actor.leaf)
    for unfinished in (content, Remove(LeafIndex(1))):
        signed = stage.signed(Member(actor.leaf), unfinished, actor.identity.signature_key)
        with pytest.raises(UsageError):
            stage.group.conclude_commit(prepared, signed, b"", stage.created.tree)


def test_a_verified_commit_applies_to_its_own_epoch_only() -> None:
    stage = stage_of(2)
    first = stage.commit(stage.actors[0])
    with pytest.raises(UsageError):
        stage.group.apply(first)


# -- 6.1: who sends what, and signs it -----------------------------------------------


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_a_commit_signed_by_another_member_is_refused() -> None:
    stage = stage_of(3)
    content = stage.commit_content(stage.actors[0])
    forged = stage.message(Member(LeafIndex(0)), content, stage.actors[1].identity.signature_key)
    with refused("message-signature"):
        stage.group.verify_commit(forged, [])


def test_a_commit_of_nobody_is_refused() -> None:
    stage = stage_of(3)
    content = stage.commit_content(stage.actors[0])
    forged = stage.message(Member(LeafIndex(3)), content, stage.actors[0].identity.signature_key)
    with refused("no-such-member"):
        stage.group.verify_commit(forged, [])


@pytest.mark.parametrize("sender", [ExternalSenderIndex(0), NewMemberProposal()])
def test_an_outsider_does_not_commit(sender: SenderValue) -> None:
    stage = stage_of(3)
    content = stage.commit_content(stage.actors[0])
    forged = stage.message(sender, content, stage.actors[0].identity.signature_key)
    with refused("commit-sender"):
        stage.group.verify_commit(forged, [])


def test_a_proposal_is_no_commit_and_the_other_way_round() -> None:
    stage = stage_of(3)
    proposal = stage.propose(stage.actors[1], Remove(LeafIndex(2))).message
    commit = stage.forged(stage.actors[0], (), stage.path(stage.actors[0], []))
    with refused("content-type"):
        stage.group.verify_commit(proposal, [])
    with refused("content-type"):
        stage.group.verify_proposal(commit)


def test_what_is_no_public_message_is_refused() -> None:
    stage = stage_of(2)
    info = encode_message(stage.group_info(stage.actors[0]))
    with refused("wire-format"):
        stage.group.verify_commit(info, [])


def test_no_single_byte_of_a_commit_can_be_flipped_unseen() -> None:
    stage = stage_of(3)
    content = stage.commit_content(stage.actors[0])
    message = stage.forged(stage.actors[0], (), content.path)
    # The last 66 bytes are the confirmation and membership tags, which only members can check.
    tags = 2 * 33
    for place in range(0, len(message) - tags, 7):
        with pytest.raises(MLSError):
            stage.group.verify_commit(flipped(message, place), [])


def test_a_member_leaves_in_the_clear_only() -> None:
    stage = stage_of(3)
    key = stage.actors[1].identity.signature_key
    context = stage.group.context
    framed = FramedContent(context.group_id, context.epoch, Member(LeafIndex(1)), b"", SelfRemove())
    sealed = protection.sign(framed, WireFormat.PRIVATE_MESSAGE, context=encode(context), signer=key)
    with refused("self-remove-private"):
        stage.group.verify_proposal_content(sealed, b"")


# -- 12.1.8: proposals from outside ----------------------------------------------------


def with_external_sender(key: SigningKey) -> Stage:
    senders = EXTERNAL_SENDERS.encode((ExternalSender(key.public, BasicCredential(b"a service")),))
    return stage_of(3, extensions=(Extension(ExtensionType.EXTERNAL_SENDERS, senders),))


def test_an_external_sender_proposes() -> None:
    key = SUITE_3.signature.generate()
    stage = with_external_sender(key)
    message = stage.message(ExternalSenderIndex(0), Remove(LeafIndex(2)), key)
    verified = stage.group.verify_proposal(message)
    stage.pending.append(verified)
    facts = stage.commit(stage.actors[0], references=[verified]).facts
    assert (verified.sender, facts.proposals[0].sender_type) == (None, SenderType.EXTERNAL)
    assert [removed.leaf_index for removed in facts.removed] == [2]


@pytest.mark.parametrize("proposal", [SelfRemove(), ExternalInit(bytes([9]) + bytes(31))])
def test_an_external_sender_does_not_propose_everything(proposal: ProposalValue) -> None:
    key = SUITE_3.signature.generate()
    stage = with_external_sender(key)
    with refused("sender-proposal-type"):
        stage.group.verify_proposal(stage.message(ExternalSenderIndex(0), proposal, key))


def test_an_external_sender_is_one_that_the_group_names() -> None:
    key = SUITE_3.signature.generate()
    for stage, index in ((with_external_sender(key), 1), (stage_of(3), 0)):
        message = stage.message(ExternalSenderIndex(index), Remove(LeafIndex(2)), key)
        with refused("external-sender"):
            stage.group.verify_proposal(message)


def test_an_external_sender_signs_with_its_own_key() -> None:
    stage = with_external_sender(SUITE_3.signature.generate())
    message = stage.message(ExternalSenderIndex(0), Remove(LeafIndex(2)), SUITE_3.signature.generate())
    with refused("message-signature"):
        stage.group.verify_proposal(message)


def test_a_new_member_asks_to_be_added() -> None:
    stage, dave = stage_of(3), identity("dave")
    add = Add(key_package(who=dave).key_package)
    verified = stage.group.verify_proposal(stage.message(NewMemberProposal(), add, dave.signature_key))
    assert (verified.sender, verified.sender_type) == (None, SenderType.NEW_MEMBER_PROPOSAL)


def test_a_new_member_asks_for_nothing_else_and_for_nobody_else() -> None:
    stage, dave = stage_of(3), identity("dave")
    with refused("sender-proposal-type"):
        stage.group.verify_proposal(
            stage.message(NewMemberProposal(), Remove(LeafIndex(1)), dave.signature_key)
        )
    others = Add(key_package("somebody else").key_package)
    with refused("message-signature"):
        stage.group.verify_proposal(stage.message(NewMemberProposal(), others, dave.signature_key))


# -- 12.4.3: the GroupInfo that comes with a commit ------------------------------------


def committed_with_info() -> tuple[PublicGroup, VerifiedCommit, Stage]:
    stage = stage_of(3)
    before = stage.group
    verified = stage.commit(stage.actors[1])
    return before, verified, stage


def test_the_group_info_of_a_commit_is_what_it_comes_to() -> None:
    before, verified, stage = committed_with_info()
    info = stage.group_info(stage.actors[1], (Extension(0x0A0A, b"grease"),))
    assert before.check_group_info(encode_message(info), verified) == info


INFO_CHANGES: dict[str, Callable[[GroupInfo], GroupInfo]] = {
    "group-info-context": lambda info: replace(info, group_context=replace(info.group_context, epoch=1)),
    "group-info-tag": lambda info: replace(info, confirmation_tag=b"?" * 32),
    "group-info-signer": lambda info: replace(info, signer=LeafIndex(0)),
    "group-info-signature": lambda info: replace(info, extensions=(Extension(1, b"added later"),)),
}


@pytest.mark.parametrize("rule", INFO_CHANGES)
def test_a_group_info_that_says_otherwise_is_refused(rule: str) -> None:
    before, verified, stage = committed_with_info()
    info = INFO_CHANGES[rule](stage.group_info(stage.actors[1]))
    with refused(rule):
        before.check_group_info(encode_message(info), verified)


def test_a_group_info_has_an_extension_once() -> None:
    before, verified, stage = committed_with_info()
    info = stage.group_info(stage.actors[1], (Extension(0x0A0A, b"a"), Extension(0x0A0A, b"b")))
    with refused("duplicate-extension"):
        before.check_group_info(encode_message(info), verified)
    with refused("duplicate-extension"):
        PublicGroup.from_group_info(info, stage.group.tree)


def test_what_comes_for_a_group_info_is_one() -> None:
    before, verified, _ = committed_with_info()
    with refused("group-info-type"):
        before.check_group_info(verified.message, verified)


def test_a_broken_stored_group_is_refused() -> None:
    data = stage_of(2).group.to_bytes()
    for broken in (data[:-1], data + b"\x00", b"\x09" + data[1:]):
        with pytest.raises(DecodeError):
            PublicGroup.from_bytes(broken)


def test_the_last_epoch_has_no_next() -> None:
    """8.1: a group that somebody begins at the last number is a dead end, not a fault of ours."""
    stage = stage_of(2)
    context = replace(stage.group.context, epoch=LAST_EPOCH)
    stage.group = PublicGroup.of(context, stage.group.tree, stage.group.confirmation_tag)
    before = stage.group.to_bytes()
    with refused("last-epoch"):
        stage.group.verify_commit(
            stage.forged(stage.actors[0], [Remove(LeafIndex(1))], path_of_another()), []
        )
    assert stage.group.to_bytes() == before


def path_of_another() -> UpdatePath:
    stage = stage_of(2)
    path = stage.commit_content(stage.actors[0]).path
    assert path is not None
    return path
