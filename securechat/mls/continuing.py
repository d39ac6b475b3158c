"""A group that goes on as another: reinitialised (RFC 9420 section 11.2), or branched from it (11.3).

Both begin alike: somebody makes the new group and adds the others in its first commit, with a
resumption key of the old group mixed in, so that only who was there gets in.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.errors import UsageError
from securechat.mls.extensions import Extensions
from securechat.mls.group import Group
from securechat.mls.key_package import Identity, KeyPackage
from securechat.mls.origin import ClientOf, credential_of
from securechat.mls.psk import ResumptionPsk, ResumptionPSKUsage
from securechat.mls.staging import CommitPlan, StagedCommit


@dataclass(frozen=True, slots=True)
class Continuation:
    """The new group in epoch 0, ours alone, and the commit that brings the others in.

    Merge the commit and send its Welcome; nobody else will ever see the commit itself.
    """

    group: Group
    staged: StagedCommit


def reinitialise(
    old: Group,
    key_packages: Sequence[KeyPackage],
    *,
    identity: Identity | None = None,
    client_of: ClientOf = credential_of,
) -> Continuation:
    """Make the group that the ReInit of ``old`` asked for (11.2); every member may, whoever committed it.

    ``key_packages`` are of all other members, for the new suite, which may take another
    ``identity``. UsageError if ``old`` was not reinitialised, or somebody is missing.
    """
    reinit = old.state.reinit
    if reinit is None:
        raise UsageError("the group was not reinitialised")
    continuation = _continue(
        old,
        ResumptionPSKUsage.REINIT,
        Group.create(
            identity or old.identity,
            suite=cipher_suite(reinit.cipher_suite),
            group_id=reinit.group_id,
            extensions=reinit.extensions,
        ),
        key_packages,
    )
    if not _clients(old, client_of) <= _clients(continuation.group, client_of, continuation.staged):
        raise UsageError("a member of the old group is missing")
    return continuation


def branch(
    old: Group,
    key_packages: Sequence[KeyPackage],
    *,
    group_id: bytes,
    extensions: Extensions = (),
    client_of: ClientOf = credential_of,
) -> Continuation:
    """Make a group of some members of ``old`` (11.3); UsageError if somebody else is among them."""
    continuation = _continue(
        old,
        ResumptionPSKUsage.BRANCH,
        Group.create(old.identity, suite=old.suite, group_id=group_id, extensions=extensions),
        key_packages,
    )
    if not _clients(continuation.group, client_of, continuation.staged) <= _clients(old, client_of):
        raise UsageError("a branch holds members of the old group only")
    return continuation


def _continue(
    old: Group, usage: ResumptionPSKUsage, new: Group, key_packages: Sequence[KeyPackage]
) -> Continuation:
    name = ResumptionPsk(usage, old.group_id, old.epoch)
    plan = CommitPlan(add=tuple(key_packages), psks=(name,), force_path=True)
    return Continuation(new, new.stage_commit(plan, psks=old.psk_source()))


def _clients(group: Group, client_of: ClientOf, staged: StagedCommit | None = None) -> set[Hashable]:
    tree = group.public.tree if staged is None else staged.facts.new_tree
    return {client_of(leaf) for _, leaf in tree.leaves()}
