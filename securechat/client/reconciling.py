"""Every conversation beside what accounts say of their devices: who is to come in, who has to go.

Two intents come of it, judged anew like any other: `OWN` adds the devices of our own account, `REVOKE` takes
out what its account has revoked, with the statement that says so as evidence (rules.md B and C). Until such a
device is out nothing is sealed to the group; nor where the server hides or changes what an account says.

Looking costs a walk over the tree: it is done where the epoch is another one or more is known of an account.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import apsw

from securechat.client import intents, statements
from securechat.client.account_news import FORKED, OLDER, WITHHELD, is_behind, pinned, trouble, version
from securechat.client.change import Change
from securechat.client.device import Clock, Device
from securechat.client.events import Standing
from securechat.client.groups import Groups
from securechat.client.holds import hold_naming, settle
from securechat.client.intents import Intent, Step, What
from securechat.client.people import credential_of
from securechat.client.planner import AlreadySo, Planner, packages_of
from securechat.client.plans import plan_of
from securechat.client.records import ConversationRecord
from securechat.client.suites import first_claim, only
from securechat.membership.devices import Compared, compare
from securechat.membership.room import Join, Kind, Role, acting_role, room_of
from securechat.mls.key_package import KeyPackage
from securechat.mls.nodes import LeafIndex, LeafNode
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree

REVOKED: Final = "revoked_device"
"""The hold of a conversation in which a device is that its account has revoked."""

TAKE_OUT_WITHIN: Final = 3.0
TAKE_OUT_LONGEST: Final = 20.0
"""Seconds within which one of the others takes a revoked device out, drawn at random: more where more of them
could all do it at once. It is out within a minute, whoever is online (D-02)."""

MEMBERS_A_SECOND: Final = 25
"""Of a room, that may think of it at once."""

NEWCOMER_FIRST: Final = 30.0
"""Seconds that we leave to a new device of somebody whose last one has to go, where it must let itself in."""

SIBLINGS_WITHIN: Final = 1.5
"""Seconds within which one of several devices of ours adds a new one."""

Leaf = tuple[LeafIndex, LeafNode]


@dataclass(slots=True)
class Reconciler:
    device: Device
    groups: Groups
    clock: Clock
    asked: set[tuple[str, int, int]] = field(default_factory=set)
    """Users whose newest statement was asked for since a conversation came to be in an epoch."""
    _looked: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By conversation: its epoch and the version of all statements when it was looked at."""

    def look(self, change: Change, record: ConversationRecord) -> tuple[ConversationRecord, frozenset[str]]:
        """Look at a conversation, if there is a reason; return the users whose statements are wanted."""
        seen = record.epoch, version(change.db)
        public = self.groups.public(change.db, record.id)
        if public is None or record.state is Standing.OPENING or self._looked.get(record.id) == seen:
            return record, frozenset()
        leaves = leaves_by_user(public.tree)
        found = {user: self._compare(change.db, user, each) for user, each in leaves.items()}
        behind = {user for user, each in found.items() if each is None or each.unknown}
        behind |= {user for user in found if is_behind(change.db, user)}
        needed = {user for user in behind if (user, record.id, record.epoch) not in self.asked}
        record = self._hold(change, record, found, behind - needed)
        if record.state is Standing.JOINED:
            self._want(change, record, public, found)
        if not needed:
            self._looked[record.id] = seen
        return record, frozenset(needed)

    def answered(self, record: ConversationRecord, users: Iterable[str]) -> None:
        """The newest statements of some users are here now: the conversation is looked at again."""
        self.asked |= {(user, record.id, record.epoch) for user in users}
        self._looked.pop(record.id, None)

    def begin(self) -> None:
        """A connection has begun: what is missing is asked for again."""
        self.asked.clear()
        self._looked.clear()

    def _compare(self, db: apsw.Connection, user: str, leaves: list[Leaf]) -> Compared | None:
        """Lay a user's leaves beside their newest statement; None if none of the key we know is here."""
        statement = statements.newest(db, user)
        if statement is None or statement.account_key != (pinned(db, self.device, user) or b""):
            return None
        return compare(leaves, statement)

    def _hold(
        self,
        change: Change,
        record: ConversationRecord,
        found: dict[str, Compared | None],
        withheld: set[str],
    ) -> ConversationRecord:
        others = found.keys() - {self.device.user}
        wrong = {user: trouble(change.db, user).code for user in others}
        who = {
            REVOKED: {user for user, each in found.items() if each is not None and each.revoked},
            FORKED: {user for user in others if wrong[user] == FORKED},
            OLDER: {user for user in others if wrong[user] == OLDER},
            WITHHELD: withheld | {user for user in others if wrong[user] == WITHHELD},
        }
        for code, users in who.items():
            if users:
                record = hold_naming(change, record, code, users)
            else:
                record = settle(change, self.groups, record, {code})
        return record

    def _want(
        self,
        change: Change,
        record: ConversationRecord,
        public: PublicGroup,
        found: dict[str, Compared | None],
    ) -> None:
        own = found.get(self.device.user)
        if own is not None and own.missing:
            # Who is alone here is the only one that can; of several not all at once.
            wait = intents.jitter(SIBLINGS_WITHIN) if own.here > 1 else 0.0
            self._add(change, record, What.OWN, self.device.user, wait)
        for user, each in found.items():
            if each is None or not each.revoked:
                continue
            wait = 0.0 if user == self.device.user else self._wait(public, user, each)
            self._add(change, record, What.REVOKE, user, wait)

    def _add(self, change: Change, record: ConversationRecord, what: What, subject: str, wait: float) -> None:
        not_before = int((self.clock() + wait) * 1000) if wait else 0
        intents.add_once(change.db, record.id, what, subject=subject, not_before=not_before)
        change.wake(record.id)

    def _wait(self, public: PublicGroup, user: str, compared: Compared) -> float:
        spread = min(TAKE_OUT_WITHIN + public.tree.member_count / MEMBERS_A_SECOND, TAKE_OUT_LONGEST)
        alone = len(leaves_by_user(public.tree)[user]) == len(compared.revoked)
        first = NEWCOMER_FIRST if alone and not may_add(public, self.device) else 0.0
        return first + intents.jitter(spread)


