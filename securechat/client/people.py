"""Who is in a tree: leaves as users and devices."""

from collections.abc import Iterable

from securechat.client.events import Member
from securechat.membership.identity import ClientCredential, read_client_credential
from securechat.membership.room import Room, role_of
from securechat.mls.nodes import LeafIndex, LeafNode
from securechat.mls.ratchet_tree import RatchetTree
from securechat.names import user_uri


def credential_of(leaf: LeafNode) -> ClientCredential:
    """Return who a leaf is. Leaves of a group we joined passed `judge`, so this does not fail."""
    return read_client_credential(leaf)


def user_of(leaf: LeafNode) -> str:
    return credential_of(leaf).user_name


def client_of(leaf: LeafNode) -> str:
    return credential_of(leaf).client_id


def client_identity(leaf: LeafNode) -> tuple[bytes, bytes]:
    """Return whose leaf it is: equal for one device, in whatever group and with whatever keys."""
    credential = credential_of(leaf)
    return credential.user, credential.client


def leaves_of(tree: RatchetTree, user: str) -> tuple[LeafIndex, ...]:
    return tuple(index for index, leaf in tree.leaves() if user_of(leaf) == user)


def users_in(tree: RatchetTree) -> dict[str, int]:
    """Return each user and how many devices it has in the tree, in order of name."""
    counts: dict[str, int] = {}
    for _, leaf in tree.leaves():
        user = user_of(leaf)
        counts[user] = counts.get(user, 0) + 1
    return dict(sorted(counts.items()))


def brings_newcomers(tree: RatchetTree, added: Iterable[LeafNode]) -> bool:
    """Whether somebody is added who has no device in the tree; a name with other keys is somebody else."""
    devices = [credential_of(leaf) for leaf in added]
    if not devices:
        return False
    present: dict[bytes, set[bytes]] = {}
    for _, leaf in tree.leaves():
        credential = credential_of(leaf)
        present.setdefault(credential.user, set()).add(credential.account_key)
    return not all(any(map(each.descends_from, present.get(each.user, ()))) for each in devices)


def user_of_client(tree: RatchetTree, client: str) -> str:
    """Return the user whose device the server names as a sender; '?' if nobody here has it."""
    for _, leaf in tree.leaves():
        if client_of(leaf) == client:
            return user_of(leaf)
    return "?"


def members_of(tree: RatchetTree, room: Room) -> tuple[Member, ...]:
    """Return who is in a group, with their roles."""
    return tuple(
        Member(user, role_of(room, user_uri(room.domain, user)).name.lower(), devices)
        for user, devices in users_in(tree).items()
    )
