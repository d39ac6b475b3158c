"""The public face of the library: one account on this machine, online or not.

    async with await Client.open(home, "alice", password, trust=trust) as client:
        message = await client.send("@bob", "hello")
        async for event in client.events(): ...

Everything is stored before it is sent, so a call that returned is not lost. One process owns a
profile at a time (`lock`); others go through its socket (`local_socket`).
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Self, TypeVar

from securechat.client import history, intents, outbox, receipts, records, timers
from securechat.client.archive_keeping import ArchiveKeeper
from securechat.client.attachments import Attachments
from securechat.client.compose import why_held
from securechat.client.config import Home, ServerAddress
from securechat.client.device import Clock
from securechat.client.device_verbs import DeviceVerbs
from securechat.client.engine import Engine
from securechat.client.errors import (
    Unfinished,
    UnknownMessage,
    refusal,
)
from securechat.client.events import (
    Conversation,
    Explanation,
    Kind,
    Message,
    MessageState,
    Standing,
    Status,
)
from securechat.client.file_verbs import FileVerbs
from securechat.client.history import Mark
from securechat.client.history_verbs import HistoryVerbs
from securechat.client.holds import settle_on_purpose
from securechat.client.idle_devices import IdleDevices
from securechat.client.importing import has_history
from securechat.client.intents import What
from securechat.client.keystore import Keys, load_keys, unlock, with_account_secret
from securechat.client.link_verbs import LinkVerbs
from securechat.client.listener import Listener
from securechat.client.local_socket import serving
from securechat.client.lock import ProfileLock
from securechat.client.log_verbs import LogVerbs
from securechat.client.marks import NOTHING, Marks, all_marks, marks
from securechat.client.password_change import settle
from securechat.client.policy import Policy
from securechat.client.recertify import with_all_suites
from securechat.client.records import ConversationRecord
from securechat.client.sentences import PASSING
from securechat.client.session import Credentials, Session
from securechat.client.sharing import HistorySharer
from securechat.client.speaker import Speaker
from securechat.client.statements import count_devices
from securechat.client.store import ClientStore
from securechat.client.store_key import StoreKey
from securechat.client.suites import encryption
from securechat.client.talk import Talk
from securechat.client.trust import Trust
from securechat.client.verbs import Verbs
from securechat.client.verifying import Verifier
from securechat.client.views import People, view
from securechat.client.why import explain, explain_all

Found = TypeVar("Found")


class Client(Verifier, Speaker, FileVerbs, HistoryVerbs, LinkVerbs, LogVerbs, DeviceVerbs):
    """One account. Open it with `open`; close it, or use it as an async context manager."""

    def __init__(self, engine: Engine, lock: ProfileLock) -> None:
        self._engine = engine
        self._lock = lock
        self._verbs = Verbs(engine)
        self._attachments = Attachments(engine)
        self._talk = Talk(engine)
        self._keeper = ArchiveKeeper(engine)
        self._sharer = HistorySharer(engine)
        self._idle = IdleDevices(engine, self.own_devices)
        engine.approver.when_one_has_come(self._device_has_come)
        self._served = AsyncExitStack()

    @classmethod
    async def open(  # noqa: PLR0913 - what a caller may know, all but one beforehand
        cls,
        home: Home,
        user: str,
        password: str | StoreKey,
        *,
        trust: Trust,
        server: ServerAddress | None = None,
        clock: Clock = time.time,
        offline: bool = False,
        people: Policy = Policy.FIRST_USE,
    ) -> Self:
        """Own the profile, open its store, serve its socket and begin to connect in the background.

        :param trust: how far the server is trusted
        :param offline: only the store, for a moment: nothing is connected and no socket served
        :param people: to whom we send
        :raises NoProfile, ProfileBusy, WrongPassword, StoreDamaged, Unfinished, UnsafeFile: it stays shut
        """
        profile = home.profile(user)
        lock = ProfileLock(profile)
        lock.acquire()
        try:
            key = await asyncio.to_thread(unlock, profile, password)
            store = ClientStore(profile.database, key)
            try:
                settle(profile, store)
                known = with_account_secret(store, _confirmed(load_keys(store)))
                keys = known
                if isinstance(password, str):  # what needs the account key is done where that is typed
                    keys = await asyncio.to_thread(with_all_suites, store, known, password)
                session = Session(server or keys.server, trust, home, Credentials.of(keys))
                engine = Engine(store, session, keys, clock, policy=people)
            except BaseException:
                store.close()
                raise
        except BaseException:
            lock.release()
            raise
        client = cls(engine, lock)
        if offline:
            return client
        client._start()
        try:
            await client._served.enter_async_context(serving(profile, client))
        except BaseException:
            await client.close()
            raise
        return client

    def _start(self) -> None:
        with self._engine.store.transaction() as db:
            count_devices(db)
        for each in (self._engine, self._attachments, self._keeper, self._sharer, self._idle):
            each.start()

    async def close(self) -> None:
        """Say goodbye and let go of the profile. What is queued goes out next time."""
        try:
            await self._served.aclose()
            await self._idle.close()
            await self._keeper.close()
            await self._sharer.close()
            await self._attachments.close()
            await self._engine.close()
        finally:
            self._lock.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

    async def delete(self, to: str, id: str) -> Message:  # noqa: A002 - the contract's name
        """Withdraw a message of ours for everybody, and its file from the server. Raises as `edit`."""
        file = self._file_in(id)
        message = await super().delete(to, id)
        if file is not None:  # one that was sent by a release which did not note it
            self._attachments.let_go(file)
        return message

    def events(self, *, late: bool = False) -> Listener:
        """Return what happens from now on, in order; the first listener also hears what did since `open`.

        :param late: for who is not the owner: begins with whether there is a connection instead
        """
        return self._engine.listen(late=late)

    def conversations(self) -> list[Conversation]:
        """Return all conversations, by name."""
        db = self._engine.store.db
        noted, people = all_marks(db), People.of(db)
        found = [record for record in records.every(db) if self._is_shown(record)]
        return [self._view(record, noted.get(record.id, NOTHING), people) for record in found]

    def conversation(self, name: str) -> Conversation:
        """Return one conversation.

        :raises UnknownConversation: there is none of this name
        """
        return self._view(self._verbs.record(name))

    def why(self, name: str | None = None) -> list[Explanation]:
        """Return how a conversation stands and what went wrong in it; without a name, all that have a reason.

        :raises UnknownConversation: there is none of this name
        """
        db, groups = self._engine.store.db, self._engine.groups
        if name is not None:
            return [explain(db, groups, self._verbs.record(name))]
        return explain_all(db, groups, records.every(db))

    def messages(self, name: str, limit: int = 50) -> list[Message]:
        """Return the last messages of a conversation, oldest first."""
        return history.latest(self._engine.store.db, self._verbs.record(name).id, limit)

    async def acknowledged(self, local_id: int, timeout: float) -> Message:  # noqa: ASYNC109 - the contract's name
        """Wait until the server has a message on its disk.

        :raises UnknownMessage: there is none of this number
        :raises TimeoutError: it is still queued, and goes out later
        :raises RefusedByServer, IdentityChanged, UntrustedKeys: it was not, or is not to be, sent
        :raises ServerChanged, ServerUntrusted, Replaced: it is still queued, and the session ended for good
        """

        def settled() -> Message | None:
            try:
                message = history.message(self._engine.store.db, local_id)
            except LookupError:
                raise UnknownMessage(str(local_id)) from None
            if message.state is MessageState.REFUSED:
                raise refusal(message.code)
            if message.state is not MessageState.QUEUED:
                return message
            record = self._verbs.record(message.conversation)
            if record.held and record.held_code not in PASSING:
                raise why_held(record)
            return None

        async with asyncio.timeout(timeout):
            return await self._until(settled)

    async def changed(self) -> None:
        """Wait until anything in the store has changed; raises when the session has ended for good."""
        await self._engine.changed()

    async def drained(self, timeout: float) -> bool:  # noqa: ASYNC109 - the contract's name
        """Wait until everything that was sent is acknowledged; False if it is not by then."""

        def empty() -> bool | None:
            db = self._engine.store.db
            return (history.queued(db) == 0 and outbox.unanswered(db) == 0) or None

        try:
            async with asyncio.timeout(timeout):
                return bool(await self._until(empty))
        except TimeoutError:
            return False

    async def create_room(
        self, name: str, *, announcement: bool = False, topic: str = "", history: int = 0
    ) -> Conversation:
        """Make a room. If one of that name is here already, this one is called ``#name-2``.

        :param history: how many of the last messages who comes in is handed: none 0, all 65535
        :raises Unreachable: not done yet; it is, once the server is there
        """
        kind = Kind.ANNOUNCEMENT if announcement else Kind.ROOM
        return self.conversation(await self._verbs.create(name, kind, topic, history))

    async def invite(self, room: str, user: str) -> None:
        """Add all devices of a user to a room.

        :raises UnknownUser, Forbidden, UntrustedKeys, IdentityChanged: the user is not added
        :raises Unreachable: not done yet; it is, once the server is there
        """
        await self._verbs.change(room, What.ADD, user)

    async def remove(self, room: str, user: str) -> None:
        """Remove a user from a room; raises as `invite`."""
        await self._verbs.change(room, What.REMOVE, user)

    async def join(self, room: str) -> None:
        """Enter a room one is invited to; until then nothing of ours goes to it.

        :raises NotAMember: there is no invitation
        """
        await self._verbs.join(room)

    async def leave(self, room: str) -> None:
        """Leave a room (or decline an invitation); what was said stays readable.

        :raises Forbidden: a conversation of two is not left
        """
        await self._verbs.leave(room)

    async def upgrade(self, name: str) -> Conversation:
        """Have a conversation go on in the best cipher suite that all its devices have.

        :raises CannotUpgrade, NotAMember, IdentityChanged, UntrustedKeys: it stays as it is
        :raises Unreachable: not done yet; it is, once the server is there
        """
        return self.conversation(await self._verbs.upgrade(name))

    async def release(self, name: str) -> None:
        """End the hold that the conversation shows on purpose: the user has seen why, and goes on.

        Another reason that holds it too is shown after it, and is a matter of its own.

        :raises UnknownConversation: there is none of this name
        :raises IdentityChanged: it is held for keys that changed; `accept_identity` is for that
        """
        with self._engine.changes.change() as change:
            settle_on_purpose(change, self._engine.groups, self._verbs.record(name))

    def unprinted(self, limit: int) -> list[Message]:
        """Return what others said and `receive` has not printed, oldest first."""
        return history.unmarked(self._engine.store.db, Mark.PRINTED, limit)

    async def entered(self) -> None:
        """Wait until no group is left that this device of an account that was brought back is to enter."""

        def none_left() -> bool | None:
            db = self._engine.store.db
            return not any(intents.has(db, each.id, What.ENTER) for each in records.every(db)) or None

        await self._until(none_left)

    async def caught_up(self) -> None:
        """Return once everything the server had for us is stored; waits while there is no connection."""
        await self._engine.caught_up()

    def unshown(self, limit: int) -> list[Message]:
        """Return what others said and no chat has shown, oldest first, whatever `receive` printed."""
        return history.unmarked(self._engine.store.db, Mark.SHOWN, limit)

    def mark_shown(self, local_ids: list[int]) -> None:
        """Say that a chat has shown these."""
        with self._engine.changes.change() as change:
            history.set_mark(change.db, Mark.SHOWN, local_ids)
            receipts.read_each(change, local_ids, now=self._engine.clock())

    def mark_printed(self, local_ids: list[int]) -> None:
        """Acknowledge these: a consumer has dealt with them, and `unprinted` has them no more."""
        with self._engine.changes.change() as change:
            history.set_mark(change.db, Mark.PRINTED, local_ids)
            timers.start(change.db, local_ids, now=change.now)

    def status(self) -> Status:
        """Return how the account stands."""
        engine = self._engine
        connected = engine.connected
        return Status(
            user=engine.keys.user,
            server=str(engine.keys.server),
            domain=engine.keys.domain,
            fingerprint=connected.fingerprint if connected is not None else "",
            connected=connected is not None,
            encryption=encryption(self._engine.device.suites[0]),
            conversations=sum(map(self._is_shown, records.every(engine.store.db))),
            queued=history.queued(engine.store.db),
            undecryptable=history.unreadable(engine.store.db),
            unprinted=history.count_unmarked(engine.store.db, Mark.PRINTED, 1000),
        )

    def _view(
        self, record: ConversationRecord, noted: Marks | None = None, people: People | None = None
    ) -> Conversation:
        db = self._engine.store.db
        return view(
            db,
            self._engine.device,
            self._engine.groups,
            record,
            marks=noted or marks(db, record.id),
            people=people or People.of(db),
        )

    def _is_shown(self, record: ConversationRecord) -> bool:
        """An attempt to open a conversation that came to nothing is not one."""
        return record.state is not Standing.OPENING or bool(
            history.to_seal(self._engine.store.db, record.id, limit=1)
            or has_history(self._engine.store.db, record.id)
            or intents.of(self._engine.store.db, record.id)
        )

    async def _until(self, find: Callable[[], Found | None]) -> Found:
        while (found := find()) is None:
            await self._engine.changed()
        return found


def _confirmed(keys: Keys) -> Keys:
    if not keys.registered:
        raise Unfinished(f"the server has not confirmed {keys.user} yet; register again to go on")
    return keys
