"""What a group refuses, by which rule, and that refusing changes nothing (M-02, M-03, M-08, M-11, M-12).

Each test bends one true message in one place. Rules that everybody can check are tested beside
them, without secrets; here is what takes a member to see, and that the whole way refuses too.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from securechat.mls import protection
from securechat.mls.cipher_suite import SUITES
from securechat.mls.codec import encode
from securechat.mls.commit import Commit, UpdatePath
from securechat.mls.errors import (
    DecodeError,
    MLSError,
    RuleError,
    SecretError,
    StaleEpoch,
    UsageError,
    ValidationError,
    WrongGroup,
)
from securechat.mls.examining import ExaminedCommit, ExaminedProposal
from securechat.mls.framing import (
    AuthenticatedContent,
    ExternalSenderIndex,
    Member,
    NewMemberCommit,
    PrivateMessage,
    PublicMessage,
    WireFormat,
    decode_message,
    encode_message,
)
from securechat.mls.group import Group
from securechat.mls.hpke import HPKECiphertext
from securechat.mls.nodes import Capabilities, LeafIndex
from securechat.mls.proposals import Add, ExternalInit, Remove, SelfRemove, Update
from securechat.mls.psk import ExternalPsk
from securechat.mls.secret_tree import LAST_GENERATION, MAX_FORWARD, Ratchet
from securechat.mls.staging import CommitPlan, StagedCommit
from tests.mls.forge import Forger, changed, public_message
from tests.mls.people import (
    accept,
    add,
    bundle_of,
    everybody_follows,
    group_of,
    identity,
    received,
    restarted,
    state_of,
)


def take(group: Group, message: bytes) -> None:
    """Do with a message whatever its kind asks for."""
    if isinstance(decode_message(message), PrivateMessage):
        try:
            group.decrypt(message)
        except ValidationError as error:
            if error.rule != "content-type":
                raise
        else:
            return
    match group.examine(message):
        case ExaminedCommit() as commit:
            group.merge(group.process(commit))
        case ExaminedProposal() as proposal:
            group.accept(proposal)
        case application:
            group.decrypt(application.message)


def refused(group: Group, message: bytes) -> RuleError:
    """Take a message that must be refused by a rule, and see that nothing has changed."""
    before = state_of(group)
    with pytest.raises(RuleError) as raised:
        take(group, message)
    assert state_of(group) == before
    return raised.value


def test_a_commit_whose_key_went_meanwhile_changes_nothing_of_who_we_are() -> None:
    """Of two private messages with one key that were looked at together, the second is not merged."""
    alice, bob = group_of("alice", "bob")
    was = bob.identity
    accept(bob.propose_update(identity("bob again")), [alice, bob])
    commit = received(bob, alice.stage_commit(CommitPlan()).message)
    key = bob._now.secrets.find_next(alice.own_leaf, Ratchet.HANDSHAKE)
    bob._now.secrets.consume(key)
    before = state_of(bob)
    with pytest.raises(SecretError):
        bob.merge(dataclasses.replace(commit, key=key))
    assert (state_of(bob), bob.identity) == (before, was)
    bob.merge(commit)
    assert bob.identity != was


# -- tags (M-03) ---------------------------------------------------------------

BENT_TAGS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "empty": lambda _: b"",
    "one byte short": lambda tag: tag[:-1],
    "one byte long": lambda tag: tag + b"\x00",
    "first bit": lambda tag: bytes([tag[0] ^ 0x80]) + tag[1:],
    "last bit": lambda tag: tag[:-1] + bytes([tag[-1] ^ 1]),
    "zero": lambda tag: bytes(len(tag)),
}


@pytest.mark.parametrize("bend", BENT_TAGS.values(), ids=BENT_TAGS)
def test_a_bent_membership_tag_is_refused(bend: Callable[[bytes], bytes]) -> None:
    alice, bob = group_of("alice", "bob")
    for message in (alice.propose_update(), alice.stage_commit(CommitPlan(update=True)).message):
        tag = public_message(message).membership_tag
        assert tag is not None
        error = refused(bob, changed(message, membership_tag=bend(tag)))
        assert (type(error), error.rule) == (SecretError, "membership-tag")
        take(bob, message)  # the true one still works: nothing was spoilt


@pytest.mark.parametrize("bend", BENT_TAGS.values(), ids=BENT_TAGS)
def test_a_bent_confirmation_tag_is_refused(bend: Callable[[bytes], bytes]) -> None:
    """A commit with a wrong confirmation tag does not advance the epoch."""
    alice, bob = group_of("alice", "bob")
    staged = alice.stage_commit(CommitPlan(update=True))
    commit = public_message(staged.message).authenticated
    assert commit.confirmation_tag is not None
    bent = Forger(alice).tagged(commit, bend(commit.confirmation_tag))
    error = refused(bob, bent)
    assert (type(error), error.rule) == (SecretError, "confirmation-tag")
    take(bob, staged.message)


def test_tags_of_another_group_or_epoch_are_refused() -> None:
    alice, bob = group_of("alice", "bob")
    carol, _ = group_of("carol", "dave")
    message = alice.propose_update()
    forged = public_message(message).authenticated
    assert refused(bob, _retagged(forged, carol)).rule == "membership-tag"
    everybody_follows(alice.stage_commit(CommitPlan()), alice, [bob])
    message = alice.propose_update()
    later = public_message(message).authenticated
    everybody_follows(alice.stage_commit(CommitPlan()), alice, [])
    assert refused(bob, _retagged(later, alice)).rule == "membership-tag"


def _retagged(message: AuthenticatedContent, other: Group) -> bytes:
    public = protection.seal_public(
        other.suite,
        message,
        membership_key=other.state.secrets.membership_key,
        context=other.state.context_bytes,
    )
    return encode_message(public)


@pytest.mark.parametrize("bend", BENT_TAGS.values(), ids=BENT_TAGS)
def test_a_bent_signature_is_refused(bend: Callable[[bytes], bytes]) -> None:
    alice, bob = group_of("alice", "bob")
    message = public_message(alice.propose_update()).authenticated
    bent = msgspec.structs.replace(message, signature=bend(message.signature))
    error = refused(bob, Forger(alice).tagged(bent))
    assert (type(error), error.rule) == (ValidationError, "message-signature")


# -- application messages --------------------------------------------------------


def test_a_member_cannot_speak_as_another() -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    forged = Forger(alice).private(b"it is bob", sender=bob.own_leaf)
    assert refused(carol, forged).rule == "message-signature"
    forged = Forger(alice).private(b"unsigned", signer=identity("nobody").signature_key)
    assert refused(carol, forged).rule == "message-signature"


def test_a_message_opens_once() -> None:
    """M-11: also after a restart."""
    alice, bob = group_of("alice", "bob")
    message = alice.encrypt(b"hello")
    bob.decrypt(message)
    assert refused(bob, message).rule == "generation-used"
    assert refused(restarted(bob), message).rule == "generation-used"


def test_messages_may_come_in_any_order() -> None:
    alice, bob = group_of("alice", "bob")
    messages = [alice.encrypt(bytes([number])) for number in range(6)]
    for number in (4, 0, 5, 2, 1, 3):
        bob = restarted(bob)
        assert bob.decrypt(messages[number]).content == bytes([number])
    assert {refused(bob, message).rule for message in messages} == {"generation-used"}


@pytest.mark.parametrize("ahead", [MAX_FORWARD + 1, 0xFFFF_FFFE, LAST_GENERATION])
def test_a_message_too_far_ahead_costs_nothing(ahead: int) -> None:
    """M-12: refused before anything is derived."""
    alice, bob = group_of("alice", "bob")
    forged = Forger(alice).claiming(alice.encrypt(b"hello"), generation=ahead)
    began = time.process_time()
    assert refused(bob, forged).rule == "generation-too-far"
    assert time.process_time() - began < 1  # deriving four billion keys takes hours


def test_a_message_may_be_a_thousand_ahead() -> None:
    alice, bob = group_of("alice", "bob")
    for _ in range(MAX_FORWARD):
        alice.encrypt(b"lost")
    assert bob.decrypt(alice.encrypt(b"found")).generation == MAX_FORWARD


@pytest.mark.parametrize("leaf", [2, 3, 4, 2**24, 2**32 - 1])
def test_a_message_from_nobodys_leaf_is_refused(leaf: int) -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    everybody_follows(alice.stage_commit(CommitPlan(remove=(carol.own_leaf,))), alice, [bob])
    forged = Forger(alice).claiming(alice.encrypt(b"hello"), leaf_index=LeafIndex(leaf))
    assert refused(bob, forged).rule == "sender-leaf"


def test_padding_that_is_not_zero_is_refused() -> None:
    alice, bob = group_of("alice", "bob")
    assert refused(bob, Forger(alice).private(b"hello", padding=bytes(99) + b"\x01")).rule == "padding"
    assert refused(bob, Forger(alice).private(b"hello", padding=b"\x01" + bytes(9))).rule == "padding"
    assert bob.decrypt(Forger(alice).private(b"hello", padding=bytes(9))).content == b"hello"


def test_every_bit_of_a_private_message_counts() -> None:
    alice, bob = group_of("alice", "bob")
    message = alice.encrypt(b"hello", authenticated_data=b"data")
    before = state_of(bob)
    for place in range(len(message)):
        bent = bytearray(message)
        bent[place] ^= 0x40
        with pytest.raises(MLSError):
            bob.decrypt(bytes(bent))
    assert state_of(bob) == before
    assert bob.decrypt(message).content == b"hello"


def test_an_application_message_in_the_clear_is_refused() -> None:
    alice, bob = group_of("alice", "bob")
    signed = Forger(alice).sign(b"hello")
    tag = alice.suite.mac(
        alice.state.secrets.membership_key, protection._tbm(signed, alice.state.context_bytes)
    )
    clear = encode_message(PublicMessage(signed.content, signed.signature, None, tag))
    assert refused(bob, clear).rule == "application-in-clear"
    with pytest.raises(UsageError):
        protection.seal_public(
            alice.suite, signed, membership_key=bytes(32), context=alice.state.context_bytes
        )


# -- epochs and groups -----------------------------------------------------------


def test_messages_of_other_groups_and_epochs_are_refused() -> None:
    alice, bob = group_of("alice", "bob")
    old = [alice.encrypt(b"old"), alice.propose_update(), alice.stage_commit(CommitPlan()).message]
    everybody_follows(alice.stage_commit(CommitPlan(update=True)), alice, [bob])
    ahead = alice.stage_commit(CommitPlan())
    alice.merge(ahead)
    new = [alice.encrypt(b"new"), alice.propose_update(), alice.stage_commit(CommitPlan()).message]
    carol, _ = group_of("carol", "dave", group_id=b"coffee")
    other = [carol.encrypt(b"other"), carol.propose_update(), carol.stage_commit(CommitPlan()).message]
    before = state_of(bob)
    for messages, error in ((old, StaleEpoch), (new, StaleEpoch), (other, WrongGroup)):
        for message in messages:
            with pytest.raises(error):
                take(bob, message)
            with pytest.raises(error):
                bob.examine(message)
    assert state_of(bob) == before


def test_a_late_message_belongs_to_who_held_the_leaf_then() -> None:
    """M-08: the leaf has a new owner; the old one spoke."""
    alice, bob, carol = group_of("alice", "bob", "carol")
    for group in (alice, bob):
        group.keep_past_epochs(2)
    late = carol.encrypt(b"I was here")
    everybody_follows(alice.stage_commit(CommitPlan(remove=(carol.own_leaf,))), alice, [bob])
    (dave,) = add(alice, [identity("dave")], [bob])
    assert dave.own_leaf == carol.own_leaf
    bob = restarted(bob)
    heard = bob.decrypt(late)
    assert (heard.sender_leaf.signature_key, heard.epoch) == (carol.identity.signature_key.public, 1)
    assert refused(bob, late).rule == "generation-used"
    everybody_follows(alice.stage_commit(CommitPlan()), alice, [bob, dave])
    with pytest.raises(StaleEpoch):
        alice.decrypt(late)


def test_past_epochs_are_not_kept_unless_asked_for() -> None:
    alice, bob = group_of("alice", "bob")
    late = alice.encrypt(b"late")
    everybody_follows(alice.stage_commit(CommitPlan()), alice, [bob])
    with pytest.raises(StaleEpoch):
        bob.decrypt(late)
    bob.keep_past_epochs(1)
    everybody_follows(alice.stage_commit(CommitPlan()), alice, [bob])
    bob.keep_past_epochs(0)
    assert b"late" not in bob.epoch_bytes()
    with pytest.raises(StaleEpoch):
        bob.decrypt(late)


@pytest.mark.parametrize("count", [-1, 256])
def test_so_many_past_epochs_cannot_be_kept(count: int) -> None:
    """It would be found out when the group is stored, too late."""
    (alice,) = group_of("alice")
    before = state_of(alice)
    with pytest.raises(UsageError):
        alice.keep_past_epochs(count)
    assert state_of(alice) == before


# -- commits ----------------------------------------------------------------------


def bent_path(
    alice: Group, change: Callable[[UpdatePath], UpdatePath], plan: CommitPlan | None = None
) -> bytes:
    """Return a commit of alice's with its path bent, signed and tagged anew."""
    staged = alice.stage_commit(plan or CommitPlan(update=True))
    commit = staged.verified.commit
    assert commit.path is not None
    return Forger(alice).public(Commit(commit.proposals, change(commit.path)))


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def _with_ciphertext(path: UpdatePath, change: Callable[[HPKECiphertext], HPKECiphertext]) -> UpdatePath:
    nodes = [
        msgspec.structs.replace(
            node, encrypted_path_secret=tuple(change(sealed) for sealed in node.encrypted_path_secret)
        )
        for node in path.nodes
    ]
    return UpdatePath(path.leaf_node, tuple(nodes))


