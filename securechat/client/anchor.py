"""Finding a conversation's place in the log of a server that came back older (rules.md D, N-03).

A conversation whose ``incarnation`` is not the server's reads and sends nothing until its place is
known: behind what the copy still has, or where the commit that began its epoch stands now. Lost commits
are offered first; what nobody can bring back holds the conversation, with a code, and is looked for again.
"""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from securechat.client import (
    history,
    incarnations,
    intents,
    kept_commits,
    log_chain,
    log_ends,
    pending,
    places,
    records,
    staged,
)
from securechat.client.carriage import NOT_NOW
from securechat.client.change import Change, Changes
from securechat.client.device import Clock
from securechat.client.errors import RefusedByServer
from securechat.client.events import Kind, Standing
from securechat.client.groups import Groups
from securechat.client.holds import hold, settle
from securechat.client.intents import What, jitter
from securechat.client.kept_commits import KeptCommit
from securechat.client.outbox import Outbox, Purpose, is_waiting, parcel
from securechat.client.records import INCARNATION, ConversationRecord
from securechat.client.sentences import RESTORED
from securechat.client.session import Session
from securechat.client.standings import each_page
from securechat.client.stay import end_stay
from securechat.client.unread import say_again
from securechat.membership.chain import LogChain
from securechat.mls.examining import ExaminedProposal
from securechat.protocol.messages import Entries, Entry, Fetch, Gap, GroupStatus, OfferCommit

LOOK_FIRST: Final = 2.0
LOOK_LONGEST: Final = 300.0
"""Seconds until a place that was not found is looked for again, doubling, with jitter."""

COMMITTER_FIRST: Final = 3.0
"""Seconds that others leave to who made a commit that adds somebody: the Welcome is there only."""

MAX_PAGES: Final = 10_000
"""Answers of one look through a log: more than any log has, so that no server keeps us reading."""


SENT_AGAIN: Final = 30 * 86_400
"""Seconds: what is older a server keeps no longer either (rules.md A), whatever it has lost."""

FOR_EVER: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Span:
    """How the log of our epoch lies now: ``matched`` entries after its commit are those we had.

    ``sure`` is where, as the server says, the copy ends; the commit stood at ``began`` and stands at
    ``place``.
    """

    sure: int
    began: int
    place: int
    matched: int

    @property
    def known(self) -> int:
        """The last entry, by its number of before, that the log still has."""
        return self.began + self.matched


