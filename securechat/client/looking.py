"""Asking the server where our groups stand, and what that says of those that we know.

A log that it does not name, or that ends before what we have read of it, is not what it was; a group that it
names and we do not know is one that only a copy of this device was in.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from securechat.client import records
from securechat.client.anchor import Anchor
from securechat.client.carriage import NOT_NOW
from securechat.client.change import Changes
from securechat.client.errors import RefusedByServer
from securechat.client.events import Standing
from securechat.client.groups import Groups
from securechat.client.records import ConversationRecord
from securechat.client.reentry import MOST_FOUND, Reentry
from securechat.client.session import Session
from securechat.client.standings import each_page
from securechat.client.unread import note_unread
from securechat.protocol.messages import GroupStatus


@dataclass(slots=True)
class Looking:
    changes: Changes
    session: Session
    groups: Groups
    anchor: Anchor
    reentry: Reentry
    heads: dict[int, int]
    """The last sequence the server told of, per conversation; shared with who reads."""
    read_log: Callable[[int], Awaitable[object]]
    """Read a conversation's log to its head."""

    async def look(self) -> None:
        """Ask where the logs stand."""
        strangers: list[bytes] = []
        untold = {record.id: record.group_id for record in self._placed() if self._has_log(record)}
        had = self._cursors()

        def take(told: Sequence[GroupStatus]) -> None:
            nonlocal had
            strangers.extend(self.reentry.unknown(each.group for each in told if not each.end))
            del strangers[MOST_FOUND:]
            for status in told:
                record = records.by_group(self.changes.db, status.group)
                if record is not None and self.anchor.is_placed(record):
                    self._take_status(record, status, had.get(status.group, 0))
                    if not status.end or record.cursor < status.end:  # else it is an earlier stay of ours
                        untold.pop(record.id, None)
            # What is pushed while we ask may be ahead of the answer; and we may move into another group.
            had = self._cursors()

        await each_page(self.session, take)
        for conversation, group in sorted(untold.items()):
            record = records.by_id(self.changes.db, conversation)
            # And not: we have read meanwhile that we are out, or moved into another group.
            still = self._has_log(record) and record.group_id == group
            if still and not await self._was_let_go(record):
                self.anchor.note_gone_back(record, 0)
        await self.reentry.find(strangers)

    def say_again(self, group: bytes, *, stored: int, known: int) -> None:
        """Acknowledge what the server may not have heard before the last connection broke."""
        if stored > known:
            self.session.acknowledge(group, stored)

    async def _was_let_go(self, record: ConversationRecord) -> bool:
        """Whether the log says that we are out: a later state than this one had read so, and said it had."""
        self.heads.pop(record.id, None)
        try:
            await self.read_log(record.id)
        except RefusedByServer as refused:
            if refused.code in NOT_NOW:
                raise
        return not self._has_log(records.by_id(self.changes.db, record.id))

    def _placed(self) -> list[ConversationRecord]:
        return [record for record in records.every(self.changes.db) if self.anchor.is_placed(record)]

    def _cursors(self) -> dict[bytes | None, int]:
        return {record.group_id: record.cursor for record in self._placed()}

    def _has_log(self, record: ConversationRecord) -> bool:
        """Whether there is a log that the server must know of: we are in the group."""
        opening = record.group_id is None or record.state is Standing.OPENING
        return not opening and self.groups.public(self.changes.db, record.id) is not None

    def _take_status(self, record: ConversationRecord, status: GroupStatus, had: int) -> None:
        if self.groups.public(self.changes.db, record.id) is None:
            # We are out. Of a stay that was put back there is nothing to read either.
            self.say_again(status.group, stored=status.end, known=status.cursor)
            return
        self.heads[record.id] = max(self.heads.get(record.id, 0), status.head)
        self.say_again(status.group, stored=record.cursor, known=status.cursor)
        if status.head < had:
            self.anchor.note_gone_back(record, status.head)
        elif status.unread:
            with self.changes.change() as change:
                note_unread(change, record, status.unread)
