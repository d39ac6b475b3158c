"""The engine of one account: the rooms of the client, wired; their events, handed on.

It owns the order of things after a change (send, acknowledge, tell) and the loop that listens to
the session. What a conversation does is in ``work.py``, what the log does to it in ``reading.py``.
"""

import asyncio
import contextlib
import functools
import time
from typing import Final
from weakref import WeakSet

from securechat.client import intents, password_news
from securechat.client.account_news import AccountNews
from securechat.client.account_secret import SecretKeeper
from securechat.client.anchor import Anchor
from securechat.client.answers import Answers
from securechat.client.approving import Approver
from securechat.client.change import Change, Changes
from securechat.client.claims import Claims
from securechat.client.contact_keeping import ContactKeeper
from securechat.client.dates import Dates
from securechat.client.device import Clock, device_of
from securechat.client.errors import ClientError, RefusedByServer, Replaced, ServerOlder, StoreError
from securechat.client.events import Connected, Disconnected, Event, Notice
from securechat.client.groups import Groups
from securechat.client.hints import Hints
from securechat.client.holds import ask_again, settle_if_believed
from securechat.client.joining import Joiner
from securechat.client.keystore import Keys
from securechat.client.listener import Listener
from securechat.client.log_watch import LogWatch
from securechat.client.moving import Mover
from securechat.client.outbox import Outbox, StoredRequest
from securechat.client.planner import Planner
from securechat.client.policy import Policy
from securechat.client.reading import Reader
from securechat.client.reconciling import Reconciler
from securechat.client.reentry import Reentry
from securechat.client.restored import Met, meet
from securechat.client.sentences import HOLDS
from securechat.client.session import Session, SessionEvent, SessionLost, SessionReady, SessionStalled
from securechat.client.store import ClientStore
from securechat.client.suites import encryption
from securechat.client.sync import Syncer
from securechat.client.tasks import Tasks
from securechat.client.timers import next_due, sweep, tidy
from securechat.client.typists import Typists
from securechat.client.work import Work
from securechat.protocol.messages import (
    ACCOUNTS,
    AccountChanged,
    Answer,
    Delivered,
    InboxDelivered,
    LinksChanged,
    RequestBody,
)
from securechat.text import sanitise

LOOK_SECONDS: Final = 60.0
"""How long a date that was set anew may go unnoticed by what disappears."""

SOON: Final = 0.05
"""Seconds after the second in which a message goes: so that it is over when we look."""


