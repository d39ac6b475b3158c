"""Following somebody else's commit into the next epoch (RFC 9420 section 12.4.2, the secret half).

The public half has been checked: what comes in is a :class:`VerifiedCommit`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from securechat.mls import key_schedule
from securechat.mls.cipher_suite import CipherSuite
from securechat.mls.codec import encode
from securechat.mls.commit_facts import CommitFacts
from securechat.mls.epoch import EpochState
from securechat.mls.errors import SecretError, ValidationError
from securechat.mls.kem import KeyPair
from securechat.mls.key_schedule import EpochSecrets
from securechat.mls.psk import PskSource, look_up, psk_secret
from securechat.mls.public_group import VerifiedCommit
from securechat.mls.secret_tree import MessageKey
from securechat.mls.signature import SigningKey
from securechat.mls.update_path import TreePrivate, open_update_path

EXTERNAL_INIT_LABEL = b"MLS 1.0 external init secret"
"""Section 8.3."""


@dataclass(frozen=True, slots=True)
class OwnUpdate:
    """The private keys of an Update that we proposed: in force once somebody commits it."""

    encryption_key: KeyPair
    signature_key: SigningKey


@dataclass(frozen=True, slots=True)
class ReceivedCommit:
    """Somebody else's commit, verified in public and in secret, and the epoch it leads to."""

    verified: VerifiedCommit = field(repr=False)
    state: EpochState | None = field(repr=False)
    """The next epoch; None if the commit removes us."""
    encryption_secret: bytes = field(repr=False)
    signature_key: SigningKey
    """Ours, from the next epoch on."""
    key: MessageKey | None = field(default=None, repr=False)
    """What opened it, if it came encrypted."""

    @property
    def message(self) -> bytes:
        return self.verified.message

    @property
    def facts(self) -> CommitFacts:
        return self.verified.facts


def process_commit(
    state: EpochState,
    verified: VerifiedCommit,
    signature_key: SigningKey,
    *,
    own_updates: Mapping[bytes, OwnUpdate],
    psks: PskSource,
) -> ReceivedCommit:
    """Return the epoch that ``verified`` leads to; SecretError if it doesn't lead us there."""
    facts = verified.facts
    if facts.committer == state.own_leaf and not facts.external:
        # Its secrets are for everybody else: only who staged it has them.
        raise SecretError("own-commit", "12.4.2", "a commit of our own is merged, not processed")
    if any(removed.leaf_index == state.own_leaf for removed in facts.removed):
        return ReceivedCommit(verified, None, b"", signature_key)
    private, signature_key = _after_proposals(state, facts, signature_key, own_updates)
    private, commit_secret = _after_path(state, verified, private)
    epoch = key_schedule.next_epoch(
        state.suite,
        encode(facts.new_context),
        init_secret=_init_secret(state, verified),
        commit_secret=commit_secret,
        psk_secret=psk_secret(state.suite, look_up(verified.prepared.psks, psks)),
    )
    check_confirmation_tag(
        state.suite,
        epoch.secrets,
        confirmed=facts.new_context.confirmed_transcript_hash,
        tag=verified.following.confirmation_tag,
    )
    following = EpochState(verified.following, epoch.secrets, private, verified.prepared.reinit)
    return ReceivedCommit(verified, following, epoch.encryption_secret, signature_key)


def check_confirmation_tag(
    suite: CipherSuite, secrets: EpochSecrets, *, confirmed: bytes, tag: bytes
) -> None:
    """Section 6.1: the committer has come to the same epoch as we have."""
    if not suite.mac_matches(secrets.confirmation_key, confirmed, tag=tag):
        raise SecretError("confirmation-tag", "6.1", "the committer's epoch is not ours")


def _after_proposals(
    state: EpochState,
    facts: CommitFacts,
    signature_key: SigningKey,
    own_updates: Mapping[bytes, OwnUpdate],
) -> tuple[TreePrivate, SigningKey]:
    """Return our private keys when the proposals have been applied: an Update of ours may be among them."""
    private = state.private
    for updated in facts.updated:
        if updated.leaf_index != state.own_leaf:
            continue
        own = own_updates.get(updated.new.encryption_key)
        if own is None:
            raise SecretError("update-not-ours", "12.1.2", "the key of our own Update is not known")
        private, signature_key = private.with_leaf_key(own.encryption_key), own.signature_key
    return private, signature_key


def _after_path(
    state: EpochState, verified: VerifiedCommit, private: TreePrivate
) -> tuple[TreePrivate, bytes]:
    """Return our private keys in the new tree, and the commit secret (section 12.4.2)."""
    facts, applied = verified.facts, verified.prepared.applied
    private = private.within(applied.tree)  # section 7.5: outdated keys go
    path = verified.commit.path
    if path is None:
        return private, bytes(state.suite.hash_length)
    opened = open_update_path(
        applied.tree,
        private,
        facts.committer,
        path,
        context=verified.provisional_context,
        added=verified.prepared.added,
    )
    return opened.private.within(facts.new_tree), opened.commit_secret


def _init_secret(state: EpochState, verified: VerifiedCommit) -> bytes:
    """Return the previous epoch's init secret, or what a joiner put in its place (section 8.3)."""
    output = verified.prepared.external_init
    if output is None:
        return state.secrets.init_secret
    external = key_schedule.external_key_pair(state.suite, state.secrets)
    try:
        return state.suite.hpke.export_from(
            output, external.private, EXTERNAL_INIT_LABEL, state.suite.hash_length
        )
    except ValidationError as error:
        raise SecretError("external-init-output", "8.3", str(error)) from None
