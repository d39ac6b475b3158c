"""Keeping up with the server: inbox, logs, and what each conversation has to do.

Each conversation has at most one task. It reads its log to the head, then acts (``Work``), and
ends when there is nothing left; whatever may give it something to do wakes it again. Pushes
are taken in order; where one is missing the log is fetched from the cursor.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from securechat.client import intents, key_packages, notes, records
from securechat.client.account_news import AccountNews
from securechat.client.anchor import Anchor
from securechat.client.carriage import NOT_NOW, collect, complete
from securechat.client.change import Changes
from securechat.client.dates import Dates
from securechat.client.device import Clock, Device
from securechat.client.errors import RefusedByServer
from securechat.client.events import Standing
from securechat.client.groups import Groups
from securechat.client.holds import hold
from securechat.client.inbox import Inbox
from securechat.client.intents import Intent, Step, asked_wait, jitter
from securechat.client.joining import INBOX, Joiner
from securechat.client.looking import Looking
from securechat.client.outbox import Outbox, Purpose, waiting_any
from securechat.client.planner import Planner
from securechat.client.reading import Reader
from securechat.client.records import ConversationRecord
from securechat.client.recovery import matches
from securechat.client.reentry import Reentry
from securechat.client.sentences import REJOIN_WAITS, STOPPED
from securechat.client.session import Session
from securechat.client.tasks import Tasks
from securechat.client.withheld import Withheld, tell_no_time
from securechat.client.work import Work
from securechat.protocol.messages import (
    CountKeyPackages,
    Delivered,
    Entries,
    Entry,
    Fetch,
    Gap,
    GetGroupInfo,
    InboxDelivered,
    KeyPackageCount,
    StoredGroupInfo,
)

MAX_BUFFERED: Final = 1024
"""Pushed entries that wait for a conversation's turn; more are fetched again later."""

RETRY_WITHIN: Final = 5.0
"""Seconds, drawn at random, until such a question is asked again."""

NO_ENTRANCE_WAIT: Final = 60.0
"""Seconds until a group that nobody can enter from outside is tried again."""

UNKNOWN: Final = -1  # a head we have not been told: fetch