def test_a_path_secret_that_does_not_open_is_refused() -> None:
    alice, bob, _ = group_of("alice", "bob", "carol")
    bends: list[Callable[[HPKECiphertext], HPKECiphertext]] = [
        lambda sealed: HPKECiphertext(sealed.kem_output, _flip(sealed.ciphertext)),
        lambda sealed: HPKECiphertext(sealed.kem_output, b""),
        lambda sealed: HPKECiphertext(b"", sealed.ciphertext),
        lambda sealed: HPKECiphertext(bytes(32), sealed.ciphertext),  # an all-zero shared secret
        lambda sealed: HPKECiphertext(sealed.kem_output[:-1], sealed.kem_output[-1:] + sealed.ciphertext),
    ]
    for bend in bends:
        message = bent_path(alice, lambda path, bend=bend: _with_ciphertext(path, bend))  # type: ignore[misc]
        error = refused(bob, message)
        assert (type(error), error.rule) == (SecretError, "hpke-open")


def test_a_path_secret_of_another_node_is_refused() -> None:
    """M-15: an insider's path that gives one half of the group another key."""
    alice, bob, *_ = group_of("alice", "bob", "carol", "dave")
    other = alice.stage_commit(CommitPlan(update=True)).verified.commit.path
    assert other is not None

    def swap(path: UpdatePath) -> UpdatePath:
        nodes = [
            msgspec.structs.replace(node, encrypted_path_secret=foreign.encrypted_path_secret)
            for node, foreign in zip(path.nodes, other.nodes, strict=True)
        ]
        return UpdatePath(path.leaf_node, tuple(nodes))

    assert refused(bob, bent_path(alice, swap)).rule == "hpke-open"  # sealed for another context


