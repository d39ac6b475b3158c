"""What a conversation does once it has read its log to the head: one duty after the other.

Sealing comes last: a message is sealed only for the epoch that the log is in, with a claim about
all of the log (rules.md A). What is queued stays content until then.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from securechat.client import forks, history, intents, log_chain, log_ends, queued, receipts, records, staged
from securechat.client.change import Change
from securechat.client.contacts import changed_users
from securechat.client.device import Clock, Device
from securechat.client.events import Standing
from securechat.client.groups import Groups
from securechat.client.holds import NOT_VERIFIED, hold, hold_for_keys
from securechat.client.intents import Intent, Step, What
from securechat.client.moving import Mover
from securechat.client.outbox import Outbox, Purpose, is_waiting
from securechat.client.people import credential_of, users_in
from securechat.client.planner import Action, Planner, ready
from securechat.client.policy import Policy, not_believed
from securechat.client.reconciling import Reconciler, add_own, take_out
from securechat.client.records import ConversationRecord
from securechat.client.upgrading import upgrade
from securechat.membership.reinit import suites_to_go_on_in
from securechat.membership.room import may_speak, room_of
from securechat.mls.group import Group
from securechat.mls.protection import padded_to
from securechat.protocol.limits import MAX_BODY
from securechat.protocol.messages import SendMessage

PADDING: Final = padded_to((256, 1024, 4096, 16384, MAX_BODY - 1024))
"""Buckets of rules.md; the last leaves room for the message's own fields in a frame."""

MAX_SEALED: Final = 32
"""Messages in flight per conversation: what a lost race can force us to seal again."""

UPDATE_AFTER: Final = 7 * 86_400
"""Seconds until our leaf gets fresh keys, so that a stolen state heals (rules.md A)."""

OTHERS_FIRST: Final = 3600
"""Seconds after a restore in which our leaf is not renewed just because it is time."""

UPDATE_BEFORE_GENERATION: Final = 900
"""Messages of ours in one epoch; receivers skip at most 1,000."""


ACTIONS: Final[dict[What, Action]] = {
    What.UPGRADE: upgrade,
    What.OWN: add_own,
    What.REVOKE: take_out,
}
"""Intents of several steps, which are not the planner's own."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is left: an intent that needs the network, and when to look again (seconds; None: no need)."""

    resync: Intent | None = None
    brought: Intent | None = None
    """Key packages are here, to be judged by the newest statement of their user."""
    ask: frozenset[str] = frozenset()
    """Users whose newest statement is wanted."""
    left_behind: bool = False
    """The group goes on as another, and the keys that let one in are lost here."""
    again_in: float | None = None


