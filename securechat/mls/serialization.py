"""A member's state as bytes and back, each part with its version.

The epoch changes with a commit or a proposal, the message secrets with every message; so they are
two parts. What is read back is trusted to be what was written: the store protects it. Signatures
are not verified again, but nothing broken or of another version is taken.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from securechat.mls.codec import Opaque, SecretStruct, Uint8, Uint64, decode, encode
from securechat.mls.epoch import EpochState, Reading
from securechat.mls.errors import DecodeError, UsageError
from securechat.mls.group_context import GroupContext
from securechat.mls.kem import KeyPair
from securechat.mls.key_schedule import EpochSecrets
from securechat.mls.nodes import NodeIndex
from securechat.mls.processing import OwnUpdate
from securechat.mls.proposals import ReInit
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.secret_tree import SecretTree
from securechat.mls.snapshot import Past, Snapshot
from securechat.mls.stored import (
    VERSION,
    Kind,
    StoredProposal,
    StoredPublic,
    check_head,
    load_proposal,
    load_public,
    load_signature_key,
    store_proposal,
    store_public,
    suite_of,
)
from securechat.mls.update_path import TreePrivate


class _Update(SecretStruct, frozen=True):
    public: Opaque
    private: Opaque
    signature_key: Opaque


class _Resumption(SecretStruct, frozen=True):
    epoch: Uint64
    psk: Opaque


class _PastEpoch(SecretStruct, frozen=True):
    context: GroupContext
    tree: Opaque
    sender_data_secret: Opaque


class _Epoch(SecretStruct, frozen=True):
    kind: Kind
    version: Uint8
    public: StoredPublic
    secrets: EpochSecrets
    private: Opaque
    reinit: ReInit | None
    pending: tuple[StoredProposal, ...]
    own_updates: tuple[_Update, ...]
    resumption: tuple[_Resumption, ...]
    past_limit: Uint8
    past: tuple[_PastEpoch, ...]


class _SecretTree(SecretStruct, frozen=True):
    tree: Opaque


class _Secrets(SecretStruct, frozen=True):
    kind: Kind
    version: Uint8
    group_id: Opaque
    epoch: Uint64
    present: Opaque
    past: tuple[_SecretTree, ...]


def store_epoch(snapshot: Snapshot, *, tree: bytes) -> bytes:
    """Return the part that changes with commits and proposals; ``tree`` is empty if kept apart."""
    state = snapshot.state
    return encode(
        _Epoch(
            kind=Kind.EPOCH,
            version=VERSION,
            public=store_public(state.public, tree),
            secrets=state.secrets,
            private=state.private.to_bytes(),
            reinit=state.reinit,
            pending=tuple(store_proposal(proposal) for proposal in snapshot.pending),
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
        _Secrets(Kind.SECRETS, VERSION, context.group_id, context.epoch, snapshot.secrets.to_bytes(), past)
    )


_HEAD_ROW: Final = -1
"""The row that says of which moment the others are."""


def secret_rows(snapshot: Snapshot) -> dict[int, bytes]:
    """Return what ``store_secrets`` gives as rows, so that a message writes one or two of them."""
    if snapshot.past:
        raise UsageError("rows are of one epoch: past ones are kept by secrets_bytes")
    context = snapshot.state.context
    head = encode(_Secrets(Kind.SECRETS, VERSION, context.group_id, context.epoch, b"", ()))
    return {_HEAD_ROW: head, **snapshot.secrets.rows()}


def load(
    epoch: bytes,
    secrets: bytes | Mapping[int, bytes],
    tree: RatchetTree | Mapping[NodeIndex, bytes] | None = None,
) -> Snapshot:
    """Return what the parts say; DecodeError if they are broken or don't belong together."""
    rows = {} if isinstance(secrets, bytes) else dict(secrets)
    head = secrets if isinstance(secrets, bytes) else rows.pop(_HEAD_ROW, b"")
    stored, kept = decode(_Epoch, epoch), decode(_Secrets, head)
    check_head(stored.kind, stored.version, Kind.EPOCH)
    check_head(kept.kind, kept.version, Kind.SECRETS)
    context = stored.public.context
    if (kept.group_id, kept.epoch) != (context.group_id, context.epoch) or len(kept.past) != len(stored.past):
        raise DecodeError("the epoch and the message secrets are not of one moment")
    suite = suite_of(context)
    state = EpochState(
        replace(load_public(stored.public, tree), closed=stored.reinit is not None),
        stored.secrets,
        TreePrivate.from_bytes(stored.private),
        stored.reinit,
    )
    leaf_count = state.public.tree.leaf_count
    present = (
        SecretTree.from_rows(suite, leaf_count, rows) if rows else SecretTree.from_bytes(suite, kept.present)
    )
    return Snapshot(
        state=state,
        secrets=present,
        pending=tuple(load_proposal(proposal) for proposal in stored.pending),
        own_updates={
            update.public: OwnUpdate(
                KeyPair(update.private, update.public), load_signature_key(suite, update.signature_key)
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
