"""What a commit does, told in public values: the input of every judgement about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from securechat.mls.commit import Commit
from securechat.mls.errors import ValidationError
from securechat.mls.framing import SenderType
from securechat.mls.group_context import GroupContext
from securechat.mls.key_package import KeyPackage
from securechat.mls.nodes import Epoch, LeafIndex, LeafNode
from securechat.mls.proposals import ProposalRef, ProposalValue
from securechat.mls.ratchet_tree import RatchetTree


@dataclass(frozen=True, slots=True)
class ResolvedProposal:
    """A proposal of a commit, with who made it; a reference has been looked up."""

    proposal: ProposalValue
    sender: LeafIndex | None
    """The proposer's leaf in the old tree; None for an outsider or a new member."""
    sender_type: SenderType
    by_reference: bool


@dataclass(frozen=True, slots=True)
class VerifiedProposal:
    """A proposal message that passed every public check in its epoch."""

    proposal: ProposalValue
    sender: LeafIndex | None
    """The proposer's leaf; None for an outsider or a new member."""
    sender_type: SenderType
    epoch: Epoch
    reference: bytes
    authenticated_data: bytes
    message: bytes

    @property
    def resolved(self) -> ResolvedProposal:
        """The proposal as a commit refers to it."""
        return ResolvedProposal(self.proposal, self.sender, self.sender_type, by_reference=True)


def resolve(
    commit: Commit, committer: LeafIndex | None, pending: Sequence[VerifiedProposal]
) -> tuple[ResolvedProposal, ...]:
    """Look up the references of a commit (12.4); what it has by value is the committer's."""
    known = {proposal.reference: proposal for proposal in pending}
    kind = SenderType.NEW_MEMBER_COMMIT if committer is None else SenderType.MEMBER
    resolved = []
    for entry in commit.proposals:
        if not isinstance(entry, ProposalRef):
            resolved.append(ResolvedProposal(entry, committer, kind, by_reference=False))
        elif entry.reference in known:
            resolved.append(known[entry.reference].resolved)
        else:
            raise ValidationError("unknown-proposal", "12.4", "the commit refers to an unknown proposal")
    return tuple(resolved)


@dataclass(frozen=True, slots=True)
class Added:
    leaf_index: LeafIndex
    key_package: KeyPackage
    leaf_node: LeafNode


@dataclass(frozen=True, slots=True)
class Removed:
    leaf_index: LeafIndex
    leaf_node: LeafNode


@dataclass(frozen=True, slots=True)
class Updated:
    leaf_index: LeafIndex
    old: LeafNode
    new: LeafNode


@dataclass(frozen=True, slots=True)
class CommitFacts:
    """A commit that passed every public check of RFC 9420; whether it is *allowed* is policy."""

    old_context: GroupContext
    old_tree: RatchetTree
    new_context: GroupContext
    new_tree: RatchetTree
    committer: LeafIndex
    """The committer's leaf in the new tree."""
    external: bool
    committer_leaf: LeafNode
    path: bool
    proposals: tuple[ResolvedProposal, ...]
    added: tuple[Added, ...]
    """By Add proposals, in their order; who joins by an external commit is ``committer_leaf``."""
    removed: tuple[Removed, ...]
    updated: tuple[Updated, ...]
    """By Update proposals, and last the committer's own leaf if there is a path."""
    authenticated_data: bytes
