"""Becoming a member: what a Welcome, a GroupInfo and a tree must be (M-06)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import msgspec
import pytest

from securechat.mls.cipher_suite import SUITES
from securechat.mls.credential import BasicCredential
from securechat.mls.errors import DecodeError, RuleError, SecretError, UsageError, ValidationError
from securechat.mls.extensions import Extension, ExtensionType, ExternalPub, extension_of
from securechat.mls.framing import GroupInfo, Welcome, decode_message, encode_message
from securechat.mls.group import Group
from securechat.mls.key_package import Identity, KeyPackageBundle, is_last_resort, make_key_package
from securechat.mls.nodes import Capabilities, LeafIndex
from securechat.mls.proposals import ReInit
from securechat.mls.psk import (
    MAX_PSKS,
    ExternalPsk,
    PreSharedKeyID,
    ResumptionPsk,
    ResumptionPSKUsage,
    check_told,
    fresh_psk,
)
from securechat.mls.staging import CommitPlan
from securechat.mls.welcome import NewMember, OpenedWelcome, open_welcome, seal_welcome, sign_group_info
from tests.mls.people import (
    CAPABILITIES,
    LIFETIME,
    accept,
    bundle_of,
    everybody_follows,
    group_of,
    hear_each_other,
    identity,
    received,
    state_of,
)


class Invited:
    """Somebody with a Welcome to a group of two that it has not opened yet."""

    def __init__(self, plan: CommitPlan | None = None) -> None:
        self.alice, self.bob = group_of("alice", "bob")
        self.carol = identity("carol")
        self.bundle = bundle_of(self.carol)
        plan = replace(plan or CommitPlan(force_path=True), add=(self.bundle.key_package,))
        self.staged = self.alice.stage_commit(plan, psks=lambda _: b"a secret")
        self.alice.merge(self.staged)
        assert self.staged.welcome is not None
        self.welcome = self.staged.welcome
        self.tree = self.alice.tree_bytes()

    def opened(self) -> OpenedWelcome:
        message = decode_message(self.welcome)
        assert isinstance(message, Welcome)
        return open_welcome(message, self.bundle, lambda _: b"a secret")

    def resealed(self, change: Callable[[GroupInfo], GroupInfo], *, signer: Identity | None = None) -> bytes:
        """Return the Welcome with another GroupInfo, signed by alice or somebody else."""
        opened = self.opened()
        info = sign_group_info(change(opened.group_info), (signer or self.alice.identity).signature_key)
        return self.sealed(info, opened)

    def sealed(self, info: GroupInfo, opened: OpenedWelcome) -> bytes:
        suite, secrets = opened.suite, opened.secrets
        path_secret = None if secrets.path_secret is None else secrets.path_secret.path_secret
        member_secret = suite.extract(secrets.joiner_secret, opened.psk_secret)
        welcome = seal_welcome(
            suite,
            info,
            [NewMember(self.bundle.key_package, path_secret)],
            joiner_secret=secrets.joiner_secret,
            welcome_secret=suite.derive_secret(member_secret, "welcome"),
            psks=secrets.psks,
        )
        return encode_message(welcome)

    def join(self, welcome: bytes | None = None, *, tree: bytes | None = b"") -> Group:
        tree = self.tree if tree == b"" else tree
        return Group.join(welcome or self.welcome, self.bundle, self.carol, tree=tree).group

    def refused(self, welcome: bytes) -> str:
        with pytest.raises(RuleError) as raised:
            self.join(welcome)
        return raised.value.rule


def test_a_welcome_leads_into_the_group() -> None:
    invited = Invited()
    carol = invited.join()
    assert carol.epoch_authenticator == invited.alice.epoch_authenticator
    hear_each_other([invited.alice, carol])


def test_the_tree_may_come_in_the_group_info() -> None:
    invited = Invited()

    def with_tree(info: GroupInfo) -> GroupInfo:
        extension = Extension(ExtensionType.RATCHET_TREE, invited.tree)
        return msgspec.structs.replace(info, extensions=(extension,))

    hear_each_other([invited.alice, invited.join(invited.resealed(with_tree), tree=None)])


def test_what_the_application_puts_into_the_welcome_is_not_published() -> None:
    alice, _ = group_of("alice", "bob")
    carol_is = identity("carol")
    bundle = bundle_of(carol_is)
    profile = Extension(0xF0F0, b"the room's name")
    staged = alice.stage_commit(CommitPlan(add=(bundle.key_package,), welcome_extensions=(profile,)))
    alice.merge(staged)
    assert staged.welcome is not None
    joined = Group.join(staged.welcome, bundle, carol_is, tree=alice.tree_bytes())
    assert joined.group_info.extensions == (profile,)
    assert b"the room's name" not in staged.group_info + staged.welcome + staged.message


def test_a_welcome_without_a_tree_is_refused() -> None:
    with pytest.raises(ValidationError) as raised:
        Invited().join(tree=None)
    assert raised.value.rule == "tree-missing"


def test_a_welcome_with_another_tree_is_refused() -> None:
    other, _, _ = group_of("alice", "bob", "carol")
    with pytest.raises(ValidationError) as raised:
        Invited().join(tree=other.tree_bytes())
    assert raised.value.rule in {"group-info-signature", "tree-hash"}


def test_a_welcome_for_somebody_else_is_refused() -> None:
    invited = Invited()
    dave = identity("dave")
    with pytest.raises(ValidationError) as raised:
        Group.join(invited.welcome, bundle_of(dave), dave, tree=invited.tree)
    assert raised.value.rule == "welcome-recipient"


def test_a_welcome_for_another_key_package_of_ours_is_refused() -> None:
    invited = Invited()
    with pytest.raises(ValidationError) as raised:
        Group.join(invited.welcome, bundle_of(invited.carol), invited.carol, tree=invited.tree)
    assert raised.value.rule == "welcome-recipient"


def test_a_welcome_into_a_group_we_are_in_is_refused() -> None:
    """A replayed Welcome never replaces a group."""
    invited = Invited()
    with pytest.raises(ValidationError) as raised:
        Group.join(
            invited.welcome, invited.bundle, invited.carol, tree=invited.tree, known_group_ids={b"tea"}
        )
    assert raised.value.rule == "group-known"


def _context(**fields: object) -> Callable[[GroupInfo], GroupInfo]:
    def change(info: GroupInfo) -> GroupInfo:
        return msgspec.structs.replace(
            info, group_context=msgspec.structs.replace(info.group_context, **fields)
        )

    return change


BENT_GROUP_INFOS: Final[dict[str, Callable[[GroupInfo], GroupInfo]]] = {
    "confirmation-tag empty": lambda info: msgspec.structs.replace(info, confirmation_tag=b""),
    "confirmation-tag short": lambda info: msgspec.structs.replace(
        info, confirmation_tag=info.confirmation_tag[:-1]
    ),
    "confirmation-tag epoch": _context(epoch=9),
    "confirmation-tag transcript": _context(confirmed_transcript_hash=bytes(32)),
    "confirmation-tag extensions": _context(extensions=(Extension(0xF001, b""),)),
    "context-extension-unsupported": _context(extensions=(Extension(0xF00F, b""),)),
    "tree-hash": _context(tree_hash=bytes(32)),
    "group-version": _context(version=2),
    "welcome-suite": _context(cipher_suite=1),
    "no-such-member": lambda info: msgspec.structs.replace(info, signer=LeafIndex(3)),
    "group-info-signature": lambda info: msgspec.structs.replace(info, signer=LeafIndex(1)),
    "leaf-signature": _context(group_id=b"coffee"),
}


@pytest.mark.parametrize("name", BENT_GROUP_INFOS)
def test_a_bent_group_info_is_refused(name: str) -> None:
    invited = Invited()
    assert invited.refused(invited.resealed(BENT_GROUP_INFOS[name])) == name.split(maxsplit=1)[0]


def test_a_group_info_signed_by_an_outsider_is_refused() -> None:
    invited = Invited()
    forged = invited.resealed(lambda info: info, signer=identity("mallory"))
    assert invited.refused(forged) == "group-info-signature"


def test_a_welcome_whose_path_secret_is_another_is_refused() -> None:
    invited = Invited()
    opened = invited.opened()
    assert opened.secrets.path_secret is not None
    other = msgspec.structs.replace(opened.secrets.path_secret, path_secret=bytes(32))
    secrets = msgspec.structs.replace(opened.secrets, path_secret=other)
    forged = invited.sealed(
        opened.group_info, OpenedWelcome(opened.suite, opened.group_info, secrets, opened.psk_secret)
    )
    assert invited.refused(forged) == "path-secret-key"


def test_a_welcome_that_says_we_sent_it_is_refused() -> None:
    """The keys above us would be ours alone to know (12.4.3.1)."""
    invited = Invited()
    ours = max(index for index, _ in invited.alice.public.tree.leaves())
    forged = invited.resealed(lambda info: msgspec.structs.replace(info, signer=ours), signer=invited.carol)
    assert invited.refused(forged) == "path-secret-key"


def test_every_byte_of_a_welcome_counts() -> None:
    invited = Invited()
    for place in range(0, len(invited.welcome), 3):
        bent = bytearray(invited.welcome)
        bent[place] ^= 0x20
        with pytest.raises((RuleError, DecodeError)):
            invited.join(bytes(bent))
    with pytest.raises(DecodeError):
        invited.join(invited.welcome + b"\x00")
    invited.join()


def test_a_welcome_needs_the_pre_shared_keys_it_names() -> None:
    invited = Invited(CommitPlan(psks=(ExternalPsk(b"name"),)))
    assert invited.refused(invited.welcome) == "missing-psk"
    joined = Group.join(
        invited.welcome, invited.bundle, invited.carol, tree=invited.tree, psks=lambda _: b"a secret"
    )
    hear_each_other([invited.alice, joined.group])


def test_a_bundle_with_the_wrong_private_key_is_our_own_fault() -> None:
    invited = Invited()
    invited.bundle = KeyPackageBundle(
        invited.bundle.key_package, invited.bundle.init_key, invited.bundle.init_key
    )
    with pytest.raises(UsageError):
        invited.join()
    with pytest.raises(UsageError):
        Group.join(invited.welcome, bundle_of(identity("dave")), invited.carol, tree=invited.tree)


def test_a_key_package_of_another_suite_opens_no_welcome() -> None:
    invited = Invited()
    invited.bundle = bundle_of(invited.carol, SUITES[1])
    assert invited.refused(invited.welcome) == "welcome-suite"


def test_a_message_that_is_no_welcome_is_refused() -> None:
    invited = Invited()
    assert invited.refused(invited.staged.group_info) == "wire-format"


# -- continuing another group ------------------------------------------------------


def _continued(
    usage: ResumptionPSKUsage, reinit: ReInit | None
) -> tuple[Group, bytes, Group, KeyPackageBundle]:
    alice, bob = group_of("alice", "bob")
    if reinit is not None:
        staged = alice.stage_commit(CommitPlan(reinit=reinit))
        everybody_follows(staged, alice, [bob])
    bundle = bundle_of(bob.identity)
    group = Group.create(alice.identity, suite=alice.suite, group_id=b"new")
    name = ResumptionPsk(usage, b"tea", alice.epoch)
    staged = group.stage_commit(CommitPlan(add=(bundle.key_package,), psks=(name,)), psks=alice.psk_source())
    group.merge(staged)
    assert staged.welcome is not None
    return group, staged.welcome, bob, bundle


def test_a_group_that_continues_another_needs_that_other() -> None:
    group, welcome, bob, bundle = _continued(ResumptionPSKUsage.BRANCH, None)
    with pytest.raises(ValidationError) as raised:
        Group.join(welcome, bundle, bob.identity, tree=group.tree_bytes(), psks=bob.psk_source())
    assert raised.value.rule == "origin-unknown"
    with pytest.raises(SecretError):
        Group.join(welcome, bundle, bob.identity, tree=group.tree_bytes())


def test_a_reinitialised_group_is_what_the_reinit_said() -> None:
    for asked in (ReInit(b"other", 1, 3), ReInit(b"new", 1, 1), ReInit(b"new", 1, 3, (Extension(5, b"\0"),))):
        group, welcome, bob, bundle = _continued(ResumptionPSKUsage.REINIT, asked)
        with pytest.raises(ValidationError) as raised:
            Group.join(welcome, bundle, bob.identity, tree=group.tree_bytes(), origin=bob)
        assert raised.value.rule == "reinit-parameters"


def test_a_group_is_not_reinitialised_without_a_reinit() -> None:
    group, welcome, bob, bundle = _continued(ResumptionPSKUsage.REINIT, None)
    with pytest.raises(ValidationError) as raised:
        Group.join(welcome, bundle, bob.identity, tree=group.tree_bytes(), origin=bob)
    assert raised.value.rule == "reinit-parameters"


# -- external commits ------------------------------------------------------------------


def test_a_group_info_without_external_pub_cannot_be_joined() -> None:
    alice, _ = group_of("alice", "bob")
    info = decode_message(alice.group_info())
    assert isinstance(info, GroupInfo)
    closed = sign_group_info(msgspec.structs.replace(info, extensions=()), alice.identity.signature_key)
    assert _external_refused(alice, encode_message(closed)) == "external-pub"


def _external_refused(alice: Group, group_info: bytes) -> str:
    with pytest.raises(RuleError) as raised:
        Group.join_externally(group_info, alice.tree_bytes(), identity("carol"))
    return raised.value.rule


def test_a_group_info_of_an_outsider_cannot_be_joined() -> None:
    alice, _ = group_of("alice", "bob")
    info = decode_message(alice.group_info())
    assert isinstance(info, GroupInfo)
    forged = sign_group_info(info, identity("mallory").signature_key)
    assert _external_refused(alice, encode_message(forged)) == "group-info-signature"
    key_package = encode_message(bundle_of(identity("carol")).key_package)
    assert _external_refused(alice, key_package) == "wire-format"


def test_an_external_commit_to_another_external_key_is_refused_by_the_group() -> None:
    """A member that publishes a false key makes joiners fail, not members follow."""
    alice, bob = group_of("alice", "bob")
    info = decode_message(alice.group_info())
    assert isinstance(info, GroupInfo)
    false_key = extension_of(ExtensionType.EXTERNAL_PUB, ExternalPub(alice.suite.kem.generate().public))
    lie = sign_group_info(
        msgspec.structs.replace(info, extensions=(false_key,)), alice.identity.signature_key
    )
    staged = Group.join_externally(encode_message(lie), alice.tree_bytes(), identity("carol"))
    before = state_of(bob)
    with pytest.raises(SecretError) as raised:
        received(bob, staged.message)
    assert raised.value.rule == "confirmation-tag"
    assert state_of(bob) == before


def test_a_joiner_refers_to_self_removes_only() -> None:
    alice, bob = group_of("alice", "bob")
    removal = alice.propose_remove(bob.own_leaf)
    accept(removal, [alice])
    with pytest.raises(UsageError):
        Group.join_externally(
            alice.group_info(), alice.tree_bytes(), identity("carol"), self_removes=[removal]
        )


# -- key packages -----------------------------------------------------------------------


def test_a_last_resort_key_package_says_so() -> None:
    who = identity("carol")
    (alice,) = group_of("alice")
    bundle = make_key_package(who, alice.suite, lifetime=LIFETIME, last_resort=True)
    assert is_last_resort(bundle.key_package)
    assert not is_last_resort(bundle_of(who).key_package)
    staged = alice.stage_commit(CommitPlan(add=(bundle.key_package,)))
    alice.merge(staged)
    assert staged.welcome is not None
    hear_each_other([alice, Group.join(staged.welcome, bundle, who, tree=alice.tree_bytes()).group])


def test_a_key_package_is_made_for_its_suites_keys() -> None:
    who = Identity(BasicCredential(b"carol"), SUITES[2].signature.generate(), CAPABILITIES)
    with pytest.raises(UsageError):
        make_key_package(who, SUITES[3], lifetime=LIFETIME)
    plain = identity("carol", capabilities=Capabilities(credentials=(1,)))
    with pytest.raises(UsageError):
        make_key_package(plain, SUITES[3], lifetime=LIFETIME, last_resort=True)


def test_no_two_key_packages_have_a_key_in_common() -> None:
    """10: an init key is for one use, and its key package's leaf has another."""
    who = identity("carol")
    packages = [bundle_of(who).key_package for _ in range(2)]
    keys = {key for each in packages for key in (each.init_key, each.leaf_node.encryption_key)}
    assert len(keys) == 4


