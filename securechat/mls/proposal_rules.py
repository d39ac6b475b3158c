"""Whether proposals, alone and as the list of a commit, are valid (RFC 9420 sections 12.1 and 12.2).

Each MUST is one function with a name, SelfRemove's (draft-ietf-mls-extensions) among them; all raise
ValidationError. What can be told only after the list has been applied is in ``public_group``.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Final

from securechat.mls.apply import removed_leaf
from securechat.mls.census import profile_of
from securechat.mls.commit_facts import ResolvedProposal
from securechat.mls.errors import ValidationError
from securechat.mls.framing import SenderType
from securechat.mls.group_context import GroupContext
from securechat.mls.nodes import DEFAULT_PROPOSALS, LeafIndex, LeafNode, LeafNodeSource
from securechat.mls.proposals import (
    Add,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKeyProposal,
    ProposalType,
    ProposalValue,
    ReInit,
    Remove,
    SelfRemove,
    Update,
    proposal_type,
)
from securechat.mls.psk import ResumptionPsk, ResumptionPSKUsage
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.validation import (
    check_kem_output,
    check_key_package,
    check_leaf,
    check_leaf_replaces,
    check_leaf_signature,
    check_leaf_source,
    read_context_extensions,
)

SENDER_MAY_PROPOSE: Final[dict[SenderType, frozenset[ProposalType]]] = {
    SenderType.MEMBER: frozenset(ProposalType) - {ProposalType.EXTERNAL_INIT},
    SenderType.EXTERNAL: frozenset(
        {
            ProposalType.ADD,
            ProposalType.REMOVE,
            ProposalType.PSK,
            ProposalType.REINIT,
            ProposalType.GROUP_CONTEXT_EXTENSIONS,
        }
    ),
    SenderType.NEW_MEMBER_PROPOSAL: frozenset({ProposalType.ADD}),
    SenderType.NEW_MEMBER_COMMIT: frozenset(
        {ProposalType.EXTERNAL_INIT, ProposalType.REMOVE, ProposalType.PSK}
    ),
}
"""Which proposals may come from whom (6.1, 12.1.8, 12.2)."""

NEEDS_NO_PATH: Final = frozenset({ProposalType.ADD, ProposalType.PSK, ProposalType.REINIT})
"""A commit of only these, and of at least one, may go without a path (12.4)."""


def check_proposal(
    proposal: ProposalValue,
    tree: RatchetTree,
    context: GroupContext,
    *,
    sender: LeafIndex | None,
    sender_type: SenderType,
) -> None:
    """12.1: the rules about a proposal by itself, its signatures among them."""
    check_sender_may_propose(proposal, sender_type)
    match proposal:
        case Add(key_package):
            check_key_package(key_package, tree.suite)
        case Update(leaf_node):
            check_update(leaf_node, tree, context, sender)
        case Remove(removed):
            check_remove(tree, removed)
        case PreSharedKeyProposal():
            check_psk(proposal, tree, context)
        case ReInit():
            check_reinit(proposal, context)
        case GroupContextExtensions(extensions):
            read_context_extensions(extensions)
        case ExternalInit(kem_output):
            check_kem_output(kem_output, tree.suite)
        case SelfRemove():
            pass


def check_sender_may_propose(proposal: ProposalValue, sender_type: SenderType) -> None:
    """12.1.8: not every sender may propose everything."""
    if proposal_type(proposal) not in SENDER_MAY_PROPOSE[sender_type]:
        detail = f"{proposal_type(proposal).name} from {sender_type.name}"
        raise ValidationError("sender-proposal-type", "12.1.8", detail)


def check_update(leaf: LeafNode, tree: RatchetTree, context: GroupContext, sender: LeafIndex | None) -> None:
    """12.1.2: an Update's leaf is valid, with a new key, and signed for the sender's place."""
    if sender is None:
        raise ValidationError("update-sender", "12.1.2", "only a member updates its leaf")
    check_leaf_source(leaf, LeafNodeSource.UPDATE)
    check_leaf(leaf, tree.suite)
    check_leaf_replaces(leaf, tree.member(sender))
    check_leaf_signature(leaf, tree.suite, group_id=context.group_id, leaf_index=sender)


def check_remove(tree: RatchetTree, removed: LeafIndex) -> None:
    """12.1.3: a Remove names a leaf that is not blank."""
    if tree.leaf(removed) is None:
        raise ValidationError("remove-blank", "12.1.3", f"leaf {removed} is blank")


def check_psk(proposal: PreSharedKeyProposal, tree: RatchetTree, context: GroupContext) -> None:
    """12.1.4: the nonce is as long as a hash; a key for ReInit or branching only starts a new group."""
    if len(proposal.psk.psk_nonce) != tree.suite.hash_length:
        raise ValidationError("psk-nonce-length", "12.1.4", f"{len(proposal.psk.psk_nonce)} bytes")
    name = proposal.psk.psk
    linking = isinstance(name, ResumptionPsk) and name.usage is not ResumptionPSKUsage.APPLICATION
    if linking and context.epoch != 0:  # 11.2, 11.3: the Welcome of such a group is of epoch 1
        raise ValidationError("psk-usage", "12.1.4", "a reinit or branch key in a running group")


def check_reinit(proposal: ReInit, context: GroupContext) -> None:
    """12.1.5: a ReInit does not lower the version, and its extensions are such as a group can have."""
    read_context_extensions(proposal.extensions)  # else the group would be closed for nothing
    if proposal.version < context.version:
        raise ValidationError("reinit-version", "12.1.5", f"version {proposal.version}")


def check_proposal_list(
    proposals: Sequence[ResolvedProposal], tree: RatchetTree, *, committer: LeafIndex | None
) -> None:
    """12.2: the rules about a list; ``committer`` is None for an external commit."""
    check_self_removes_by_reference(proposals)
    if committer is None:
        check_external_list(proposals)
    else:
        check_no_external_init(proposals)
        check_committer_stays(proposals, committer)
        check_committer_does_not_update(proposals, committer)
        check_reinit_alone(proposals)
    check_one_change_per_leaf(proposals)
    check_adds_distinct(proposals)
    check_psks_distinct(proposals)
    check_one_context_extensions(proposals)
    check_proposals_supported(proposals, tree)


def check_external_list(proposals: Sequence[ResolvedProposal]) -> None:
    """12.2, 12.4.3.2: one ExternalInit, at most one Remove, PSKs, and SelfRemoves by reference."""
    if _count(proposals, ExternalInit) != 1:
        raise ValidationError("external-init-count", "12.2", "an external commit has one ExternalInit")
    if _count(proposals, Remove) > 1:
        raise ValidationError("external-removes", "12.2", "a joiner removes at most its old leaf")
    for resolved in proposals:
        if isinstance(resolved.proposal, SelfRemove):
            continue
        if resolved.by_reference:
            raise ValidationError("external-by-reference", "12.4.3.2", "a joiner knows no references")
        if not isinstance(resolved.proposal, ExternalInit | Remove | PreSharedKeyProposal):
            detail = proposal_type(resolved.proposal).name
            raise ValidationError("external-proposal-type", "12.2", detail)


def check_no_external_init(proposals: Sequence[ResolvedProposal]) -> None:
    """12.2: only an external commit has an ExternalInit."""
    if _count(proposals, ExternalInit):
        raise ValidationError("external-init", "12.2", "a member's commit has no ExternalInit")


def check_committer_stays(proposals: Sequence[ResolvedProposal], committer: LeafIndex) -> None:
    """12.2: a commit does not remove its committer."""
    if any(removed_leaf(resolved) == committer for resolved in proposals):
        raise ValidationError("removes-committer", "12.2", "nobody commits its own removal")


def check_committer_does_not_update(proposals: Sequence[ResolvedProposal], committer: LeafIndex) -> None:
    """12.2: the committer's leaf changes by the path, not by an Update."""
    if any(isinstance(other.proposal, Update) and other.sender == committer for other in proposals):
        raise ValidationError("update-by-committer", "12.2", "the committer updates by its path")


