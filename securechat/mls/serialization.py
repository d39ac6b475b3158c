"""A member's state as bytes and back, each part with its version.

The epoch changes with a commit or a proposal, the message secrets with every message; so they are
two parts. What is read back is trusted to be what was written: the store protects it. Signatures
are not verified again, but nothing broken or of another version is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from securechat.mls.cipher_suite import CipherSuite, cipher_suite
from securechat.mls.codec import Enum8, Opaque, Uint8, Uint32, Uint64, WireStruct, decode, encode
from securechat.mls.commit_facts import VerifiedProposal
from securechat.mls.epoch import EpochState, Reading
from securechat.mls.errors import DecodeError, UsageError
from securechat.mls.framing import SenderType
from securechat.mls.group_context import GroupContext
from securechat.mls.hpke import KeyPair
from securechat.mls.key_schedule import EpochSecrets
from securechat.mls.nodes import LeafIndex, Uint64Epoch
from securechat.mls.processing import OwnUpdate
from securechat.mls.proposals import Proposal, ReInit
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.secret_tree import SecretTree
from securechat.mls.staging import StagedCommit
from securechat.mls.update_path import TreePrivate

_VERSION: Final = 1


class _Kind(Enum8):
    """What a piece of stored state is, so that one is never read as another."""

    EPOCH = 1
    SECRETS = 2
    STAGED_COMMIT = 3


class _Proposal(WireStruct, frozen=True):
    proposal: Proposal
    sender: tuple[Uint32, ...]
    sender_type: SenderType
    epoch: Uint64Epoch
    reference: Opaque
    authenticated_data: Opaque
    message: Opaque


class _Update(WireStruct, frozen=True):
    public: Opaque
    private: Opaque
    signature_key: Opaque


class _Resumption(WireStruct, frozen=True):
    epoch: Uint64
    psk: Opaque


class _PastEpoch(WireStruct, frozen=True):
    context: GroupContext
    tree: Opaque
    sender_data_secret: Opaque


class _Public(WireStruct, frozen=True):
    context: GroupContext
    interim_transcript_hash: Opaque
    confirmation_tag: Opaque
    tree: Opaque
    """Empty where the tree is kept apart."""


class _Epoch(WireStruct, frozen=True):
    kind: _Kind
    version: Uint8
    public: _Public
    secrets: EpochSecrets
    private: Opaque
    reinit: ReInit | None
    pending: tuple[_Proposal, ...]
    own_updates: tuple[_Update, ...]
    resumption: tuple[_Resumption, ...]
    past_limit: Uint8
    past: tuple[_PastEpoch, ...]

    def __repr__(self) -> str:
        return "<stored epoch>"


class _SecretTree(WireStruct, frozen=True):
    tree: Opaque


class _Secrets(WireStruct, frozen=True):
    kind: _Kind
    version: Uint8
    group_id: Opaque
    epoch: Uint64
    present: Opaque
    past: tuple[_SecretTree, ...]

    def __repr__(self) -> str:
        return "<stored message secrets>"


class _Optional(WireStruct, frozen=True):
    value: Opaque


class _Staged(WireStruct, frozen=True):
    kind: _Kind
    version: Uint8
    before: _Public | None
    message: Opaque
    welcome: _Optional | None
    group_info: Opaque
    references: tuple[_Proposal, ...]
    secrets: EpochSecrets
    private: Opaque
    reinit: ReInit | None
    encryption_secret: Opaque
    signature_key: Opaque

    def __repr__(self) -> str:
        return "<stored staged commit>"


@dataclass(frozen=True, slots=True)
class Past:
    """An epoch that is over, kept to read late messages."""

    reading: Reading
    secrets: SecretTree = field(repr=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a member keeps of a group, the identity apart."""

    state: EpochState
    secrets: SecretTree = field(repr=False)
    pending: tuple[VerifiedProposal, ...] = ()
    own_updates: Mapping[bytes, OwnUpdate] = field(default_factory=dict, repr=False)
    resumption: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    past_limit: int = 0
    past: tuple[Past, ...] = ()


def store_epoch(snapshot: Snapshot, *, tree: bytes) -> bytes:
    """Return the part that changes with commits and proposals; ``tree`` is empty if kept apart."""
    state = snapshot.state
    return encode(
        _Epoch(
            kind=_Kind.EPOCH,
            version=_VERSION,
            public=_store_public(state.public, tree),
            secrets=state.secrets,
            private=state.private.to_bytes(),
            reinit=state.reinit,
            pending=tuple(_store_proposal(proposal) for proposal in snapshot.pending),
            own_updates=tuple(
                _Update(public, update.encryption_key.private, update.signature_key.private)
                for public, update in snapshot.own_updates.items()
            ),
            resumption=tuple(_Resumption(epoch, psk) for epoch, psk in snapshot.resumption.items()),
            past_limit=snapshot.past_limit,
            past=tuple(
                _PastEpoch(
                    past.reading.context, past.reading.tree.to_bytes(), past.reading.sender_data_secret
                )
                for past in snapshot.past
            ),
        )
    )


def store_secrets(snapshot: Snapshot) -> bytes:
    """Return the part that changes with every message; what was used is not in it."""
    context = snapshot.state.context
    past = tuple(_SecretTree(past.secrets.to_bytes()) for past in snapshot.past)
    return encode(
        _Secrets(_Kind.SECRETS, _VERSION, context.group_id, context.epoch, snapshot.secrets.to_bytes(), past)
    )


