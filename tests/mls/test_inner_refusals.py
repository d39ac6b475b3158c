"""Rules that stand behind other rules: what an insider seals truly but makes wrongly, and second walls."""

from dataclasses import replace

import msgspec
import pytest

from securechat.mls import protection
from securechat.mls.cipher_suite import SUITES
from securechat.mls.codec import encode, encode_before
from securechat.mls.commit import Commit
from securechat.mls.commit_facts import ResolvedProposal
from securechat.mls.errors import SecretError, ValidationError
from securechat.mls.framing import (
    ContentType,
    EncryptedGroupSecrets,
    NewMemberCommit,
    PrivateMessage,
    SenderData,
    SenderType,
    Welcome,
    WireFormat,
    decode_message,
    encode_message,
)
from securechat.mls.group import Group
from securechat.mls.key_package import Identity, KeyPackageBundle
from securechat.mls.origin import Origin, check_origin
from securechat.mls.proposal_rules import check_external_list, check_proposal
from securechat.mls.proposals import Add, ExternalInit, Update
from securechat.mls.psk import ResumptionPsk, ResumptionPSKUsage
from securechat.mls.secret_tree import MessageKey, Ratchet
from securechat.mls.staging import CommitPlan
from securechat.mls.welcome import open_welcome
from tests.mls.forge import Forger
from tests.mls.people import bundle_of, group_of, identity, received, state_of


def sealed_by_insider(alice: Group, plaintext: bytes, sender_data: bytes | None = None) -> bytes:
    """Return a PrivateMessage that opens, whatever it has inside."""
    suite, context = alice.suite, alice.state.context
    key: MessageKey = Forger(alice).secrets().find_next(alice.own_leaf, Ratchet.APPLICATION)
    empty = PrivateMessage(context.group_id, context.epoch, ContentType.APPLICATION, b"", b"", b"")
    aad = encode_before(empty, "encrypted_sender_data")
    ciphertext = suite.aead.seal(key.key, key.nonce, plaintext, aad=aad)
    data = sender_data if sender_data is not None else encode(SenderData(alice.own_leaf, 0, bytes(4)))
    secret = alice.state.secrets.sender_data_secret
    data_key, nonce = protection.sender_data_key(suite, secret, ciphertext)
    head = encode_before(empty, "authenticated_data")
    sealed = suite.aead.seal(data_key, nonce, data, aad=head)
    return encode_message(msgspec.structs.replace(empty, ciphertext=ciphertext, encrypted_sender_data=sealed))


def decrypt_rule(bob: Group, message: bytes) -> str:
    before = state_of(bob)
    with pytest.raises(SecretError) as refused:
        bob.decrypt(message)
    assert state_of(bob) == before
    return refused.value.rule


@pytest.mark.parametrize("plaintext", [b"", b"\x05hi", b"\x02hi", b"\x02hi\x40\x01", b"\xff"], ids=bytes.hex)
def test_a_content_that_does_not_decode_is_refused(plaintext: bytes) -> None:
    alice, bob = group_of("alice", "bob")
    assert decrypt_rule(bob, sealed_by_insider(alice, plaintext)) == "private-content"


@pytest.mark.parametrize("data", [b"", bytes(11), bytes(13)], ids=len)
def test_sender_data_that_does_not_decode_is_refused(data: bytes) -> None:
    alice, bob = group_of("alice", "bob")
    assert decrypt_rule(bob, sealed_by_insider(alice, b"\x02hi\x00", data)) == "sender-data"


def test_a_ciphertext_that_was_changed_is_refused() -> None:
    alice, bob = group_of("alice", "bob")
    message = alice.encrypt(b"hello")
    assert decrypt_rule(bob, message[:-1] + bytes([message[-1] ^ 1])) == "aead"


def test_an_external_commit_in_private_is_refused() -> None:
    alice, bob = group_of("alice", "bob")
    staged = Group.join_externally(alice.group_info(), alice.tree_bytes(), identity("carol"))
    private = msgspec.structs.replace(staged.verified.authenticated, wire_format=WireFormat.PRIVATE_MESSAGE)
    assert isinstance(private.content.sender, NewMemberCommit)
    with pytest.raises(ValidationError) as refused:
        bob.public.verify_commit_content(private, b"", ())
    assert refused.value.rule == "external-commit-private"


def test_an_external_commit_brings_nothing_else() -> None:
    package = bundle_of(identity("carol")).key_package
    entries = [
        ResolvedProposal(proposal, None, SenderType.NEW_MEMBER_COMMIT, by_reference=False)
        for proposal in (ExternalInit(bytes(32)), Add(package))
    ]
    with pytest.raises(ValidationError) as refused:
        check_external_list(entries)
    assert refused.value.rule == "external-proposal-type"


def test_only_a_member_updates_its_leaf() -> None:
    alice, _ = group_of("alice", "bob")
    leaf = alice.public.tree.member(alice.own_leaf)
    with pytest.raises(ValidationError) as refused:
        check_proposal(
            Update(leaf), alice.public.tree, alice.state.context, sender=None, sender_type=SenderType.MEMBER
        )
    assert refused.value.rule == "update-sender"