@dataclass(slots=True)
class Anchor:
    changes: Changes
    session: Session
    outbox: Outbox
    groups: Groups
    clock: Clock
    _standing: dict[int, GroupStatus | None] = field(default_factory=dict)
    """What the last sync said of conversations without a place; each is used once."""
    _offered: dict[int, int] = field(default_factory=dict)
    """The last epoch whose commit was offered on this connection."""
    _yielded: dict[int, tuple[int, float]] = field(default_factory=dict)
    """The last epoch whose commit was left to its committer for a while, and until when (the loop's time)."""
    _looks: dict[int, int] = field(default_factory=dict)

    def offline(self) -> None:
        self._standing.clear()
        self._offered.clear()
        self._yielded.clear()
        self._looks.clear()

    def is_placed(self, record: ConversationRecord) -> bool:
        """Whether its place in the present log is known; what is not open yet has none to lose."""
        opening = record.state is Standing.OPENING
        return opening or record.incarnation == records.counter(self.changes.db, INCARNATION)

    async def look(self) -> None:
        """Ask where the conversations without a place stand; reopen those of two that are not there."""
        lost = [record for record in records.every(self.changes.db) if not self.is_placed(record)]
        told: dict[int, dict[bytes, GroupStatus]] = {}
        for record in lost:
            self._standing[record.id] = await self._status(record, told)
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
        if conversation in self._offered:
            # What a look for others brought may be older than the answer to our offer.
            record = records.by_id(self.changes.db, conversation)
            self._standing[conversation] = await self._status(record, {})
        elif conversation not in self._standing:
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

    async def _status(
        self, record: ConversationRecord, told: dict[int, dict[bytes, GroupStatus]]
    ) -> GroupStatus | None:
        """Ask of the incarnation we were in; a server of another line, of those we were in before."""
        present = records.counter(self.changes.db, INCARNATION)
        sure = FOR_EVER
        status = None
        lines = [(record.incarnation, FOR_EVER), *incarnations.left(self.changes.db, record.id)]
        for incarnation, left_at in lines:
            if incarnation not in told:
                told[incarnation] = await self._statuses(incarnation)
            status = told[incarnation].get(record.group_id or b"")
            if status is None:
                return None
            sure = min(sure, left_at)
            if incarnation == present:
                return msgspec.structs.replace(status, restored=min(sure, status.head))
            if status.restored is not None:
                return msgspec.structs.replace(status, restored=min(sure, status.restored))
        return status

    async def _statuses(self, incarnation: int) -> dict[bytes, GroupStatus]:
        """Return the newest stay in each of our groups."""
        stays: dict[bytes, GroupStatus] = {}
        ours = {record.group_id for record in records.every(self.changes.db)}

        def take(told: Sequence[GroupStatus]) -> None:
            for status in told:
                known = stays.get(status.group)
                if status.group in ours and (known is None or status.start >= known.start):
                    stays[status.group] = status

        await each_page(self.session, take, incarnation=incarnation)
        return stays

    def _reopen(self, conversation: int) -> None:
        """Open a conversation of two anew that was made since the copy: its log is gone with all in it."""
        with self.changes.change() as change:
            record = records.by_id(change.db, conversation)
            end_stay(change, self.groups, conversation)
            incarnations.forget(change.db, conversation)
            for intent in intents.of(change.db, conversation):
                intents.remove(change.db, intent.id)
                change.settle(intent.id)
            # The two of it are the two of it: nobody comes in by opening it anew.
            places.queue_again(change.db, conversation, first=1, last=FOR_EVER, newcomers=0)
            history.unseal_all(change.db, conversation)
            opening = {"state": Standing.OPENING, "group_id": None, "cursor": 0, "epoch": 0, "newcomers": 0}
            record = self._placed(change, record, **opening)
            change.wake(conversation)

    def _wait(self, conversation: int, code: str, *, why: str = "") -> float:
        with self.changes.change() as change:
            record = records.by_id(change.db, conversation)
            hold(change, record, code, why=why, instead_of=RESTORED)
        looks = self._looks.get(conversation, 0)
        self._looks[conversation] = looks + 1
        longest = min(LOOK_LONGEST, LOOK_FIRST * 2 ** min(looks, 10))
        return LOOK_FIRST / 4 + jitter(longest)

    def _offer(self, conversation: int, status: GroupStatus) -> float:
        """Offer the commit of the epoch that the log is in; one at a time, as each answer may differ."""
        db, epoch = self.changes.db, status.epoch
        record = records.by_id(db, conversation)
        commit = kept_commits.get(db, conversation, epoch)
        if commit is None or not kept_commits.has_all(db, conversation, first=epoch, last=record.epoch - 1):
            return self._wait(conversation, "restored_gap")
        if self._offered.get(conversation, -1) >= epoch:
            # It said no, or said yes and did not mean it: not at once again.
            del self._offered[conversation]
            return self._wait(conversation, "restored_refused", why="the log did not move")
        left = (
            self._left_to_committer(conversation, epoch) if commit.is_better_brought_by_its_committer else 0
        )
        if left:
            return left
        self._offered[conversation] = epoch
        with self.changes.change() as change:
            self._put_offer(change, record, commit)
        return 0

    def _left_to_committer(self, conversation: int, epoch: int) -> float:
        """Return the seconds that the committer still has, however often we are woken meanwhile."""
        now = asyncio.get_running_loop().time()
        known = self._yielded.get(conversation)
        if known is None or known[0] < epoch:
            known = epoch, now + COMMITTER_FIRST / 2 + jitter(COMMITTER_FIRST)
            self._yielded[conversation] = known
        return max(0.0, known[1] - now)

    def _put_offer(self, change: Change, record: ConversationRecord, commit: KeptCommit) -> None:
        group = self.groups.group(change.db, record.id)
        message, info, welcome = parcel(commit.message), None, None
        if commit.epoch == record.epoch - 1 and group is not None and group.active:
            info = parcel(group.group_info())
        if commit.welcome is not None:
            welcome = parcel(commit.welcome)
        body = OfferCommit(
            record.group_id or b"",
            commit.epoch,
            message.carried,
            commit.proposals,
            info.carried if info is not None else None,
            welcome.carried if welcome is not None else None,
        )
        parcels = tuple(each for each in (message, info, welcome) if each is not None)
        self.outbox.put(
            change, Purpose.OFFER, body, conversation=record.id, ref=commit.epoch, parcels=parcels
        )

    async def _find(self, conversation: int, status: GroupStatus) -> float | None:
        """Find our place in a log that is in our epoch, or has gone on from it."""
        record = records.by_id(self.changes.db, conversation)
        sure = 0 if status.restored is None else status.restored
        if 0 <= record.gone_back < sure:
            sure = record.gone_back
        began = self._began(record)
        try:
            place = began if began <= sure else await self._find_commit(record, status, sure)
            if place is None:
                return self._wait(conversation, "restored_fork")
            matched = await self._matching(record, status, place)
        except RefusedByServer as refused:
            if refused.code in NOT_NOW:
                raise
            return self._wait(conversation, "restored_unknown")  # no longer what the sync said
        if matched is None:
            matched = max(0, min(sure, record.cursor) - place)
        span = Span(sure, began, place, matched)
        with self.changes.change() as change:
            self._anchor(change, records.by_id(change.db, conversation), span)
        return None

    def _began(self, record: ConversationRecord) -> int:
        """Return where the commit of our epoch stood."""
        if pending.last(self.changes.db, record.id):
            return record.cursor - log_chain.present(self.changes.db, record.id).count
        return record.handshake_head

    async def _find_commit(self, record: ConversationRecord, status: GroupStatus, sure: int) -> int | None:
        """Find the commit that began our epoch, after ``sure`` or right before our stay; None: a fork."""
        kept = kept_commits.get(self.changes.db, record.id, record.epoch - 1)
        digest = None if kept is None else _sha256(kept.message)
        first = max(status.start, sure + 1)
        async for entry in self._entries(status, first):
            if not isinstance(entry, Entry):
                return None  # a Gap: what we look for is gone
            if entry.sequence == first == status.start and entry.epoch == record.epoch:
                return first - 1
            if entry.kind == "commit" and entry.epoch == record.epoch - 1:
                same = digest is None or hmac.compare_digest(_digest(entry), digest)
                return entry.sequence if same else None
        if first == status.start > status.head and status.epoch == record.epoch:
            return first - 1  # our stay has only just begun: with the commit before it
        return None

    async def _matching(self, record: ConversationRecord, status: GroupStatus, place: int) -> int | None:
        """Count the entries after a commit that are those we had after it; None: it can't be told.

        Our own chain says it, whatever the server says: a log that did not go back is not read twice.
        """
        known = log_chain.values(self.changes.db, record.id)
        chain = LogChain(0, known[0])
        async for entry in self._entries(status, place + 1):
            if isinstance(entry, Gap) and not entry.hashes:
                return None
            if isinstance(entry, Entry) and entry.kind == "commit":
                break
            for digest in entry.hashes if isinstance(entry, Gap) else [_digest(entry)]:
                following = chain.add(digest)
                if following.count >= len(known) or following.digest != known[following.count]:
                    return chain.count
                chain = following
        return chain.count

    async def _entries(self, status: GroupStatus, start: int) -> AsyncIterator[Entry | Gap]:
        """Read the log from a place on, without what lies in blobs."""
        for _ in range(MAX_PAGES):
            if start > status.head:
                return
            answer = await self.session.request(Fetch(status.group, start))
            entries = answer.entries if isinstance(answer, Entries) else []
            before = start
            for entry in entries:
                first, last = (entry.first, entry.last) if isinstance(entry, Gap) else (entry.sequence,) * 2
                if first != start or last < first:
                    return
                yield entry
                start = last + 1
            if start == before:
                return

    def _anchor(self, change: Change, record: ConversationRecord, span: Span) -> None:
        """Go to our place: cursor, chain, proposals and what we said since, all in one change."""
        db = change.db
        change.touched.add(record.id)
        by = span.place - span.began
        if span.began > span.sure:
            log_ends.forget(db, record.id)  # what was before our epoch's commit may not be there again
        log_chain.cut(db, record.id, span.matched)
        if pending.move(db, record.id, known=span.known, by=by):
            self._accept_again(change, record)
        staged.unplace(db, record.id, after=span.sure)
        since = int(self.clock()) - SENT_AGAIN
        if record.state is Standing.JOINED:
            # What is ours may be in the copy and not yet behind our cursor.
            lost = max(span.known, span.sure) + 1
            for first, last in ((span.sure + 1, span.began), (lost, FOR_EVER)):
                say_again(change, record, first=first, last=last, since=since)
        elif record.state is Standing.LEFT:
            intents.add_once(db, record.id, What.LEAVE)  # what we asked for may be lost
        if by:
            places.move_places(db, record.id, first=span.began + 1, last=span.known, by=by)
        incarnations.leave(db, record, span.known if span.place == span.began else min(span.sure, span.began))
        handshake_head = max(span.place, pending.last(db, record.id))
        self._placed(change, record, cursor=span.place + span.matched, handshake_head=handshake_head)
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
        return settle(change, self.groups, record, RESTORED)


def _digest(entry: Entry) -> bytes:
    return entry.blob or _sha256(entry.body)


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