def test_each_use_of_a_pre_shared_key_has_a_nonce_of_its_own() -> None:
    """8.4: as long as a hash, so that one key used twice gives two secrets."""
    for suite in SUITES.values():
        uses = {fresh_psk(suite, ExternalPsk(b"a secret")).psk_nonce for _ in range(2)}
        assert [len(nonce) for nonce in uses] == [suite.hash_length, suite.hash_length]


@pytest.mark.parametrize(
    "nonces",
    [(bytes(31),), (bytes(33),), (b"",), (bytes(32), bytes(32))],
    ids=["short", "long", "empty", "one key twice"],
)
def test_the_keys_that_a_welcome_names_could_stand_in_a_commit(nonces: tuple[bytes, ...]) -> None:
    invited = Invited()
    opened = invited.opened()
    ids = tuple(PreSharedKeyID(ExternalPsk(b"a secret"), nonce) for nonce in nonces)
    bad = replace(opened, secrets=msgspec.structs.replace(opened.secrets, psks=ids))
    welcome = invited.sealed(opened.group_info, bad)
    with pytest.raises(SecretError) as raised:
        Group.join(welcome, invited.bundle, invited.carol, tree=invited.tree, psks=lambda _: b"a secret")
    assert raised.value.rule == "welcome-psks"


def test_keys_of_a_welcome_are_counted_before_they_are_asked_for() -> None:
    ids = [
        PreSharedKeyID(ExternalPsk(b"a secret"), number.to_bytes(32, "big")) for number in range(MAX_PSKS + 1)
    ]
    check_told(SUITES[3], ids[:-1])
    with pytest.raises(SecretError) as raised:
        check_told(SUITES[3], ids)
    assert raised.value.rule == "welcome-psks"