def test_a_path_that_was_cut_or_grown_is_refused() -> None:
    alice, bob, *_ = group_of("alice", "bob", "carol", "dave")
    shorter = bent_path(alice, lambda path: UpdatePath(path.leaf_node, path.nodes[:-1]))
    assert refused(bob, shorter).rule == "path-length"
    fewer = bent_path(
        alice,
        lambda path: UpdatePath(
            path.leaf_node,
            (msgspec.structs.replace(path.nodes[0], encrypted_path_secret=()), *path.nodes[1:]),
        ),
    )
    assert refused(bob, fewer).rule == "path-ciphertexts"


def test_a_commit_without_the_path_it_needs_is_refused() -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    for proposals in ((), (Remove(carol.own_leaf),)):
        error = refused(bob, Forger(alice).public(Commit(proposals, None)))
        assert (type(error), error.rule) == (ValidationError, "path-required")


def test_a_pre_shared_key_that_is_not_known_is_refused() -> None:
    """A missing key is never derived from its public name."""
    alice, bob = group_of("alice", "bob")
    name = ExternalPsk(b"password123")
    staged = alice.stage_commit(CommitPlan(psks=(name,)), psks=lambda _: b"known to alice")
    before = state_of(bob)
    with pytest.raises(SecretError) as raised:
        received(bob, staged.message)
    assert raised.value.rule == "missing-psk"
    with pytest.raises(SecretError) as raised:
        received(bob, staged.message, lambda _: b"known otherwise to bob")
    assert raised.value.rule == "confirmation-tag"
    assert state_of(bob) == before
    with pytest.raises(SecretError):
        alice.stage_commit(CommitPlan(psks=(name,)))


