"""Rules about rights (rules.md C), judged against the room and tree before the commit."""

from securechat.membership.devices import revokes
from securechat.membership.identity import ClientCredential
from securechat.membership.leaf_rules import at
from securechat.membership.reinit import may_reinit, reinit_problem
from securechat.membership.room import ROOM_EXTENSION, Join, Role, Room, without_absent
from securechat.membership.scene import Departure, Entrance, Scene
from securechat.membership.statement import StatementRefused, verify_statement
from securechat.mls.extensions import Extensions
from securechat.mls.framing import SenderType
from securechat.mls.proposals import GroupContextExtensions, PreSharedKeyProposal, ReInit
from securechat.mls.psk import ResumptionPsk, ResumptionPSKUsage

_INSIDERS = frozenset({SenderType.MEMBER, SenderType.NEW_MEMBER_COMMIT})
_ADMIN_MAY_CHANGE = frozenset({"join", "profile_hash", "roles"})


def nobody_from_outside(scene: Scene) -> str | None:
    """External senders and new members' proposals are refused."""
    if all(proposal.sender_type in _INSIDERS for proposal in scene.facts.proposals):
        return None
    return "Only members propose changes."


def users_may_be_added(scene: Scene) -> str | None:
    """Add a user: owner, admin, or a member where members may. Own devices: everyone. Never the banned."""
    for entrance in scene.entrances:
        if entrance.by == entrance.user:
            continue
        if scene.old_room.role(entrance.user) is Role.BANNED:
            return f"{at(entrance.user)} is banned."
        if entrance.by is None or not _may_add(scene, entrance.by):
            return f"{at(entrance.by or 'an outsider')} may not add anyone here."
        if not _may_bring_back(scene, entrance, entrance.by):
            return f"{at(entrance.by)} may not give {at(entrance.user)} the role that waits for that name."
    return None


def nobody_is_removed_unduly(scene: Scene) -> str | None:
    """Remove: own devices; admins members and readers; owners anyone; anyone with a revocation."""
    for gone in scene.departures:
        if not _may_remove(scene, gone) and not is_revoked(scene.facts.authenticated_data, gone.credential):
            return (
                f"{at(gone.by)} may not remove {at(gone.user)}." if gone.by else "Only members remove others."
            )
    return None


def direct_has_two_users(scene: Scene) -> str | None:
    """A direct conversation's first commit brings in the other user; after that nobody new ever comes."""
    if not scene.direct:
        return None
    users = scene.after.users
    if scene.facts.old_context.epoch == 0:
        return None if len(users) == 2 else "A direct conversation begins with exactly two users."
    return None if users <= scene.before.users else "Nobody can be added to a direct conversation."


def psks_are_the_groups(scene: Scene) -> str | None:
    """PSK: resumption of this group only; in the first commit, of the group that goes on as this one.

    That one is not known here: whether it does is `judge_successor`'s.
    """
    context = scene.facts.old_context
    allowed = {(ResumptionPSKUsage.APPLICATION, True)}
    if context.epoch == 0:
        allowed.add((ResumptionPSKUsage.REINIT, False))
    for proposal in scene.facts.proposals:
        if isinstance(proposal.proposal, PreSharedKeyProposal):
            name = proposal.proposal.psk.psk
            if not isinstance(name, ResumptionPsk) or (
                (name.usage, name.psk_group_id == context.group_id) not in allowed
            ):
                return "Only keys of this group's own past may be mixed in."
    return None


def reinit_is_the_owners(scene: Scene) -> str | None:
    """ReInit: owner, or either of two in a direct conversation."""
    for proposal in scene.facts.proposals:
        if isinstance(proposal.proposal, ReInit) and not may_reinit(
            scene.old_room, scene.proposer(proposal), scene.before.users
        ):
            return "Only an owner may start the group anew."
    return None


def reinit_keeps_the_room(scene: Scene) -> str | None:
    """What a ReInit announces is the same room, for the same devices, in a suite that is no weaker."""
    for proposal in scene.facts.proposals:
        if isinstance(proposal.proposal, ReInit):
            return reinit_problem(proposal.proposal, scene.facts.old_context, scene.old_room, scene.before)
    return None


