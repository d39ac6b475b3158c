"""Joining by a Welcome from the inbox: who invites, to what, and whether all of it holds.

Nothing of a Welcome is believed before the whole tree passed the same judgement that every
member's commits pass (D-03, M-06). What is refused is told and skipped; the inbox goes on.
"""

from dataclasses import dataclass

from securechat.client import (
    epoch_codes,
    history,
    incarnations,
    intents,
    kept_commits,
    key_packages,
    log_chain,
    log_ends,
    notes,
    pending,
    places,
    records,
    rooms,
    staged,
    statements,
    successors,
    verification,
)
from securechat.client.change import Change
from securechat.client.contacts import is_pinned, meet_all
from securechat.client.device import Clock, Device
from securechat.client.events import Invited, Joined, Kind, Standing
from securechat.client.groups import Groups
from securechat.client.holds import forget, has, hold, hold_for_keys
from securechat.client.people import credential_of, user_of, users_in
from securechat.client.records import ConversationRecord
from securechat.client.stay import end_stay
from securechat.client.successors import WaitingWelcome
from securechat.errors import SecureChatError
from securechat.membership.devices import offer_refusal
from securechat.membership.judge import judge_tree
from securechat.membership.room import Room, read_profile, room_of
from securechat.mls.codec import encode
from securechat.mls.framing import Welcome, decode_message
from securechat.mls.group import Group
from securechat.mls.group import Joined as JoinedGroup
from securechat.mls.key_package import is_last_resort
from securechat.mls.nodes import LeafNode
from securechat.mls.welcome import group_gone_on_from
from securechat.protocol.messages import InboxEntry

INBOX: str = "inbox"

FORK: str = "restored_fork"
"""The hold of a group whose log went another way: it will not go on here, a new stay may begin."""

MISSED_COMMIT: str = "missing_commit"
"""The hold of a group of which a change is missed for good; into a room one is invited again."""

OPENED_ANEW: str = "opened_anew"
"""The hold of a conversation of two that the other one has opened as another group."""

INBOX_BEFORE: str = "inbox_before"
"""How far the inbox was read before the server came back older: what is there again was taken then."""


class WelcomeRefused(Exception):
    """A Welcome that is not taken; the text says why."""