def test_a_committers_own_commit_is_merged_not_processed() -> None:
    alice, bob = group_of("alice", "bob")
    staged = alice.stage_commit(CommitPlan(update=True))
    assert refused(alice, staged.message).rule == "own-commit"
    everybody_follows(staged, alice, [bob])
    with pytest.raises(StaleEpoch):  # its echo, once more
        take(alice, staged.message)


def test_an_update_whose_key_we_do_not_have_is_refused() -> None:
    """A clone of our state proposed it: we cannot follow, and say so."""
    alice, bob = group_of("alice", "bob")
    clone = restarted(bob)
    accept(clone.propose_update(), [alice, bob])
    staged = alice.stage_commit(CommitPlan())
    assert refused(bob, staged.message).rule == "update-not-ours"


def test_what_was_examined_in_another_epoch_is_not_processed() -> None:
    alice, bob = group_of("alice", "bob")
    commit, proposal = (
        bob.examine(alice.stage_commit(CommitPlan()).message),
        bob.examine(alice.propose_update()),
    )
    everybody_follows(alice.stage_commit(CommitPlan()), alice, [bob])
    before = state_of(bob)
    assert isinstance(commit, ExaminedCommit)
    assert isinstance(proposal, ExaminedProposal)
    with pytest.raises(UsageError):
        bob.process(commit)
    with pytest.raises(UsageError):
        bob.accept(proposal)
    assert state_of(bob) == before