def only_the_room_changes(scene: Scene) -> str | None:
    """GroupContextExtensions differ only in the room's own extension."""
    old, new = scene.facts.old_context.extensions, scene.facts.new_context.extensions
    return None if _others(old) == _others(new) else "Only the room's own policy may change."


def room_stays_itself(scene: Scene) -> str | None:
    """Room, kind and (with these rules, the first) the rules' version never change."""
    old, new = scene.old_room, scene.new_room
    if (old.rules, old.room, old.kind) == (new.rules, new.room, new.kind):
        return None
    return "A room's address, kind and rules stay as they are."


def changes_are_allowed(scene: Scene) -> str | None:
    """Owners change anything else; admins roles below admin, profile and join; others only tidy up."""
    tidy = without_absent(scene.old_room, scene.after.users)
    if scene.new_room in (tidy, scene.old_room):
        return None
    role = scene.role(_who_changes(scene))
    if role > Role.ADMIN:
        return "Only owners and admins may change the room."
    if role is Role.OWNER or _is_for_admins(tidy, scene.new_room):
        return None
    return "An admin may change only roles below admin, the profile, and who may add others."


def roles_have_owners(scene: Scene) -> str | None:
    """A commit leaves no role, but bans, of a user without a leaf. A joiner cannot tidy up."""
    if scene.facts.external or without_absent(scene.new_room, scene.after.users) == scene.new_room:
        return None
    return "A role of somebody who is no longer in the room must be dropped."


def banned_are_gone(scene: Scene) -> str | None:
    """Who is banned has no leaf afterwards."""
    for user, role in scene.new_room.entries.items():
        if role is Role.BANNED and user in scene.after.users:
            return f"{at(user)} is banned and cannot stay."
    return None


def room_is_not_full(scene: Scene) -> str | None:
    """At most ``max_clients`` leaves; shrinking is always possible."""
    size = len(scene.after.members)
    if size <= scene.new_room.max_clients or size <= len(scene.before.members):
        return None
    return f"The room holds at most {scene.new_room.max_clients} devices."


def is_revoked(evidence: bytes, credential: ClientCredential) -> bool:
    """Whether a commit's ``authenticated_data`` is a statement by which an account revokes this client."""
    try:
        statement = verify_statement(evidence)
    except StatementRefused:
        return False
    return revokes(statement, credential)


def _may_add(scene: Scene, user: str) -> bool:
    if scene.direct:
        return True  # whom, is direct_has_two_users
    role = scene.role(user)
    if role <= Role.ADMIN:
        return True
    return role is Role.MEMBER and scene.old_room.join is Join.BY_MEMBER and not scene.frozen


def _may_bring_back(scene: Scene, entrance: Entrance, by: str) -> bool:
    """Whether the adder could have given the role that the old policy holds ready for this name.

    It was given to an account. Another account under the same name, or one that was away, gets it
    only from somebody who may give it; else an owner who leaves could be replaced by anyone.
    """
    if any(entrance.credential.descends_from(old.account_key) for old in scene.ahead(entrance)):
        return True
    waiting, default = scene.old_room.role(entrance.user), scene.old_room.default_role.role
    if waiting <= Role.ADMIN:
        return scene.role(by) is Role.OWNER
    return waiting >= default or scene.role(by) <= Role.ADMIN


def _may_remove(scene: Scene, gone: Departure) -> bool:
    if gone.by == gone.user:
        return True
    role, target = scene.role(gone.by), scene.old_room.role(gone.user)
    return role is Role.OWNER or (role is Role.ADMIN and target > Role.ADMIN)


def _who_changes(scene: Scene) -> str | None:
    for proposal in scene.facts.proposals:
        if isinstance(proposal.proposal, GroupContextExtensions):
            return scene.proposer(proposal)
    return None


def _is_for_admins(old: Room, new: Room) -> bool:
    """Whether the change from one room to another is one that admins may make."""
    changed = {name for name in Room.__struct_fields__ if getattr(old, name) != getattr(new, name)}
    users = old.entries.keys() | new.entries.keys()
    touched = [(old.role(user), new.role(user)) for user in users]
    return changed <= _ADMIN_MAY_CHANGE and all(a == b or min(a, b) > Role.ADMIN for a, b in touched)


def _others(extensions: Extensions) -> Extensions:
    return tuple(one for one in extensions if one.extension_type != ROOM_EXTENSION)