def leaves_by_user(tree: RatchetTree) -> dict[str, list[Leaf]]:
    found: dict[str, list[Leaf]] = {}
    for index, leaf in tree.leaves():
        found.setdefault(credential_of(leaf).user_name, []).append((index, leaf))
    return found


def may_add(public: PublicGroup, device: Device) -> bool:
    """Whether we may bring a device of somebody else into a group where that user has been."""
    room = room_of(public.context)
    if room.kind is Kind.DIRECT:
        return True
    users = {credential_of(leaf).user_uri for _, leaf in public.tree.leaves()}
    role = acting_role(room, device.user_uri, users)
    return role <= Role.ADMIN or (role is Role.MEMBER and room.join is Join.BY_MEMBER)


def add_own(planner: Planner, change: Change, record: ConversationRecord, intent: Intent) -> None:
    """Take the next step in adding our own devices: claim their keys, or commit.

    :raises AlreadySo: all are in the group
    """
    group = planner.member_group(change, record)
    missing = _missing(planner, change, group.public)
    if intent.step is Step.WANTED:
        claim = first_claim(intent.subject, planner.device.suites, group.public.context.cipher_suite)
        planner.ask_for(change, record, intent, only(claim, missing))
        return
    add = tuple(each for each in packages_of(intent) if _client(each) in missing)
    if not add:
        intents.put_off_longer(change.db, intent, now=planner.clock())
        return
    planner.send_plan(change, record, intent, group, plan_of(planner.device, record, group, add=add))


def take_out(planner: Planner, change: Change, record: ConversationRecord, intent: Intent) -> None:
    """Take the next step in removing what an account has revoked.

    Of a user who would have no device left the new ones come in with the same commit, where we may add them:
    without a leaf of theirs nobody but an admin could let them in again, and a conversation of two would end.

    :raises AlreadySo: none of it is in the group any more
    """
    group = planner.member_group(change, record)
    leaves = leaves_by_user(group.public.tree).get(intent.subject, [])
    body = statements.newest_bytes(change.db, intent.subject)
    statement = statements.newest(change.db, intent.subject)
    if body is None or statement is None or not leaves:
        raise AlreadySo
    revoked = compare(leaves, statement).revoked
    if not revoked:
        raise AlreadySo
    ends = len(leaves) == len(revoked) and intent.subject != planner.device.user
    newcomers = ends and statement.devices and may_add(group.public, planner.device)
    if newcomers and intent.step is Step.WANTED:
        claim = first_claim(intent.subject, planner.device.suites, group.public.context.cipher_suite)
        planner.ask_for(change, record, intent, claim)
        return
    add = packages_of(intent) if newcomers else ()
    plan = plan_of(planner.device, record, group, add=add, remove=revoked, evidence=body)
    planner.send_plan(change, record, intent, group, plan)


def _missing(planner: Planner, change: Change, public: PublicGroup) -> tuple[str, ...]:
    user = planner.device.user
    statement = statements.newest(change.db, user)
    if statement is None:
        raise AlreadySo
    missing = compare(leaves_by_user(public.tree).get(user, []), statement).missing
    if not missing:
        raise AlreadySo
    return missing


def _client(package: KeyPackage) -> str:
    return credential_of(package.leaf_node).client_id
