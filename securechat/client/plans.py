"""Which commit does what is wanted: one place for what goes along with every commit of ours."""

from securechat.client import rooms
from securechat.client.device import Device
from securechat.client.people import client_of, credential_of
from securechat.client.records import ConversationRecord
from securechat.membership.room import SaltedProfile
from securechat.mls.codec import decode
from securechat.mls.extensions import Extension
from securechat.mls.group import Group
from securechat.mls.key_package import Identity, KeyPackage
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import SelfRemove
from securechat.mls.staging import CommitPlan


def plan_of(
    device: Device,
    record: ConversationRecord,
    group: Group,
    *,
    add: tuple[KeyPackage, ...] = (),
    remove: tuple[LeafIndex, ...] = (),
    extensions: tuple[Extension, ...] | None = None,
    evidence: bytes = b"",
) -> CommitPlan:
    """Say which commit adds and removes, with a path, and with the certificate that we have now.

    :param extensions: the context's, if they change by more than what goes with those who are removed
    :param evidence: the statement by which somebody may be removed
    """
    public, gone = group.public, leaving(group)
    add = absent(group, add)
    remove = tuple(index for index in remove if index not in gone)
    welcome: tuple[Extension, ...] = ()
    if add and record.profile:
        welcome = (decode(SaltedProfile, record.profile).extension,)
    coming = frozenset(credential_of(each.leaf_node).user_uri for each in add)
    return CommitPlan(
        add=add,
        remove=remove,
        extensions=extensions or rooms.extensions_without(public, gone | frozenset(remove), coming),
        force_path=True,
        welcome_extensions=welcome,
        authenticated_data=evidence,
        new_leaf=_new_leaf(device, group),
    )


def absent(group: Group, packages: tuple[KeyPackage, ...]) -> tuple[KeyPackage, ...]:
    """Return the key packages of devices that are not in the group."""
    present = {client_of(leaf) for _, leaf in group.public.tree.leaves()}
    return tuple(each for each in packages if client_of(each.leaf_node) not in present)


def leaving(group: Group) -> frozenset[LeafIndex]:
    """Return the leaves that proposed to leave, as far as a commit of ours can take them up."""
    return frozenset(
        each.sender
        for each in group.pending
        if isinstance(each.proposal, SelfRemove) and each.sender is not None
    )


def _new_leaf(device: Device, group: Group) -> Identity | None:
    """Return who we are now, if the group knows us by a certificate of before."""
    told = group.public.tree.member(group.own_leaf).credential
    return None if told == device.identity.credential else device.identity
