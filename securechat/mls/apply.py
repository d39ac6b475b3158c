"""Applying a list of proposals, in the order of RFC 9420 section 12.3.

The list has been found valid; nothing is judged here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from securechat.mls.commit_facts import Added, Removed, ResolvedProposal, Updated
from securechat.mls.errors import UsageError
from securechat.mls.extensions import Extensions
from securechat.mls.group_context import GroupContext
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import (
    Add,
    ExternalInit,
    GroupContextExtensions,
    PreSharedKeyProposal,
    ReInit,
    Remove,
    SelfRemove,
    Update,
)
from securechat.mls.psk import PreSharedKeyID
from securechat.mls.ratchet_tree import RatchetTree, TreeDraft


@dataclass(frozen=True, slots=True)
class Applied:
    """A tree and group context extensions after the proposals of a commit, before its path."""

    tree: RatchetTree
    extensions: Extensions
    added: tuple[Added, ...]
    removed: tuple[Removed, ...]
    updated: tuple[Updated, ...]
    joiner: LeafIndex | None
    """The leaf made ready for who joins by this external commit."""


@dataclass(frozen=True, slots=True)
class PreparedCommit:
    """The proposals of a commit, found valid and applied; its path is still to come."""

    committer: LeafIndex
    """In the new tree; a joiner's is the blank leaf made ready for it."""
    external: bool
    proposals: tuple[ResolvedProposal, ...]
    applied: Applied
    context: GroupContext
    """The provisional context, but for its tree hash (12.4.1)."""

    @property
    def added(self) -> tuple[LeafIndex, ...]:
        return tuple(added.leaf_index for added in self.applied.added)

    @property
    def psks(self) -> tuple[PreSharedKeyID, ...]:
        """The pre-shared keys, in the order of their proposals (12.3)."""
        return tuple(
            other.proposal.psk for other in self.proposals if isinstance(other.proposal, PreSharedKeyProposal)
        )

    @property
    def external_init(self) -> bytes | None:
        """The KEM output of the ExternalInit, if there is one (8.3)."""
        for other in self.proposals:
            if isinstance(other.proposal, ExternalInit):
                return other.proposal.kem_output
        return None

    @property
    def reinit(self) -> ReInit | None:
        """The ReInit, if there is one: it closes the group (12.4.2)."""
        for other in self.proposals:
            if isinstance(other.proposal, ReInit):
                return other.proposal
        return None


def apply_proposals(
    tree: RatchetTree, extensions: Extensions, proposals: Sequence[ResolvedProposal], *, external: bool
) -> Applied:
    """Return what the proposals make of the tree and the extensions (12.3, and 12.4.2 for a joiner)."""
    if not proposals and not external:
        return Applied(tree, extensions, (), (), (), None)
    for resolved in proposals:
        if isinstance(resolved.proposal, GroupContextExtensions):
            extensions = resolved.proposal.extensions
    draft = TreeDraft(tree)
    updated = tuple(_update(draft, tree, proposals))
    removed = tuple(_remove(draft, tree, proposals))
    added = tuple(_add(draft, proposals))
    joiner = draft.reserve() if external else None
    return Applied(draft.freeze(), extensions, added, removed, updated, joiner)


def removed_leaf(resolved: ResolvedProposal) -> LeafIndex | None:
    """The leaf that a Remove or SelfRemove is about; None for other proposals."""
    match resolved.proposal:
        case Remove(removed):
            return removed
        case SelfRemove():
            return resolved.sender
        case _:
            return None


def _update(draft: TreeDraft, tree: RatchetTree, proposals: Sequence[ResolvedProposal]) -> Iterator[Updated]:
    for resolved in proposals:
        if isinstance(resolved.proposal, Update):
            if resolved.sender is None:
                raise UsageError("an Update has no sender")
            leaf = resolved.proposal.leaf_node
            draft.update(resolved.sender, leaf)
            yield Updated(resolved.sender, tree.member(resolved.sender), leaf)


def _remove(draft: TreeDraft, tree: RatchetTree, proposals: Sequence[ResolvedProposal]) -> Iterator[Removed]:
    # draft-ietf-mls-extensions: SelfRemoves come after Updates and before Removes.
    for resolved in sorted(proposals, key=lambda other: isinstance(other.proposal, Remove)):
        leaf_index = removed_leaf(resolved)
        if leaf_index is not None:
            draft.remove(leaf_index)
            yield Removed(leaf_index, tree.member(leaf_index))


def _add(draft: TreeDraft, proposals: Sequence[ResolvedProposal]) -> Iterator[Added]:
    for resolved in proposals:
        if isinstance(resolved.proposal, Add):
            key_package = resolved.proposal.key_package
            leaf_index = draft.add(key_package.leaf_node)
            yield Added(leaf_index, key_package, key_package.leaf_node)
