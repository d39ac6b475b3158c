"""Whether a commit is valid: one pure function, run alike by its sender, the server and every receiver.

No clock, no pin, no contact, no server's word: only the old context and tree, the proposals and
the commit (rules.md). Every rule is one named function; `COMMIT_RULES` is the whole law, in the
order in which a refusal is named. MLS's own rules were checked before (`securechat.mls.public_group`).

A judgement never raises: what cannot be read is refused.
"""

from collections.abc import Callable, Sequence
from typing import Final

from securechat.membership import leaf_rules, room_rules
from securechat.membership.identity import (
    LeafRefused,
    leaf_refusal,
    read_client_credential,
    succession_problem,
)
from securechat.membership.leaf_rules import account_problem, newest_problem, repeated_client
from securechat.membership.reinit import Closed, later_problem, successor_problem
from securechat.membership.room import (
    Kind,
    Role,
    Room,
    RoomRefused,
    UpdateNeeded,
    extensions_for,
    room_of,
)
from securechat.membership.roster import Roster
from securechat.membership.scene import Scene
from securechat.membership.verdict import UPDATE_NEEDED, Refusal
from securechat.mls.commit_facts import CommitFacts, VerifiedProposal
from securechat.mls.group_context import GroupContext
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import ProposalValue, SelfRemove, Update
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree

COMMIT_RULES: Final[dict[str, Callable[[Scene], str | None]]] = {
    "outsider": room_rules.nobody_from_outside,
    "leaf": leaf_rules.leaves_are_valid,
    "successor": leaf_rules.successors_follow,
    "client-twice": leaf_rules.clients_are_unique,
    "leaves-per-user": leaf_rules.leaves_are_few,
    "account-key": leaf_rules.accounts_are_one,
    "external-user": leaf_rules.joiner_is_known,
    "external-proposals": leaf_rules.joiner_changes_little,
    "external-self-removes": leaf_rules.joiner_lets_go,
    "adds": leaf_rules.adds_are_few,
    "direct-users": room_rules.direct_has_two_users,
    "add": room_rules.users_may_be_added,
    "remove": room_rules.nobody_is_removed_unduly,
    "psk": room_rules.psks_are_the_groups,
    "reinit": room_rules.reinit_is_the_owners,
    "reinit-room": room_rules.reinit_keeps_the_room,
    "context-extensions": room_rules.only_the_room_changes,
    "room-identity": room_rules.room_stays_itself,
    "room-change": room_rules.changes_are_allowed,
    "stale-roles": room_rules.roles_have_owners,
    "banned": room_rules.banned_are_gone,
    "room-full": room_rules.room_is_not_full,
}
"""Each rule's name in a `Refusal`, and the function that holds it."""


def judge(facts: CommitFacts, *, pending: Sequence[VerifiedProposal] = ()) -> Refusal | None:
    """Return why a commit is not valid in its room, or None.

    :param pending: the epoch's proposals; an external commit must take in the SelfRemoves among them
    """
    old_room = _read_room(facts.old_context)
    if isinstance(old_room, Refusal):
        return old_room
    new_room = _read_room(facts.new_context)
    if isinstance(new_room, Refusal):
        # Rules that a member does not know cannot begin: all leaves must know them first.
        return Refusal("room", new_room.text)
    try:
        scene = Scene(facts, old_room, new_room, Roster.of_tree(facts.old_tree), pending)
        # Both are computed at first use; here a leaf that cannot be read is caught once for all rules.
        _ = scene.entrances, scene.after
    except LeafRefused as refused:
        return Refusal("leaf", str(refused))
    for name, rule in COMMIT_RULES.items():
        problem = rule(scene)
        if problem is not None:
            return Refusal(name, problem)
    return None


def judge_creation(group: PublicGroup, *, goes_on: bool = False) -> Refusal | None:
    """Return why a group may not begin like this, or None: epoch 0, one valid leaf, a room of its own.

    :param goes_on: another group goes on as this one, and its room's roles with it: they are not judged
        here, but by `judge_successor`
    """
    room = _read_room(group.context)
    if isinstance(room, Refusal):
        return room
    leaves = list(group.tree.leaves())
    if group.context.epoch != 0 or len(leaves) != 1:
        return Refusal("creation", "A group begins in epoch 0 with its creator alone.")
    if group.context.extensions != extensions_for(room):
        return Refusal("creation", "A group begins with the room's policy and nothing else.")
    (_, leaf) = leaves[0]
    problem = leaf_refusal(leaf, domain=room.domain, suite=group.context.cipher_suite, from_key_package=False)
    if problem is not None:
        return Refusal("leaf", problem)
    creator = read_client_credential(leaf).user_uri
    expected = {} if room.kind is Kind.DIRECT else {creator: Role.OWNER}
    if not goes_on and room.entries != expected:
        return Refusal("creation", "A room begins with its creator as the only owner.")
    return None