def test_a_proposal_counts_once() -> None:
    alice, bob = group_of("alice", "bob")
    message = alice.propose_update()
    accept(message, [bob, bob])
    assert len(bob.pending) == 1


# -- handshake messages in private ----------------------------------------------


def test_a_private_proposal_is_accepted_once() -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    message = Forger(alice).private(Remove(carol.own_leaf))
    accept(message, [bob])
    assert [each.proposal for each in bob.pending] == [Remove(carol.own_leaf)]
    assert refused(bob, message).rule == "generation-used"


def test_a_private_proposal_of_somebody_else_is_refused() -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    forged = Forger(alice).private(Remove(carol.own_leaf), sender=bob.own_leaf)
    assert refused(carol, forged).rule == "message-signature"
    assert refused(carol, Forger(bob).private(SelfRemove())).rule == "self-remove-private"


def test_a_handshake_is_not_read_as_an_application_message() -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    message = Forger(alice).private(Remove(carol.own_leaf))
    before = state_of(bob)
    with pytest.raises(ValidationError) as raised:
        bob.decrypt(message)
    assert raised.value.rule == "content-type"
    assert state_of(bob) == before


# -- senders -------------------------------------------------------------------------


def test_senders_that_may_not_say_it_are_refused() -> None:
    alice, bob = group_of("alice", "bob")
    forger = Forger(alice)
    stranger = bundle_of(identity("carol"))
    commit = alice.stage_commit(CommitPlan(update=True)).verified.commit
    cases: list[tuple[bytes, str]] = [
        (forger.public(Remove(LeafIndex(1)), sender=ExternalSenderIndex(0)), "external-sender"),
        (forger.public(Add(stranger.key_package), sender=Member(LeafIndex(7))), "no-such-member"),
        (forger.public(commit, sender=ExternalSenderIndex(0)), "commit-sender"),
        (forger.public(commit, sender=NewMemberCommit()), "external-init-count"),
        (forger.public(ExternalInit(bytes([9]) + bytes(31))), "sender-proposal-type"),
        (forger.public(Update(bob.public.tree.member(bob.own_leaf))), "leaf-source"),
    ]
    for message, rule in cases:
        assert refused(bob, message).rule == rule