def test_an_external_init_that_gives_a_zero_secret_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the public check were not there."""
    alice, bob = group_of("alice", "bob")
    carol = identity("carol")
    monkeypatch.setattr("securechat.mls.proposal_rules.check_kem_output", lambda *_: None)
    path = Group.join_externally(alice.group_info(), alice.tree_bytes(), carol).verified.commit.path
    forged = Forger(alice).public(
        Commit((ExternalInit(bytes(32)),), path), sender=NewMemberCommit(), signer=carol.signature_key
    )
    with pytest.raises(SecretError) as refused:
        received(bob, forged)
    assert refused.value.rule == "external-init-output"


# -- Welcomes that open and are wrong --------------------------------------------------


def invited() -> tuple[Group, Welcome, tuple[Identity, KeyPackageBundle]]:
    alice, _ = group_of("alice", "bob")
    carol = identity("carol")
    bundle = bundle_of(carol)
    staged = alice.stage_commit(CommitPlan(add=(bundle.key_package,)))
    alice.merge(staged)
    assert staged.welcome is not None
    welcome = decode_message(staged.welcome)
    assert isinstance(welcome, Welcome)
    return alice, welcome, (carol, bundle)


def test_group_secrets_that_do_not_decode_are_refused() -> None:
    alice, welcome, (carol, bundle) = invited()
    sealed = alice.suite.encrypt_with_label(
        bundle.key_package.init_key, "Welcome", welcome.encrypted_group_info, b"not secrets"
    )
    forged = msgspec.structs.replace(welcome, secrets=(EncryptedGroupSecrets(bundle.reference, sealed),))
    with pytest.raises(SecretError) as refused:
        Group.join(encode_message(forged), bundle, carol, tree=alice.tree_bytes())
    assert refused.value.rule == "welcome-secrets"


def test_a_group_info_that_does_not_decode_is_refused() -> None:
    alice, welcome, (carol, bundle) = invited()
    opened = open_welcome(welcome, bundle, lambda _: None)
    suite, joiner = opened.suite, opened.secrets.joiner_secret
    secret = suite.derive_secret(suite.extract(joiner, opened.psk_secret), "welcome")
    key = suite.expand_with_label(secret, "key", b"", suite.aead.key_length)
    nonce = suite.expand_with_label(secret, "nonce", b"", suite.aead.nonce_length)
    info = suite.aead.seal(key, nonce, b"not a group info", aad=b"")
    sealed = suite.encrypt_with_label(bundle.key_package.init_key, "Welcome", info, encode(opened.secrets))
    forged = Welcome(suite.number, (EncryptedGroupSecrets(bundle.reference, sealed),), info)
    with pytest.raises(SecretError) as refused:
        Group.join(encode_message(forged), bundle, carol, tree=alice.tree_bytes())
    assert refused.value.rule == "welcome-group-info"


def test_a_welcome_into_a_tree_without_us_is_refused() -> None:
    """Somebody forwards a Welcome: its secrets are sealed anew, but our leaf is not in the tree."""
    alice, welcome, (_, bundle) = invited()
    dave = identity("dave")
    other = bundle_of(dave)
    secrets = encode(open_welcome(welcome, bundle, lambda _: None).secrets)
    sealed = alice.suite.encrypt_with_label(
        other.key_package.init_key, "Welcome", welcome.encrypted_group_info, secrets
    )
    forged = msgspec.structs.replace(welcome, secrets=(EncryptedGroupSecrets(other.reference, sealed),))
    with pytest.raises(ValidationError) as refused:
        Group.join(encode_message(forged), other, dave, tree=alice.tree_bytes())
    assert refused.value.rule == "own-leaf-missing"


def test_a_branch_begins_with_epoch_one() -> None:
    alice, bob = group_of("alice", "bob")
    name = ResumptionPsk(ResumptionPSKUsage.BRANCH, b"tea", alice.epoch)
    bundle = bundle_of(bob.identity)
    branch = Group.create(alice.identity, suite=alice.suite, group_id=b"branch")
    staged = branch.stage_commit(CommitPlan(add=(bundle.key_package,), psks=(name,)), psks=alice.psk_source())
    later = msgspec.structs.replace(branch.state.context, epoch=5)
    assert staged.facts.new_context.epoch == 1
    with pytest.raises(ValidationError) as refused:
        check_origin(
            staged.verified.prepared.psks,
            replace(staged.state.public, context=later),
            Origin(bob.public, None),
        )
    assert refused.value.rule == "origin-epoch"


def test_a_branch_keeps_the_suite() -> None:
    alice, bob = group_of("alice", "bob", suite=SUITES[1])
    name = ResumptionPsk(ResumptionPSKUsage.BRANCH, b"tea", alice.epoch)
    bundle = bundle_of(bob.identity)
    branch = Group.create(alice.identity, suite=SUITES[3], group_id=b"branch")
    staged = branch.stage_commit(CommitPlan(add=(bundle.key_package,), psks=(name,)), psks=alice.psk_source())
    branch.merge(staged)
    assert staged.welcome is not None
    with pytest.raises(ValidationError) as refused:
        Group.join(staged.welcome, bundle, bob.identity, tree=branch.tree_bytes(), origin=bob)
    assert refused.value.rule == "branch-parameters"


def test_a_group_continues_one_other_and_in_one_way() -> None:
    """12.4.3.1: a key of usage reinit or branch is the only one of these."""
    alice, bob = group_of("alice", "bob")
    usages = (ResumptionPSKUsage.BRANCH, ResumptionPSKUsage.REINIT)
    keys = tuple(ResumptionPsk(usage, b"tea", alice.epoch) for usage in usages)
    bundle = bundle_of(bob.identity)
    branch = Group.create(alice.identity, suite=alice.suite, group_id=b"branch")
    staged = branch.stage_commit(CommitPlan(add=(bundle.key_package,), psks=keys), psks=alice.psk_source())
    branch.merge(staged)
    assert staged.welcome is not None
    with pytest.raises(ValidationError) as refused:
        Group.join(staged.welcome, bundle, bob.identity, tree=branch.tree_bytes(), origin=bob)
    assert refused.value.rule == "psk-usage"
