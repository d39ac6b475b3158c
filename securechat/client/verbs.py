"""What a user does to rooms: each verb becomes an intent, and waits until that has come to its end.

An intent outlives the wait, and the process: what was asked for is done once the server is there.
"""

import asyncio
import contextlib
from typing import Final

from securechat.client import history, intents, pending, records, rooms
from securechat.client.change import Change
from securechat.client.compose import fold_name, why_held
from securechat.client.engine import Engine
from securechat.client.errors import (
    CannotUpgrade,
    ClientError,
    Forbidden,
    NotAMember,
    UnknownConversation,
    Unreachable,
)
from securechat.client.events import Joined, Kind, MessageReceived, MessageState, Notice, Standing
from securechat.client.intents import What
from securechat.client.listener import MAX_EVENTS
from securechat.client.newcomers import ALL, POLICY, policy_text
from securechat.client.planner import LEAVE_TOGETHER
from securechat.client.records import ConversationRecord
from securechat.client.shared_history import most
from securechat.client.upgrading import problem_of, suite_to_go_on_in
from securechat.content.own_types import MAX_SHARED
from securechat.membership.room import PRODUCT_SUITES, room_of
from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.codec import encode

SETTLE_SECONDS: Final = 30.0
"""How long a change of a group may take before its caller is told that it is still under way."""

FIRST_LOOK_SECONDS: Final = 10.0
"""How long a name that is not known waits for what the server has for us."""


def checked_history(last: int) -> int:
    """Return how many messages a newcomer is handed; Forbidden if no room can say that."""
    if last not in {0, ALL} and not 0 < last <= MAX_SHARED:
        raise Forbidden("bad_request", f"who comes in is handed none, all, or 1 to {MAX_SHARED} messages")
    return last


def _stays(name: str, suite: int) -> str:
    called = cipher_suite(suite).name
    if suite == PRODUCT_SUITES[0]:
        return f"{name} is in {called} already: there is none better"
    return f"{name} stays in {called}: this device is not certified for a better one"


class Verbs:
    """The part of `Client` that changes who is in a room."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def create(self, name: str, kind: Kind, topic: str, history: int = 0) -> str:
        """Make a room; return what it is called here."""
        checked_history(history)
        wanted = fold_name(name)
        if not wanted.startswith("#"):
            raise UnknownConversation(name)
        device = self._engine.device
        title = wanted.removeprefix("#")
        with self._engine.changes.change() as change:
            record = records.insert(
                change.db,
                name=records.free_name(change.db, wanted),
                kind=kind,
                state=Standing.OPENING,
                room=rooms.new_room_uri(device),
                title=title,
                topic=rooms.shown(topic.encode()),
                profile=encode(rooms.new_profile(title, topic)),
            )
            settled = self._want(change, record, What.CREATE, str(history) if history else "")
        await self._settled(settled)
        return record.name

    async def change(self, room: str, what: What, user: str) -> None:
        """Add or remove a user."""
        subject = fold_name(user).removeprefix("@")
        record = await self.found(room)
        if record.kind is Kind.DIRECT:
            raise Forbidden("forbidden", "a conversation of two stays one; make a room for more")
        if record.state is not Standing.JOINED:
            raise NotAMember(record.name)
        if record.held and what not in LEAVE_TOGETHER:
            raise why_held(record)
        if what is What.REMOVE and subject == self._engine.device.user:
            raise Forbidden("forbidden", f"to go yourself, leave {record.name}")
        with self._engine.changes.change() as change:
            settled = self._want(change, record, what, subject)
        await self._settled(settled)

    async def hand_over(self, room: str, last: int) -> None:
        """Have who comes into a room handed the last messages."""
        record = await self.found(room)
        if record.kind is Kind.DIRECT:
            raise Forbidden("forbidden", "a conversation of two stays one; make a room for more")
        if record.state is not Standing.JOINED:
            raise NotAMember(record.name)
        if record.held:
            raise why_held(record)
        with self._engine.changes.change() as change:
            settled = self._want(change, record, What.HISTORY, str(checked_history(last)))
        await self._settled(settled)

    async def join(self, room: str) -> None:
        record = await self.found(room)
        with self._engine.changes.change() as change:
            if record.state is Standing.JOINED:
                return
            if record.state is not Standing.INVITED:
                raise NotAMember(record.name)
            record = records.update(change.db, record.id, state=Standing.JOINED)
            if pending.messages(change.db, record.id):
                intents.add_once(change.db, record.id, What.SWEEP)  # somebody left while we were invited
            change.tell(Joined(record.name))
            public = self._engine.groups.public(change.db, record.id)
            if public is not None and record.kind is not Kind.DIRECT:
                text = policy_text(record.name, most(room_of(public.context)))
                change.tell(Notice(POLICY, text))
            waiting = history.received_after(change.db, record.id, record.untold_after, limit=MAX_EVENTS)
            for message in waiting:
                if message.state is MessageState.RECEIVED:
                    change.tell(MessageReceived(message))
            change.wake(record.id)

    async def leave(self, room: str) -> None:
        record = await self.found(room)
        if record.kind is Kind.DIRECT:
            raise Forbidden("forbidden", "a conversation of two is not left; just write no more")
        if record.state not in (Standing.JOINED, Standing.INVITED):
            raise NotAMember(record.name)
        with self._engine.changes.change() as change:
            settled = self._want(change, record, What.LEAVE)
        await self._settled(settled)

    async def upgrade(self, name: str) -> str:
        """Have a conversation go on in the best cipher suite that all its devices have; return its name."""
        with contextlib.suppress(TimeoutError, ClientError):
            async with asyncio.timeout(FIRST_LOOK_SECONDS):
                await self._engine.caught_up()  # it may have been done, or come to be possible, meanwhile
        record = self.record(name)
        if record.state is not Standing.JOINED:
            raise NotAMember(record.name)
        if record.held:
            raise why_held(record)
        device = self._engine.device
        public = self._engine.groups.public(self._engine.store.db, record.id)
        if public is None:
            raise NotAMember(record.name)
        suite = suite_to_go_on_in(record, public, device.suites)
        if not record.closed and suite == public.context.cipher_suite:
            raise CannotUpgrade(_stays(record.name, suite))
        problem = problem_of(record, public, suite, device)
        if problem is not None:
            raise problem
        with self._engine.changes.change() as change:
            settled = self._want(change, record, What.UPGRADE)
        await self._settled(settled)
        return record.name

    async def found(self, name: str) -> ConversationRecord:
        """Return a conversation; one that is not here may be in the inbox still, if we just opened."""
        if records.by_name(self._engine.store.db, fold_name(name)) is None:
            with contextlib.suppress(TimeoutError, ClientError):
                async with asyncio.timeout(FIRST_LOOK_SECONDS):
                    await self._engine.caught_up()
        return self.record(name)

    def record(self, name: str) -> ConversationRecord:
        folded = fold_name(name)
        record = records.by_name(self._engine.store.db, folded)
        if record is None:
            raise UnknownConversation(folded)
        return record

    def _want(
        self, change: Change, record: ConversationRecord, what: What, subject: str = ""
    ) -> "asyncio.Future[None]":
        intent = intents.add_once(change.db, record.id, what, subject=subject)
        change.wake(record.id)
        return self._engine.expect(intent)

    async def _settled(self, settled: "asyncio.Future[None]") -> None:
        try:
            async with asyncio.timeout(SETTLE_SECONDS):
                await asyncio.shield(settled)
        except TimeoutError:
            raise Unreachable("the server has not confirmed it yet; it will be done when it does") from None