def check_reinit_alone(proposals: Sequence[ResolvedProposal]) -> None:
    """12.2: a ReInit comes with no other proposal."""
    if _count(proposals, ReInit) and len(proposals) > 1:
        raise ValidationError("reinit-not-alone", "12.2", "a ReInit comes alone")


def check_self_removes_by_reference(proposals: Sequence[ResolvedProposal]) -> None:
    """draft-ietf-mls-extensions: a SelfRemove is committed by reference, for the member that sent it."""
    for resolved in proposals:
        if isinstance(resolved.proposal, SelfRemove) and not resolved.by_reference:
            raise ValidationError("self-remove-by-value", "12.2", "a SelfRemove is only referred to")


def check_one_change_per_leaf(proposals: Sequence[ResolvedProposal]) -> None:
    """12.2: at most one Update, Remove or SelfRemove for one leaf."""
    changed = [
        resolved.sender if isinstance(resolved.proposal, Update) else removed_leaf(resolved)
        for resolved in proposals
    ]
    if _repeated(leaf for leaf in changed if leaf is not None):
        raise ValidationError("several-for-leaf", "12.2", "two proposals change one leaf")


def check_adds_distinct(proposals: Sequence[ResolvedProposal]) -> None:
    """12.2: no two Adds for one client, known by its signature key."""
    if _repeated(
        resolved.proposal.key_package.leaf_node.signature_key
        for resolved in proposals
        if isinstance(resolved.proposal, Add)
    ):
        raise ValidationError("duplicate-add", "12.2", "two Adds for one signature key")


