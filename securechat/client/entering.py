"""Into the groups of our account as a new device, where no other device of ours is left to add it.

The account was brought back by its recovery key. Its old leaves are still in the trees, so a new leaf of the
same account key may enter from outside (rules.md C); the old ones are taken out by the commit after that.
What the server says of a group is known again by the anchor that the lost device left behind: epoch and
transcript hash. A group that has gone on since is entered too, but nothing is sealed to it before a
user whose key came with the account has spoken in it: so none is taken for theirs that the server made up. A
conversation of two opens a new group then.
"""

from dataclasses import dataclass
from typing import Final

from securechat.client import contact_box, history, intents, log_chain, places, queued, records, rooms, staged
from securechat.client.carriage import NOT_NOW, collect, tree_of
from securechat.client.change import Change, Changes
from securechat.client.contacts import meet_all
from securechat.client.described import has_leaf
from securechat.client.device import Clock, Device
from securechat.client.errors import RefusedByServer, Unreachable
from securechat.client.events import Joined, Kind, MessageState, Standing
from securechat.client.groups import Groups
from securechat.client.holds import has, hold, hold_for_keys, settle
from securechat.client.intents import Intent, What
from securechat.client.people import credential_of, users_in
from securechat.client.planner import Planner, judged
from securechat.client.records import ConversationRecord
from securechat.client.session import Session
from securechat.errors import SecureChatError
from securechat.membership.judge import judge_tree
from securechat.membership.room import room_of
from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.framing import GroupInfo, decode_message
from securechat.mls.group import Group
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree
from securechat.protocol.messages import GetGroupInfo, StoredGroupInfo

UNPROVEN = "unproven"
"""The hold of a group that was entered without an anchor: until somebody known before has spoken in it."""

GONE = frozenset({"no_group", "not_member", "forbidden"})
"""What a server says that has no leaf of ours in a group: we were removed, or it is another server's copy."""

LOOK_AGAIN = 60.0
"""Seconds until a group that nobody can enter now is tried again: its next commit brings what is missing."""

WELCOME_SECONDS: Final = 5.0
MOST_LOOKS: Final = 6
"""How long the Welcome of who has let us in may take, before we do without: half a minute."""


class NotTheGroup(Exception):
    """What the server hands out is not the conversation that we were in."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A group as the server describes it."""

    answer: StoredGroupInfo
    info: bytes
    tree: bytes