class Engine:
    """Wiring. Start it, close it; in between it follows the session."""

    _forgot = False
    """Whether words were withdrawn that stand in the log beside the store yet."""
    _dates_agreed = True

    def __init__(
        self,
        store: ClientStore,
        session: Session,
        keys: Keys,
        clock: Clock = time.time,
        *,
        policy: Policy = Policy.FIRST_USE,
    ) -> None:
        self.policy = policy
        self.store = store
        self.keys = keys
        self.device = device_of(keys)
        self.clock = clock
        self.connected: Connected | None = None
        self._standing: Connected | Disconnected | None = None
        self._session = session
        self._dates = Dates(clock)
        self._heads: dict[int, int] = {}
        self._early: Listener | None = Listener()
        self._listeners: WeakSet[Listener] = WeakSet()
        self._intents: dict[int, asyncio.Future[None]] = {}
        self._news = asyncio.Event()
        self._over: ClientError | None = None
        self._tasks = Tasks(self._failed)
        self._typists = Typists(self._put)
        self.changes = Changes(store, done=self._done, undone=self._undone, clock=clock)
        self.secrets = SecretKeeper(store, session.request, self.device)
        self.groups = Groups(self.device)
        self.outbox = Outbox(self.changes, session, self._tasks, self._answered)
        self._log_watch = self._watch_log()
        planner = Planner(self.device, self.groups, self.outbox, clock)
        reader = Reader(self.device, self.groups, clock)
        claims = Claims(self.device, self.groups, planner, clock)
        reconciler = Reconciler(self.device, self.groups, clock)
        self._answers = Answers(self.device, self.groups, planner, reader, clock, claims, self._heads)
        self.news = AccountNews(
            self.changes, session, self.device, reconciler, claims, top_up=self._leave_keys
        )
        work = Work(self.device, self.groups, planner, self.outbox, clock, reconciler, policy)
        self._sync = self._syncer(reader, planner, work)

    def _syncer(self, reader: Reader, planner: Planner, work: Work) -> Syncer:
        session, clock = self._session, self.clock
        return Syncer(
            self.changes,
            session,
            self._tasks,
            outbox=self.outbox,
            groups=self.groups,
            device=self.device,
            reader=reader,
            joiner=Joiner(self.device, self.groups, clock),
            planner=planner,
            news=self.news,
            work=work,
            anchor=Anchor(self.changes, session, self.outbox, self.groups, clock),
            reentry=Reentry(self.changes, session, self.groups, Mover(self.device, self.groups, clock)),
            heads=self._heads,
            clock=clock,
            dates=self._dates,
        )

    @functools.cached_property
    def approver(self) -> Approver:
        return Approver(self.changes, self._session.request, self.device, self.clock, self.news.refresh)

    @functools.cached_property
    def _hints(self) -> Hints:
        return Hints(self._tasks, self.news, self.approver.look)

    def _watch_log(self) -> LogWatch:
        return LogWatch(
            self.changes,
            self._session,
            self._tasks,
            device=self.device,
            clock=self.clock,
            dates=self._dates,
            looked=_looked,
        )

    @functools.cached_property
    def _contacts(self) -> ContactKeeper:
        return ContactKeeper(self.changes, self.ask, self.device, self.secrets, self.tell)

    def start(self) -> None:
        """Begin to listen to the session, and let it connect."""
        with self.changes.change() as change:
            settle_if_believed(change, self.groups, self.policy, own=self.keys.user)
        self._tasks.spawn(self._listen(), "engine")
        self._tasks.spawn(self._sweep(), "timers")
        self._tasks.spawn(self._contacts.run(), "contacts")
        self._session.start()

    async def close(self) -> None:
        if self.connected is not None:
            await self._contacts.close()
        self.outbox.offline()
        self._sync.offline()
        self._hints.offline()
        self._log_watch.offline()
        await self._session.close()
        self._typists.close()
        await self._tasks.close()
        for listener in tuple(self._listeners):
            listener.put(None)
        self.store.close()

    def listen(self, *, late: bool = False) -> Listener:
        """Return a listener; the first one also gets what happened before it came.

        :param late: it is not the owner's: it is told whether there is a connection, then what happens
        """
        if late:
            listener = Listener([self._standing] if self._standing is not None else [])
        else:
            listener, self._early = self._early or Listener(), None
        self._listeners.add(listener)
        return listener

    def expect(self, intent: int) -> "asyncio.Future[None]":
        """Return what is done when an intent comes to its end, and raises if it can't."""
        expected = self._intents.setdefault(intent, asyncio.get_running_loop().create_future())
        # Whoever waits may have given up by then; the intent goes on without.
        expected.add_done_callback(lambda settled: settled.cancelled() or settled.exception())
        if self._over is not None:
            self._settle(intent, self._over)
        return expected

    async def changed(self) -> None:
        """Wait for the next change.

        :raises ClientError: none will come from the server: the session ended for good
        """
        if self._over is not None:
            raise self._over
        await self._news.wait()

    async def stirred(self) -> None:
        """Wait for the next change, even if none will come from the server."""
        await self._news.wait()

    async def caught_up(self) -> None:
        """Return once everything the server had for us is stored; raises as `changed`."""
        caught_up = asyncio.ensure_future(self._sync.caught_up())
        try:
            while not caught_up.done():
                changed = asyncio.ensure_future(self.changed())
                await asyncio.wait((caught_up, changed), return_when=asyncio.FIRST_COMPLETED)
                if not changed.cancel():
                    changed.result()
        finally:
            caught_up.cancel()

    async def ask(self, body: RequestBody) -> Answer:
        """Ask the server something that changes nothing; raises as `Session.request`."""
        return await self._session.request(body)

    def tell(self, event: Event) -> None:
        """Tell what passes and is not stored."""
        if self._typists.is_news(event):
            self._put(event)

    def _done(self, change: Change) -> None:
        """After the commit: speak."""
        self._forgot |= change.forgot
        for group, sequence in change.acknowledged.items():
            self._session.acknowledge(group, sequence)
        if change.requested:
            self.outbox.kick()
        if change.wants_log:
            self._log_watch.kick()
        for conversation in change.woken:
            self._sync.wake(conversation)
        for intent, error in change.settled:
            self._settle(intent, error)
        for event in change.events:
            self.tell(event)
        self._stir()

    def _stir(self) -> None:
        self._contacts.stir()
        news, self._news = self._news, asyncio.Event()
        news.set()

    def _undone(self, change: Change) -> None:
        for conversation in change.touched:
            self.groups.forget(conversation)
        if isinstance(change.error, StoreError):
            # A commit that failed may be on the disk all the same: a new connection looks at all again.
            self._session.begin_anew(change.error)

    def _settle(self, intent: int, error: ClientError | None) -> None:
        waiting = self._intents.pop(intent, None)
        if waiting is None or waiting.done():
            return
        if error is None:
            waiting.set_result(None)
        else:
            waiting.set_exception(error)

    def _put(self, event: Event) -> None:
        if isinstance(event, Connected | Disconnected):
            self._standing = event
        if self._early is not None:
            self._early.put(event)
        for listener in tuple(self._listeners):
            listener.put(event)

    def _answered(self, change: Change, request: StoredRequest, answer: Answer | RefusedByServer) -> None:
        self._answers.take(change, request, answer)

    def _failed(self, error: Exception) -> None:
        text = str(error) if isinstance(error, ClientError) else "something failed here; it is in the log"
        self.tell(Notice("internal", sanitise(text)))
        if isinstance(error, StoreError):
            # What was under way is not stored: once the disk is well, a new connection brings it all again.
            self._session.begin_anew(error)

    async def _sweep(self) -> None:
        """Forget messages whose time is over, now and whenever one is due."""
        with self.changes.change() as change:
            tidy(change.db, now=change.now)
        while True:
            news = self._news
            try:
                wait = self._forget_due()
            except StoreError as error:
                self._failed(error)  # and we go on: what was due is looked for again
                wait, news = LOOK_SECONDS, asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await news.wait()

    def _forget_due(self) -> float:
        """Forget some of what is due; return in how many seconds to look again."""
        if self._forgot:
            self._forgot = False
            self.store.checkpoint()
        due = next_due(self.store.db)
        if due is None or due > self.clock():
            return LOOK_SECONDS if due is None else min(LOOK_SECONDS, due - self.clock() + SOON)
        with self.changes.change() as change:
            sweep(change)
        self.store.checkpoint()  # what is gone is gone from the log beside the store too (L-04)
        return 0

    async def _listen(self) -> None:
        while True:
            event = await self._session.events.get()
            try:
                self._take(event)
            except StoreError as error:
                self._failed(error)  # and we go on listening: the next connection is told here too

    def _take(self, event: SessionEvent) -> None:
        match event:
            case SessionReady():
                self._on_ready(event)
            case SessionLost():
                self._on_lost(event)
            case SessionStalled():
                self.tell(Notice("unanswered", "the server is there, and does not answer what was asked"))
            case Delivered():
                self._sync.delivered(event)
            case InboxDelivered():
                self._sync.inbox_delivered(event)
            case AccountChanged() | LinksChanged():
                self._hints.take(event)

    def _on_ready(self, ready: SessionReady) -> None:
        self.connected = Connected(
            self.keys.user,
            str(self.keys.server),
            ready.hello.domain,
            ready.fingerprint,
            encryption(self.device.suites[0]),
        )
        self.tell(self.connected)
        self._contacts.online()
        if count := ready.logged_in.failed_logins:
            text = f"wrong passwords for {self.keys.user} since you were last told: {count}; none opened it"
            self.tell(Notice("failed_logins", text))
        self._tell_of_password(ready.logged_in.password_changed)
        self._compare_dates(ready.logged_in.time)
        self._log_watch.online(ready.hello.identity_key, ready.hello.features)
        with self.changes.change() as change:
            met = meet(change, ready.logged_in, self.groups, self.clock)
            ask_again(change)
        if met is Met.OLDER:
            self._end_for_good(ServerOlder(HOLDS["server_older"]))  # until a login shows otherwise
            self._tasks.spawn(self._sync.look(), "looking")
            return
        self._over = None
        if self.outbox.online(ready.logged_in.high_water):
            with self.changes.change() as change:
                self._answers.cloned(change)
        self._tasks.spawn(self._sync.catch_up(ready.logged_in.inbox_cursor), "catching up")
        if ACCOUNTS in ready.hello.features:
            self._hints.links()

    def _tell_of_password(self, changed: int) -> None:
        with self.changes.change() as change:
            news = password_news.news(change.db, changed, latest=int(self.clock()) + 86_400)
        if news is not None:
            self.tell(news)

    def _compare_dates(self, server_time: int) -> None:
        """Say it when the two clocks no longer agree; once, however often the line breaks."""
        self._dates.told(server_time)
        agreed, self._dates_agreed = self._dates_agreed, self._dates.agree
        if agreed and not self._dates_agreed:
            self.tell(Notice("clock", self._dates.sentence()))

    async def _leave_keys(self) -> None:
        await self._sync.top_up()

    def _on_lost(self, lost: SessionLost) -> None:
        self.outbox.offline()
        self._sync.offline()
        self._hints.offline()
        self._log_watch.offline()
        self.connected = None
        reason = (
            "another connection of this device took over"
            if isinstance(lost.error, Replaced)
            else str(lost.error)
        )
        self.tell(Disconnected(sanitise(reason), lost.retry_in))
        if lost.retry_in is None:
            self._end_for_good(lost.error)

    def _end_for_good(self, error: ClientError) -> None:
        """Tell everybody who waits for the server why it is in vain. What is queued stays queued."""
        self._over = error
        for intent in tuple(self._intents):
            self._settle(intent, error)
        self._stir()


def _looked(change: Change, user: str) -> None:
    """The key log has said who somebody is: what waited for that goes on."""
    for conversation in intents.look_again(change.db, user):
        change.wake(conversation)