def load(epoch: bytes, secrets: bytes, tree: RatchetTree | None = None) -> Snapshot:
    """Return what the two parts say; DecodeError if they are broken or don't belong together."""
    stored, kept = decode(_Epoch, epoch), decode(_Secrets, secrets)
    _check_head(stored.kind, stored.version, _Kind.EPOCH)
    _check_head(kept.kind, kept.version, _Kind.SECRETS)
    context = stored.public.context
    if (kept.group_id, kept.epoch) != (context.group_id, context.epoch) or len(kept.past) != len(stored.past):
        raise DecodeError("the epoch and the message secrets are not of one moment")
    suite = _suite(context)
    state = EpochState(
        _load_public(stored.public, tree),
        stored.secrets,
        TreePrivate.from_bytes(stored.private),
        stored.reinit,
    )
    return Snapshot(
        state=state,
        secrets=SecretTree.from_bytes(suite, kept.present),
        pending=tuple(_load_proposal(proposal) for proposal in stored.pending),
        own_updates={
            update.public: OwnUpdate(
                KeyPair(update.private, update.public), suite.signature.load(update.signature_key)
            )
            for update in stored.own_updates
        },
        resumption={each.epoch: each.psk for each in stored.resumption},
        past_limit=stored.past_limit,
        past=tuple(
            Past(
                Reading(past.context, RatchetTree.from_bytes(suite, past.tree), past.sender_data_secret),
                SecretTree.from_bytes(suite, secret_tree.tree),
            )
            for past, secret_tree in zip(stored.past, kept.past, strict=True)
        ),
    )


def store_staged(staged: StagedCommit) -> bytes:
    """Return a staged commit as bytes: without the tree, but for an external commit, which has no group."""
    before = None
    if staged.external:
        before = _store_public(staged.before, staged.before.tree.to_bytes())
    return encode(
        _Staged(
            kind=_Kind.STAGED_COMMIT,
            version=_VERSION,
            before=before,
            message=staged.message,
            welcome=None if staged.welcome is None else _Optional(staged.welcome),
            group_info=staged.group_info,
            references=tuple(_store_proposal(proposal) for proposal in staged.references),
            secrets=staged.state.secrets,
            private=staged.state.private.to_bytes(),
            reinit=staged.state.reinit,
            encryption_secret=staged.encryption_secret,
            signature_key=staged.signature_key.private,
        )
    )


def load_staged(data: bytes, before: PublicGroup | None) -> StagedCommit:
    """Return what ``store_staged`` gave; ``before`` is the epoch it was staged in."""
    stored = decode(_Staged, data)
    _check_head(stored.kind, stored.version, _Kind.STAGED_COMMIT)
    if stored.before is not None:
        before = _load_public(stored.before, None)
    if before is None:
        raise UsageError("a member's staged commit is read with the group that it was staged in")
    references = tuple(_load_proposal(proposal) for proposal in stored.references)
    verified = before.verify_commit(stored.message, references)
    return StagedCommit(
        message=stored.message,
        welcome=None if stored.welcome is None else stored.welcome.value,
        group_info=stored.group_info,
        before=before,
        verified=verified,
        references=references,
        state=EpochState(
            verified.following, stored.secrets, TreePrivate.from_bytes(stored.private), stored.reinit
        ),
        encryption_secret=stored.encryption_secret,
        signature_key=before.suite.signature.load(stored.signature_key),
    )


def _check_head(kind: _Kind, version: int, expected: _Kind) -> None:
    if kind is not expected:
        raise DecodeError(f"this is a stored {kind.name}, not a stored {expected.name}")
    if version != _VERSION:
        raise DecodeError(f"stored state of version {version} is not known")


def _suite(context: GroupContext) -> CipherSuite:
    return cipher_suite(context.cipher_suite)


def _store_public(public: PublicGroup, tree: bytes) -> _Public:
    return _Public(public.context, public.interim_transcript_hash, public.confirmation_tag, tree)


def _load_public(stored: _Public, tree: RatchetTree | None) -> PublicGroup:
    if stored.tree:
        tree = RatchetTree.from_bytes(_suite(stored.context), stored.tree)
    if tree is None:
        raise UsageError("the tree of this group is kept apart and was not given")
    if tree.tree_hash() != stored.context.tree_hash:
        raise DecodeError("the tree is not that of the stored epoch")
    return PublicGroup(stored.context, tree, stored.interim_transcript_hash, stored.confirmation_tag)


def _store_proposal(proposal: VerifiedProposal) -> _Proposal:
    return _Proposal(
        proposal=proposal.proposal,
        sender=() if proposal.sender is None else (proposal.sender,),
        sender_type=proposal.sender_type,
        epoch=proposal.epoch,
        reference=proposal.reference,
        authenticated_data=proposal.authenticated_data,
        message=proposal.message,
    )


def _load_proposal(stored: _Proposal) -> VerifiedProposal:
    return VerifiedProposal(
        proposal=stored.proposal,
        sender=LeafIndex(stored.sender[0]) if stored.sender else None,
        sender_type=stored.sender_type,
        epoch=stored.epoch,
        reference=stored.reference,
        authenticated_data=stored.authenticated_data,
        message=stored.message,
    )