@dataclass(slots=True)
class Syncer:
    """The network side of the engine. What it learns is applied in changes, never between them."""

    changes: Changes
    session: Session
    tasks: Tasks
    outbox: Outbox
    groups: Groups
    device: Device
    reader: Reader
    joiner: Joiner
    planner: Planner
    news: AccountNews
    work: Work
    anchor: Anchor
    reentry: Reentry
    heads: dict[int, int]
    """The last sequence the server told of, per conversation; shared with the answers."""
    clock: Clock
    dates: Dates
    _pushed: dict[int, deque[Entry]] = field(default_factory=dict)
    _woken: set[int] = field(default_factory=set)
    _busy: set[int] = field(default_factory=set)
    _timers: dict[int, asyncio.TimerHandle] = field(default_factory=dict)
    _withheld: Withheld = field(default_factory=Withheld)
    _looking: Looking = field(init=False)
    _inbox: Inbox = field(init=False)
    _inbox_task: asyncio.Task[None] | None = None
    _online: bool = False
    _caught_up: bool = False
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._looking = Looking(
            self.changes, self.session, self.groups, self.anchor, self.reentry, self.heads, self._read_log
        )
        self._inbox = Inbox(self.changes, self.session, self.joiner, self._read_log, self.top_up)

    async def catch_up(self, inbox_cursor: int) -> None:
        """Read what came while we were away, once per connection; of our inbox it knows so much read."""
        await self._patiently(self.news.catch_up)
        await self._patiently(lambda: self._catch_up(inbox_cursor))

    async def _patiently(self, ask: Callable[[], Awaitable[None]]) -> None:
        """Ask again while the server has no time for it, whenever it says."""
        began = None
        while True:
            try:
                return await ask()
            except RefusedByServer as refused:
                if refused.code not in NOT_NOW:
                    raise
                began = tell_no_time(self.changes, began)
                await asyncio.sleep(asked_wait(refused.retry_after) + jitter(RETRY_WITHIN))

    async def _catch_up(self, inbox_cursor: int) -> None:
        self._online = True
        self.heads.clear()
        self._pushed.clear()
        self._inbox.begin(inbox_cursor)
        self._looking.say_again(b"", stored=records.counter(self.changes.db, INBOX), known=inbox_cursor)
        await self.anchor.look()  # before the inbox: a Welcome may be for what we have to open anew
        self._inbox.is_open = True
        await self._read_inbox()
        await self.look()
        for record in records.every(self.changes.db):
            self.wake(record.id)
        self._caught_up = True
        self._note_idle()
        await self.top_up()

    async def look(self) -> None:
        """Ask where the logs stand."""
        await self._looking.look()

    async def caught_up(self) -> None:
        """Return once everything the server had for us is read; waits while there is no connection."""
        await self._idle.wait()

    def offline(self) -> None:
        self._online = self._caught_up = self._inbox.is_open = False
        self.anchor.offline()
        if self._inbox_task is not None:
            self._inbox_task.cancel()  # the server may have asked it to wait: the next connection does not
            self._inbox_task = None
        self._note_idle()
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._woken.clear()

    def delivered(self, push: Delivered) -> None:
        record = records.by_group(self.changes.db, push.group)
        if record is None or not push.entries:
            return
        waiting = self._pushed.setdefault(record.id, deque(maxlen=MAX_BUFFERED))
        waiting.extend(push.entries)
        self.heads[record.id] = max(self.heads.get(record.id, 0), push.entries[-1].sequence)
        self.wake(record.id)

    def inbox_delivered(self, push: InboxDelivered) -> None:
        self._inbox.pushed(push.entries)
        self._idle.clear()
        # One task, however much is pushed: it reads until there is nothing left.
        if self._inbox.is_open and (self._inbox_task is None or self._inbox_task.done()):
            self._inbox_task = self.tasks.spawn(self._patiently(self._read_inbox), "inbox")

    def wake(self, conversation: int) -> None:
        """There may be something to do for a conversation."""
        if not self._online:
            return
        self._woken.add(conversation)
        if conversation not in self._busy:
            self._busy.add(conversation)
            self._note_idle()
            self.tasks.spawn(self._drive(conversation), f"conversation {conversation}")

    async def _drive(self, conversation: int) -> None:
        try:
            while self._online and conversation in self._woken:
                self._woken.discard(conversation)
                if await self._read_log(conversation):
                    await self._act(conversation)
        except RefusedByServer as refused:
            if refused.code not in NOT_NOW:
                raise
            self._withheld.tell(self.changes, conversation)
            self._wake_later(conversation, asked_wait(refused.retry_after) + jitter(RETRY_WITHIN))
        finally:
            self._busy.discard(conversation)
            self._note_idle()

    def _note_idle(self) -> None:
        if self._caught_up and not self._busy and not self._inbox.is_being_read:
            self._idle.set()
        else:
            self._idle.clear()

    async def _read_log(self, conversation: int) -> bool:
        """Apply the log up to the head; whether that is where we are now."""
        while True:
            record = records.by_id(self.changes.db, conversation)
            no_log = record.group_id is None or record.state is Standing.OPENING
            if no_log or self.groups.public(self.changes.db, conversation) is None:
                return True
            if not self.anchor.is_placed(record):
                again = await self.anchor.place(conversation)
                if again:
                    self._wake_later(conversation, again)
                if again is not None:
                    return False
                continue
            if record.held_code in STOPPED:
                return False
            head = self.heads.get(conversation, UNKNOWN)
            entries = await self._next_entries(record, head)
            if entries is None:
                self._withheld.goes_on(conversation)
                return True
            with self.changes.change() as change:
                after = self.reader.read(change, records.by_id(change.db, conversation), entries)
            if after.cursor == record.cursor:
                if after.held_code not in STOPPED:
                    self._withheld.tell(self.changes, after.id)
                    self._wake_later(after.id, RETRY_WITHIN)
                return False  # the server gave nothing that follows
            self._withheld.goes_on(conversation)

    async def _next_entries(self, record: ConversationRecord, head: int) -> list[Entry | Gap] | None:
        """Return entries that follow the cursor, from what was pushed or else fetched; None at the head."""
        pushed = self._pushed.get(record.id)
        while pushed and pushed[0].sequence <= record.cursor:
            pushed.popleft()
        if pushed and pushed[0].sequence == record.cursor + 1:
            entries = list(pushed)
            pushed.clear()
            return await complete(self.session, entries)
        if pushed:
            pushed.clear()
        if head != UNKNOWN and head <= record.cursor:
            return None
        return await self._fetch(record)

    async def _fetch(self, record: ConversationRecord) -> list[Entry | Gap] | None:
        """Ask for what follows the cursor; None if nothing does."""
        if record.group_id is None:
            return None
        answer = await self.session.request(Fetch(record.group_id, record.cursor + 1))
        if not isinstance(answer, Entries):
            return None
        self.heads[record.id] = max(self.heads.get(record.id, 0), answer.head)
        if not answer.entries:
            return [] if answer.head > record.cursor else None
        if any(_last_place(each) > answer.head for each in answer.entries):
            with self.changes.change() as change:
                hold(change, record, "invalid_entry", why="it is beyond the end of its log")
            return []
        return await complete(self.session, answer.entries)

    async def _act(self, conversation: int) -> None:
        """Do what is due, now that the log is read; the outbox sends it once it is stored."""
        with self.changes.change() as change:
            before = records.by_id(change.db, conversation)
            outcome = self.work.act(change, before)
        if outcome.left_behind:
            self._wake_later(conversation, await self.reentry.enter(conversation))
        if before.closed and records.by_id(self.changes.db, conversation).group_id != before.group_id:
            self.heads.pop(conversation, None)  # what was told was of the old group's log
            self._pushed.pop(conversation, None)
        due = outcome.resync
        if due is not None and not await self.reentry.enter_unknown(conversation, due, self.planner):
            await self._resync(conversation, due)
        await self.news.see_to(conversation, outcome.ask, outcome.brought)
        if outcome.again_in is not None:
            self._wake_later(conversation, outcome.again_in)

    async def _resync(self, conversation: int, intent: Intent) -> None:
        """Ask for the GroupInfo of the epoch we followed the log into, and join by it."""
        record = records.by_id(self.changes.db, conversation)
        if record.group_id is None:
            return
        try:
            answer = await self.session.request(GetGroupInfo(record.group_id))
        except RefusedByServer as refused:
            if refused.code != "gone":
                raise
            self._await_a_change(record, intent)
            return
        if not isinstance(answer, StoredGroupInfo):
            return
        group_info = await collect(self.session, answer.group_info)
        with self.changes.change() as change:
            record = records.by_id(change.db, conversation)
            public = self.groups.public(change.db, conversation)
            still = intents.get(change.db, intent.id)
            if public is None or still is None or still.step is not Step.WANTED:
                return
            if answer.head > record.cursor:
                self.heads[conversation] = max(self.heads.get(conversation, 0), answer.head)
                change.wake(conversation)
            elif answer.epoch > record.epoch:  # the commits that led there are no longer in the log
                hold(change, record, "missing_commit")
            elif matches(public, group_info):
                self.planner.stage_external(change, record, still, group_info)
            else:
                hold(
                    change,
                    record,
                    "invalid_entry",
                    why="its description of the group is not what the log says",
                )

    def _await_a_change(self, record: ConversationRecord, intent: Intent) -> None:
        """The log came back without a GroupInfo of its epoch (rules.md D): the next commit has one."""
        with self.changes.change() as change:
            if not intent.not_before:  # the first time
                notes.tell(change, record, "rejoin_waits", REJOIN_WAITS.format(name=record.name))
            intents.wait(change.db, intent.id, until=self.clock() + NO_ENTRANCE_WAIT)
        self._wake_later(record.id, NO_ENTRANCE_WAIT + jitter(RETRY_WITHIN))

    def _wake_later(self, conversation: int, seconds: float) -> None:
        known = self._timers.pop(conversation, None)
        if known is not None:
            known.cancel()
        loop = asyncio.get_running_loop()
        self._timers[conversation] = loop.call_later(seconds, self.wake, conversation)

    async def _read_inbox(self) -> None:
        try:
            await self._inbox.read()
        finally:
            self._note_idle()

    async def top_up(self) -> None:
        """Have key packages at the server, so that others can add us while we are away (M-14).

        By a wrong date the server takes none, and those it has would seem to have lapsed (C-06).
        """
        if not self.dates.agree:
            return
        waiting: dict[int, KeyPackageCount] = {}
        for suite in self.device.suites:
            answer = await self.session.request(CountKeyPackages(suite))
            if isinstance(answer, KeyPackageCount):
                waiting[suite] = answer
        with self.changes.change() as change:
            if not waiting_any(change.db, Purpose.PUBLISH):
                now = int(self.clock())
                for body in key_packages.publications(change.db, self.device, waiting, now=now):
                    self.outbox.put(change, Purpose.PUBLISH, body)


def _last_place(entry: Entry | Gap) -> int:
    return entry.last if isinstance(entry, Gap) else entry.sequence
