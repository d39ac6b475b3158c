"""What the server's answers to stored requests mean: one table, purpose -> what is done.

Runs inside the change that forgets the request. A refusal is definite (the outbox keeps those
that are not): the commit or ciphertext under it is thrown away, the intent or the content stays.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Final

import msgspec

from securechat.client import (
    history,
    intents,
    log_chain,
    log_ends,
    notes,
    places,
    queued,
    records,
    staged,
    successors,
    verification,
)
from securechat.client.change import Change
from securechat.client.claims import Claims, go_without
from securechat.client.device import Clock, Device
from securechat.client.entering import entered
from securechat.client.errors import (
    RefusedByServer,
)
from securechat.client.events import Joined, Notice, Standing
from securechat.client.groups import Groups
from securechat.client.holds import Doubt, hold, hold_for_doubt, start_over
from securechat.client.intents import WELCOME_WAIT, Intent, What
from securechat.client.moving import Mover, Place
from securechat.client.outbox import Purpose, StoredRequest
from securechat.client.planner import Planner
from securechat.client.reading import Reader
from securechat.client.records import ConversationRecord
from securechat.client.sentences import WELCOME_WITHHELD
from securechat.protocol.messages import (
    Answer,
    Appended,
    ClaimedKeyPackages,
    ClaimKeyPackages,
    CommitGroup,
    SendMessage,
)

_LOG: Final = logging.getLogger(__name__)

LOST_RACE: Final = frozenset({"stale_epoch", "behind"})
"""The group has moved on: judge the intent, or seal the content, anew."""

SEAL_AGAIN: Final = LOST_RACE | {"forgotten", "conflict", "refused_message"}
"""The content goes out again under another name; receivers drop a double by its id."""

TOO_EARLY: Final = frozenset({"quota"})
"""Refusals of a claim that only time mends: it is made again under another name."""

TOO_EARLY_SPREAD: Final = 5.0

MOST_SEALED: Final = 32
"""Times that one message is sealed anew because its group has moved on, they say, before it is given up."""

Result = Answer | RefusedByServer


@dataclass(slots=True)
class Answers:
    device: Device
    groups: Groups
    planner: Planner
    reader: Reader
    clock: Clock
    claims: Claims
    heads: dict[int, int]
    """The last sequence the server told of, per conversation; shared with sync."""
    _shown_no_welcome: dict[int, float] = field(default_factory=dict)
    """Since when somebody else is said to have opened what an intent is to open."""
    _sealed_anew: dict[int, int] = field(default_factory=dict)
    """How often a message was, by its local id."""

    def take(self, change: Change, request: StoredRequest, result: Result) -> None:
        if request.purpose is Purpose.NONE:
            return
        if isinstance(result, RefusedByServer) and result.code == "conflict":
            self.cloned(change)
        if request.purpose is Purpose.PUBLISH:
            return
        record = records.by_id(change.db, request.conversation)
        if isinstance(result, Appended) and request.purpose is Purpose.CREATE:
            self.heads[record.id] = max(self.heads.get(record.id, 0), result.sequence)
        elif isinstance(result, RefusedByServer) and result.code in LOST_RACE:
            self.heads[record.id] = max(self.heads.get(record.id, 0), result.head)
        change.wake(record.id)
        TAKERS[request.purpose](self, change, record, request, result)

    def cloned(self, change: Change) -> None:
        """The server decided requests that we never made (D-06)."""
        text = "this device was used elsewhere, or its folder was restored; joining all groups anew"
        change.tell(Notice("conflict", text))
        start_over(change, self.groups)

    def claimed(
        self, change: Change, record: ConversationRecord, request: StoredRequest, result: Result
    ) -> None:
        intent = intents.get(change.db, request.ref)
        if intent is None:
            return
        if isinstance(result, RefusedByServer):
            self._claim_refused(change, record, intent, result)
            return
        packages = result.packages if isinstance(result, ClaimedKeyPackages) else []
        asked = msgspec.msgpack.decode(request.body, type=ClaimKeyPackages)
        self.claims.brought(change, record, intent, asked, [each.key_package for each in packages])

    def _claim_refused(
        self, change: Change, record: ConversationRecord, intent: Intent, result: RefusedByServer
    ) -> None:
        if intent.what is What.REVOKE:
            # A device that has to go is out within a minute (D-02); until then who comes instead may come in
            # by itself. Six claims are soon made: each device of ours makes one for each conversation.
            if result.code in TOO_EARLY:
                self.claims.nothing(change, intent)
            else:
                go_without(change, intent)
            return
        if result.code in TOO_EARLY and result.retry_after:
            # A longer wait would be taken for one that a clock has left behind, and be none at all.
            wait = intents.asked_wait(result.retry_after + intents.jitter(TOO_EARLY_SPREAD))
            intents.wait(change.db, intent.id, until=self.clock() + wait)
            minutes = -(-result.retry_after // 60)
            text = (
                f"the server gives keys of {intent.subject} again in {minutes} min; it goes on by itself then"
            )
            change.tell(Notice("limited", text))
            return
        if intent.what is What.OPEN:
            queued.refuse(change, record.id, result.code, str(result))
        self.planner.give_up(change, record, intent, result)

    def succeeded(
        self, change: Change, record: ConversationRecord, request: StoredRequest, result: Result
    ) -> None:
        """The server has the group that a closed one goes on as, from us or from somebody else."""
        group = successors.group(change.db, record.id, self.device.identity)
        intent = intents.get(change.db, request.ref)
        successors.drop_group(change.db, record.id)
        if not record.closed or group is None:
            return
        if isinstance(result, Appended):
            cloned = self.groups.follows(change.db, record.id)
            record = Mover(self.device, self.groups, self.clock).move(
                change, record, group, Place(result.sequence)
            )
            self.heads[record.id] = result.sequence  # of another log than before
            if cloned:  # a copy of us may have spoken in it
                self.groups.follow(change, record.id, group.public)
                intents.add_once(change.db, record.id, What.RESYNC)
        elif isinstance(result, RefusedByServer) and intent is not None:
            if result.code == "exists":
                # Somebody else was first: the Welcome is in the inbox.
                intents.wait(change.db, intent.id, until=self.clock() + WELCOME_WAIT)
            else:
                self.planner.give_up(change, record, intent, result)

    def created(
        self, change: Change, record: ConversationRecord, request: StoredRequest, result: Result
    ) -> None:
        intent = intents.get(change.db, request.ref)
        group = self.groups.group(change.db, record.id)
        if intent is None or group is None or record.state is not Standing.OPENING:
            return  # the other side's Welcome came first, and its group is the one
        change.touched.add(record.id)
        own = staged.get(change.db, record.id)
        if isinstance(result, Appended):
            if own is not None:
                group.merge(own.load(group))
                staged.drop(change.db, record.id)
            if any(each.what is What.RESYNC for each in intents.of(change.db, record.id)):
                self.groups.follow(change, record.id, group.public)  # a copy of us may have spoken in it
            else:
                self.groups.keep(change, record.id, group)
            log_chain.restart(change.db, record.id, group.public.context.confirmed_transcript_hash)
            places.forget_places(change.db, record.id)
            record = records.update(
                change.db,
                record.id,
                state=Standing.JOINED,
                incarnation=records.counter(change.db, records.INCARNATION),
                gone_back=-1,
                cursor=result.sequence,
                handshake_head=result.sequence,
                epoch=group.epoch,
                epoch_since=int(self.clock()),
            )
            intents.remove(change.db, intent.id)
            change.settle(intent.id)
            change.tell(Joined(record.name))
            verification.tell_first_met(change, record)
        elif isinstance(result, RefusedByServer) and result.code == "exists":
            # Both opened at once and the other was first: its Welcome is in the inbox (rules.md A).
            # Or a copy of us was, and none will come (`opened_elsewhere`).
            self.planner.withdraw(change, record)
            self._await_welcome(change, record, intent)
            if intent.what is What.OPEN and result.detail:
                intents.await_welcome(change.db, intent, result.detail, now=self.clock())
            else:
                intents.wait(change.db, intent.id, until=self.clock() + WELCOME_WAIT)
        elif isinstance(result, RefusedByServer):
            queued.refuse(change, record.id, result.code, str(result))
            self.planner.give_up(change, record, intent, result)

    def _await_welcome(self, change: Change, record: ConversationRecord, intent: Intent) -> None:
        """Say once, if it lasts, that what the other is said to have opened does not come."""
        since = self._shown_no_welcome.setdefault(intent.id, self.clock())
        if self.clock() - since >= WELCOME_WAIT:
            self._shown_no_welcome[intent.id] = inf
            notes.tell(change, record, "log_withheld", WELCOME_WITHHELD.format(peer=record.peer))

    def committed(
        self, change: Change, record: ConversationRecord, request: StoredRequest, result: Result
    ) -> None:
        own = staged.get(change.db, record.id)
        if own is None or own.intent != request.ref:
            return  # its echo came first
        intent = intents.get(change.db, request.ref)
        if isinstance(result, Appended) and intent is not None and intent.what is What.ENTER:
            entered(change, self.groups, self.device, record, own, result.sequence)
            return
        if isinstance(result, Appended) and own.epoch >= record.epoch:
            staged.place(change.db, record.id, result.sequence)
            return
        staged.drop(change.db, record.id)
        if intent is None:
            return
        if isinstance(result, RefusedByServer) and _is_of_another_log(change, record, request, result):
            self._doubt(change, record)
        if not isinstance(result, RefusedByServer) or result.code in SEAL_AGAIN:
            # Also where it was taken, they say, and yet the log has gone on with another commit.
            intents.again(change.db, intent, now=self.clock())
        elif intent.what in {What.RESYNC, What.ENTER}:
            _LOG.warning("joining anew was refused: %s", result.code)
            intents.again(change.db, intent, now=self.clock())
        else:
            self.planner.give_up(change, record, intent, result)

    def _doubt(self, change: Change, record: ConversationRecord) -> ConversationRecord:
        """The log is not the one that others are shown: hold, and tell the others how it ended here."""
        log_ends.doubt(change.db, record)
        return hold_for_doubt(change, record, Doubt(self.device.user, ((log_ends.present(record), b""),)))

    def committed_again(
        self, change: Change, record: ConversationRecord, request: StoredRequest, result: Result
    ) -> None:
        """Somebody else may have brought our commit back first: then its echo is about to be read."""
        lost = isinstance(result, RefusedByServer) and result.code in LOST_RACE
        if isinstance(result, RefusedByServer) and lost and result.head > record.cursor:
            return
        own = staged.get(change.db, record.id)
        if own is None or own.intent != request.ref:
            return
        if isinstance(result, Appended):
            staged.place(change.db, record.id, result.sequence)
            return
        staged.drop(change.db, record.id)
        intent = intents.get(change.db, request.ref)
        if intent is not None:
            intents.again(change.db, intent, now=self.clock())

    def offered(
        self, change: Change, record: ConversationRecord, _request: StoredRequest, result: Result
    ) -> None:
        """Look again where the log stands; of two who offer, one is refused as too late."""
        if isinstance(result, RefusedByServer) and result.code not in SEAL_AGAIN:
            hold(change, record, "restored_refused", why=str(result))

    def proposed(
        self, change: Change, record: ConversationRecord, request: StoredRequest, result: Result
    ) -> None:
        intent = intents.get(change.db, request.ref)
        if intent is None:
            return
        if isinstance(result, Appended):
            records.update(change.db, record.id, state=Standing.LEFT)
            queued.refuse(change, record.id, "not_member", f"you left {record.name}")
            intents.remove(change.db, intent.id)
            change.settle(intent.id)
        elif isinstance(result, RefusedByServer) and result.code in SEAL_AGAIN:
            intents.again(change.db, intent, now=self.clock())
        elif isinstance(result, RefusedByServer):
            self.planner.give_up(change, record, intent, result)

    def sent(
        self, change: Change, record: ConversationRecord, request: StoredRequest, result: Result
    ) -> None:
        tries = self._sealed_anew.pop(request.ref, 0) + 1
        if isinstance(result, Appended):
            self.reader.place_own(change, record, request.ref, result.sequence)
        elif isinstance(result, RefusedByServer) and result.code in SEAL_AGAIN:
            # Of another log: held now, or the user has let that pass so often that this is the end of it.
            differs = _is_of_another_log(change, record, request, result)
            if tries >= MOST_SEALED or (differs and not self._doubt(change, record).held):
                queued.refuse_one(change, record.id, request.ref, result.code, str(result))
            else:
                self._sealed_anew[request.ref] = tries
                history.unseal(change.db, request.ref)
        elif isinstance(result, RefusedByServer):
            queued.refuse_one(change, record.id, request.ref, result.code, str(result))


def _is_of_another_log(
    change: Change, record: ConversationRecord, request: StoredRequest, result: RefusedByServer
) -> bool:
    """Whether something is refused for what a log has not that we have read to its end.

    A commit for a handshake before it, or anything for an epoch that no commit there has begun. Judged or
    sealed anew it would be refused for ever, as fast as the line goes, and nobody told.
    """
    if result.code not in LOST_RACE or result.head > record.cursor:
        return False
    asked = msgspec.msgpack.decode(request.body, type=CommitGroup | SendMessage)
    placed = record.incarnation == records.counter(change.db, records.INCARNATION)
    if result.code == "stale_epoch" or not isinstance(asked, CommitGroup):
        return placed and asked.epoch == record.epoch
    return placed and asked.handshake_head == record.handshake_head


Taker = Callable[[Answers, Change, ConversationRecord, StoredRequest, Result], None]

TAKERS: Final[dict[Purpose, Taker]] = {
    Purpose.CLAIM: Answers.claimed,
    Purpose.CREATE: Answers.created,
    Purpose.SUCCEED: Answers.succeeded,
    Purpose.COMMIT: Answers.committed,
    Purpose.RECOMMIT: Answers.committed_again,
    Purpose.OFFER: Answers.offered,
    Purpose.PROPOSE: Answers.proposed,
    Purpose.SEND: Answers.sent,
}
