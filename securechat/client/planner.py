"""Carrying out intents: one table from (what, step) to what is done next.

Everything here happens inside a change and ends in a stored request; the answers come to
``answers.py``, the echo of a commit to ``handshakes.py``.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from securechat.client import intents, key_log, pending, queued, records, rooms, staged
from securechat.client.change import Change
from securechat.client.device import Clock, Device
from securechat.client.errors import ClientError, NotAMember, UntrustedKeys, refusal
from securechat.client.events import Kind, Standing
from securechat.client.groups import Groups
from securechat.client.holds import hold
from securechat.client.intents import Intent, Step, What
from securechat.client.outbox import Outbox, Parcel, Purpose, parcel
from securechat.client.people import leaves_of, users_in
from securechat.client.plans import absent, leaving, plan_of
from securechat.client.records import ConversationRecord
from securechat.client.stay import end_stay
from securechat.client.suites import first_claim
from securechat.membership.judge import judge, judge_creation
from securechat.membership.room import Room, SaltedProfile, extensions_for, room_of
from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.codec import decode
from securechat.mls.errors import MLSError
from securechat.mls.extensions import Extension
from securechat.mls.group import Group
from securechat.mls.key_package import KeyPackage
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import SelfRemove
from securechat.mls.staging import CommitPlan, StagedCommit
from securechat.protocol.messages import ClaimKeyPackages, CommitGroup, CreateGroup, OfferCommit, Propose

GROUP_ID_BYTES: Final = 32

LEAVE_TOGETHER: Final = frozenset({What.LEAVE, What.REMOVE, What.RESYNC, What.ENTER, What.REVOKE, What.OWN})
"""What may be done although the conversation is held: none of it seals a message to the group."""


class Hopeless(Exception):
    """An intent that cannot come true; ``error`` says why."""

    def __init__(self, error: ClientError) -> None:
        super().__init__(str(error))
        self.error = error


class NotYet(Exception):
    """An intent that waits for an answer about somebody, ``until`` (seconds since 1970) at the latest."""

    def __init__(self, until: float) -> None:
        super().__init__()
        self.until = until


class AlreadySo(Exception):
    """An intent that needs nothing done."""


@dataclass(slots=True)
class Planner:
    device: Device
    groups: Groups
    outbox: Outbox
    clock: Clock

    def advance(self, change: Change, record: ConversationRecord, intent: Intent) -> None:
        """Take the next step of an intent that waits for nobody."""
        self.carry_out(change, record, intent, STEPS[intent.what, intent.step])

    def carry_out(self, change: Change, record: ConversationRecord, intent: Intent, action: "Action") -> None:
        """Do something for an intent; it ends if nothing is to be done, or nothing can be."""
        change.touched.add(record.id)
        try:
            action(self, change, record, intent)
        except NotYet as later:
            intents.wait(change.db, intent.id, until=later.until)
        except AlreadySo:
            intents.remove(change.db, intent.id)
            change.settle(intent.id)
            change.wake(record.id)
        except Hopeless as hopeless:
            self.give_up(change, record, intent, hopeless.error)

    def give_up(self, change: Change, record: ConversationRecord, intent: Intent, error: ClientError) -> None:
        intents.remove(change.db, intent.id)
        change.settle(intent.id, error)
        if intent.what in (What.OPEN, What.CREATE) and record.state is Standing.OPENING:
            self.withdraw(change, record)
        change.wake(record.id)

    def withdraw(self, change: Change, record: ConversationRecord) -> None:
        """Throw away a group that never came about."""
        end_stay(change, self.groups, record.id)
        records.update(change.db, record.id, group_id=None)

    def stage_external(
        self, change: Change, record: ConversationRecord, intent: Intent, group_info: bytes
    ) -> None:
        """Replace our leaf from outside, on a GroupInfo that was compared with what we followed."""
        public = self.groups.public(change.db, record.id)
        if public is None:
            raise LookupError(record.id)
        change.touched.add(record.id)
        signature_key = self.device.identity.signature_key.public
        old = next((i for i, leaf in public.tree.leaves() if leaf.signature_key == signature_key), None)
        if old is None:
            self.give_up(change, record, intent, NotAMember(record.name))
            return
        # Of what is pending a joiner takes up who leaves, and nothing else: an Update of somebody lapses.
        waiting = pending.messages(change.db, record.id)
        leaving = (each for each in waiting if isinstance(public.verify_proposal(each).proposal, SelfRemove))
        commit = Group.join_externally(
            group_info,
            public.tree.to_bytes(),
            self.device.identity,
            remove=old,
            self_removes=tuple(leaving),
        )
        judged(commit)
        self.send_commit(change, record, intent, commit, epoch=public.context.epoch, external=True)

    def claim(self, change: Change, record: ConversationRecord, intent: Intent) -> None:
        public = self.groups.public(change.db, record.id)
        if public is not None and leaves_of(public.tree, intent.subject):
            raise AlreadySo
        self._look_up(change, record, intent)
        of_group = public.context.cipher_suite if public is not None else None
        self.ask_for(change, record, intent, first_claim(intent.subject, self.device.suites, of_group))

    def _look_up(self, change: Change, record: ConversationRecord, intent: Intent) -> None:
        """Have the server's key log say who somebody is, before their keys are asked for (D-03).

        :raises NotYet: it is being asked
        :raises Hopeless: the server was caught at a lie; nobody new is believed
        """
        user, now = intent.subject, int(self.clock())
        gate = key_log.gate(change.db, user, now=now) if user != self.device.user else key_log.Gate.OPEN
        if gate is key_log.Gate.ASK:
            key_log.want(change.db, user)
            change.wants_log = True
            raise NotYet(self.clock() + key_log.ANSWER_SECONDS)
        if gate is key_log.Gate.SHUT:
            lie = key_log.blocking(change.db, user)
            error = UntrustedKeys("" if lie is None else f"its key log does not hold: {lie.text}")
            if intent.what is What.OPEN:
                hold(change, record, error.code, who=user, why=str(error))
            raise Hopeless(error)

    def ask_for(
        self, change: Change, record: ConversationRecord, intent: Intent, claim: ClaimKeyPackages
    ) -> None:
        self.outbox.put(change, Purpose.CLAIM, claim, conversation=record.id, ref=intent.id)
        intents.step_to(change.db, intent.id, Step.CLAIMING)

    def open_direct(self, change: Change, record: ConversationRecord, intent: Intent) -> None:
        packages = packages_of(intent)
        policy = rooms.new_policy(self.device, record.room, Kind.DIRECT, None)
        group = self._new_group(policy, packages[0].cipher_suite)
        commit = stage(group, CommitPlan(add=packages))
        if commit.welcome is None:
            raise AssertionError("a commit that adds somebody has a Welcome")
        info, tree = self._parcel(group.group_info()), self._parcel(group.tree_bytes())
        message, next_info = self._parcel(commit.message), self._parcel(commit.group_info)
        welcome = self._parcel(commit.welcome)
        body = CreateGroup(
            group.group_id,
            info.carried,
            tree.carried,
            message.carried,
            next_info.carried,
            welcome.carried,
            record.predecessor,  # a server from before an upgrade knows only the group from before
        )
        staged.put(change.db, record.id, commit, intent=intent.id, external=False, epoch=group.epoch)
        parcels = (info, tree, message, next_info, welcome)
        self._send_creation(change, record, intent, group, body, parcels)

    def create_room(self, change: Change, record: ConversationRecord, intent: Intent) -> None:
        profile = decode(SaltedProfile, record.profile)
        history = int(intent.subject or 0)
        policy = rooms.new_policy(self.device, record.room, record.kind, profile, history=history)
        group = self._new_group(policy, self.device.suites[0])
        info, tree = self._parcel(group.group_info()), self._parcel(group.tree_bytes())
        body = CreateGroup(group.group_id, info.carried, tree.carried)
        self._send_creation(change, record, intent, group, body, (info, tree))

    def _new_group(self, room: Room, suite: int) -> Group:
        group = Group.create(
            self.device.identity,
            suite=cipher_suite(suite),
            group_id=secrets.token_bytes(GROUP_ID_BYTES),
            extensions=extensions_for(room),
        )
        refused = judge_creation(group.public)
        if refused is not None:
            raise Hopeless(refusal("forbidden", refused.text))
        return group

    def _send_creation(
        self,
        change: Change,
        record: ConversationRecord,
        intent: Intent,
        group: Group,
        body: CreateGroup,
        parcels: tuple[Parcel, ...],
    ) -> None:
        self.groups.keep(change, record.id, group)
        records.update(change.db, record.id, group_id=group.group_id)
        self.outbox.put(change, Purpose.CREATE, body, conversation=record.id, ref=intent.id, parcels=parcels)
        intents.step_to(change.db, intent.id, Step.SENT)

    def commit_again(self, change: Change, record: ConversationRecord, own: staged.Staged) -> None:
        """Send a commit of ours again that a restored server has lost; others may have applied it."""
        group = self.groups.group(change.db, record.id)
        if own.epoch != record.epoch or own.external != (group is None):
            staged.drop(change.db, record.id)
            intent = intents.get(change.db, own.intent)
            if intent is not None:
                intents.again(change.db, intent, now=self.clock())
            change.wake(record.id)
            return
        commit = own.load(group)
        message, info = self._parcel(commit.message), self._parcel(commit.group_info)
        welcome = self._parcel(commit.welcome) if commit.welcome is not None else None
        body = OfferCommit(
            record.group_id or b"",
            own.epoch,
            message.carried,
            [each.message for each in commit.references],
            info.carried,
            welcome.carried if welcome is not None else None,
        )
        parcels = (message, info) if welcome is None else (message, info, welcome)
        self.outbox.put(
            change, Purpose.RECOMMIT, body, conversation=record.id, ref=own.intent, parcels=parcels
        )

    def leave(self, change: Change, record: ConversationRecord, intent: Intent) -> None:
        group = self.member_group(change, record)
        if group.own_leaf in leaving(group):
            raise AlreadySo
        if len(users_in(group.public.tree)) == 1:
            # Nobody is left who could commit it: the group simply ends with us.
            end_stay(change, self.groups, record.id)
            records.update(change.db, record.id, state=Standing.LEFT)
            queued.refuse(change, record.id, "not_member", f"you left {record.name}")
            raise AlreadySo
        message = group.propose_self_remove()
        self.groups.keep(change, record.id, group)
        body = Propose(group.group_id, group.epoch, message)
        self.outbox.put(change, Purpose.PROPOSE, body, conversation=record.id, ref=intent.id)
        intents.step_to(change.db, intent.id, Step.SENT)

    def commit(self, change: Change, record: ConversationRecord, intent: Intent) -> None:
        group = self.member_group(change, record)
        self.send_plan(change, record, intent, group, self._plan(record, intent, group))

    def _plan(self, record: ConversationRecord, intent: Intent, group: Group) -> CommitPlan:
        """Judge an intent against the group as it is now, and say which commit does it."""
        public, gone = group.public, leaving(group)
        add: tuple[KeyPackage, ...] = ()
        remove: tuple[LeafIndex, ...] = ()
        extensions: tuple[Extension, ...] | None = None
        match intent.what:
            case What.ADD:
                add = absent(group, packages_of(intent))
                if not add:
                    raise AlreadySo
            case What.REMOVE:
                remove = tuple(i for i in leaves_of(public.tree, intent.subject) if i not in gone)
                if not remove:
                    raise AlreadySo
            case What.SWEEP if not gone:
                raise AlreadySo
            case What.HISTORY:
                if room_of(public.context).history == int(intent.subject):
                    raise AlreadySo
                extensions = rooms.extensions_with_history(public, gone, int(intent.subject))
            case _:
                pass
        return plan_of(self.device, record, group, add=add, remove=remove, extensions=extensions)

    def send_plan(
        self, change: Change, record: ConversationRecord, intent: Intent, group: Group, plan: CommitPlan
    ) -> None:
        self.send_commit(change, record, intent, stage(group, plan), epoch=group.epoch, external=False)

    def send_commit(
        self,
        change: Change,
        record: ConversationRecord,
        intent: Intent,
        commit: StagedCommit,
        *,
        epoch: int,
        external: bool,
    ) -> None:
        if record.group_id is None:
            raise LookupError(record.id)
        message, info = self._parcel(commit.message), self._parcel(commit.group_info)
        welcome = self._parcel(commit.welcome) if commit.welcome is not None else None
        body = CommitGroup(
            record.group_id,
            epoch,
            record.handshake_head,
            message.carried,
            info.carried,
            welcome.carried if welcome is not None else None,
        )
        staged.put(change.db, record.id, commit, intent=intent.id, external=external, epoch=epoch)
        parcels = (message, info) if welcome is None else (message, info, welcome)
        self.outbox.put(change, Purpose.COMMIT, body, conversation=record.id, ref=intent.id, parcels=parcels)
        intents.step_to(change.db, intent.id, Step.SENT)

    def member_group(self, change: Change, record: ConversationRecord) -> Group:
        group = self.groups.group(change.db, record.id)
        if group is None:
            raise Hopeless(NotAMember(record.name))
        return group

    @staticmethod
    def _parcel(data: bytes) -> Parcel:
        return parcel(data)


Action = Callable[[Planner, Change, ConversationRecord, Intent], None]

STEPS: Final[dict[tuple[What, Step], Action]] = {
    (What.OPEN, Step.WANTED): Planner.claim,
    (What.OPEN, Step.CLAIMED): Planner.open_direct,
    (What.CREATE, Step.WANTED): Planner.create_room,
    (What.ADD, Step.WANTED): Planner.claim,
    (What.ADD, Step.CLAIMED): Planner.commit,
    (What.REMOVE, Step.WANTED): Planner.commit,
    (What.UPDATE, Step.WANTED): Planner.commit,
    (What.SWEEP, Step.WANTED): Planner.commit,
    (What.HISTORY, Step.WANTED): Planner.commit,
    (What.LEAVE, Step.WANTED): Planner.leave,
}
"""What an intent does by itself. In any other step it waits for an answer or an echo."""

ELSEWHERE: Final = frozenset(
    {
        (What.RESYNC, Step.WANTED),
        (What.ENTER, Step.WANTED),
        (What.OPEN, Step.EXISTS),
        *(
            (what, step)
            for what in (What.UPGRADE, What.OWN, What.REVOKE)
            for step in (Step.WANTED, Step.CLAIMED)
        ),
        *((what, Step.BROUGHT) for what in (What.OPEN, What.ADD, What.UPGRADE, What.OWN, What.REVOKE)),
    }
)
"""What is done by others: RESYNC, ENTER and what EXISTS need the server's GroupInfo first (sync.py), what was
brought its user's statement (claims.py); UPGRADE is upgrading.py's, OWN and REVOKE are reconciling.py's."""


