"""Whether a group that continues another one truly does (RFC 9420 sections 11.2, 11.3 and 12.4.3.1)."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from securechat.mls.errors import ValidationError
from securechat.mls.nodes import LeafNode
from securechat.mls.proposals import ReInit
from securechat.mls.psk import PreSharedKeyID, ResumptionPsk, ResumptionPSKUsage
from securechat.mls.public_group import PublicGroup

ClientOf = Callable[[LeafNode], Hashable]
"""Whose leaf it is: leaves of one client give equal values. What a credential means is the application's."""


def credential_of(leaf: LeafNode) -> Hashable:
    """Take equal credentials for one client: for whoever gives them no other meaning."""
    return leaf.credential


@dataclass(frozen=True, slots=True)
class Origin:
    """The old group, for who joins one that continues it."""

    public: PublicGroup
    reinit: ReInit | None
    client_of: ClientOf = credential_of


def check_origin(psks: Sequence[PreSharedKeyID], public: PublicGroup, origin: Origin | None) -> None:
    """12.4.3.1: a Welcome with a key of usage reinit or branch leads where that key says.

    Who names the ``origin`` expects such a key.
    """
    names = [psk.psk for psk in psks if isinstance(psk.psk, ResumptionPsk)]
    linking = [name for name in names if name.usage is not ResumptionPSKUsage.APPLICATION]
    if not linking:
        if origin is not None:  # anybody can begin a group of the id that a ReInit names
            raise ValidationError("origin-unlinked", "11.2", "nothing shows that it continues that group")
        return
    if len(linking) > 1:
        raise ValidationError("psk-usage", "12.4.3.1", "several keys of usage reinit or branch")
    if public.context.epoch != 1:
        raise ValidationError("origin-epoch", "12.4.3.1", "such a group begins with epoch 1")
    if origin is None or origin.public.context.group_id != linking[0].psk_group_id:
        raise ValidationError("origin-unknown", "12.4.3.1", "the group that it continues is not known")
    if linking[0].usage is ResumptionPSKUsage.BRANCH:
        _check_branch(public, origin)
    else:
        _check_reinit(public, origin, linking[0])


def _check_reinit(public: PublicGroup, origin: Origin, name: ResumptionPsk) -> None:
    """11.2: the new group is what the ReInit said, by who saw it committed, with everybody in it."""
    reinit, new = origin.reinit, public.context
    asked = (
        None if reinit is None else (reinit.group_id, reinit.version, reinit.cipher_suite, reinit.extensions)
    )
    if asked != (new.group_id, new.version, new.cipher_suite, new.extensions):
        raise ValidationError("reinit-parameters", "11.2", "it is not what the ReInit said")
    if name.psk_epoch != origin.public.context.epoch:
        # Of an earlier epoch would do for somebody who was removed before the group was closed.
        raise ValidationError("reinit-epoch", "11.2", "the key is not of the epoch after the ReInit")
    if not _clients(origin.public, origin) <= _clients(public, origin):
        raise ValidationError("reinit-members", "12.4.3.1", "a member of the old group is not in it")


def _check_branch(public: PublicGroup, origin: Origin) -> None:
    """11.3: a branch keeps version and suite, and holds nobody who is not in the old group."""
    new, old = public.context, origin.public.context
    if (new.version, new.cipher_suite) != (old.version, old.cipher_suite):
        raise ValidationError("branch-parameters", "11.3", "a branch keeps version and suite")
    if not _clients(public, origin) <= _clients(origin.public, origin):
        raise ValidationError("branch-members", "11.3", "it has a member that the old group does not have")


def _clients(group: PublicGroup, origin: Origin) -> set[Hashable]:
    return {origin.client_of(leaf) for _, leaf in group.tree.leaves()}
