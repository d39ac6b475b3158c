"""The inbox: Welcomes, in order, each of them once; what is gone of it is said.

Pushed ones are taken where they follow the cursor, else what lies there is fetched. One turn at a
time reads; whoever comes meanwhile waits and finds nothing left.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from securechat.client import notes, records
from securechat.client.carriage import NOT_NOW, collect, tree_of
from securechat.client.change import Changes
from securechat.client.errors import RefusedByServer, Unreachable
from securechat.client.events import Standing
from securechat.client.joining import INBOX, Joiner
from securechat.client.sentences import INVITATION_GONE
from securechat.client.session import Session
from securechat.protocol.messages import FetchInbox, InboxEntries, InboxEntry

MAX_BUFFERED: Final = 1024
"""Pushed Welcomes that wait for their turn; more are fetched again later."""


@dataclass(slots=True)
class Inbox:
    changes: Changes
    session: Session
    joiner: Joiner
    read_log: Callable[[int], Awaitable[object]]
    """Read a conversation's log to its head."""
    top_up: Callable[[], Awaitable[None]]
    """Leave new key packages: a Welcome has used one."""
    is_open: bool = False
    """Whether pushes are read as they come; on a new connection other things are first."""
    _pushed: deque[InboxEntry] = field(default_factory=lambda: deque(maxlen=MAX_BUFFERED))
    _unread: bool = True
    _had: int = 0
    """What this device, or a later state of it, has said it took."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def begin(self, had: int) -> None:
        """A connection has begun, on which the server says that we ``had`` so much."""
        self._unread = True
        self._had = had

    def pushed(self, entries: Sequence[InboxEntry]) -> None:
        self._pushed.extend(entries)

    @property
    def is_being_read(self) -> bool:
        return self._turn.locked()

    async def read(self) -> None:
        """Take what is there."""
        async with self._turn:
            while self._pushed or self._unread:
                await self._next(records.counter(self.changes.db, INBOX))

    async def _next(self, cursor: int) -> None:
        while self._pushed and self._pushed[0].sequence <= cursor:
            self._pushed.popleft()
        if self._pushed and self._pushed[0].sequence == cursor + 1:
            await self._take(self._pushed[0])  # it goes once it is taken: that may fail, and be tried again
        elif self._pushed or self._unread:
            await self._fetch(cursor)

    async def _fetch(self, cursor: int) -> None:
        self._pushed.clear()
        answer = await self.session.request(FetchInbox(cursor + 1))
        if not isinstance(answer, InboxEntries):
            self._unread = False  # asked again on the next connection
            return
        for entry in answer.entries:
            if entry.sequence > records.counter(self.changes.db, INBOX):
                self._pass_over(entry.sequence - 1)
                await self._take(entry)
        if not answer.entries:
            self._pass_over(answer.head)
        # Only what moves us on is worth asking for more: a server could repeat itself for ever.
        self._unread = records.counter(self.changes.db, INBOX) > cursor

    def _pass_over(self, last: int) -> None:
        """Say that invitations up to a place of the inbox are gone, if we have not had them (Q-08)."""
        cursor = records.counter(self.changes.db, INBOX)
        if last <= cursor:
            return
        with self.changes.change() as change:
            if last > self._had:
                notes.tell_account(change, "invitation_expired", INVITATION_GONE)
            records.set_counter(change.db, INBOX, last)
            change.acknowledged[b""] = last

    async def _take(self, entry: InboxEntry) -> None:
        welcome, tree = await self._contents(entry)
        known = records.by_group(self.changes.db, entry.group)
        if known is not None and known.state is not Standing.OPENING and known.cursor < entry.start - 1:
            await self.read_log(known.id)  # we may have been removed meanwhile: then it is a new stay
        with self.changes.change() as change:
            self.joiner.take(change, entry, welcome, tree)
        await self.top_up()

    async def _contents(self, entry: InboxEntry) -> tuple[bytes, bytes | None]:
        """Return a Welcome and its tree. One that can't be had is empty: refused, it blocks no other."""
        try:
            welcome = await collect(self.session, entry.welcome)
            return welcome, await tree_of(self.session, entry.group, entry.epoch)
        except RefusedByServer as refused:
            if refused.code in NOT_NOW:
                raise
        except Unreachable:
            pass  # not what was named: another attempt would get no better
        return b"", None
