"""Into a conversation of two that this device has opened already, and does not know of.

A copy of its profile did, before it was put back (rules.md D, own clone): the server has the conversation,
this device has a leaf in it, and no Welcome will ever come, as nobody invites their own device. The group is
followed in public and the leaf replaced from outside, as after any loss of keys. What the server says of the
group is believed only as far as it proves itself: a group of two is always of the same two accounts
(docs/decisions/0009), their certificates are in the tree, and a member has signed it.
"""

from dataclasses import dataclass
from typing import Final

from securechat.client import history, intents, log_chain, notes, records, rooms, verification
from securechat.client.carriage import NOT_NOW
from securechat.client.change import Change, Changes
from securechat.client.contacts import meet_all
from securechat.client.described import Described, NotThisOne, ask_for, has_leaf, read
from securechat.client.device import Clock, Device
from securechat.client.errors import RefusedByServer
from securechat.client.events import Joined, Kind, Standing
from securechat.client.groups import Groups
from securechat.client.holds import hold, hold_for_keys
from securechat.client.intents import Intent, Step, What
from securechat.client.people import credential_of, users_in
from securechat.client.reasons import REASONS
from securechat.client.records import ConversationRecord
from securechat.client.sentences import WELCOME_WITHHELD
from securechat.client.session import Session
from securechat.client.stay import end_stay
from securechat.errors import SecureChatError
from securechat.membership.room import room_of
from securechat.mls.public_group import PublicGroup

NO_LEAF: Final = frozenset({"no_group", "not_member", "forbidden"})
"""What a server says of a group in which our user has no leaf."""

LOOK_LONGEST: Final = 600.0
"""Seconds until a group that we are not in is looked at again, doubling: another device lets us in."""


MOST_LOOKS: Final = 8
"""Looks, in half an hour, at a group that nobody can enter, until it is gone on from by another (rules.md D):
what keeps us out may be that the other one wants to leave, and only our own lost device could see to it."""


@dataclass(slots=True)
class OpenedElsewhere:
    changes: Changes
    session: Session
    groups: Groups
    device: Device
    clock: Clock

    async def enter(self, conversation: int, intent: Intent) -> None:
        """Look at the group that the server has in the place of ours: its Welcome did not come."""
        group = intent.packages
        try:
            described = await ask_for(self.session, group)
            gone = False
        except RefusedByServer as refused:
            if refused.code in NOT_NOW:
                raise
            described, gone = None, refused.code in NO_LEAF
        with self.changes.change() as change:
            record = records.by_id(change.db, conversation)
            still = intents.get(change.db, intent.id)
            if still is None or still.step is not Step.EXISTS or record.state is not Standing.OPENING:
                return  # the Welcome came meanwhile
            gone = gone or (described is None and still.attempts > MOST_LOOKS)
            if gone and not history.to_seal(change.db, record.id, limit=1):
                intents.remove(change.db, still.id)  # nor is there anything to open it for
            elif gone:  # nobody of us is in it: it is ours to go on from
                records.update(change.db, record.id, predecessor=group)
                intents.begin_anew(change.db, still.id)
                change.wake(record.id)
            elif described is None:
                if still.attempts == 1:
                    text = WELCOME_WITHHELD.format(peer=record.peer)
                    notes.tell(change, record, "log_withheld", text)
                self._look_again(change, still)
            else:
                self._take(change, record, still, described)

    async def find(self, group: bytes) -> None:
        """Look at a group that this device is said to be in: a conversation of two is entered."""
        try:
            described = await ask_for(self.session, group)
        except RefusedByServer as refused:
            if refused.code in NOT_NOW:
                raise
            return
        if described is None:
            return
        with self.changes.change() as change:
            peer = self._peer(described)
            record = records.by_name(change.db, f"@{peer}") if peer else None
            if peer and record is None:
                record = records.insert(
                    change.db,
                    name=f"@{peer}",
                    kind=Kind.DIRECT,
                    state=Standing.OPENING,
                    room=self.device.direct_room(peer),
                    peer=peer,
                )
            if record is None or record.state is not Standing.OPENING:
                return
            wanted = intents.add_once(change.db, record.id, What.OPEN, subject=record.peer)
            intent = intents.get(change.db, wanted)
            if intent is not None and intent.step is Step.WANTED:
                intents.await_welcome(change.db, intent, group, now=self.clock())
                change.wake(record.id)

    def _peer(self, described: Described) -> str:
        """Return whom we talk to in a group; empty where it is none of two that this device is in."""
        try:
            public, _ = read(described)
            others = users_in(public.tree).keys() - {self.device.user}
            of_two = rooms.SHOWN_KINDS[room_of(public.context).kind] is Kind.DIRECT and len(others) == 1
        except SecureChatError:
            return ""
        return others.pop() if of_two and has_leaf(public, self.device.identity.signature_key.public) else ""

    def _take(self, change: Change, record: ConversationRecord, intent: Intent, described: Described) -> None:
        try:
            public = self._judged(record, intent.packages, described)
        except SecureChatError as wrong:
            hold(change, record, "untrusted_keys", who=record.peer, why=str(wrong))
            self._look_again(change, intent)
            return
        if has_leaf(public, self.device.identity.signature_key.public):
            self._follow(change, record, intent, public, described.place)
        else:
            self._look_again(change, intent)

    def _judged(self, record: ConversationRecord, group: bytes, described: Described) -> PublicGroup:
        """Return the group, if it is the conversation of these two.

        :raises SecureChatError: it is not
        """
        public, _ = read(described)
        room = room_of(public.context)
        of_two = rooms.SHOWN_KINDS[room.kind] is Kind.DIRECT and str(room.uri) == record.room
        if public.context.group_id != group or not of_two:
            raise NotThisOne("it is another conversation")
        if set(users_in(public.tree)) - {self.device.user, record.peer}:
            raise NotThisOne("somebody else is in it")
        return public

    def _look_again(self, change: Change, intent: Intent) -> None:
        intents.await_welcome(change.db, intent, intent.packages, now=self.clock(), longest=LOOK_LONGEST)
        change.wake(intent.conversation)

    def _follow(
        self, change: Change, record: ConversationRecord, intent: Intent, public: PublicGroup, place: int
    ) -> None:
        """Go on with the group in public; who comes in from outside has its keys again."""
        end_stay(change, self.groups, record.id)
        history.unseal_all(change.db, record.id)
        self.groups.follow(change, record.id, public)
        log_chain.restart(change.db, record.id, public.context.confirmed_transcript_hash)
        record = records.update(
            change.db,
            record.id,
            group_id=public.context.group_id,
            state=Standing.JOINED,
            cursor=place,
            handshake_head=place,
            epoch=public.context.epoch,
            newcomers=public.context.epoch,
            epoch_since=int(self.clock()),
            last_resort=0,
            incarnation=records.counter(change.db, records.INCARNATION),
            gone_back=-1,
        )
        intents.remove(change.db, intent.id)
        change.settle(intent.id)
        intents.add_once(change.db, record.id, What.RESYNC)
        change.tell(Joined(record.name))
        notes.tell(change, record, "conflict", REASONS["conflict"].sentence)
        others = [credential_of(leaf) for _, leaf in public.tree.leaves()]
        others = [each for each in others if each.user_uri != self.device.user_uri]
        changed = meet_all(change.db, others, now=int(self.clock()))
        if changed:
            hold_for_keys(change, self.groups, record, changed)
        verification.tell_first_met(change, record)
        change.wake(record.id)
