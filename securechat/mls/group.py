"""A member's group (RFC 9420): the present epoch, what is pending, and the verbs.

A group moves in two steps. ``stage_commit`` (or ``examine`` and ``process`` for somebody else's
commit) returns the next epoch as a value and changes nothing; ``merge`` makes it the present one.
So does a message: whatever fails a check leaves the group exactly as it was.

``epoch_bytes`` changes with merge, accept and propose_update; ``secrets_bytes`` with every
message encrypted or decrypted, and must be stored before that message is sent or acknowledged.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from securechat.mls import key_schedule, serialization
from securechat.mls.cipher_suite import CipherSuite
from securechat.mls.commit_facts import VerifiedProposal
from securechat.mls.epoch import EpochState, identity_in
from securechat.mls.errors import UsageError, ValidationError
from securechat.mls.examining import Examined, ExaminedCommit, ExaminedProposal, check_membership, examine
from securechat.mls.extensions import Extensions
from securechat.mls.framing import GroupInfo, PrivateMessage, decode_message, encode_message
from securechat.mls.joining import FirstEpoch, create_group, join_by_welcome, join_externally
from securechat.mls.key_package import Identity, KeyPackage, KeyPackageBundle
from securechat.mls.messaging import (
    DecryptedMessage,
    decrypt_application,
    encrypt_application,
    make_proposal,
    make_update,
)
from securechat.mls.nodes import Epoch, LeafIndex, NodeIndex
from securechat.mls.origin import ClientOf, Origin, credential_of
from securechat.mls.processing import ReceivedCommit, process_commit
from securechat.mls.proposals import Add, PreSharedKeyProposal, ProposalValue, Remove, SelfRemove, Update
from securechat.mls.protection import Padding, no_padding
from securechat.mls.psk import NO_KEYS, ExternalPsk, PskSource, ResumptionPsk, fresh_psk, no_psks
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.secret_tree import Ratchet
from securechat.mls.snapshot import MAX_PAST, Snapshot
from securechat.mls.staging import CommitPlan, StagedCommit, published_group_info, stage_commit


@dataclass(frozen=True, slots=True)
class Joined:
    """A group that a Welcome has led into."""

    group: "Group"
    group_info: GroupInfo
    """What the Welcome encrypted; its extensions may carry data of the application."""


class Group:
    """One member's group. Not for several threads or tasks at once: it has one owner."""

    __slots__ = ("_identity", "_now", "_removed")

    def __init__(self, now: Snapshot, identity: Identity) -> None:
        """For this package: use ``create``, ``join``, ``from_staged`` or ``from_bytes``."""
        self._now = now
        self._identity = identity
        self._removed = False

    def __repr__(self) -> str:
        return f"<Group {self.group_id.hex()[:16]} epoch {self.epoch} leaf {self.own_leaf}>"

    @classmethod
    def create(
        cls,
        identity: Identity,
        *,
        suite: CipherSuite,
        group_id: bytes,
        extensions: Extensions = (),
    ) -> "Group":
        """Begin a group with oneself as its only member (section 11)."""
        first = create_group(identity, suite=suite, group_id=group_id, extensions=extensions)
        return cls._begin(first, identity)

    @classmethod
    def join(  # noqa: PLR0913 - what only the joiner has, each by its name
        cls,
        welcome: bytes,
        bundle: KeyPackageBundle,
        identity: Identity,
        *,
        tree: bytes | None = None,
        psks: PskSource = no_psks,
        known_group_ids: Container[bytes] = (),
        origin: "Group | None" = None,
        client_of: ClientOf = credential_of,
    ) -> Joined:
        """Join by a Welcome (section 12.4.3.1), all its checks made; ``bundle`` is used up.

        ``known_group_ids`` are those of the groups we are in; ``origin`` is the old group, which the
        Welcome must then show to be continued by the new one, and ``client_of`` says who is the same in both.
        """
        if bundle.key_package.leaf_node.signature_key != identity.signature_key.public:
            raise UsageError("the key package is not of this identity")
        source = psks if origin is None else origin.psk_source(psks)
        first = join_by_welcome(
            welcome,
            bundle,
            tree=tree,
            psks=source,
            known_group_ids=known_group_ids,
            origin=None if origin is None else Origin(origin.public, origin.state.reinit, client_of),
        )
        if first.group_info is None:
            raise UsageError("a Welcome brings a GroupInfo")
        return Joined(cls._begin(first, identity), first.group_info)

    @staticmethod
    def join_externally(
        group_info: bytes,
        tree: bytes | None,
        identity: Identity,
        *,
        remove: LeafIndex | None = None,
        self_removes: Sequence[bytes] = (),
        authenticated_data: bytes = b"",
        psks: Mapping[ExternalPsk | ResumptionPsk, bytes] = NO_KEYS,
    ) -> StagedCommit:
        """Make an external commit (section 12.4.3.2); when it is taken, ``from_staged`` is the group.

        ``tree`` may be None if the GroupInfo brings it; ``remove`` is one's own old leaf (resync);
        ``self_removes`` are the pending SelfRemoves, all of which have to be taken up; ``psks`` are
        mixed in.
        """
        return join_externally(
            group_info,
            tree,
            identity,
            remove=remove,
            self_removes=self_removes,
            plan=CommitPlan(psks=tuple(psks), authenticated_data=authenticated_data),
            psks=psks.get,
        )

    @classmethod
    def from_staged(cls, staged: StagedCommit, identity: Identity) -> "Group":
        """Return the group that an external commit of ours has led into."""
        if not staged.external:
            raise UsageError("a member's commit is merged into its group")
        if staged.signature_key != identity.signature_key:
            raise UsageError("the commit was made by another identity")
        return cls._begin(FirstEpoch(staged.state, staged.encryption_secret), identity)

    @classmethod
    def _begin(cls, first: FirstEpoch, identity: Identity) -> "Group":
        return cls(Snapshot.begin(first.state, first.encryption_secret), identity)

    @property
    def public(self) -> PublicGroup:
        return self._now.state.public

    @property
    def state(self) -> EpochState:
        """The present epoch."""
        return self._now.state

    @property
    def identity(self) -> Identity:
        """Who we are in the present epoch."""
        return self._identity

    @property
    def suite(self) -> CipherSuite:
        return self._now.state.suite

    @property
    def group_id(self) -> bytes:
        return self._now.state.context.group_id

    @property
    def epoch(self) -> Epoch:
        return self._now.state.context.epoch

    @property
    def own_leaf(self) -> LeafIndex:
        return self._now.state.own_leaf

    @property
    def epoch_authenticator(self) -> bytes:
        """The same for all members, if nobody is in the middle (section 8.7)."""
        self._check_member()
        return self._now.state.secrets.epoch_authenticator

    @property
    def own_generation(self) -> int:
        """How many application messages we have encrypted in this epoch."""
        return self._now.secrets.next_generation(self.own_leaf, Ratchet.APPLICATION)

    @property
    def pending(self) -> tuple[VerifiedProposal, ...]:
        """The epoch's proposals; section 12.4 wants them committed before anything is encrypted."""
        return self._now.pending

    @property
    def active(self) -> bool:
        """Whether the group can be used: we were not removed, and it was not reinitialised."""
        return not self._removed and self._now.state.reinit is None

    @property
    def removed(self) -> bool:
        return self._removed

    def stage_commit(self, plan: CommitPlan, *, psks: PskSource = no_psks) -> StagedCommit:
        """Make a commit (section 12.4.1); nothing changes until it is merged."""
        self._check_active()
        return stage_commit(
            self._now.state, self._identity, plan, pending=self._now.pending, psks=self._now.psk_source(psks)
        )

    def examine(self, message: bytes) -> Examined:
        """Return what a message is, every public rule of its kind checked; nothing changes."""
        self._check_member()
        return examine(self._now.state, self._now.secrets, self._now.pending, message)

    def process(self, examined: ExaminedCommit, *, psks: PskSource = no_psks) -> ReceivedCommit:
        """Check a commit with our secrets (section 12.4.2); nothing changes until it is merged.

        SecretError if its membership tag, path or confirmation tag doesn't hold.
        """
        self._check_member()
        if examined.facts.old_context != self._now.state.context:
            raise UsageError("the commit was examined in another epoch")
        check_membership(self._now.state, examined.public)
        received = process_commit(
            self._now.state,
            examined.verified,
            self._identity.signature_key,
            own_updates=self._now.own_updates,
            psks=self._now.psk_source(psks),
        )
        return replace(received, key=examined.key)

    def merge(self, commit: StagedCommit | ReceivedCommit) -> None:
        """Make the epoch that ``commit`` leads to the present one; the old one's secrets go.

        UsageError if it was made in another epoch; SecretError if what opened it was used up since.
        """
        self._check_member()
        if commit.facts.old_context != self._now.state.context:
            raise UsageError("the commit was made in another epoch")
        if commit.state is None:
            self._removed = True
            self._now = self._now.ended()
            return
        identity = identity_in(commit.state, commit.signature_key, self._identity)
        if isinstance(commit, ReceivedCommit) and commit.key is not None:
            self._now.secrets.use_up(commit.key)  # the epoch may be kept, this key may not (section 9.2)
        self._identity = identity
        self._now = self._now.followed_by(commit.state, commit.encryption_secret)

    def propose(self, proposal: ProposalValue, *, authenticated_data: bytes = b"") -> bytes:
        """Return a proposal as a PublicMessage. It is pending, for us too, when it has been accepted."""
        self._check_active()
        if isinstance(proposal, Update):
            raise UsageError("an Update is proposed with propose_update, which keeps its key")
        signer = self._identity.signature_key
        return make_proposal(self._now.state, signer, proposal, authenticated_data=authenticated_data)

    def propose_add(self, key_package: KeyPackage) -> bytes:
        """Propose that somebody comes in (section 12.1.1)."""
        return self.propose(Add(key_package))

    def propose_remove(self, leaf: LeafIndex) -> bytes:
        """Propose that somebody goes (section 12.1.3)."""
        return self.propose(Remove(leaf))

    def propose_psk(self, name: ExternalPsk | ResumptionPsk) -> bytes:
        """Propose to mix in a pre-shared key, with a fresh nonce (section 12.1.4)."""
        return self.propose(PreSharedKeyProposal(fresh_psk(self.suite, name)))

    def propose_self_remove(self) -> bytes:
        """Ask to leave (draft-ietf-mls-extensions); at most once in an epoch."""
        if any(
            each.sender == self.own_leaf and isinstance(each.proposal, SelfRemove) for each in self.pending
        ):
            raise UsageError("we have asked to leave in this epoch already")
        return self.propose(SelfRemove())

    def propose_update(self, new_leaf: Identity | None = None, *, authenticated_data: bytes = b"") -> bytes:
        """Propose fresh keys for our leaf; the private ones are kept and saved with the epoch."""
        self._check_active()
        update, own = make_update(self._now.state, new_leaf or self._identity)
        message = make_proposal(
            self._now.state, self._identity.signature_key, update, authenticated_data=authenticated_data
        )
        key = update.leaf_node.encryption_key
        self._now = replace(self._now, own_updates={**self._now.own_updates, key: own})
        return message

    def accept(self, examined: ExaminedProposal) -> None:
        """Take a proposal among the pending ones; SecretError if its membership tag doesn't hold."""
        self._check_active()
        there = self.group_id if examined.public is None else examined.public.content.group_id
        if (there, examined.verified.epoch) != (self.group_id, self.epoch):
            raise UsageError("the proposal was examined in another epoch")
        check_membership(self._now.state, examined.public)
        if examined.key is not None:
            self._now.secrets.use_up(examined.key)
        known = {each.reference for each in self._now.pending}
        if examined.verified.reference not in known:
            self._now = replace(self._now, pending=(*self._now.pending, examined.verified))

    def forget_pending(self) -> None:
        """Drop the pending proposals: the log they stood in has lost them."""
        self._now = replace(self._now, pending=(), own_updates={})

    def encrypt(
        self, content: bytes, *, authenticated_data: bytes = b"", padding: Padding = no_padding
    ) -> bytes:
        """Return an application message (section 15). Store ``secrets_bytes`` before sending it."""
        self._check_active()
        return encrypt_application(
            self._now.state,
            self._now.secrets,
            self._identity.signature_key,
            content,
            authenticated_data=authenticated_data,
            padding=padding,
        )

    def decrypt(self, message: bytes) -> DecryptedMessage:
        """Open an application message; its key is gone after that, and only after that.

        StaleEpoch for an epoch that is not kept; SecretError if it does not open, or was opened
        before; ValidationError ``message-signature`` if another member made it up.
        """
        private = decode_message(message)
        if not isinstance(private, PrivateMessage):
            raise ValidationError("wire-format", "6", "application messages are encrypted")
        self._check_member()
        reading, secrets = self._now.readable(private)
        return decrypt_application(reading, secrets, private)

    def group_info(self, *, with_tree: bool = False) -> bytes:
        """Return the present epoch's GroupInfo, signed; external commits need it."""
        self._check_active()
        signer = self._identity.signature_key
        return encode_message(published_group_info(self._now.state, signer, with_tree=with_tree))

    def tree_bytes(self) -> bytes:
        """Return the ratchet tree as the ratchet_tree extension has it (section 12.4.3.3)."""
        return self.public.tree.to_bytes()

    def export(self, label: str, context: bytes, length: int) -> bytes:
        """Return ``length`` bytes of MLS-Exporter (section 8.5); UsageError once we are removed."""
        self._check_member()
        return key_schedule.export(self.suite, self._now.state.secrets, label, context, length)

    def psk_source(self, others: PskSource = no_psks) -> PskSource:
        """Know our own resumption keys, and ask ``others`` for the rest: for a group that continues ours."""
        self._check_member()
        return self._now.psk_source(others)

    def keep_past_epochs(self, count: int) -> None:
        """Keep the message secrets of ``count`` epochs that are over, at most 255, to read late messages."""
        if not 0 <= count <= MAX_PAST:
            raise UsageError(f"{count} past epochs cannot be kept")
        self._now = replace(self._now, past_limit=count, past=self._now.past[-count:] if count else ())

    def epoch_bytes(self) -> bytes:
        """Return what changes with merge, accept and propose_update, to keep."""
        self._check_member()
        return serialization.store_epoch(self._now, tree=self.tree_bytes())

    def epoch_bytes_without_tree(self) -> bytes:
        """The same for a store that keeps the tree apart, a row for each node (``changed_nodes``)."""
        self._check_member()
        return serialization.store_epoch(self._now, tree=b"")

    def secrets_bytes(self) -> bytes:
        """Return the message secrets that are left, to keep: small, and new after each message."""
        self._check_member()
        return serialization.store_secrets(self._now)

    def secret_rows(self) -> dict[int, bytes]:
        """Return the message secrets as rows of a table: all of them, to be kept with a new epoch."""
        self._check_member()
        return serialization.secret_rows(self._now)

    def changed_secret_rows(self) -> dict[int, bytes | None]:
        """Return the rows that the messages since the last call changed; None for a row to delete."""
        self._check_member()
        return self._now.secrets.take_changes()

    @classmethod
    def from_bytes(
        cls,
        epoch: bytes,
        secrets: bytes | Mapping[int, bytes],
        identity: Identity,
        *,
        tree: RatchetTree | Mapping[NodeIndex, bytes] | None = None,
    ) -> "Group":
        """Return the group that was stored in its parts; DecodeError if they are broken.

        ``secrets`` are those of ``secrets_bytes`` or the rows of ``secret_rows`` with all changes since;
        ``tree`` is the tree, or its rows, where it is kept apart.
        """
        now = serialization.load(epoch, secrets, tree)
        leaf = now.state.public.tree.member(now.state.own_leaf)
        if leaf.signature_key != identity.signature_key.public:
            raise UsageError("the group is not of this identity")
        return cls(now, identity)

    def _check_member(self) -> None:
        if self._removed:
            raise UsageError("we are no longer a member of this group")

    def _check_active(self) -> None:
        self._check_member()
        if self._now.state.reinit is not None:  # section 12.4.2
            raise UsageError("the group was reinitialised; it goes on under another id")
