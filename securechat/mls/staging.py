"""Making a commit (RFC 9420 section 12.4.1): from an epoch and a plan to the next epoch, a value.

Nothing is changed here. A staged commit is merged when the server has taken it, or dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from securechat.mls import key_schedule, protection, transcript
from securechat.mls.apply import PreparedCommit
from securechat.mls.codec import Opaque, SecretStruct, Uint8, WireStruct, decode, encode
from securechat.mls.commit import Commit, UpdatePath
from securechat.mls.commit_facts import CommitFacts, ResolvedProposal, VerifiedProposal
from securechat.mls.epoch import EpochState
from securechat.mls.errors import DecodeError, UsageError
from securechat.mls.extensions import Extension, Extensions, ExtensionType, ExternalPub, extension_of
from securechat.mls.framing import (
    AuthenticatedContent,
    FramedContent,
    GroupInfo,
    Member,
    SenderType,
    SenderValue,
    WireFormat,
    encode_message,
)
from securechat.mls.key_package import Identity, KeyPackage, check_identity
from securechat.mls.key_schedule import EpochSecrets, NewEpoch
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposal_choice import choose_pending
from securechat.mls.proposal_rules import path_required
from securechat.mls.proposals import (
    Add,
    GroupContextExtensions,
    PreSharedKeyProposal,
    ProposalRef,
    ProposalValue,
    ReInit,
    Remove,
)
from securechat.mls.psk import ExternalPsk, PskSource, ResumptionPsk, fresh_psk, look_up, psk_secret
from securechat.mls.public_group import PublicGroup, VerifiedCommit
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.signature import SigningKey
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
)
from securechat.mls.update_path import CreatedPath, TreePrivate, create_update_path
from securechat.mls.validation import check_leaf, check_lifetime
from securechat.mls.welcome import NewMember, seal_welcome, sign_group_info


@dataclass(frozen=True, slots=True)
class CommitPlan:
    """What a commit shall do. A path is there whenever the RFC needs it (section 12.4)."""

    add: tuple[KeyPackage, ...] = ()
    remove: tuple[LeafIndex, ...] = ()
    update: bool = False
    """Renew the committer's keys: a path, also where none is needed."""
    extensions: Extensions | None = None
    """Replace the group context's extensions."""
    psks: tuple[ExternalPsk | ResumptionPsk, ...] = ()
    reinit: ReInit | None = None
    include_pending: bool = True
    force_path: bool = False
    welcome_extensions: Extensions = ()
    """Only in the GroupInfo that the Welcome encrypts, not in the one that is published."""
    authenticated_data: bytes = b""
    tree_in_welcome: bool = False
    """Put the tree into the Welcome, for newcomers who have nobody to ask for it (12.4.3.3)."""
    now: int | None = None
    """Seconds since 1970: who is added is within its lifetime (7.3). None if the caller has seen to that."""
    new_leaf: Identity | None = None
    """The committer's credential, capabilities or signature key from the next epoch on."""


class _StoredWelcome(WireStruct, frozen=True):
    welcome: Opaque


class _Staged(SecretStruct, frozen=True):
    kind: Kind
    version: Uint8
    before: StoredPublic | None
    message: Opaque
    welcome: _StoredWelcome | None
    group_info: Opaque
    references: tuple[StoredProposal, ...]
    secrets: EpochSecrets
    private: Opaque
    reinit: ReInit | None
    encryption_secret: Opaque
    signature_key: Opaque


@dataclass(frozen=True, slots=True)
class StagedCommit:
    """A commit of our own, ready to be sent, and the epoch it leads to."""

    message: bytes
    """MLSMessage with a PublicMessage."""
    welcome: bytes | None
    """MLSMessage with a Welcome for all who are added, without the tree."""
    group_info: bytes
    """MLSMessage with the GroupInfo of the next epoch, signed, with external_pub, without the tree."""
    before: PublicGroup = field(repr=False)
    """The epoch that it was staged in."""
    verified: VerifiedCommit = field(repr=False)
    references: tuple[VerifiedProposal, ...] = field(repr=False)
    """The proposals that the commit refers to."""
    state: EpochState = field(repr=False)
    encryption_secret: bytes = field(repr=False)
    signature_key: SigningKey
    """The committer's, from the next epoch on."""

    @property
    def facts(self) -> CommitFacts:
        return self.verified.facts

    @property
    def external(self) -> bool:
        return self.facts.external

    def to_bytes(self) -> bytes:
        """Return bytes to keep: without the tree, but for an external commit, which has no group yet."""
        before = store_public(self.before, self.before.tree.to_bytes()) if self.external else None
        return encode(
            _Staged(
                kind=Kind.STAGED_COMMIT,
                version=VERSION,
                before=before,
                message=self.message,
                welcome=None if self.welcome is None else _StoredWelcome(self.welcome),
                group_info=self.group_info,
                references=tuple(store_proposal(proposal) for proposal in self.references),
                secrets=self.state.secrets,
                private=self.state.private.to_bytes(),
                reinit=self.state.reinit,
                encryption_secret=self.encryption_secret,
                signature_key=self.signature_key.private,
            )
        )

    @staticmethod
    def from_bytes(data: bytes, before: PublicGroup | None = None) -> "StagedCommit":
        """Return what ``to_bytes`` gave; DecodeError if it is broken, or what ``verify_commit`` says.

        ``before`` is the epoch that it was staged in, ``group.public``; an external commit
        brings its own. The commit is verified again, which gives its facts.
        """
        stored = decode(_Staged, data)
        check_head(stored.kind, stored.version, Kind.STAGED_COMMIT)
        if stored.before is not None:
            if not stored.before.tree:
                raise DecodeError("the group of an external commit is stored with its tree")
            before = load_public(stored.before, None)
        if before is None:
            raise UsageError("a member's staged commit is read with the epoch that it was staged in")
        references = tuple(load_proposal(proposal) for proposal in stored.references)
        verified = before.verify_commit(stored.message, references)
        private = TreePrivate.from_bytes(stored.private)
        return StagedCommit(
            message=stored.message,
            welcome=None if stored.welcome is None else stored.welcome.welcome,
            group_info=stored.group_info,
            before=before,
            verified=verified,
            references=references,
            state=EpochState(verified.following, stored.secrets, private, stored.reinit),
            encryption_secret=stored.encryption_secret,
            signature_key=load_signature_key(before.suite, stored.signature_key),
        )


