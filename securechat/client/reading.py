"""Applying a conversation's log, entry by entry, inside one change.

The ratchet, the plaintext, the message id and the cursor are stored together, and only then
acknowledged (Q-03). Three verdicts about a commit are kept apart (rules.md D):

- valid for everybody: it is applied, whatever we think of it; what only we know may *hold* sending;
- invalid for everybody: only a lying server delivers that; we stop before it, keep the state, and say so;
- refused in secret (a tag, the path): others may well have applied it; its public part is followed
  from here on, and our leaf is replaced from outside.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from securechat.client import (
    follow_ups,
    history,
    incoming,
    intents,
    log_chain,
    log_ends,
    places,
    records,
    timers,
)
from securechat.client.change import Change
from securechat.client.device import Clock, Device
from securechat.client.entering import settle_if_spoken
from securechat.client.events import MessageAcknowledged
from securechat.client.groups import Groups
from securechat.client.handshakes import Handshakes, PubliclyInvalid
from securechat.client.holds import hold, hold_for_doubt
from securechat.client.intents import What
from securechat.client.records import ConversationRecord
from securechat.protocol.messages import Entry, Gap

MESSAGE: Final = "message"
"""The kind of entry that holds an application message; the others are handshakes."""


@dataclass(slots=True)
class Reader:
    device: Device
    groups: Groups
    clock: Clock

    def read(
        self, change: Change, record: ConversationRecord, entries: Sequence[Entry | Gap]
    ) -> ConversationRecord:
        """Apply what follows the cursor, up to the first hole or the first entry that must not be."""
        change.touched.add(record.id)
        try:
            for entry in entries:
                following = self._next(change, self._own_next(change, record), entry)
                if following is None:
                    break
                record = following
            record = self._own_next(change, record)
        except PubliclyInvalid as invalid:
            record = hold(change, records.by_id(change.db, record.id), invalid.code, why=str(invalid))
        group = self.groups.group(change.db, record.id)
        if entries and group is not None:
            self.groups.keep_secrets(change, record.id, group)  # once for all that was opened
        if record.group_id is not None:
            change.acknowledged[record.group_id] = record.cursor
        return record

    def place_own(
        self, change: Change, record: ConversationRecord, local_id: int, sequence: int
    ) -> ConversationRecord:
        """Take note of our own message's place from the server's answer."""
        self._acknowledged(change, record, local_id, sequence)
        return self.read(change, record, ())

    def _own_next(self, change: Change, record: ConversationRecord) -> ConversationRecord:
        """Go on over messages of ours whose place is known: the server does not push them to us."""
        if self.groups.public(change.db, record.id) is None:
            return record  # we are out: what is said of the log beyond is not followed
        while (sealed := history.own_at(change.db, record.id, record.cursor + 1)) is not None:
            log_chain.add(change.db, record.id, sealed)
            record = records.update(change.db, record.id, cursor=record.cursor + 1)
        return record

    def _next(
        self, change: Change, record: ConversationRecord, entry: Entry | Gap
    ) -> ConversationRecord | None:
        """Apply one entry; None if it does not follow the cursor and reading ends here."""
        if isinstance(entry, Gap):
            return self._gap(change, record, entry)
        if entry.sequence <= record.cursor:
            return record  # delivered again
        if entry.sequence != record.cursor + 1 or self.groups.public(change.db, record.id) is None:
            return None  # a hole; or we are out, and what follows is not ours to read
        record = self._apply(change, record, entry)
        return records.update(change.db, record.id, cursor=entry.sequence)

    def _apply(self, change: Change, record: ConversationRecord, entry: Entry) -> ConversationRecord:
        if entry.epoch > record.epoch:
            raise PubliclyInvalid(f"entry {entry.sequence} is of a later epoch", "missing_commit")
        if record.closed:
            raise PubliclyInvalid(f"entry {entry.sequence} comes after the group had gone on as another")
        handshakes = Handshakes(self.device, self.groups, self.clock)
        match entry.kind:
            case "message":
                record = self._message(change, record, entry)
                log_chain.add(change.db, record.id, _digest(entry))
                return record
            case "proposal":
                record = handshakes.proposal(change, record, entry)
                log_chain.add(change.db, record.id, _digest(entry))
                return record
            case "commit":
                return handshakes.commit(change, record, entry)
            case _:
                raise PubliclyInvalid(f"an entry of the unknown kind {entry.kind!r}")

    def _message(self, change: Change, record: ConversationRecord, entry: Entry) -> ConversationRecord:
        local_id = history.own_sealed(change.db, record.id, _digest(entry))
        if local_id is not None:
            self._acknowledged(change, record, local_id, entry.sequence)
            return record
        if log_chain.had(change.db, record.id, _digest(entry)):
            return record  # a restored server has it again; its key is used up, and so is its news
        group = self.groups.group(change.db, record.id)
        if group is None:
            public = self.groups.public(change.db, record.id)
            sender = incoming.named(public.tree, entry) if public is not None else "?"
            incoming.keep_unreadable(change, record, entry, "no_secrets", sender=sender)
            return record
        doubt = incoming.receive(change, self.device, record, group, entry)
        if doubt is not None:
            return hold_for_doubt(change, record, doubt)
        return settle_if_spoken(change, self.groups, record, entry.sequence)

    def _acknowledged(self, change: Change, record: ConversationRecord, local_id: int, sequence: int) -> None:
        sent = history.mark_sent(change.db, local_id, sequence=sequence, now=change.now)
        if sent is None:
            return
        if history.is_hidden(change.db, local_id):
            follow_ups.placed(change, record, local_id, sequence)
        else:
            timers.placed(change.db, record.id, local_id)
            change.tell(MessageAcknowledged(sent))

    def _gap(self, change: Change, record: ConversationRecord, gap: Gap) -> ConversationRecord | None:
        """Entries that are no longer kept: one line tells how many (Q-08), and their hashes go on the chain.

        Where there are no hashes any more, our claims about this epoch's log would be wrong from here on: we
        follow it in public and enter its next epoch from outside. Whether a commit was among what is
        missing shows by the epoch of what comes next.
        """
        if gap.last <= record.cursor:
            return record  # told again
        if gap.first > record.cursor + 1 or self.groups.public(change.db, record.id) is None:
            return None
        count = gap.last - gap.first + 1
        if gap.hashes and len(gap.hashes) != count:
            raise PubliclyInvalid(
                f"it says of {count} entries that they are gone, and names {len(gap.hashes)}"
            )
        if gap.hashes:
            missing = self._chain_on(change, record, gap)
        else:
            missing = (
                gap.last - record.cursor - places.own_between(change.db, record.id, record.cursor, gap.last)
            )
            self._start_over(change, record)
        if missing:
            incoming.keep_gap(change, record, missing, sequence=gap.last, now=int(self.clock()))
        return records.update(change.db, record.id, cursor=gap.last)

    def _chain_on(self, change: Change, record: ConversationRecord, gap: Gap) -> int:
        """Add what is missing to the chain; return how much of it was not our own."""
        missing = 0
        for sequence, digest in enumerate(gap.hashes, gap.first):
            if sequence <= record.cursor:
                continue
            log_chain.add(change.db, record.id, digest)
            local_id = history.own_sealed(change.db, record.id, digest)
            if local_id is not None:
                self._acknowledged(change, record, local_id, sequence)
            elif not log_chain.had(change.db, record.id, digest):
                missing += 1
        return missing

    def _start_over(self, change: Change, record: ConversationRecord) -> None:
        log_ends.doubt(change.db, record)
        group = self.groups.group(change.db, record.id)
        if group is not None:
            self.groups.follow(change, record.id, group.public)
            intents.add_once(change.db, record.id, What.RESYNC)
            change.wake(record.id)


def _digest(entry: Entry) -> bytes:
    return entry.blob or hashlib.sha256(entry.body).digest()