@dataclass(slots=True)
class Joiner:
    device: Device
    groups: Groups
    clock: Clock

    def take(self, change: Change, entry: InboxEntry, welcome: bytes, tree: bytes | None) -> None:
        """Join the group, or say why not; either way the entry is done with."""
        try:
            self._join(change, entry, welcome, tree)
        except (WelcomeRefused, SecureChatError) as refused:
            if entry.sequence > records.counter(change.db, INBOX_BEFORE):
                text = f"an invitation was not taken: {refused}"
                known = records.by_group(change.db, entry.group)
                if known is not None:
                    notes.tell(change, known, "welcome_refused", text)
                else:
                    notes.tell_account(change, "welcome_refused", text, epoch=entry.epoch)
        records.set_counter(change.db, INBOX, entry.sequence)
        change.acknowledged[b""] = entry.sequence

    def _join(self, change: Change, entry: InboxEntry, welcome: bytes, tree: bytes | None) -> None:
        known = records.by_group(change.db, entry.group)
        if known is not None and self._is_live(change, known) and known.state is not Standing.OPENING:
            raise WelcomeRefused(f"it is for {known.name}, which is here already")
        message = decode_message(welcome)
        if not isinstance(message, Welcome):
            raise WelcomeRefused("it is no Welcome")
        bundle = key_packages.find(change.db, [each.new_member for each in message.secrets])
        if bundle is None:
            raise WelcomeRefused("it was made for keys that are not here")
        if tree is None:
            raise WelcomeRefused("the server has no tree for it")
        origin = group_gone_on_from(message, bundle)
        if origin is not None:
            self._await_the_end(change, origin, WaitingWelcome(entry, welcome, tree))
            return
        last_resort = is_last_resort(bundle.key_package)
        key_packages.used(change.db, bundle, last_resort=last_resort)
        joined = Group.join(welcome, bundle, self.device.identity, tree=tree)
        public = joined.group.public
        if public.context.group_id != entry.group or public.context.epoch != entry.epoch:
            raise WelcomeRefused("it is not for the group it came for")
        forked = known is not None and has(change.db, known, FORK) and not last_resort
        if known is not None and public.context.epoch <= known.epoch and not forked:
            # A last-resort key opens its Welcome more than once; a new stay begins after the old one. On
            # another branch it may begin earlier, but then with keys that have never been used.
            raise WelcomeRefused(f"it is an old one for {known.name}")
        refused = judge_tree(public.context, public.tree)
        if refused is not None:
            raise WelcomeRefused(refused.text)
        room = room_of(public.context)
        if room.domain != self.device.domain:
            raise WelcomeRefused("its room is of another server")
        record = self._record(change, joined, room)
        self._enter(change, record, joined.group, entry, last_resort=last_resort, forked=forked)

    def _await_the_end(self, change: Change, origin: bytes, waiting: WaitingWelcome) -> None:
        """Keep a Welcome into the group that one of ours goes on as, until the log of that one is read."""
        record = records.by_group(change.db, origin)
        if record is None or record.state is Standing.OPENING or not self._is_live(change, record):
            raise WelcomeRefused("it goes on from a group that is not here")
        successors.keep_welcome(change.db, record.id, waiting)
        change.wake(record.id)

    def _is_live(self, change: Change, record: ConversationRecord) -> bool:
        if record.kind is not Kind.DIRECT and has(change.db, record, MISSED_COMMIT):
            return False  # it goes on without us: that we were let go in between is never read here
        return not has(change.db, record, FORK) and self.groups.public(change.db, record.id) is not None

    def _record(self, change: Change, joined: JoinedGroup, room: Room) -> ConversationRecord:
        kind = rooms.SHOWN_KINDS[room.kind]
        inviter = user_of(joined.group.public.tree.member(joined.group_info.signer))
        by_us = inviter == self.device.user
        if by_us:
            self._must_be_ours(change, joined.group.public.tree.member(joined.group_info.signer))
        if kind is Kind.DIRECT:
            return self._direct_record(change, joined.group, room, inviter)
        profile = read_profile(joined.group_info.extensions, room)
        about: dict[str, str | int | bytes | None] = {
            "invited_by": inviter,
            "title": rooms.shown(profile.profile.name) if profile is not None else "",
            "topic": rooms.shown(profile.profile.topic) if profile is not None else "",
            "profile": encode(profile) if profile is not None else b"",
        }
        record = records.by_group(change.db, joined.group.group_id)
        if record is None:
            # A room is who is in its group. Anybody can write a URI that is known from elsewhere (of a
            # room we left, of a conversation of two) into a group of their own.
            name = records.free_name(change.db, rooms.alias_for(profile))
            record = records.insert(
                change.db, name=name, kind=kind, state=Standing.INVITED, room=str(room.uri)
            )
        elif (record.kind, record.room) != (kind, str(room.uri)):
            raise WelcomeRefused(f"it is not the {record.name} that was here")
        elif self._is_live(change, record):
            raise WelcomeRefused(f"its room is {record.name}, which is here already")
        about["untold_after"] = history.last_id(change.db)
        record = forget(change, record)
        # Another device of ours is in it: it was joined there, and brings us along.
        state = Standing.JOINED if by_us else Standing.INVITED
        record = records.update(change.db, record.id, state=state, **about)
        change.tell(Joined(record.name) if by_us else Invited(record.name, inviter))
        return record

    def _must_be_ours(self, change: Change, leaf: LeafNode) -> None:
        """A device that adds us as one of its own is one that our account lists."""
        statement = statements.newest(change.db, self.device.user)
        if statement is None or offer_refusal(leaf, statement) is not None:
            raise WelcomeRefused("it comes from a device that is none of yours, or no longer")

    def _direct_record(self, change: Change, group: Group, room: Room, inviter: str) -> ConversationRecord:
        others = [user for user in users_in(group.public.tree) if user != self.device.user]
        if len(others) != 1 or inviter not in {self.device.user, *others}:
            raise WelcomeRefused("it calls itself a conversation of two, which it is not")
        (peer,) = others
        uri = self.device.direct_room(peer)
        if str(room.uri) != uri:
            raise WelcomeRefused("its room is not the one of these two")
        name = f"@{peer}"
        record = records.by_name(change.db, name)
        if record is None:
            record = records.insert(
                change.db, name=name, kind=Kind.DIRECT, state=Standing.OPENING, room=uri, peer=peer
            )
        if record.state is Standing.OPENING:
            # Both opened at once: the other's group is the one; ours never came about.
            staged.drop(change.db, record.id)
            for intent in intents.of(change.db, record.id):
                intents.remove(change.db, intent.id)
                change.settle(intent.id)
        elif self._is_live(change, record):
            return self._opened_anew(change, record, group, inviter)
        change.tell(Joined(name))
        record = forget(change, record)
        return records.update(change.db, record.id, state=Standing.JOINED, invited_by=inviter)

    def _opened_anew(
        self, change: Change, record: ConversationRecord, group: Group, inviter: str
    ) -> ConversationRecord:
        """Go over into another group of the same two: the other one has lost the keys of this one.

        Only somebody with the account key that is pinned can have made it. Nothing is sent before our user
        has seen it: whoever has stolen a device of the other one could have done so too.
        """
        theirs = [credential_of(leaf) for _, leaf in group.public.tree.leaves()]
        theirs = [each for each in theirs if each.user_name == inviter]
        if inviter == self.device.user or not all(is_pinned(change.db, each) for each in theirs):
            raise WelcomeRefused(f"{inviter} opened another conversation; the one that is here stays")
        end_stay(change, self.groups, record.id)
        for intent in intents.of(change.db, record.id):
            intents.remove(change.db, intent.id)
            change.settle(intent.id)
        change.tell(Joined(record.name))
        record = hold(change, forget(change, record), OPENED_ANEW, who=inviter)
        return records.update(
            change.db, record.id, invited_by=inviter, successor=b"", predecessor=record.group_id or b""
        )

    def _enter(
        self,
        change: Change,
        record: ConversationRecord,
        group: Group,
        entry: InboxEntry,
        *,
        last_resort: bool,
        forked: bool,
    ) -> None:
        pending.clear(change.db, record.id)
        intents.remove_kind(
            change.db, record.id, intents.What.RESYNC
        )  # it would take out the leaf we have now
        for each in intents.of(change.db, record.id):
            if each.what is intents.What.ENTER:  # somebody was faster
                staged.drop(change.db, record.id)
                intents.remove(change.db, each.id)
                change.settle(each.id)
        history.unseal_all(change.db, record.id)
        if record.group_id != entry.group or forked:
            places.forget_places(change.db, record.id)
            kept_commits.drop_all(change.db, record.id)
            incarnations.forget(change.db, record.id)
        log_ends.forget(change.db, record.id)
        epoch_codes.forget(change.db, record.id)
        self.groups.keep(change, record.id, group)
        log_chain.restart(change.db, record.id, group.public.context.confirmed_transcript_hash)
        record = records.update(
            change.db,
            record.id,
            group_id=entry.group,
            cursor=entry.start - 1,
            handshake_head=entry.start - 1,
            epoch=group.epoch,
            newcomers=group.epoch,  # who came between two stays of ours is not known
            epoch_since=int(self.clock()),
            last_resort=int(last_resort),
            incarnation=records.counter(change.db, records.INCARNATION),
            gone_back=-1,
        )
        change.wake(record.id)
        credentials = [credential_of(leaf) for _, leaf in group.public.tree.leaves()]
        others = [each for each in credentials if each.user_uri != self.device.user_uri]
        changed = meet_all(change.db, others, now=int(self.clock()))
        if changed:
            hold_for_keys(change, self.groups, record, changed)
        verification.tell_first_met(change, record)