@dataclass(frozen=True, slots=True)
class Committer:
    """Who makes the commit, and what it starts from."""

    before: PublicGroup
    context_bytes: bytes
    sender: SenderValue
    message_key: SigningKey = field(repr=False)
    """Signs the message: for a member the key of its old leaf."""
    identity: Identity
    """Whose leaf comes with the path."""
    membership_key: bytes | None = field(repr=False)
    init_secret: bytes = field(repr=False)


def stage_commit(
    state: EpochState,
    identity: Identity,
    plan: CommitPlan,
    *,
    pending: Sequence[VerifiedProposal],
    psks: PskSource,
) -> StagedCommit:
    """Return the commit that does what ``plan`` says; ValidationError if the rules forbid it."""
    if plan.now is not None:
        for key_package in plan.add:
            check_lifetime(key_package.leaf_node, plan.now)
    by_value = _planned(state, plan)
    chosen: tuple[VerifiedProposal, ...] = ()
    if plan.include_pending:
        chosen = choose_pending(state, [each for each in pending if _usable(each, psks, plan.now)], by_value)
    proposals = [*(proposal.resolved for proposal in chosen), *by_value]
    prepared = state.public.prepare_commit(proposals, committer=state.own_leaf)
    committer = Committer(
        before=state.public,
        context_bytes=state.context_bytes,
        sender=Member(state.own_leaf),
        message_key=identity.signature_key,
        identity=plan.new_leaf or identity,
        membership_key=state.secrets.membership_key,
        init_secret=state.secrets.init_secret,
    )
    with_path = plan.force_path or plan.update or plan.new_leaf is not None or not proposals
    path = None
    if with_path or path_required(proposals):
        path = make_path(prepared, committer.identity)
    return conclude(committer, prepared, path, plan, references=chosen, old_private=state.private, psks=psks)


def make_path(prepared: PreparedCommit, identity: Identity) -> CreatedPath:
    """Return new keys for the committer (section 12.4.1), its leaf one that others take."""
    tree = prepared.applied.tree
    check_identity(identity, tree.suite)
    path = create_update_path(
        tree, prepared.committer, identity=identity, context=prepared.context, added=prepared.added
    )
    check_leaf(path.update_path.leaf_node, tree.suite)
    return path


def conclude(
    committer: Committer,
    prepared: PreparedCommit,
    path: CreatedPath | None,
    plan: CommitPlan,
    *,
    references: tuple[VerifiedProposal, ...],
    old_private: TreePrivate | None,
    psks: PskSource,
) -> StagedCommit:
    """Sign the commit, derive its epoch, confirm it, and write Welcome and GroupInfo."""
    suite = committer.before.suite
    tree = prepared.applied.tree if path is None else path.tree
    signed = _signed(committer, prepared, path, plan, references)
    context = committer.before.context_after(prepared, signed, tree)
    epoch = key_schedule.next_epoch(
        suite,
        encode(context),
        init_secret=committer.init_secret,
        commit_secret=bytes(suite.hash_length) if path is None else path.commit_secret,
        psk_secret=psk_secret(suite, look_up(prepared.psks, psks)),
    )
    tag = transcript.confirmation_tag(
        suite, epoch.secrets.confirmation_key, confirmed=context.confirmed_transcript_hash
    )
    confirmed = protection.confirmed(signed, tag)
    message = encode_message(
        protection.seal_public(
            suite, confirmed, membership_key=committer.membership_key, context=committer.context_bytes
        )
    )
    verified = committer.before.conclude_commit(prepared, confirmed, message, tree)
    private = _next_private(prepared, path, old_private)
    state = EpochState(verified.following, epoch.secrets, private, prepared.reinit)
    signer = committer.identity.signature_key if path is not None else committer.message_key
    return StagedCommit(
        message=message,
        welcome=_welcome(state, epoch, prepared, path, _welcome_extensions(plan, tree), signer),
        group_info=encode_message(published_group_info(state, signer)),
        before=committer.before,
        verified=verified,
        references=references,
        state=state,
        encryption_secret=epoch.encryption_secret,
        signature_key=signer,
    )