@dataclass(slots=True)
class Work:
    device: Device
    groups: Groups
    planner: Planner
    outbox: Outbox
    clock: Clock
    reconciler: Reconciler
    policy: Policy = Policy.FIRST_USE

    def act(self, change: Change, record: ConversationRecord) -> Outcome:
        """Do the next thing; a change wakes the conversation again if there is more."""
        change.touched.add(record.id)
        own = staged.get(change.db, record.id)
        if own is not None:
            if self._is_lost(change, record, own):
                self.planner.commit_again(change, record, own)
            return Outcome()
        behind = self._is_left_behind(change, record)
        if behind or (record.closed and self._moves_on(change, record)):
            return Outcome(left_behind=behind)
        self._want_opening(change, record)
        record = forks.judge(change, self.groups, record)
        record, ask = self.reconciler.look(change, record)
        if ask:
            return Outcome(ask=ask)
        due, later = self._next_intent(change, record)
        if due is not None:
            return self._carry_out(change, record, due)
        group = self.groups.group(change.db, record.id)
        if group is not None and record.may_send and not self._awaits_own(change, record):
            if self._wants_update(change, record, group):
                self._want_update(change, record, group)
                return Outcome()
            again = self._report(change, record, group)
            later = min((each for each in (later, again) if each is not None), default=None)
            self._seal(change, record, group)
        return Outcome(again_in=later)

    def _carry_out(self, change: Change, record: ConversationRecord, due: Intent) -> Outcome:
        """Take the next step of an intent; what needs the network first is left to whoever has it."""
        if due.what in {What.RESYNC, What.ENTER} or due.step is Step.EXISTS:
            return Outcome(resync=due)
        if due.step is Step.BROUGHT:
            return Outcome(brought=due)
        if due.what in ACTIONS:
            self.planner.carry_out(change, record, due, ACTIONS[due.what])
        else:
            self.planner.advance(change, record, due)
        change.wake(record.id)
        return Outcome()

    def _awaits_own(self, change: Change, record: ConversationRecord) -> bool:
        """Whether other devices of ours are just coming in: what is said next is for them too.

        One that has left no keys is not waited for.
        """
        return any(
            each.what is What.OWN and not each.attempts and not each.waits(self.clock())
            for each in intents.of(change.db, record.id)
        )

    def _moves_on(self, change: Change, record: ConversationRecord) -> bool:
        """Follow a closed group into the next one, once the server has decided all that is on its way.

        An answer that came later would be taken for one about the new log.
        """
        if history.in_flight(change.db, record.id):
            return False
        return Mover(self.device, self.groups, self.clock).enter_by_welcome(change, record)

    def _is_left_behind(self, change: Change, record: ConversationRecord) -> bool:
        follows = record.closed and self.groups.follows(change.db, record.id)
        return follows and record.state is Standing.JOINED and not history.in_flight(change.db, record.id)

    def _is_lost(self, change: Change, record: ConversationRecord, own: staged.Staged) -> bool:
        """Whether a commit of ours has no place in the log and is not on its way: the server lost it."""
        unsent = own.sequence == 0 and record.state is not Standing.OPENING
        under_way = (is_waiting(change.db, each, record.id) for each in (Purpose.COMMIT, Purpose.RECOMMIT))
        return unsent and not any(under_way)

    def _want_opening(self, change: Change, record: ConversationRecord) -> None:
        """A direct conversation with something to say, and no group yet, is opened."""
        if record.state is not Standing.OPENING or record.held or not record.peer:
            return
        if history.to_seal(change.db, record.id, limit=1):
            intents.add_once(change.db, record.id, What.OPEN, subject=record.peer)

    def _next_intent(self, change: Change, record: ConversationRecord) -> tuple[Intent | None, float | None]:
        now = self.clock()
        waiting = [each for each in intents.of(change.db, record.id) if ready(record, each)]
        follows = self.groups.follows(change.db, record.id)
        if follows:
            waiting = [each for each in waiting if each.what is What.RESYNC]
        waits = [(each.waits(now), each) for each in waiting]
        due = next((each for seconds, each in waits if not seconds), None)
        return due, min((seconds for seconds, _ in waits if seconds), default=None)

    def _wants_update(self, change: Change, record: ConversationRecord, group: Group) -> bool:
        if any(each.what is What.UPDATE for each in intents.of(change.db, record.id)):
            return False
        if self._has_news(group) or self._was_reissued(group):
            return True
        if record.last_resort or group.own_generation >= UPDATE_BEFORE_GENERATION:
            return True
        # Others may have left the epoch that a restored server is in, and bring what led on from it.
        if abs(self.clock() - records.counter(change.db, records.RESTORED_AT)) < OTHERS_FIRST:
            return False
        # Either way: one of the two dates is wrong.
        return abs(self.clock() - record.epoch_since) > UPDATE_AFTER

    def _want_update(self, change: Change, record: ConversationRecord, group: Group) -> None:
        """Renew our leaf; where all of a room may have the same reason, not all at once."""
        spread = min(group.public.tree.member_count - 1, intents.LONGEST_WAIT) if self._has_news(group) else 0
        not_before = int((self.clock() + intents.jitter(spread)) * 1000) if spread else 0
        intents.add_once(change.db, record.id, What.UPDATE, not_before=not_before)
        change.wake(record.id)

    def _was_reissued(self, group: Group) -> bool:
        """Whether the group knows us by a certificate of before: with it we could commit nothing."""
        told = credential_of(group.public.tree.member(group.own_leaf))
        return told.generation < self.device.generation

    def _has_news(self, group: Group) -> bool:
        """Whether the group does not know yet that our device is certified for a better suite."""
        best = self.device.suites[0]
        told = credential_of(group.public.tree.member(group.own_leaf)).suites
        return best not in told and best in suites_to_go_on_in(group.suite.number)

    def _report(self, change: Change, record: ConversationRecord, group: Group) -> float | None:
        """Queue the receipts that are due; return in how many seconds to look again."""
        now = self.clock()
        due = receipts.due_in(change.db, record.id, now=now)
        if due is None or due:
            return due
        others = users_in(group.public.tree).keys() - {self.device.user}
        told = may_speak(room_of(group.public.context), self.device.user_uri) and receipts.put(
            change, self.device, record, others, now=now, groups=self.groups
        )
        return receipts.due_in(change.db, record.id, now=now) if told else None

    def _seal(self, change: Change, record: ConversationRecord, group: Group) -> None:
        if history.in_flight_before(change.db, record.id, group.epoch):
            return  # they will be refused and sealed anew, before anything that was written later
        room = history.in_flight(change.db, record.id)
        waiting = history.to_seal(change.db, record.id, limit=max(0, MAX_SEALED - room))
        if not waiting:
            return
        if not may_speak(room_of(group.public.context), self.device.user_uri):
            text = f"only some may speak in {record.name}, and you are not among them"
            queued.refuse(change, record.id, "forbidden", text)
            return
        changed = changed_users(change.db)
        if changed and not changed.isdisjoint(users_in(group.public.tree)):
            hold_for_keys(change, self.groups, record, ())  # they were met elsewhere since
            return
        strangers = not_believed(self.policy, change.db, group.public.tree, own=self.device.user)
        if strangers:
            hold(change, record, NOT_VERIFIED, who=", ".join(strangers))
            return
        ends = log_ends.to_tell(change.db, record, group.public.tree)
        for message in waiting:
            sealed = group.encrypt(
                message.content,
                authenticated_data=log_chain.claim(change.db, record.id, ends),
                padding=PADDING,
            )
            digest = hashlib.sha256(sealed).digest()
            history.mark_sealed(change.db, message.local_id, sealed=digest, epoch=group.epoch)
            self.outbox.put(
                change,
                Purpose.SEND,
                SendMessage(group.group_id, group.epoch, sealed),
                conversation=record.id,
                ref=message.local_id,
            )
        self.groups.keep_secrets(change, record.id, group)