def check_psks_distinct(proposals: Sequence[ResolvedProposal]) -> None:
    """12.2: no pre-shared key twice."""
    if _repeated(
        resolved.proposal.psk for resolved in proposals if isinstance(resolved.proposal, PreSharedKeyProposal)
    ):
        raise ValidationError("duplicate-psk", "12.2", "a pre-shared key occurs twice")


def check_one_context_extensions(proposals: Sequence[ResolvedProposal]) -> None:
    """12.2: at most one GroupContextExtensions."""
    if _count(proposals, GroupContextExtensions) > 1:
        raise ValidationError("several-context-extensions", "12.2", "the extensions are replaced twice")


def check_proposals_supported(proposals: Sequence[ResolvedProposal], tree: RatchetTree) -> None:
    """12.2: each non-default proposal type is supported by all who will process the commit.

    These are the members of the old tree without those removed; newcomers need not support it.
    """
    needed = {proposal_type(resolved.proposal) for resolved in proposals} - DEFAULT_PROPOSALS
    if not needed:
        return
    processing = tree.census.profiles.copy()
    for resolved in proposals:
        leaf = removed_leaf(resolved)
        if leaf is not None:
            processing.leave(profile_of(tree.member(leaf)))
    for profile in processing:
        if not needed.issubset(profile.capabilities.proposals):
            raise ValidationError("proposal-unsupported", "12.2", "a member does not know a proposal type")


def check_path_present(proposals: Sequence[ResolvedProposal], *, path: bool) -> None:
    """12.4: a path is there, unless some proposals are and none of them needs one."""
    if path or (proposals and not path_required(proposals)):
        return
    raise ValidationError("path-required", "12.4", "a commit of these proposals has a path")


def path_required(proposals: Iterable[ResolvedProposal]) -> bool:
    """Whether a proposal of the list needs a path (12.4)."""
    return any(proposal_type(resolved.proposal) not in NEEDS_NO_PATH for resolved in proposals)


def _count(proposals: Sequence[ResolvedProposal], kind: type[ProposalValue]) -> int:
    return sum(isinstance(resolved.proposal, kind) for resolved in proposals)


def _repeated(values: Iterable[Hashable]) -> bool:
    return any(count > 1 for count in Counter(values).values())
