"""Which of the pending proposals a committer takes (RFC 9420 sections 12.2 and 12.4).

A committer should include all that it received, but proposals of different people may contradict one
another, and one bad proposal must not keep everybody from committing.
"""

from collections.abc import Sequence
from typing import Final

from securechat.mls.apply import apply_proposals, removed_leaf
from securechat.mls.commit import MAX_PROPOSALS
from securechat.mls.commit_facts import ResolvedProposal, VerifiedProposal
from securechat.mls.epoch import EpochState
from securechat.mls.errors import ValidationError
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposal_rules import check_proposal_list
from securechat.mls.proposals import GroupContextExtensions, ReInit, Remove, SelfRemove, Update
from securechat.mls.public_group import PublicGroup
from securechat.mls.validation import check_census

MOST_LOOKED_AT: Final = 1 << 16
"""Proposals, each as often as it is tried: what contradicts others keeps no committer for longer than half a
second (O-07). What is not looked at is left out."""


def choose_pending(
    state: EpochState, pending: Sequence[VerifiedProposal], planned: Sequence[ResolvedProposal]
) -> tuple[VerifiedProposal, ...]:
    """Return those of ``pending``, in their order, that are valid together with what is planned."""
    return choose_proposals(state.public, pending, planned, committer=state.own_leaf)


def choose_proposals(
    group: PublicGroup,
    pending: Sequence[VerifiedProposal],
    planned: Sequence[ResolvedProposal],
    *,
    committer: LeafIndex,
) -> tuple[VerifiedProposal, ...]:
    """Return a valid list out of ``pending``, in its order, that goes with what the committer plans.

    12.2: a Remove is preferred to Updates, the last Update to earlier ones, all else to a ReInit.
    """
    pending = tuple({proposal.reference: proposal for proposal in pending}.values())
    ranked = [proposal for _, proposal in sorted(enumerate(pending), key=lambda entry: _rank(*entry))]
    candidates = _first_for_each_leaf(ranked, planned, committer)[: max(0, MAX_PROPOSALS - len(planned))]
    candidates = _as_many_as_agree(group, candidates, planned, committer) if candidates else []
    chosen = {proposal.reference for proposal in candidates}
    return tuple(proposal for proposal in pending if proposal.reference in chosen)


def _rank(place: int, proposal: VerifiedProposal) -> tuple[int, int]:
    """The order in which proposals are tried."""
    match proposal.proposal:
        case SelfRemove():  # makes a Remove of the same leaf invalid (draft-ietf-mls-extensions)
            return 0, place
        case Remove():
            return 1, place
        case Update() | GroupContextExtensions():
            return 2, -place
        case ReInit():
            return 4, place
        case _:
            return 3, place


def _first_for_each_leaf(
    proposals: Sequence[VerifiedProposal], planned: Sequence[ResolvedProposal], committer: LeafIndex
) -> list[VerifiedProposal]:
    """Drop what is about a leaf that an earlier one is about, or about the committer's."""
    about = {committer, *(leaf for other in planned if (leaf := _leaf_of(other)) is not None)}
    chosen: list[VerifiedProposal] = []
    for proposal in proposals:
        leaf = _leaf_of(proposal.resolved)
        alone = isinstance(proposal.proposal, ReInit)
        if leaf in about or (alone and (chosen or planned)):
            continue
        if leaf is not None:
            about.add(leaf)
        chosen.append(proposal)
    return chosen


def _leaf_of(resolved: ResolvedProposal) -> LeafIndex | None:
    """The leaf that an Update, Remove or SelfRemove is about."""
    return resolved.sender if isinstance(resolved.proposal, Update) else removed_leaf(resolved)


def _as_many_as_agree(
    group: PublicGroup,
    candidates: Sequence[VerifiedProposal],
    planned: Sequence[ResolvedProposal],
    committer: LeafIndex,
) -> list[VerifiedProposal]:
    """Keep what is valid together with what is kept before: a run at a time, halved where it is not."""
    chosen: list[VerifiedProposal] = []
    ahead, looked_at = [list(candidates)], 0
    while ahead and looked_at < MOST_LOOKED_AT:
        run = ahead.pop()
        looked_at += len(chosen) + len(run)
        if _goes_with(group, [*chosen, *run], planned, committer):
            chosen += run
        elif len(run) > 1:
            middle = len(run) // 2
            ahead += [run[middle:], run[:middle]]
    return chosen


def _goes_with(
    group: PublicGroup,
    proposals: Sequence[VerifiedProposal],
    planned: Sequence[ResolvedProposal],
    committer: LeafIndex,
) -> bool:
    """Whether the list is valid (12.2); each proposal's own signatures are checked elsewhere, once."""
    together = [*(other.resolved for other in proposals), *planned]
    try:
        check_proposal_list(together, group.tree, committer=committer)
        applied = apply_proposals(group.tree, group.context.extensions, together, external=False)
        check_census(applied.tree.census, applied.extensions)
    except ValidationError:
        return False
    return True