def test_a_private_message_signed_for_the_clear_is_refused() -> None:
    """The wire format is signed: what was said in the clear cannot be replayed in private."""
    alice, bob, carol = group_of("alice", "bob", "carol")
    clear = Forger(alice).sign(Remove(carol.own_leaf))
    private = protection.seal_private(
        alice.suite,
        msgspec.structs.replace(clear, wire_format=WireFormat.PRIVATE_MESSAGE),
        sender_data_secret=alice.state.secrets.sender_data_secret,
        key=Forger(alice).secrets().find_next(alice.own_leaf, Ratchet.HANDSHAKE),
    )
    assert refused(bob, encode_message(private)).rule == "message-signature"


def test_what_is_no_group_message_is_refused() -> None:
    alice, bob = group_of("alice", "bob")
    for message in (alice.group_info(), encode_message(bundle_of(identity("carol")).key_package)):
        assert refused(bob, message).rule == "wire-format"
    before = state_of(bob)
    message = alice.propose_update()
    with pytest.raises(ValidationError) as raised:
        bob.decrypt(message)
    assert raised.value.rule == "wire-format"
    for broken in (b"", message[:-1], message + b"\x00", b"\x00\x02" + message[2:]):
        with pytest.raises(DecodeError):
            bob.examine(broken)
    assert state_of(bob) == before


def test_a_plan_that_breaks_a_rule_is_refused_before_it_is_sent() -> None:
    alice, bob = group_of("alice", "bob")
    carol = bundle_of(identity("carol")).key_package
    forged = msgspec.structs.replace(carol, signature=_flip(carol.signature))
    plans = {
        "several-for-leaf": CommitPlan(remove=(bob.own_leaf, bob.own_leaf)),
        "removes-committer": CommitPlan(remove=(alice.own_leaf,)),
        "remove-blank": CommitPlan(remove=(LeafIndex(9),)),
        "duplicate-add": CommitPlan(add=(carol, carol)),
        "key-package-signature": CommitPlan(add=(forged,)),
    }
    before = state_of(alice)
    for rule, plan in plans.items():
        with pytest.raises(ValidationError) as raised:
            alice.stage_commit(plan)
        assert raised.value.rule == rule
    assert state_of(alice) == before


def test_a_new_leaf_that_others_would_refuse_is_not_sent() -> None:
    alice, _ = group_of("alice", "bob")
    other_suite = identity("alice", SUITES[2])
    with pytest.raises(UsageError):
        alice.stage_commit(CommitPlan(new_leaf=other_suite))
    with pytest.raises(UsageError):
        Group.join_externally(alice.group_info(), alice.tree_bytes(), other_suite)
    unlisted = identity("alice", capabilities=Capabilities())
    with pytest.raises(ValidationError) as raised:
        alice.stage_commit(CommitPlan(new_leaf=unlisted))
    assert raised.value.rule == "leaf-credential-unlisted"
    with pytest.raises(RuleError):
        alice.propose_update(unlisted)


def test_staging_changes_nothing() -> None:
    alice, bob = group_of("alice", "bob")
    before = state_of(alice)
    staged = alice.stage_commit(CommitPlan(update=True))
    StagedCommit.from_bytes(staged.to_bytes(), alice.public)
    bob_before = state_of(bob)
    received(bob, staged.message)
    assert (state_of(alice), state_of(bob)) == (before, bob_before)
    assert encode(alice.state.context) == alice.state.context_bytes


