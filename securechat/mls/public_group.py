"""A group as everybody sees it who has no secrets: the server, a joiner, and each member first.

A :class:`PublicGroup` is one epoch, frozen. ``verify_commit`` checks all that can be checked in public
(RFC 9420 sections 12.2 to 12.4.2) and gives a :class:`VerifiedCommit`; ``apply`` is the next epoch. What a
commit *may* do is policy, judged from its ``facts`` between the two.

A committer takes the same way in two steps: ``prepare_commit`` judges and applies the proposals, then the
path is made and the message signed, and ``conclude_commit`` says what it comes to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import msgspec

from securechat.mls import transcript
from securechat.mls.apply import PreparedCommit, apply_proposals, removed_leaf
from securechat.mls.cipher_suite import CipherSuite, cipher_suite
from securechat.mls.codec import Opaque, Uint8, WireStruct, decode, encode
from securechat.mls.commit import Commit
from securechat.mls.commit_facts import CommitFacts, ResolvedProposal, Updated, VerifiedProposal, resolve
from securechat.mls.errors import DecodeError, StaleEpoch, UsageError, ValidationError, WrongGroup
from securechat.mls.extensions import check_extensions_unique, external_senders
from securechat.mls.framing import (
    AuthenticatedContent,
    ExternalSenderIndex,
    FramedContent,
    GroupInfo,
    Member,
    NewMemberCommit,
    NewMemberProposal,
    PrivateMessage,
    PublicMessage,
    WireFormat,
    decode_message,
    encode_message,
    sender_type,
)
from securechat.mls.group_context import GroupContext
from securechat.mls.nodes import Epoch, LeafIndex, LeafNode, NodeIndex, ProtocolVersion
from securechat.mls.path_rules import check_path
from securechat.mls.proposal_rules import check_path_present, check_proposal, check_proposal_list
from securechat.mls.proposals import Add, SelfRemove
from securechat.mls.protection import signature_holds
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.update_path import merge_update_path, provisional_context
from securechat.mls.validation import check_census, check_tree
from securechat.mls.welcome import group_info_signature_holds


@dataclass(frozen=True, slots=True)
class VerifiedCommit:
    """A commit that passed every public check, and what it comes to."""

    facts: CommitFacts
    prepared: PreparedCommit
    authenticated: AuthenticatedContent
    commit: Commit
    message: bytes
    following: "PublicGroup"

    @property
    def provisional_context(self) -> GroupContext:
        """The context that the path is encrypted under (12.4.2)."""
        return provisional_context(self.prepared.context, self.facts.new_tree)


class _Stored(WireStruct, frozen=True):
    version: Uint8
    context: GroupContext
    tree: Opaque
    interim_transcript_hash: Opaque
    confirmation_tag: Opaque


_OPEN: Final = 1
_CLOSED: Final = 2
"""Versions of what is stored: the second is of a group that a ReInit has closed, else it is the same."""

_NO_ROWS: Final[Mapping[NodeIndex, bytes]] = MappingProxyType({})

LAST_EPOCH: Final = 2**64 - 1
"""No commit leads on from here: its number would not fit."""


@dataclass(frozen=True, slots=True)
class PublicGroup:
    """The public state of one epoch. Made of trusted parts, or by ``from_group_info`` of others'."""

    context: GroupContext
    tree: RatchetTree
    interim_transcript_hash: bytes
    confirmation_tag: bytes
    closed: bool = False
    """The epoch began with a ReInit: nothing more is sent in the group (12.4.2)."""

    @property
    def suite(self) -> CipherSuite:
        return self.tree.suite

    @classmethod
    def from_group_info(cls, group_info: GroupInfo, tree: RatchetTree) -> "PublicGroup":
        """The group that a GroupInfo and a tree describe, if they pass the checks of 12.4.3.1."""
        context = group_info.group_context
        if context.version != ProtocolVersion.MLS10:
            raise ValidationError("group-version", "12.4.3.1", f"version {context.version}")
        if cipher_suite(context.cipher_suite) != tree.suite:
            raise ValidationError("group-suite", "12.4.3.1", "the tree was read with another suite")
        check_extensions_unique(group_info.extensions)
        _check_group_info_signature(group_info, tree.suite, tree.member(group_info.signer))
        check_tree(tree, context)
        return cls.of(context, tree, group_info.confirmation_tag)

    @classmethod
    def of(
        cls, context: GroupContext, tree: RatchetTree, confirmation_tag: bytes, *, closed: bool = False
    ) -> "PublicGroup":
        """An epoch from parts that are trusted; its interim transcript hash is computed (8.2)."""
        interim = transcript.interim_transcript_hash(
            tree.suite, confirmed=context.confirmed_transcript_hash, confirmation_tag=confirmation_tag
        )
        return cls(context, tree, interim, confirmation_tag, closed)

    def verify_proposal(self, message: bytes | PublicMessage) -> VerifiedProposal:
        """Check a proposal sent in the clear: its group, epoch, sender, signature and own rules.

        Its membership tag is for members to check.
        """
        public, data = _public_message(message)
        return self.verify_proposal_content(public.authenticated, data)

    def verify_proposal_content(
        self, authenticated: AuthenticatedContent, message: bytes
    ) -> VerifiedProposal:
        """The same for a proposal already taken out of ``message``, which may be a PrivateMessage."""
        self.check_place(authenticated.content)
        content = authenticated.content
        proposal = content.content
        if isinstance(proposal, bytes | Commit):
            raise ValidationError("content-type", "6.1", "this is no proposal")
        self._check_signature(authenticated, self._proposer_key(authenticated))
        if isinstance(proposal, SelfRemove) and authenticated.wire_format is not WireFormat.PUBLIC_MESSAGE:
            raise ValidationError("self-remove-private", "12.1", "a SelfRemove is sent in the clear")
        kind = sender_type(content.sender)
        sender = content.sender.leaf_index if isinstance(content.sender, Member) else None
        check_proposal(proposal, self.tree, self.context, sender=sender, sender_type=kind)
        reference = self.suite.proposal_reference(encode(authenticated))
        return VerifiedProposal(
            proposal, sender, kind, content.epoch, reference, content.authenticated_data, message
        )

    def verify_commit(
        self, message: bytes | PublicMessage, pending: Sequence[VerifiedProposal]
    ) -> VerifiedCommit:
        """Check a commit sent in the clear; ``pending`` are the epoch's proposals it may refer to.

        Its membership tag, path secrets and confirmation tag are for members to check.
        """
        public, data = _public_message(message)
        return self.verify_commit_content(public.authenticated, data, pending)

    def verify_commit_content(
        self, authenticated: AuthenticatedContent, message: bytes, pending: Sequence[VerifiedProposal]
    ) -> VerifiedCommit:
        """The same for a commit already taken out of ``message``, which may be a PrivateMessage."""
        self.check_place(authenticated.content)
        sender, commit = authenticated.content.sender, authenticated.content.content
        if not isinstance(commit, Commit):
            raise ValidationError("content-type", "6.1", "this is no commit")
        self._check_signature(authenticated, self._committer_key(authenticated, commit))
        committer = sender.leaf_index if isinstance(sender, Member) else None
        current = [proposal for proposal in pending if proposal.epoch == self.context.epoch]
        proposals = resolve(commit, committer, current)
        check_path_present(proposals, path=commit.path is not None)
        prepared = self.prepare_commit(proposals, committer=committer)
        return self.conclude_commit(prepared, authenticated, message, self._merged(prepared, commit))

    def prepare_commit(
        self, proposals: Sequence[ResolvedProposal], *, committer: LeafIndex | None
    ) -> PreparedCommit:
        """Judge a list of proposals and apply it (12.2, 12.3); ``committer`` is None for a joiner.

        Proposals by reference have been verified as messages; those by value are checked here.
        """
        if self.context.epoch >= LAST_EPOCH:
            raise ValidationError("last-epoch", "8.1", "epochs are counted in eight bytes")
        for resolved in proposals:
            if not resolved.by_reference:
                check_proposal(
                    resolved.proposal,
                    self.tree,
                    self.context,
                    sender=resolved.sender,
                    sender_type=resolved.sender_type,
                )
        check_proposal_list(proposals, self.tree, committer=committer)
        applied = apply_proposals(self.tree, self.context.extensions, proposals, external=committer is None)
        place = applied.joiner if committer is None else committer
        if place is None:
            raise UsageError("an external commit has no place for its joiner")
        context = msgspec.structs.replace(
            self.context, epoch=Epoch(self.context.epoch + 1), extensions=applied.extensions
        )
        return PreparedCommit(place, committer is None, tuple(proposals), applied, context)

    def conclude_commit(
        self,
        prepared: PreparedCommit,
        authenticated: AuthenticatedContent,
        message: bytes,
        tree: RatchetTree,
    ) -> VerifiedCommit:
        """Say what a commit comes to, ``tree`` being the one with its path merged.

        The resulting tree is checked (12.2, last rule); the signature is the caller's to have checked.
        """
        commit = authenticated.content.content
        if not isinstance(commit, Commit) or authenticated.confirmation_tag is None:
            raise UsageError("only a commit with its confirmation tag can be concluded")
        check_census(tree.census, prepared.context.extensions)
        context = self.context_after(prepared, authenticated, tree)
        following = PublicGroup.of(
            context, tree, authenticated.confirmation_tag, closed=prepared.reinit is not None
        )
        facts = self._facts(
            prepared, following, commit, authenticated_data=authenticated.content.authenticated_data
        )
        return VerifiedCommit(facts, prepared, authenticated, commit, message, following)

    def context_after(
        self, prepared: PreparedCommit, authenticated: AuthenticatedContent, tree: RatchetTree
    ) -> GroupContext:
        """The next epoch's context: the signed commit need not have its confirmation tag yet (12.4.1)."""
        confirmed = transcript.confirmed_transcript_hash(
            self.suite, interim_before=self.interim_transcript_hash, commit=authenticated
        )
        return msgspec.structs.replace(
            prepared.context, tree_hash=tree.tree_hash(), confirmed_transcript_hash=confirmed
        )

    def apply(self, verified: VerifiedCommit) -> "PublicGroup":
        """The next epoch; UsageError if the commit was verified in another one."""
        if verified.facts.old_context != self.context:
            raise UsageError("the commit was verified in another epoch")
        return verified.following

    def check_group_info(
        self, data: bytes, verified: VerifiedCommit, *, signer: LeafIndex | None = None
    ) -> GroupInfo:
        """Return the GroupInfo of the next epoch, if it is what this commit comes to (12.4.3).

        It says what we computed, carries the commit's tag, and is signed by the committer's new leaf,
        or by that of another ``signer``.
        """
        following = self.apply(verified)
        signer = verified.facts.committer if signer is None else signer
        group_info = decode_message(data)
        if not isinstance(group_info, GroupInfo):
            raise ValidationError("group-info-type", "12.4.3", "this is no GroupInfo")
        if group_info.group_context != following.context:
            raise ValidationError("group-info-context", "12.4.3", "it describes another epoch")
        if group_info.confirmation_tag != following.confirmation_tag:
            raise ValidationError("group-info-tag", "12.4.3", "it carries another confirmation tag")
        if group_info.signer != signer:
            raise ValidationError("group-info-signer", "12.4.3", "it is not of whose it should be")
        check_extensions_unique(group_info.extensions)
        _check_group_info_signature(group_info, self.suite, following.tree.member(signer))
        return group_info

    def to_bytes(self, *, with_tree: bool = True) -> bytes:
        """Encode for a store that is trusted; without the tree if that keeps it apart, as rows."""
        return encode(
            _Stored(
                _CLOSED if self.closed else _OPEN,
                self.context,
                self.tree.to_bytes() if with_tree else b"",
                self.interim_transcript_hash,
                self.confirmation_tag,
            )
        )

    @classmethod
    def from_bytes(cls, data: bytes, rows: Mapping[NodeIndex, bytes] = _NO_ROWS) -> "PublicGroup":
        """Read what ``to_bytes`` gave, verifying no signature; DecodeError if it is broken."""
        stored = decode(_Stored, data)
        if stored.version not in (_OPEN, _CLOSED):
            raise DecodeError(f"a public group of version {stored.version} is not known")
        try:
            suite = cipher_suite(stored.context.cipher_suite)
        except ValidationError as error:
            raise DecodeError(str(error)) from None
        tree = (
            RatchetTree.from_rows(suite, rows.items()) if rows else RatchetTree.from_bytes(suite, stored.tree)
        )
        if rows and tree.tree_hash() != stored.context.tree_hash:
            raise DecodeError("the rows are not the tree of the stored epoch")
        closed = stored.version == _CLOSED
        return cls(stored.context, tree, stored.interim_transcript_hash, stored.confirmation_tag, closed)

    def check_place(self, message: FramedContent | PrivateMessage) -> None:
        """6, 12.4.2: a message is of this group and this epoch, and no ReInit has closed the group."""
        if message.group_id != self.context.group_id:
            raise WrongGroup("the message belongs to another group")
        if message.epoch != self.context.epoch:
            raise StaleEpoch(message_epoch=message.epoch, group_epoch=self.context.epoch)
        if self.closed:
            raise ValidationError("group-closed", "12.4.2", "the group goes on as another")

    def _proposer_key(self, authenticated: AuthenticatedContent) -> bytes:
        """6.1: the key that a proposal is signed with, by the type of its sender."""
        match authenticated.content.sender, authenticated.content.content:
            case Member(leaf_index), _:
                return self.tree.member(leaf_index).signature_key
            case ExternalSenderIndex(index), _:
                senders = external_senders(self.context.extensions)
                if index >= len(senders):
                    raise ValidationError("external-sender", "12.1.8.1", f"there is no sender {index}")
                return senders[index].signature_key
            case NewMemberProposal(), Add(key_package):
                return key_package.leaf_node.signature_key
            case _:
                raise ValidationError("sender-proposal-type", "6.1", "this sender cannot propose this")

    def _committer_key(self, authenticated: AuthenticatedContent, commit: Commit) -> bytes:
        """6.1: the key that a commit is signed with: the committer's old leaf's, or its joiner's."""
        match authenticated.content.sender:
            case Member(leaf_index):
                return self.tree.member(leaf_index).signature_key
            case NewMemberCommit():
                if authenticated.wire_format is not WireFormat.PUBLIC_MESSAGE:
                    raise ValidationError("external-commit-private", "6", "a joiner commits in the clear")
                if commit.path is None:
                    raise ValidationError("path-required", "12.4.3.2", "an external commit has a path")
                return commit.path.leaf_node.signature_key
            case _:
                raise ValidationError("commit-sender", "6.1", "this sender cannot commit")

    def _check_signature(self, authenticated: AuthenticatedContent, public_key: bytes) -> None:
        """6.1: a message is signed by its sender, for this epoch."""
        if not signature_holds(
            self.suite, authenticated, context=encode(self.context), public_key=public_key
        ):
            raise ValidationError("message-signature", "6.1", "the message is not signed by its sender")

    def _merged(self, prepared: PreparedCommit, commit: Commit) -> RatchetTree:
        """12.4.2: the tree with the commit's path checked and merged."""
        tree = prepared.applied.tree
        if commit.path is None:
            return tree
        check_path(
            commit.path,
            tree,
            group_id=self.context.group_id,
            sender=prepared.committer,
            replaced=self._replaced_leaf(prepared),
        )
        return merge_update_path(tree, prepared.committer, commit.path, added=prepared.added)

    def _replaced_leaf(self, prepared: PreparedCommit) -> LeafNode | None:
        """The leaf that the path's leaf follows: the committer's, or the one a joiner removes (12.2)."""
        if not prepared.external:
            return self.tree.leaf(prepared.committer)
        for other in prepared.proposals:
            if not other.by_reference and (leaf := removed_leaf(other)) is not None:
                return self.tree.leaf(leaf)
        return None

    def _facts(
        self, prepared: PreparedCommit, following: "PublicGroup", commit: Commit, *, authenticated_data: bytes
    ) -> CommitFacts:
        leaf = following.tree.member(prepared.committer)
        updated = prepared.applied.updated
        if commit.path is not None and not prepared.external:
            old = self.tree.member(prepared.committer)
            updated = (*updated, Updated(prepared.committer, old, leaf))
        return CommitFacts(
            old_context=self.context,
            old_tree=self.tree,
            new_context=following.context,
            new_tree=following.tree,
            committer=prepared.committer,
            external=prepared.external,
            committer_leaf=leaf,
            path=commit.path is not None,
            proposals=prepared.proposals,
            added=prepared.applied.added,
            removed=prepared.applied.removed,
            updated=updated,
            authenticated_data=authenticated_data,
        )


def _public_message(message: bytes | PublicMessage) -> tuple[PublicMessage, bytes]:
    if isinstance(message, PublicMessage):
        return message, encode_message(message)
    body = decode_message(message)
    if not isinstance(body, PublicMessage):
        raise ValidationError("wire-format", "6", "this is no PublicMessage")
    return body, message


def _check_group_info_signature(group_info: GroupInfo, suite: CipherSuite, signer: LeafNode) -> None:
    """12.4.3.1: a GroupInfo is signed by the leaf it names."""
    if not group_info_signature_holds(group_info, suite, public_key=signer.signature_key):
        raise ValidationError("group-info-signature", "12.4.3.1", "not signed by the leaf it names")
