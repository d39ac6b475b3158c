"""Finding a conversation's place in the log of a server that came back older (rules.md D, N-03).

A conversation whose ``incarnation`` is not the server's reads and sends nothing until its place is
known: behind what the copy still has, or where the commit that began its epoch stands now. Lost commits
are offered first; what nobody can bring back holds the conversation, with a code, and is looked for again.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from securechat.client import history, intents, kept_commits, log_chain, pending, records, staged
from securechat.client.carriage import NOT_NOW
from securechat.client.change import Change, Changes
from securechat.client.errors import RefusedByServer
from securechat.client.events import Kind, Standing
from securechat.client.groups import Groups
from securechat.client.holds import hold, release
from securechat.client.intents import What, jitter
from securechat.client.outbox import Outbox, Purpose, is_waiting, parcel
from securechat.client.records import INCARNATION, ConversationRecord
from securechat.client.sentences import RESTORED
from securechat.client.session import Session
from securechat.mls.examining import ExaminedProposal
from securechat.protocol.messages import Entries, Entry, Fetch, GroupStatus, OfferCommit, Sync, Synced

LOOK_FIRST: Final = 2.0
LOOK_LONGEST: Final = 300.0
"""Seconds until a place that was not found is looked for again, doubling, with jitter."""

MAX_PAGES: Final = 10_000
"""Answers of one look through a log: more than any log has, so that no server keeps us reading."""


@dataclass(slots=True)
class Anchor:
    changes: Changes
    session: Session
    outbox: Outbox
    groups: Groups
    _standing: dict[int, GroupStatus | None] = field(default_factory=dict)
    """What the last sync said of conversations without a place; each is used once."""
    _offered: dict[int, int] = field(default_factory=dict)
    """The last epoch whose commit was offered on this connection."""
    _looks: dict[int, int] = field(default_factory=dict)

    def offline(self) -> None:
        self._standing.clear()
        self._offered.clear()
        self._looks.clear()

    def is_placed(self, record: ConversationRecord) -> bool:
        return record.incarnation == records.counter(self.changes.db, INCARNATION)

    async def look(self) -> None:
        """Ask where the conversations without a place stand; reopen those of two that are not there."""
        lost = [record for record in records.every(self.changes.db) if not self.is_placed(record)]
        for incarnation in {record.incarnation for record in lost}:
            stays = await self._statuses(incarnation)
            for record in lost:
                if record.incarnation == incarnation:
                    self._standing[record.id] = stays.get(record.group_id or b"")
        for record in lost:
            if record.kind is Kind.DIRECT and self._standing[record.id] is None:
                self._reopen(record.id)

    async def place(self, conversation: int) -> float | None:
        """Take the next step towards a place.

        Returns None once there is one, else after how many seconds to look again (0: not before
        something has come).
        """
        if is_waiting(self.changes.db, Purpose.OFFER, conversation):
            return 0
        if conversation not in self._standing:
            await self.look()
        record = records.by_id(self.changes.db, conversation)
        if self.is_placed(record):
            return None
        status = self._standing.pop(conversation, None)
        public = self.groups.public(self.changes.db, conversation)
        if public is None:
            return None
        if status is None:
            return self._wait(conversation, "restored_unknown")
        if status.epoch < record.epoch:
            return self._offer(conversation, status)
        return await self._find(conversation, status)

    def note_gone_back(self, record: ConversationRecord, head: int) -> None:
        """A log ends before what we have read of it, and the server does not say why."""
        with self.changes.change() as change:
            lowest = head if record.gone_back < 0 else min(head, record.gone_back)
            record = records.update(change.db, record.id, gone_back=lowest)
            hold(change, record, "server_older")

    async def _statuses(self, incarnation: int) -> dict[bytes, GroupStatus]:
        """Return the newest stay in each group."""
        stays: dict[bytes, GroupStatus] = {}
        after = b""
        for _ in range(MAX_PAGES):
            answer = await self.session.request(Sync(after, incarnation))
            if not isinstance(answer, Synced):
                break
            for status in answer.groups:
                known = stays.get(status.group)
                if known is None or status.start >= known.start:
                    stays[status.group] = status
                after = status.group
            if not answer.more:
                break
        return stays

    def _reopen(self, conversation: int) -> None:
        """Open a conversation of two anew that was made since the copy: its log is gone with all in it."""
        with self.changes.change() as change:
            record = records.by_id(change.db, conversation)
            self.groups.drop(change, conversation)
            staged.drop(change.db, conversation)
            pending.clear(change.db, conversation)
            kept_commits.drop_all(change.db, conversation)
            for intent in intents.of(change.db, conversation):
                intents.remove(change.db, intent.id)
                change.settle(intent.id)
            history.queue_again(change.db, conversation, after=0)
            history.unseal_all(change.db, conversation)
            record = self._placed(change, record, state=Standing.OPENING, group_id=None, cursor=0, epoch=0)
            change.wake(conversation)

    def _wait(self, conversation: int, code: str, *, why: str = "") -> float:
        with self.changes.change() as change:
            record = records.by_id(change.db, conversation)
            if record.held_code in RESTORED and record.held_code != code:
                record = records.update(change.db, conversation, held_code="", held_text="")
            hold(change, record, code, why=why)
        looks = self._looks.get(conversation, 0)
        self._looks[conversation] = looks + 1
        longest = min(LOOK_LONGEST, LOOK_FIRST * 2 ** min(looks, 10))
        return LOOK_FIRST / 4 + jitter(longest)

    def _offer(self, conversation: int, status: GroupStatus) -> float:
        """Offer the commit of the epoch that the log is in; one at a time, as each answer may differ."""
        record = records.by_id(self.changes.db, conversation)
        if not kept_commits.has_all(self.changes.db, conversation, first=status.epoch, last=record.epoch - 1):
            return self._wait(conversation, "restored_gap")
        if self._offered.get(conversation, -1) >= status.epoch:
            # It said no, or said yes and did not mean it: not at once again.
            del self._offered[conversation]
            return self._wait(conversation, "restored_refused", why="the log did not move")
        self._offered[conversation] = status.epoch
        with self.changes.change() as change:
            commit = kept_commits.get(change.db, conversation, status.epoch)
            group = self.groups.group(change.db, conversation)
            if commit is None:
                raise LookupError(conversation)
            last = commit.epoch == record.epoch - 1
            parcels = [parcel(commit.message, _sha256)]
            info = parcel(group.group_info(), _sha256) if last and group is not None else None
            welcome = parcel(commit.welcome, _sha256) if commit.welcome is not None else None
            parcels += [each for each in (info, welcome) if each is not None]
            body = OfferCommit(
                record.group_id or b"",
                commit.epoch,
                parcels[0].carried,
                commit.proposals,
                info.carried if info is not None else None,
                welcome.carried if welcome is not None else None,
            )
            self.outbox.put(
                change,
                Purpose.OFFER,
                body,
                conversation=conversation,
                ref=commit.epoch,
                parcels=tuple(parcels),
            )
        return 0

    async def _find(self, conversation: int, status: GroupStatus) -> float | None:
        """Find our place in a log that is in our epoch, or has gone on from it."""
        record = records.by_id(self.changes.db, conversation)
        sure = status.head if status.restored is None else status.restored
        if 0 <= record.gone_back < sure:
            sure = record.gone_back
        place = None
        if record.cursor - log_chain.present(self.changes.db, conversation).count > sure:
            try:
                place = await self._find_commit(record, status, sure)
            except RefusedByServer as refused:
                if refused.code in NOT_NOW:
                    raise
                return self._wait(conversation, "restored_unknown")  # no longer what the sync said
            if place is None:
                return self._wait(conversation, "restored_fork")
        with self.changes.change() as change:
            self._anchor(change, records.by_id(change.db, conversation), sure=sure, place=place)
        return None

    async def _find_commit(self, record: ConversationRecord, status: GroupStatus, sure: int) -> int | None:
        """Find the commit that began our epoch, after ``sure`` or right before our stay; None: a fork."""
        kept = kept_commits.get(self.changes.db, record.id, record.epoch - 1)
        digest = None if kept is None else _sha256(kept.message)
        start = first = max(status.start, sure + 1)
        for _ in range(MAX_PAGES):
            if start > status.head:
                break
            answer = await self.session.request(Fetch(status.group, start))
            entries = answer.entries if isinstance(answer, Entries) else []
            for entry in entries:
                if not isinstance(entry, Entry):
                    return None  # a Gap: what we look for is gone
                if entry.sequence == first == status.start and entry.epoch == record.epoch:
                    return first - 1
                if entry.kind == "commit" and entry.epoch == record.epoch - 1:
                    same = digest is None or (entry.blob or _sha256(entry.body)) == digest
                    return entry.sequence if same else None
                start = entry.sequence + 1
            if not entries:
                break
        if first == status.start > status.head and status.epoch == record.epoch:
            return first - 1  # our stay has only just begun: with the commit before it
        return None

    def _anchor(self, change: Change, record: ConversationRecord, *, sure: int, place: int | None) -> None:
        """Go to our place: cursor, chain, proposals and what we said since, all in one change.

        :param sure: up to here the log is what it was
        :param place: where the commit that began our epoch stands now; None: where it stood
        """
        change.touched.add(record.id)
        began = record.cursor - log_chain.present(change.db, record.id).count if place is None else place
        cursor = min(record.cursor, sure) if place is None else place
        log_chain.cut(change.db, record.id, cursor - began)
        if pending.drop_after(change.db, record.id, sure if place is None else -1):
            self._accept_again(change, record)
        handshake_head = record.handshake_head
        if place is not None or handshake_head > sure:
            handshake_head = max(began, pending.last(change.db, record.id))
        staged.unplace(change.db, record.id, after=sure)
        if record.state is Standing.JOINED:
            history.queue_again(change.db, record.id, after=sure)
        elif record.state is Standing.LEFT:
            intents.add_once(change.db, record.id, What.LEAVE)  # what we asked for may be lost
        self._placed(change, record, cursor=cursor, handshake_head=handshake_head)
        change.wake(record.id)

    def _accept_again(self, change: Change, record: ConversationRecord) -> None:
        """Have the group know of the proposals that are left, and of no others."""
        group = self.groups.group(change.db, record.id)
        if group is None:
            return
        group.forget_pending()
        for message in pending.messages(change.db, record.id):
            examined = group.examine(message)
            if isinstance(examined, ExaminedProposal):
                group.accept(examined)
        self.groups.keep(change, record.id, group)

    def _placed(
        self, change: Change, record: ConversationRecord, **changes: str | int | bytes | None
    ) -> ConversationRecord:
        incarnation = records.counter(change.db, INCARNATION)
        record = records.update(change.db, record.id, incarnation=incarnation, gone_back=-1, **changes)
        return release(change, record) if record.held_code in RESTORED else record


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
