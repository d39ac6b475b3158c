"""What ts-mls does that RFC 9420 does not allow, so that scripts keep to what both can do.

docs/contributing.md lists these for a reader.
"""

from collections.abc import Sequence

from securechat.mls.nodes import LeafIndex, ParentNode
from securechat.mls.proposals import (
    Add,
    GroupContextExtensions,
    PreSharedKeyProposal,
    ProposalValue,
    Remove,
    Update,
)
from securechat.mls.psk import ResumptionPsk
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.tree_math import direct_path, is_leaf, left, node_of, right


def commits_soundly(major: str, proposals: Sequence[ProposalValue]) -> bool:
    """Whether a commit of these proposals by ts-mls keeps section 12.4.

    Both versions leave out the path for GroupContextExtensions alone, and encrypt it for the old
    extensions if there is one. 2.x also leaves it out for one Update or one Remove, encrypts it to the
    keys of before the proposals, and does not find the resumption keys of its own group.
    """
    if any(isinstance(each, GroupContextExtensions) for each in proposals):
        return False
    updates = sum(isinstance(each, Update) for each in proposals)
    removes = sum(isinstance(each, Remove) for each in proposals)
    enough = 1 if major == "1" else 2
    has_path = not proposals or updates >= enough or removes >= enough
    if major == "2":
        old_keys = updates or any(isinstance(each, Add) for each in proposals)
        if (has_path and old_keys) or any(resumes(each) for each in proposals):
            return False
    return has_path or not needs_path(proposals)


def needs_path(proposals: Sequence[ProposalValue]) -> bool:
    """Whether section 12.4 wants a path (of the types that occur in the scripts)."""
    kinds = (Update, Remove, GroupContextExtensions)
    return not proposals or any(isinstance(each, kinds) for each in proposals)


def resumes(proposal: ProposalValue) -> bool:
    """Whether it names a resumption key."""
    return isinstance(proposal, PreSharedKeyProposal) and isinstance(proposal.psk.psk, ResumptionPsk)


def follows_its_removal(major: str, *, leaf_stays_empty: bool) -> bool:
    """Whether a member with ts-mls takes the commit that removes it: 1.x if nobody gets its leaf at once."""
    return major == "1" and leaf_stays_empty


def reads_tree(tree: RatchetTree) -> bool:
    """Whether a joiner with ts-mls takes this tree, which is valid.

    Both versions want all parents above an unmerged leaf to list the same unmerged leaves; section
    12.4.3.1 wants those between the leaf and the node that lists it to list that leaf too.
    """
    for listed in {parent.unmerged_leaves for parent in _parents(tree)}:
        for leaf in listed:
            path = direct_path(node_of(LeafIndex(leaf)), tree.leaf_count)
            above = [parent for node in path if (parent := tree.parent(node)) is not None]
            if any(parent.unmerged_leaves != listed for parent in above):
                return False
    return True


def derives_commit_secret(tree: RatchetTree) -> bool:
    """Whether ts-mls derives the commit secret of a path in this tree.

    It goes on to the root, where section 7.4 stops at the last node of the filtered direct path: that
    is another secret if one half of the tree is empty.
    """
    top = tree.root
    return is_leaf(top) or all(tree.resolution(child) for child in (left(top), right(top)))


def _parents(tree: RatchetTree) -> list[ParentNode]:
    return [node for node in tree.nodes if isinstance(node, ParentNode)]