def published_group_info(state: EpochState, signer: SigningKey, *, with_tree: bool = False) -> GroupInfo:
    """Return the GroupInfo by which others can join the epoch externally (section 12.4.3.2)."""
    external_pub = key_schedule.external_key_pair(state.suite, state.secrets).public
    extension = extension_of(ExtensionType.EXTERNAL_PUB, ExternalPub(external_pub))
    tree = (_tree_extension(state.public.tree),) if with_tree else ()
    return _group_info(state, (extension, *tree), signer)


def _welcome_extensions(plan: CommitPlan, tree: RatchetTree) -> Extensions:
    return (*plan.welcome_extensions, *((_tree_extension(tree),) if plan.tree_in_welcome else ()))


def _tree_extension(tree: RatchetTree) -> Extension:
    return Extension(ExtensionType.RATCHET_TREE, tree.to_bytes())


def _planned(state: EpochState, plan: CommitPlan) -> list[ResolvedProposal]:
    """Return the proposals that the plan itself brings, by value."""
    proposals: list[ProposalValue] = [Remove(leaf) for leaf in plan.remove]
    proposals += [Add(key_package) for key_package in plan.add]
    proposals += [PreSharedKeyProposal(fresh_psk(state.suite, name)) for name in plan.psks]
    if plan.extensions is not None:
        proposals.append(GroupContextExtensions(plan.extensions))
    if plan.reinit is not None:
        proposals.append(plan.reinit)
    return [by_value(proposal, SenderType.MEMBER, state.own_leaf) for proposal in proposals]


def _usable(proposal: VerifiedProposal, psks: PskSource, now: int | None) -> bool:
    """Whether we can commit a pending proposal.

    A pre-shared key that we don't have is for others to take up; an expired newcomer is not added.
    """
    match proposal.proposal:
        case PreSharedKeyProposal(psk):
            return psks(psk.psk) is not None
        case Add(KeyPackage(leaf_node=leaf)):
            return now is None or leaf.lifetime is None or leaf.lifetime.contains(now)
        case _:
            return True


def by_value(proposal: ProposalValue, sender_type: SenderType, sender: LeafIndex | None) -> ResolvedProposal:
    """Return a proposal as its committer includes it by value."""
    return ResolvedProposal(proposal, sender, sender_type, by_reference=False)


def _next_private(
    prepared: PreparedCommit, path: CreatedPath | None, old_private: TreePrivate | None
) -> TreePrivate:
    """Return the private keys that belong to the next epoch's tree, and no others (section 7.5)."""
    if path is not None:
        return path.private
    if old_private is None:
        raise UsageError("an external commit has a path")
    return old_private.within(prepared.applied.tree)


def _signed(
    committer: Committer,
    prepared: PreparedCommit,
    path: CreatedPath | None,
    plan: CommitPlan,
    references: tuple[VerifiedProposal, ...],
) -> AuthenticatedContent:
    values = [resolved.proposal for resolved in prepared.proposals if not resolved.by_reference]
    update_path: UpdatePath | None = None if path is None else path.update_path
    commit = Commit((*(ProposalRef(known.reference) for known in references), *values), update_path)
    context = committer.before.context
    content = FramedContent(
        context.group_id, context.epoch, committer.sender, plan.authenticated_data, commit
    )
    return protection.sign(
        content, WireFormat.PUBLIC_MESSAGE, context=committer.context_bytes, signer=committer.message_key
    )


def _welcome(
    state: EpochState,
    epoch: NewEpoch,
    prepared: PreparedCommit,
    path: CreatedPath | None,
    extensions: Extensions,
    signer: SigningKey,
) -> bytes | None:
    if not prepared.applied.added:
        return None
    new_members = [
        NewMember(added.key_package, None if path is None else path.secret_for(added.leaf_index))
        for added in prepared.applied.added
    ]
    welcome = seal_welcome(
        state.suite,
        _group_info(state, extensions, signer),
        new_members,
        joiner_secret=epoch.joiner_secret,
        welcome_secret=epoch.welcome_secret,
        psks=prepared.psks,
    )
    return encode_message(welcome)


def _group_info(state: EpochState, extensions: tuple[Extension, ...], signer: SigningKey) -> GroupInfo:
    unsigned = GroupInfo(state.context, extensions, state.public.confirmation_tag, state.own_leaf)
    return sign_group_info(unsigned, signer)
