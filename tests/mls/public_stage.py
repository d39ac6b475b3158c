"""A group on a stage: members that make real proposals and commits, without a key schedule.

Confirmation and membership tags are made up (they are secrets' business); everything public is real. So
what a server sees can be tested, and bent, without the members' own machinery.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from weakref import WeakSet

from securechat.mls import protection
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.codec import encode
from securechat.mls.commit import Commit, UpdatePath
from securechat.mls.commit_facts import ResolvedProposal, VerifiedProposal
from securechat.mls.credential import BasicCredential
from securechat.mls.extensions import Extension
from securechat.mls.framing import (
    AuthenticatedContent,
    ContentValue,
    FramedContent,
    GroupInfo,
    Member,
    NewMemberCommit,
    SenderType,
    SenderValue,
    WireFormat,
    encode_message,
)
from securechat.mls.group_context import first_context
from securechat.mls.kem import KeyPair
from securechat.mls.key_package import Identity, KeyPackageBundle, make_key_package
from securechat.mls.nodes import (
    Capabilities,
    FromUpdate,
    LeafIndex,
    LeafNode,
    Lifetime,
    ProtocolVersion,
    sign_leaf_node,
)
from securechat.mls.proposals import (
    Add,
    ExternalInit,
    ProposalRef,
    ProposalType,
    ProposalValue,
    Remove,
    Update,
)
from securechat.mls.public_group import PublicGroup, VerifiedCommit
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.signature import SigningKey
from securechat.mls.update_path import (
    CreatedPath,
    TreePrivate,
    create_update_path,
    open_update_path,
    private_from_welcome,
)
from securechat.mls.welcome import sign_group_info

LIFETIME = Lifetime(0, 2**40)
CAPABILITIES = Capabilities(
    versions=(ProtocolVersion.MLS10,),
    cipher_suites=(SUITE_3.number,),
    extensions=(0xF001,),
    proposals=(ProposalType.SELF_REMOVE,),
    credentials=(1,),
)
TAG = bytes(32)


def identity(name: str, *, capabilities: Capabilities = CAPABILITIES) -> Identity:
    key = SUITE_3.signature.generate()
    return Identity(BasicCredential(name.encode()), key, capabilities)


def key_package(name: str = "newcomer", *, who: Identity | None = None) -> KeyPackageBundle:
    return make_key_package(who or identity(name), SUITE_3, lifetime=LIFETIME)


def leaf_key(bundle: KeyPackageBundle) -> KeyPair:
    return KeyPair(bundle.encryption_key, bundle.key_package.leaf_node.encryption_key)


@dataclass
class Actor:
    """A member: who it is and the private keys it holds of the tree."""

    identity: Identity
    private: TreePrivate

    @property
    def leaf(self) -> LeafIndex:
        return self.private.leaf_index


STAGES: "WeakSet[Stage]" = WeakSet()
"""All stages that a test has made, so that a refusal can see that it changed none of them."""


@dataclass(eq=False)
class Stage:
    """The public group, and its members by leaf."""

    group: PublicGroup
    actors: dict[int, Actor]
    pending: list[VerifiedProposal] = field(default_factory=list)
    updating: dict[int, KeyPair] = field(default_factory=dict)
    created: CreatedPath = field(init=False)

    def __post_init__(self) -> None:
        STAGES.add(self)

    # -- proposals ----------------------------------------------------------

    def update_leaf(self, actor: Actor) -> tuple[LeafNode, KeyPair]:
        """A leaf for an Update proposal, and its key pair."""
        pair = SUITE_3.kem.generate()
        who = actor.identity
        leaf = LeafNode(
            encryption_key=pair.public,
            signature_key=who.signature_key.public,
            credential=who.credential,
            capabilities=who.capabilities,
            origin=FromUpdate(),
            extensions=who.leaf_extensions,
        )
        signed = sign_leaf_node(
            leaf, who.signature_key, group_id=self.group.context.group_id, leaf_index=actor.leaf
        )
        return signed, pair

    def propose(self, actor: Actor, proposal: ProposalValue) -> VerifiedProposal:
        """Send a proposal as this member and have it verified."""
        message = self.message(Member(actor.leaf), proposal, actor.identity.signature_key)
        verified = self.group.verify_proposal(message)
        self.pending.append(verified)
        return verified

    def propose_update(self, actor: Actor) -> VerifiedProposal:
        leaf, pair = self.update_leaf(actor)
        self.updating[actor.leaf] = pair
        return self.propose(actor, Update(leaf))

    def message(self, sender: SenderValue, content: ContentValue, signer: SigningKey) -> bytes:
        authenticated = self.signed(sender, content, signer)
        if isinstance(content, Commit):
            authenticated = protection.confirmed(authenticated, TAG)
        return self.sealed(authenticated)

    def signed(self, sender: SenderValue, content: ContentValue, signer: SigningKey) -> AuthenticatedContent:
        context = self.group.context
        framed = FramedContent(context.group_id, context.epoch, sender, b"", content)
        return protection.sign(framed, WireFormat.PUBLIC_MESSAGE, context=encode(context), signer=signer)

    def sealed(self, authenticated: AuthenticatedContent) -> bytes:
        public = protection.seal_public(
            SUITE_3, authenticated, membership_key=bytes(32), context=encode(self.group.context)
        )
        return encode_message(public)

    # -- commits ------------------------------------------------------------

    def commit_content(
        self,
        actor: Actor,
        proposals: Sequence[ProposalValue] = (),
        references: Sequence[VerifiedProposal] = (),
        *,
        path: bool = True,
    ) -> Commit:
        """A commit by a member; the actor takes its new keys at once."""
        resolved = [
            ResolvedProposal(proposal, actor.leaf, SenderType.MEMBER, by_reference=False)
            for proposal in proposals
        ] + [reference.resolved for reference in references]
        entries = (*proposals, *(ProposalRef(reference.reference) for reference in references))
        return Commit(entries, self.path(actor, resolved) if path else None)

    def path(self, actor: Actor, proposals: Sequence[ResolvedProposal]) -> UpdatePath:
        prepared = self.group.prepare_commit(proposals, committer=actor.leaf)
        created = create_update_path(
            prepared.applied.tree,
            actor.leaf,
            identity=actor.identity,
            context=prepared.context,
            added=prepared.added,
        )
        actor.private = created.private
        self.created = created
        return created.update_path

    def commit(
        self,
        actor: Actor,
        proposals: Sequence[ProposalValue] = (),
        references: Sequence[VerifiedProposal] = (),
        *,
        path: bool = True,
        newcomers: Sequence[tuple[Identity, KeyPackageBundle]] = (),
    ) -> VerifiedCommit:
        """Send a commit as this member, have it verified and processed by all."""
        adds = [Add(bundle.key_package) for _, bundle in newcomers]
        content = self.commit_content(actor, [*proposals, *adds], references, path=path)
        message = self.message(Member(actor.leaf), content, actor.identity.signature_key)
        committer = actor.leaf
        verified = self.process(message)
        for added, (who, bundle) in zip(verified.facts.added, newcomers, strict=True):
            private = TreePrivate.of(added.leaf_index, leaf_key(bundle))
            if path:
                secret = self.created.secret_for(added.leaf_index)
                private = private_from_welcome(self.group.tree, private, signer=committer, path_secret=secret)
            self.actors[added.leaf_index] = Actor(who, private)
        return verified

    def forged(
        self, actor: Actor, entries: Sequence[ProposalValue | ProposalRef], path: UpdatePath | None
    ) -> bytes:
        """A well-signed commit of whatever is given."""
        return self.message(Member(actor.leaf), Commit(tuple(entries), path), actor.identity.signature_key)

    def join_externally(
        self, who: Identity, *, remove: LeafIndex | None = None, references: Sequence[VerifiedProposal] = ()
    ) -> VerifiedCommit:
        """Join by an external commit."""
        values: list[ProposalValue] = [ExternalInit(SUITE_3.kem.generate().public)]
        if remove is not None:
            values.append(Remove(remove))
        message, private = self.external_message(who, values, references)
        verified = self.process(message)
        self.actors[private.leaf_index] = Actor(who, private)
        return verified

    def external_message(
        self, who: Identity, values: Sequence[ProposalValue], references: Sequence[VerifiedProposal] = ()
    ) -> tuple[bytes, TreePrivate]:
        resolved = [
            ResolvedProposal(value, None, SenderType.NEW_MEMBER_COMMIT, by_reference=False)
            for value in values
        ] + [reference.resolved for reference in references]
        prepared = self.group.prepare_commit(resolved, committer=None)
        created = create_update_path(
            prepared.applied.tree, prepared.committer, identity=who, context=prepared.context
        )
        entries = (*values, *(ProposalRef(reference.reference) for reference in references))
        content = Commit(entries, created.update_path)
        return self.message(NewMemberCommit(), content, who.signature_key), created.private

    def process(self, message: bytes) -> VerifiedCommit:
        """What everybody does with a commit; all who open its path must find one secret."""
        verified = self.group.verify_commit(message, self.pending)
        for removed in verified.facts.removed:
            del self.actors[removed.leaf_index]
        secrets = set()
        for actor in self.actors.values():
            if actor.leaf != verified.facts.committer:
                secrets |= self._follow(actor, verified)
        assert len(secrets) <= 1
        self.group = self.group.apply(verified)
        self.pending, self.updating = [], {}
        return verified

    def _follow(self, actor: Actor, verified: VerifiedCommit) -> set[bytes]:
        prepared = verified.prepared
        if any(updated.leaf_index == actor.leaf for updated in prepared.applied.updated):
            actor.private = actor.private.with_leaf_key(self.updating[actor.leaf])
        if verified.commit.path is None:
            actor.private = actor.private.within(verified.facts.new_tree)
            return set()
        opened = open_update_path(
            prepared.applied.tree,
            actor.private,
            prepared.committer,
            verified.commit.path,
            context=verified.provisional_context,
            added=prepared.added,
        )
        assert opened.private.within(verified.facts.new_tree) == opened.private
        actor.private = opened.private
        return {opened.commit_secret}

    def group_info(self, signer: Actor, extensions: tuple[Extension, ...] = ()) -> GroupInfo:
        info = GroupInfo(self.group.context, extensions, self.group.confirmation_tag, signer.leaf)
        return sign_group_info(info, signer.identity.signature_key)


def stage_of(size: int, *, extensions: tuple[Extension, ...] = (), path: bool = True) -> Stage:
    """A group with its creator at leaf 0 and others added in one commit; without a path, no parents."""
    who = identity("creator")
    bundle = key_package(who=who)
    tree = RatchetTree.of(SUITE_3, bundle.key_package.leaf_node)
    context = first_context(
        cipher_suite=SUITE_3.number, group_id=b"stage", tree_hash=tree.tree_hash(), extensions=extensions
    )
    creator = Actor(who, TreePrivate.of(LeafIndex(0), leaf_key(bundle)))
    stage = Stage(PublicGroup.of(context, tree, TAG), {0: creator})
    if size > 1:
        people = [identity(f"member {number}") for number in range(1, size)]
        stage.commit(creator, newcomers=[(person, key_package(who=person)) for person in people], path=path)
    return stage
