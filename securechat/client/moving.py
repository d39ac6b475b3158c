"""A conversation moves into the group that its old one goes on as; what it is and holds stays.

The creator moves when the server has the new group, the others by their Welcome, once they have read the
old log to the ReInit that closed it: only then is known what they may be led to.
"""

from dataclasses import dataclass
from typing import Final

from securechat.client import (
    epoch_codes,
    history,
    incarnations,
    intents,
    kept_commits,
    key_packages,
    log_chain,
    notes,
    pending,
    places,
    records,
    staged,
    successors,
)
from securechat.client.change import Change
from securechat.client.contacts import meet_all
from securechat.client.device import Clock, Device
from securechat.client.events import Notice, Standing
from securechat.client.groups import Groups
from securechat.client.holds import hold_for_keys, settle
from securechat.client.intents import What
from securechat.client.people import client_identity, credential_of
from securechat.client.records import ConversationRecord
from securechat.client.sentences import MOVED
from securechat.client.successors import WaitingWelcome
from securechat.errors import SecureChatError
from securechat.membership.judge import judge_successor, judge_tree
from securechat.membership.reinit import Closed
from securechat.mls.codec import decode
from securechat.mls.framing import Welcome, decode_message
from securechat.mls.group import Group
from securechat.mls.key_package import is_last_resort
from securechat.mls.proposals import ReInit
from securechat.mls.public_group import PublicGroup

MISSED: Final = "upgrade_missed"
"""The hold of a conversation whose group goes on where only its keys, which are lost, let one in."""


class NotTheSuccessor(SecureChatError):
    """A Welcome does not lead where the closed group goes on; the text says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a member of the new group begins to read its log."""

    cursor: int
    last_resort: bool = False


@dataclass(slots=True)
class Mover:
    device: Device
    groups: Groups
    clock: Clock

    def enter_by_welcome(self, change: Change, record: ConversationRecord) -> bool:
        """Move by a Welcome that waits; whether one led into the new group."""
        group = self.groups.group(change.db, record.id)
        if group is None:
            return False  # only who has the old group's keys gets in by one
        for waiting in successors.take_welcomes(change.db, record.id):
            try:
                place, new = self._open(change, record, group, waiting)
            except SecureChatError as refused:
                notes.tell(change, record, "welcome_refused", f"an invitation was not taken: {refused}")
                continue
            self.move(change, record, new, place)
            return True
        return False

    def _open(
        self, change: Change, record: ConversationRecord, old: Group, waiting: WaitingWelcome
    ) -> tuple[Place, Group]:
        message = decode_message(waiting.welcome)
        if not isinstance(message, Welcome):
            raise NotTheSuccessor("it is no Welcome")
        bundle = key_packages.find(change.db, [each.new_member for each in message.secrets])
        if bundle is None:
            raise NotTheSuccessor("it was made for keys that are not here")
        joined = Group.join(
            waiting.welcome,
            bundle,
            self.device.identity,
            tree=waiting.tree,
            origin=old,
            client_of=client_identity,
        )
        public, entry = joined.group.public, waiting.entry
        if (public.context.group_id, public.context.epoch) != (entry.group, entry.epoch):
            raise NotTheSuccessor("it is not for the group it came for")
        closed = Closed(old.public, decode(ReInit, record.successor))
        refused = judge_tree(public.context, public.tree) or judge_successor(
            closed, public, joined.group_info.signer
        )
        if refused is not None:
            raise NotTheSuccessor(refused.text)
        last_resort = is_last_resort(bundle.key_package)
        key_packages.used(change.db, bundle, last_resort=last_resort)
        return Place(entry.start - 1, last_resort), joined.group

    def move(
        self, change: Change, record: ConversationRecord, group: Group, place: Place
    ) -> ConversationRecord:
        """Go on in the new group: what is queued is sealed there, what was intended is judged anew."""
        self._leave(change, record)
        self.groups.keep(change, record.id, group)
        return self._arrive(change, record, group.public, place)

    def follow(
        self, change: Change, record: ConversationRecord, public: PublicGroup, place: Place
    ) -> ConversationRecord:
        """Go over into the new group without its keys: our leaf there is replaced from outside."""
        self._leave(change, record)
        self.groups.follow(change, record.id, public)
        record = self._arrive(change, record, public, place)
        intents.add_once(change.db, record.id, What.RESYNC)
        return record

    def _leave(self, change: Change, record: ConversationRecord) -> None:
        db = change.db
        for drop in (
            successors.clear,
            staged.drop,
            pending.clear,
            kept_commits.drop_all,
            epoch_codes.forget,
            incarnations.forget,
        ):
            drop(db, record.id)
        history.unseal_all(db, record.id)
        places.forget_places(db, record.id)
        self.groups.drop(change, record.id)

    def _arrive(
        self, change: Change, record: ConversationRecord, public: PublicGroup, place: Place
    ) -> ConversationRecord:
        db, context = change.db, public.context
        log_chain.restart(db, record.id, context.confirmed_transcript_hash)
        record = records.update(
            db,
            record.id,
            group_id=context.group_id,
            predecessor=record.group_id or b"",
            successor=b"",
            cursor=place.cursor,
            handshake_head=place.cursor,
            epoch=context.epoch,
            newcomers=context.epoch,
            epoch_since=int(self.clock()),
            last_resort=int(place.last_resort),
            incarnation=records.counter(db, records.INCARNATION),
            gone_back=-1,
        )
        record = settle(change, self.groups, record, {MISSED})  # it was not, after all
        self._settle_intents(change, record)
        change.wake(record.id)
        change.tell(Notice("upgraded", MOVED.format(name=record.name, suite=public.suite.name)))
        credentials = [credential_of(leaf) for _, leaf in public.tree.leaves()]
        others = [each for each in credentials if each.user_uri != self.device.user_uri]
        changed = meet_all(db, others, now=int(self.clock()))
        return hold_for_keys(change, self.groups, record, changed) if changed else record

    def _settle_intents(self, change: Change, record: ConversationRecord) -> None:
        """What is still wanted is begun anew: key packages were claimed for the old group's suite."""
        for intent in intents.of(change.db, record.id):
            if intent.what in (What.UPGRADE, What.RESYNC, What.SWEEP):
                intents.remove(change.db, intent.id)
                change.settle(intent.id)
            else:
                intents.begin_anew(change.db, intent.id)
        if record.state is Standing.LEFT:
            intents.add_once(change.db, record.id, What.LEAVE)  # it was asked of the old group, in vain
