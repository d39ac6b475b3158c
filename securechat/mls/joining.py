"""Becoming a member: creating a group, a Welcome, an external commit (RFC 9420 sections 11, 12.4.3)."""

from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from securechat.mls import key_schedule, transcript
from securechat.mls.cipher_suite import CipherSuite, cipher_suite
from securechat.mls.codec import encode
from securechat.mls.commit_facts import ResolvedProposal, VerifiedProposal
from securechat.mls.epoch import EpochState
from securechat.mls.errors import SecretError, UsageError, ValidationError
from securechat.mls.extensions import (
    Extensions,
    ExtensionType,
    ExternalPub,
    find_extension,
    find_structure,
)
from securechat.mls.framing import GroupInfo, NewMemberCommit, SenderType, Welcome, decode_message
from securechat.mls.group_context import first_context
from securechat.mls.kem import KeyPair
from securechat.mls.key_package import Identity, KeyPackageBundle, check_identity
from securechat.mls.nodes import FromCommit, LeafIndex, LeafNode, sign_leaf_node
from securechat.mls.origin import Origin, check_origin
from securechat.mls.processing import EXTERNAL_INIT_LABEL, check_confirmation_tag
from securechat.mls.proposals import ExternalInit, PreSharedKeyProposal, Remove, SelfRemove
from securechat.mls.psk import PskSource, fresh_psk
from securechat.mls.public_group import PublicGroup
from securechat.mls.randomness import random_bytes
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.staging import CommitPlan, Committer, StagedCommit, by_value, conclude, make_path
from securechat.mls.update_path import TreePrivate, private_from_welcome
from securechat.mls.validation import check_census, check_leaf
from securechat.mls.welcome import OpenedWelcome, open_welcome


@dataclass(frozen=True, slots=True)
class FirstEpoch:
    """The epoch with which somebody becomes a member."""

    state: EpochState
    encryption_secret: bytes = field(repr=False)
    group_info: GroupInfo | None = None


def create_group(
    identity: Identity, *, suite: CipherSuite, group_id: bytes, extensions: Extensions
) -> FirstEpoch:
    """Return epoch 0 of a new group with one member (section 11)."""
    check_identity(identity, suite)
    key_pair = suite.kem.generate()
    unsigned = LeafNode(
        encryption_key=key_pair.public,
        signature_key=identity.signature_key.public,
        credential=identity.credential,
        capabilities=identity.capabilities,
        # What an empty commit of the only member would give: bound to the group, without a lifetime.
        origin=FromCommit(b""),
        extensions=identity.leaf_extensions,
    )
    own = LeafIndex(0)
    leaf = sign_leaf_node(unsigned, identity.signature_key, group_id=group_id, leaf_index=own)
    check_leaf(leaf, suite)
    tree = RatchetTree.of(suite, leaf)
    check_census(tree.census, extensions)
    context = first_context(
        cipher_suite=suite.number, group_id=group_id, tree_hash=tree.tree_hash(), extensions=extensions
    )
    epoch = key_schedule.first_epoch(suite, random_bytes(suite.hash_length))
    tag = transcript.confirmation_tag(suite, epoch.secrets.confirmation_key, confirmed=b"")
    public = PublicGroup.of(context, tree, tag)
    state = EpochState(public, epoch.secrets, TreePrivate.of(own, key_pair))
    return FirstEpoch(state, epoch.encryption_secret)


def join_by_welcome(
    welcome: bytes,
    bundle: KeyPackageBundle,
    *,
    tree: bytes | None,
    psks: PskSource,
    known_group_ids: Container[bytes],
    origin: Origin | None,
) -> FirstEpoch:
    """Return the epoch that a Welcome leads into (section 12.4.3.1); nothing is kept if it fails."""
    message = decode_message(welcome)
    if not isinstance(message, Welcome):
        raise ValidationError("wire-format", "12.4.3.1", "this is no Welcome")
    opened = open_welcome(message, bundle, psks)
    group_info = opened.group_info
    context = group_info.group_context
    if context.group_id in known_group_ids:
        raise ValidationError("group-known", "12.4.3.1", "we are in a group of this id already")
    if context.cipher_suite != message.cipher_suite:
        raise ValidationError("welcome-suite", "12.4.3.1", "the group is of another suite")
    public = PublicGroup.from_group_info(group_info, _tree_of(group_info, tree, opened.suite))
    check_origin(opened.secrets.psks, public, origin)
    private = _private_keys(opened, public, bundle)
    epoch = key_schedule.epoch_for_joiner(
        opened.suite,
        encode(context),
        joiner_secret=opened.secrets.joiner_secret,
        psk_secret=opened.psk_secret,
    )
    check_confirmation_tag(
        opened.suite,
        epoch.secrets,
        confirmed=context.confirmed_transcript_hash,
        tag=group_info.confirmation_tag,
    )
    state = EpochState(public, epoch.secrets, private)
    return FirstEpoch(state, epoch.encryption_secret, group_info)