@pytest.mark.parametrize("output", [b"", bytes(31), bytes(32), bytes([1]) + bytes(31)], ids=bytes.hex)
def test_an_external_init_that_is_no_key_is_refused(output: bytes) -> None:
    alice, bob = group_of("alice", "bob")
    commit = Group.join_externally(alice.group_info(), alice.tree_bytes(), identity("carol")).verified.commit
    forged = Forger(alice).public(Commit((ExternalInit(output),), commit.path), sender=NewMemberCommit())
    assert refused(bob, forged).rule == "message-signature"
    carol = identity("carol").signature_key
    path = commit.path
    assert path is not None
    leaf = msgspec.structs.replace(path.leaf_node, signature_key=carol.public)
    forged = Forger(alice).public(
        Commit((ExternalInit(output),), UpdatePath(leaf, path.nodes)), sender=NewMemberCommit(), signer=carol
    )
    assert refused(bob, forged).rule in {"hpke-public-key", "encryption-key-order"}


def test_the_key_of_a_private_commit_is_not_kept_with_its_epoch() -> None:
    """9.2: an epoch that is kept for late messages does not keep what its commit was opened with."""
    alice, bob = group_of("alice", "bob")
    bob.keep_past_epochs(1)
    key = Forger(bob).secrets().find_next(alice.own_leaf, Ratchet.HANDSHAKE)
    following = received(bob, alice.stage_commit(CommitPlan(update=True)).message)
    bob.merge(dataclasses.replace(following, key=key))
    (past,) = bob._now.past
    with pytest.raises(SecretError) as raised:
        past.secrets.find(alice.own_leaf, Ratchet.HANDSHAKE, 0)
    assert raised.value.rule == "generation-used"


def test_private_proposals_are_accepted_in_any_order() -> None:
    alice, bob = group_of("alice", "bob")
    forger = Forger(alice)
    key = forger.secrets().find_next(alice.own_leaf, Ratchet.HANDSHAKE)
    tree = forger.secrets()
    tree.consume(key)
    first = bob.examine(forger.private(Remove(bob.own_leaf), key=key))
    second = bob.examine(
        forger.private(Remove(alice.own_leaf), key=tree.find_next(alice.own_leaf, Ratchet.HANDSHAKE))
    )
    for examined in (second, first):
        assert isinstance(examined, ExaminedProposal)
        bob.accept(examined)
    assert len(bob.pending) == 2
    assert isinstance(first, ExaminedProposal)
    with pytest.raises(SecretError):
        bob.accept(first)


@pytest.mark.parametrize(
    "bad", [{"extensions": (0x0003,)}, {"proposals": (0x0001,)}], ids=["an extension", "a proposal"]
)
def test_we_do_not_list_what_everybody_supports(bad: dict[str, tuple[int, ...]]) -> None:
    """7.2: default types are never listed, whichever way our leaf goes out."""
    alice, bob = group_of("alice", "bob")
    before = state_of(bob)
    capabilities = msgspec.structs.replace(bob.identity.capabilities, **bad)
    who = dataclasses.replace(bob.identity, capabilities=capabilities)
    for make in (
        lambda: bundle_of(who),
        lambda: Group.create(who, suite=alice.suite, group_id=b"x"),
        lambda: bob.propose_update(who),
        lambda: bob.stage_commit(CommitPlan(new_leaf=who)),
        lambda: Group.join_externally(alice.group_info(), alice.tree_bytes(), who),
    ):
        with pytest.raises(UsageError):
            make()
    assert state_of(bob) == before


def test_a_private_commit_carries_its_tag_within() -> None:
    """6.3.1: signature and confirmation tag come after the content, and nothing but zeros after them."""
    alice, bob = group_of("alice", "bob")
    before = state_of(bob)
    commit = alice.stage_commit(CommitPlan(update=True)).verified.commit
    examined = bob.examine(Forger(alice).private(commit))
    assert isinstance(examined, ExaminedCommit)
    assert examined.key is not None
    with pytest.raises(SecretError) as raised:
        bob.process(examined)
    assert raised.value.rule == "confirmation-tag"
    assert state_of(bob) == before