def judge_successor(closed: Closed, new: PublicGroup, creator: LeafIndex) -> Refusal | None:
    """Return why a closed group may not go on as this one, or None.

    :param new: in epoch 1, the first with all members
    :param creator: the leaf of who made it
    """
    room = _read_room(closed.public.context)
    if isinstance(room, Refusal):
        return room
    try:
        before, after = Roster.of_tree(closed.public.tree), Roster.of_tree(new.tree)
    except LeafRefused as refused:
        return Refusal("leaf", str(refused))
    problem = successor_problem(closed, new, room, before, after, by=after.user_of(creator))
    return None if problem is None else Refusal("successor-group", problem)


def judge_later_successor(closed: Closed, new: PublicGroup) -> Refusal | None:
    """Return why a group that has gone on is not shown to be what a closed one goes on as, or None.

    For a member who could not follow. Of a room only `judge_successor` can tell, for its policy and members
    may change with each epoch; a conversation of two stays what it is.
    """
    room = _read_room(closed.public.context)
    if isinstance(room, Refusal):
        return room
    try:
        before, after = Roster.of_tree(closed.public.tree), Roster.of_tree(new.tree)
    except LeafRefused as refused:
        return Refusal("leaf", str(refused))
    problem = later_problem(closed, new, room, before, after)
    return None if problem is None else Refusal("successor-group", problem)


def judge_tree(context: GroupContext, tree: RatchetTree) -> Refusal | None:
    """Return why one should not join a group with this tree, or None: for joiners, who judge every leaf."""
    room = _read_room(context)
    if isinstance(room, Refusal):
        return room
    for _, leaf in tree.leaves():
        problem = leaf_refusal(
            leaf, domain=room.domain, suite=context.cipher_suite, from_key_package=leaf.lifetime is not None
        )
        if problem is not None:
            return Refusal("leaf", problem)
    roster = Roster.of_tree(tree)
    return _roster_refusal(roster, room)


def judge_proposal(
    context: GroupContext, tree: RatchetTree, proposal: ProposalValue, sender: LeafIndex | None
) -> Refusal | None:
    """Return why a proposal may not wait for a commit, or None. Only Update and SelfRemove may."""
    if sender is None or not isinstance(proposal, Update | SelfRemove):
        return Refusal("proposal", "Only leaving and renewing one's own leaf can be proposed.")
    room = _read_room(context)
    if isinstance(room, Refusal):
        return room
    if tree.leaf(sender) is None:
        return Refusal("proposal", "Only a member can propose.")
    if isinstance(proposal, SelfRemove):
        return None
    problem = leaf_refusal(
        proposal.leaf_node, domain=room.domain, suite=context.cipher_suite, from_key_package=False
    )
    return Refusal("leaf", problem) if problem is not None else _update_refusal(proposal, sender, tree)


def _update_refusal(update: Update, sender: LeafIndex, tree: RatchetTree) -> Refusal | None:
    try:
        roster = Roster.of_tree(tree)
        new = read_client_credential(update.leaf_node)
    except LeafRefused as refused:
        return Refusal("leaf", str(refused))
    problem = succession_problem(roster.members[sender], new)
    if problem is not None:
        return Refusal("successor", problem)
    problem = newest_problem(new, roster.of_user(new.user_uri))
    return None if problem is None else Refusal("account-key", problem)


def _roster_refusal(roster: Roster, room: Room) -> Refusal | None:
    twice = repeated_client(tuple(roster.members.values()))
    if twice is not None:
        return Refusal("client-twice", twice)
    for credentials in roster.by_user().values():
        problem = account_problem(credentials)
        if problem is not None:
            return Refusal("account-key", problem)
    if room.kind is Kind.DIRECT and len(roster.users) > 2:
        return Refusal("direct-users", "A direct conversation has two users.")
    return None


def _read_room(context: GroupContext) -> Room | Refusal:
    try:
        return room_of(context)
    except UpdateNeeded as newer:
        return Refusal(UPDATE_NEEDED, str(newer))
    except RoomRefused as refused:
        return Refusal("room", str(refused))