def join_externally(
    group_info: bytes,
    tree: bytes | None,
    identity: Identity,
    *,
    remove: LeafIndex | None,
    self_removes: Sequence[bytes],
    plan: CommitPlan,
    psks: PskSource,
) -> StagedCommit:
    """Return an external commit (section 12.4.3.2); ``remove`` is our own old leaf, for a resync.

    Of ``plan`` counts what a joiner may do: its ``psks`` and ``authenticated_data``.
    """
    message = decode_message(group_info)
    if not isinstance(message, GroupInfo):
        raise ValidationError("wire-format", "12.4.3.2", "this is no GroupInfo")
    external_pub = find_structure(message.extensions, ExtensionType.EXTERNAL_PUB, ExternalPub)
    if external_pub is None:
        raise ValidationError("external-pub", "12.4.3.2", "the group cannot be joined externally")
    suite = cipher_suite(message.group_context.cipher_suite)
    public = PublicGroup.from_group_info(message, _tree_of(message, tree, suite))
    output, init_secret = suite.hpke.export_to(
        external_pub.external_pub, EXTERNAL_INIT_LABEL, suite.hash_length
    )
    references = _verified_self_removes(public, self_removes)
    proposals = [reference.resolved for reference in references]
    proposals.append(_new_member(ExternalInit(output)))
    if remove is not None:
        proposals.append(_new_member(Remove(remove)))
    proposals += [_new_member(PreSharedKeyProposal(fresh_psk(suite, name))) for name in plan.psks]
    prepared = public.prepare_commit(proposals, committer=None)
    committer = Committer(
        before=public,
        context_bytes=encode(public.context),
        sender=NewMemberCommit(),
        message_key=identity.signature_key,
        identity=identity,
        membership_key=None,
        init_secret=init_secret,
    )
    return conclude(
        committer,
        prepared,
        make_path(prepared, identity),
        plan,
        references=references,
        old_private=None,
        psks=psks,
    )


def _new_member(proposal: ExternalInit | Remove | PreSharedKeyProposal) -> ResolvedProposal:
    return by_value(proposal, SenderType.NEW_MEMBER_COMMIT, None)


def _verified_self_removes(public: PublicGroup, messages: Sequence[bytes]) -> tuple[VerifiedProposal, ...]:
    """Check the SelfRemoves that a joiner must take up (draft-ietf-mls-extensions), tags apart."""
    verified = tuple(public.verify_proposal(message) for message in messages)
    if not all(isinstance(each.proposal, SelfRemove) for each in verified):
        raise UsageError("a joiner refers to SelfRemoves only")
    return verified


def _tree_of(group_info: GroupInfo, tree: bytes | None, suite: CipherSuite) -> RatchetTree:
    """Return the tree given, or the one that the GroupInfo brings (section 12.4.3.3)."""
    data = tree if tree is not None else find_extension(group_info.extensions, ExtensionType.RATCHET_TREE)
    if data is None:
        raise ValidationError("tree-missing", "12.4.3.3", "there is no ratchet tree")
    return RatchetTree.from_bytes(suite, data)


def _private_keys(opened: OpenedWelcome, public: PublicGroup, bundle: KeyPackageBundle) -> TreePrivate:
    """Find our leaf and take the keys above it from the path secret (section 12.4.3.1)."""
    leaf = bundle.key_package.leaf_node
    own = next((index for index, other in public.tree.leaves() if other == leaf), None)
    if own is None:
        raise ValidationError("own-leaf-missing", "12.4.3.1", "our key package is not in the tree")
    if opened.suite.kem.public_key(bundle.encryption_key) != leaf.encryption_key:
        raise UsageError("the private key is not that of the key package")
    private = TreePrivate.of(own, KeyPair(bundle.encryption_key, leaf.encryption_key))
    path_secret = opened.secrets.path_secret
    if path_secret is None:
        return private
    signer = opened.group_info.signer
    if signer == own:
        raise SecretError("path-secret-key", "12.4.3.1", "we cannot be the committer")
    return private_from_welcome(public.tree, private, signer=signer, path_secret=path_secret.path_secret)
