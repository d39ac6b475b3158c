"""Pieces of stored state that several kinds of it have in common, with their versions."""

from collections.abc import Mapping
from typing import Final

from securechat.mls.cipher_suite import CipherSuite, cipher_suite
from securechat.mls.codec import Enum8, Opaque, Uint32, WireStruct
from securechat.mls.commit_facts import VerifiedProposal
from securechat.mls.errors import DecodeError, UsageError, ValidationError
from securechat.mls.framing import SenderType
from securechat.mls.group_context import GroupContext
from securechat.mls.nodes import LeafIndex, NodeIndex, Uint64Epoch
from securechat.mls.proposals import Proposal
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.signature import SigningKey

VERSION: Final = 1


class Kind(Enum8):
    """What a piece of stored state is, so that one is never read as another."""

    EPOCH = 1
    SECRETS = 2
    STAGED_COMMIT = 3


class StoredProposal(WireStruct, frozen=True):
    proposal: Proposal
    sender: tuple[Uint32, ...]
    sender_type: SenderType
    epoch: Uint64Epoch
    reference: Opaque
    authenticated_data: Opaque
    message: Opaque


class StoredPublic(WireStruct, frozen=True):
    context: GroupContext
    interim_transcript_hash: Opaque
    confirmation_tag: Opaque
    tree: Opaque
    """Empty where the tree is kept apart."""


def check_head(kind: Kind, version: int, expected: Kind) -> None:
    if kind is not expected:
        raise DecodeError(f"this is a stored {kind.name}, not a stored {expected.name}")
    if version != VERSION:
        raise DecodeError(f"stored state of version {version} is not known")


def suite_of(context: GroupContext) -> CipherSuite:
    """The suite of a stored group; DecodeError if it is none of ours."""
    try:
        return cipher_suite(context.cipher_suite)
    except ValidationError as error:
        raise DecodeError(str(error)) from None


def load_signature_key(suite: CipherSuite, private: bytes) -> SigningKey:
    """A stored signature key; DecodeError if it is none of this suite."""
    try:
        return suite.signature.load(private)
    except UsageError as error:
        raise DecodeError(str(error)) from None


def store_public(public: PublicGroup, tree: bytes) -> StoredPublic:
    return StoredPublic(public.context, public.interim_transcript_hash, public.confirmation_tag, tree)


def load_public(stored: StoredPublic, tree: RatchetTree | Mapping[NodeIndex, bytes] | None) -> PublicGroup:
    """The public half of an epoch, with its tree if that was kept apart: itself, or its rows."""
    if stored.tree:
        tree = RatchetTree.from_bytes(suite_of(stored.context), stored.tree)
    elif isinstance(tree, Mapping):
        tree = RatchetTree.from_rows(suite_of(stored.context), tree.items())
    if tree is None:
        raise UsageError("the tree of this group is kept apart and was not given")
    if tree.tree_hash() != stored.context.tree_hash:
        raise DecodeError("the tree is not that of the stored epoch")
    return PublicGroup(stored.context, tree, stored.interim_transcript_hash, stored.confirmation_tag)


def store_proposal(proposal: VerifiedProposal) -> StoredProposal:
    return StoredProposal(
        proposal=proposal.proposal,
        sender=() if proposal.sender is None else (proposal.sender,),
        sender_type=proposal.sender_type,
        epoch=proposal.epoch,
        reference=proposal.reference,
        authenticated_data=proposal.authenticated_data,
        message=proposal.message,
    )


def load_proposal(stored: StoredProposal) -> VerifiedProposal:
    return VerifiedProposal(
        proposal=stored.proposal,
        sender=LeafIndex(stored.sender[0]) if stored.sender else None,
        sender_type=stored.sender_type,
        epoch=stored.epoch,
        reference=stored.reference,
        authenticated_data=stored.authenticated_data,
        message=stored.message,
    )