@dataclass(slots=True)
class Entering:
    changes: Changes
    session: Session
    groups: Groups
    device: Device
    planner: Planner
    clock: Clock

    async def enter(self, conversation: int, intent: Intent) -> None:
        """Ask for a group and put the commit by which we enter it on its way."""
        record = records.by_id(self.changes.db, conversation)
        try:
            offered = await self._ask(record)
        except RefusedByServer as refused:
            if refused.code in NOT_NOW:
                raise
            with self.changes.change() as change:
                self._refused(change, conversation, intent, refused)
            return
        with self.changes.change() as change:
            record = records.by_id(change.db, conversation)
            still = intents.get(change.db, intent.id)
            if (
                still is None
                or still.step is not intents.Step.WANTED
                or staged.exists(change.db, conversation)
            ):
                return
            if self.groups.public(change.db, conversation) is not None:
                self._is_in(change, record, still)  # another device of ours was faster
            elif offered is None:
                self._look_again(change, intent)
            else:
                self._stage(change, record, still, offered)

    async def _ask(self, record: ConversationRecord) -> Offered | None:
        if record.group_id is None:
            return None
        answer = await self.session.request(GetGroupInfo(record.group_id))
        if not isinstance(answer, StoredGroupInfo):
            return None
        try:
            tree = await tree_of(self.session, answer.group, answer.epoch)
            info = await collect(self.session, answer.group_info)
        except Unreachable:
            return None  # not what was named
        return None if tree is None else Offered(answer, info, tree)

    def _refused(self, change: Change, conversation: int, intent: Intent, refused: RefusedByServer) -> None:
        record = records.by_id(change.db, conversation)
        if self.groups.public(change.db, conversation) is not None:
            self._is_in(change, record, intent)
        elif refused.code not in GONE:
            self._look_again(change, intent)
        elif record.kind is Kind.DIRECT:
            self._open_anew(change, record, intent)
        else:
            self._is_out(change, record, intent)

    def _stage(self, change: Change, record: ConversationRecord, intent: Intent, offered: Offered) -> None:
        try:
            public = self._judged(record, offered)
            anchored = self._is_anchored(change, record, public)
            let_in = has_leaf(public, self.device.identity.signature_key.public)
            if record.kind is Kind.DIRECT and not anchored:
                self._unanchored(change, record, intent, let_in=let_in)
                return
            if let_in:  # somebody has brought us in: the Welcome is on its way, and no leaf comes twice
                self._look_again(change, intent)
                return
            commit = judged(Group.join_externally(offered.info, offered.tree, self.device.identity))
        except (NotTheGroup, SecureChatError) as wrong:
            hold(change, record, "invalid_entry", why=str(wrong))
            return
        record = records.update(change.db, record.id, handshake_head=offered.answer.handshake_head)
        epoch = public.context.epoch
        self.planner.send_commit(change, record, intent, commit, epoch=epoch, external=True)

    def _judged(self, record: ConversationRecord, offered: Offered) -> PublicGroup:
        """Return the group that is described, if it may be the one we were in."""
        info = decode_message(offered.info)
        if not isinstance(info, GroupInfo):
            raise NotTheGroup("it is no GroupInfo")
        suite = cipher_suite(info.group_context.cipher_suite)
        public = PublicGroup.from_group_info(info, RatchetTree.from_bytes(suite, offered.tree))
        refused = judge_tree(public.context, public.tree)
        if refused is not None:
            raise NotTheGroup(refused.text)
        room = room_of(public.context)
        if public.context.group_id != record.group_id or str(room.uri) != record.room:
            raise NotTheGroup("it is another conversation")
        if rooms.SHOWN_KINDS[room.kind] is not record.kind:
            raise NotTheGroup("it is of another kind")
        if record.kind is Kind.DIRECT and set(users_in(public.tree)) - {self.device.user, record.peer}:
            raise NotTheGroup("somebody else is in it")
        return public

    def _is_anchored(self, change: Change, record: ConversationRecord, public: PublicGroup) -> bool:
        known = contact_box.anchors(change.db).get(record.id)
        return known == (public.context.epoch, public.context.confirmed_transcript_hash)

    def _look_again(self, change: Change, intent: Intent) -> None:
        intents.wait(change.db, intent.id, until=self.clock() + LOOK_AGAIN)
        change.wake(intent.conversation)

    def _unanchored(
        self, change: Change, record: ConversationRecord, intent: Intent, *, let_in: bool
    ) -> None:
        """Wait for the Welcome where the other one has let us in already; else open another group."""
        if let_in and intent.attempts < MOST_LOOKS:
            intents.put_off(change.db, intent.id, until=self.clock() + WELCOME_SECONDS)
            change.wake(record.id)
        else:
            self._open_anew(change, record, intent)

    def _open_anew(self, change: Change, record: ConversationRecord, intent: Intent) -> None:
        """Open a conversation of two as another group: it takes the place of the one whose keys are lost."""
        intents.remove(change.db, intent.id)
        contact_box.drop_anchor(change.db, record.id)
        records.update(
            change.db, record.id, state=Standing.OPENING, predecessor=record.group_id or b"", group_id=None
        )
        intents.add_once(change.db, record.id, What.OPEN, subject=record.peer)
        change.wake(record.id)

    def _is_out(self, change: Change, record: ConversationRecord, intent: Intent) -> None:
        intents.remove(change.db, intent.id)
        contact_box.drop_anchor(change.db, record.id)
        records.update(change.db, record.id, state=Standing.REMOVED)
        queued.refuse(change, record.id, "not_member", f"you are no longer in {record.name}")

    def _is_in(self, change: Change, record: ConversationRecord, intent: Intent) -> None:
        intents.remove(change.db, intent.id)
        contact_box.drop_anchor(change.db, record.id)
        change.wake(record.id)


def settle_if_spoken(
    change: Change, groups: Groups, record: ConversationRecord, sequence: int
) -> ConversationRecord:
    """End the hold of a group that was entered without an anchor, if somebody known before spoke here.

    Who was first met in that group proves nothing: its server may have made them up with it.
    """
    if not has(change.db, record, UNPROVEN):
        return record
    spoken = change.db.execute(
        "SELECT 1 FROM message m JOIN contact c ON c.user = m.sender AND c.account_key = m.account_key"
        " WHERE m.conversation = ? AND m.sequence = ? AND m.own = 0 AND m.state = ?"
        " AND m.verified = 'known' AND c.from_box = 1",
        (record.id, sequence, MessageState.RECEIVED),
    ).fetchone()
    return record if spoken is None else settle(change, groups, record, {UNPROVEN})


def entered(
    change: Change, groups: Groups, device: Device, record: ConversationRecord, own: staged.Staged, place: int
) -> None:
    """The server has taken the commit by which we came in, at this place of its log: we are in the group."""
    commit = own.load(None)
    group = Group.from_staged(commit, device.identity)
    before = commit.facts.old_context
    known = contact_box.anchors(change.db).get(record.id)
    anchored = known == (before.epoch, before.confirmed_transcript_hash)
    staged.drop(change.db, record.id)
    intents.remove(change.db, own.intent)
    change.settle(own.intent)
    contact_box.drop_anchor(change.db, record.id)
    groups.keep(change, record.id, group)
    log_chain.restart(change.db, record.id, group.public.context.confirmed_transcript_hash)
    places.forget_places(change.db, record.id)
    record = records.update(
        change.db,
        record.id,
        cursor=place,
        handshake_head=place,
        epoch=group.epoch,
        newcomers=group.epoch,  # who came while nobody of us was there is not known
        epoch_since=change.now,
        untold_after=history.last_id(change.db),
        incarnation=records.counter(change.db, records.INCARNATION),
        gone_back=-1,
    )
    others = [credential_of(leaf) for _, leaf in group.public.tree.leaves()]
    others = [each for each in others if each.user_uri != device.user_uri]
    changed = meet_all(change.db, others, now=change.now)
    if changed:
        record = hold_for_keys(change, groups, record, changed)
    if not anchored and others:
        hold(change, record, UNPROVEN)
    change.tell(Joined(record.name))
    change.wake(record.id)