def ready(record: ConversationRecord, intent: Intent) -> bool:
    """Whether an intent may be carried out as the conversation stands."""
    if (intent.what, intent.step) not in STEPS.keys() | ELSEWHERE:
        return False
    if intent.what is What.UPGRADE or record.closed:
        return intent.what is What.UPGRADE and record.state is Standing.JOINED and not record.held
    if intent.what in (What.OPEN, What.CREATE):
        return record.state is Standing.OPENING and not record.held
    if record.state is not Standing.JOINED:
        return intent.what is What.LEAVE and record.state in {Standing.INVITED, Standing.LEFT}
    return not record.held or intent.what in LEAVE_TOGETHER


def stage(group: Group, plan: CommitPlan) -> StagedCommit:
    try:
        commit = group.stage_commit(plan)
    except MLSError as error:
        raise Hopeless(refusal("refused_commit", str(error))) from error
    return judged(commit)


def judged(commit: StagedCommit) -> StagedCommit:
    """Judge our own commit by the rules everybody else will judge it by."""
    refused = judge(commit.facts)
    if refused is not None:
        raise Hopeless(refusal("forbidden", refused.text))
    return commit


def packages_of(intent: Intent) -> tuple[KeyPackage, ...]:
    """Return the key packages that were claimed for an intent."""
    if not intent.packages:
        return ()
    try:
        return tuple(
            decode(KeyPackage, each) for each in msgspec.msgpack.decode(intent.packages, type=list[bytes])
        )
    except MLSError as error:
        raise Hopeless(UntrustedKeys(str(error))) from error
