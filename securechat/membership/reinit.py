"""A group that goes on as another (rules.md C, RFC 9420 section 11.2): who may, how, and as what.

The room outlives the group: policy, members and name stay, the group id and the cipher suite change.
A ReInit closes its group for good, so nothing is announced that could not come about.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from securechat.membership.identity import ClientCredential, succession_problem
from securechat.membership.leaf_rules import MAX_ADDS, at
from securechat.membership.room import PRODUCT_SUITES, Kind, Role, Room, acting_role, without_absent
from securechat.membership.roster import Roster
from securechat.mls.group_context import GroupContext
from securechat.mls.proposals import ReInit
from securechat.mls.public_group import PublicGroup

GROUP_ID_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Closed:
    """A group in the epoch that its ReInit began: nothing more happens in it."""

    public: PublicGroup
    reinit: ReInit


def may_reinit(room: Room, user: str | None, present: Collection[str]) -> bool:
    """Whether a user (by URI) may close the group or make the one it goes on as: owner, or either of two."""
    if user is None or user not in present:
        return False
    return room.kind is Kind.DIRECT or acting_role(room, user, present) is Role.OWNER


def reinit_problem(reinit: ReInit, context: GroupContext, room: Room, members: Roster) -> str | None:
    """Return why what a ReInit announces is not this room, or could not come about."""
    lacking, count = first_without(reinit.cipher_suite, members), len(members.members)
    new_id = len(reinit.group_id) == GROUP_ID_BYTES and reinit.group_id != context.group_id
    checks = (
        (
            (reinit.version, reinit.extensions) != (context.version, context.extensions),
            "A room goes on as it is: its policy does not change on the way.",
        ),
        (not new_id, f"The group it goes on as has an id of its own, of {GROUP_ID_BYTES} bytes."),
        (
            reinit.cipher_suite not in suites_to_go_on_in(context.cipher_suite),
            "A group goes on in a cipher suite that is known and no weaker.",
        ),
        (
            lacking is not None,
            f"A device of {at(lacking.user_uri if lacking else '')} is not certified for that cipher suite.",
        ),
        (
            count > most_to_go_on(room),
            "There are more devices than one commit can bring into the next group.",
        ),
        (
            without_absent(room, members.users) != room,
            "A role of somebody who is no longer in the room must be dropped before.",
        ),
    )
    return next((text for broken, text in checks if broken), None)


def most_to_go_on(room: Room) -> int:
    """Return how many devices of a room one commit can bring into the next group."""
    return min(MAX_ADDS + 1, room.max_clients)


def suites_to_go_on_in(suite: int) -> tuple[int, ...]:
    """Return the product's suites that are no weaker than one, the best first."""
    end = PRODUCT_SUITES.index(suite) + 1 if suite in PRODUCT_SUITES else len(PRODUCT_SUITES)
    return PRODUCT_SUITES[:end]


def first_without(suite: int, members: Roster) -> ClientCredential | None:
    """Return a device whose certificate does not list a suite, if there is one."""
    return next((each for each in members.members.values() if suite not in each.suites), None)


def successor_problem(
    closed: Closed, new: PublicGroup, room: Room, before: Roster, after: Roster, *, by: str | None
) -> str | None:
    """Return why a group is not what a closed one goes on as: announced, by whom it may be, for all of it."""
    if not _is_announced(closed.reinit, new.context):
        return "It is not the group that was announced."
    if new.context.epoch != 1:
        return "It has gone on before everybody was there."
    if not may_reinit(room, by, before.users):
        return f"{at(by or 'an outsider')} may not make the group that the room goes on as."
    old, now = _by_client(before), _by_client(after)
    if old.keys() != now.keys() or len(now) != len(after.members):
        return "Its members are not those of the group that goes on as it."
    problems = (succession_problem(old[client], now[client]) for client in old)
    return next((problem for problem in problems if problem is not None), None)


def later_problem(closed: Closed, new: PublicGroup, room: Room, before: Roster, after: Roster) -> str | None:
    """Return why a later epoch of a group is not shown to be of what a closed one goes on as."""
    if room.kind is not Kind.DIRECT:
        return "It has gone on before it could be looked at."
    if not _is_announced(closed.reinit, new.context):
        return "It is not the group that was announced."
    if after.users != before.users:
        return "Its two users are not those of the group that goes on as it."
    known = all(
        any(now.descends_from(old.account_key) for old in before.of_user(now.user_uri))
        for now in after.members.values()
    )
    return None if known else "A device in it is of another account than its user's was."


def _is_announced(asked: ReInit, context: GroupContext) -> bool:
    announced = (asked.group_id, asked.version, asked.cipher_suite, asked.extensions)
    return announced == (context.group_id, context.version, context.cipher_suite, context.extensions)


def _by_client(roster: Roster) -> dict[bytes, ClientCredential]:
    return {credential.client: credential for credential in roster.members.values()}
