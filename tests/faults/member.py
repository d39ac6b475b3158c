"""One client of a run: told what to do, it tells what it sees.

In the harness's process it is a `Member`; as a process of its own, that can be stopped and killed:

    python -m tests.faults.member ACCOUNT      (as JSON; orders on stdin, reports on stdout, a line each)

The process ends with its stdin.
"""

import asyncio
import hashlib
import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Final

import msgspec

from securechat.client import backoff, events, intents, outbox, records, rows, session
from securechat.client.client import Client
from securechat.client.config import Home, ServerAddress
from securechat.client.device import Clock
from securechat.client.errors import ClientError
from securechat.client.events import Standing
from securechat.client.intents import What
from securechat.client.notes import is_note
from securechat.client.registration import register
from securechat.client.session import Credentials, SessionReady
from securechat.client.trust import Trust
from securechat.errors import SecureChatError
from securechat.membership import passwords
from securechat.membership.passwords import Parameters
from tests.faults.orders import (
    ORDERS,
    Account,
    Acked,
    Change,
    Done,
    In,
    Line,
    Order,
    Place,
    Recount,
    Refused,
    Renew,
    Report,
    Rival,
    Say,
    Settle,
    Shown,
    Story,
    Told,
    Up,
    Verb,
)

MARK: Final = "|"
"""Between a message's name in the ledger and what makes it longer."""

ENDED: Final = "ended"
"""The session will not come back by itself."""

SECONDS: Final = 40.0
"""For what waits for the server."""


def bend(account: Account, put: Callable[[object, str, object], None] = setattr) -> None:
    """Make this process's clients cheap and impatient.

    :param put: sets an attribute of a module; the caller may know how to put it back
    """
    put(passwords, "_argon2id", cheap)
    put(backoff, "LONGEST_SECONDS", account.longest_backoff)
    put(outbox, "RETRY_LONGEST", account.longest_backoff)
    put(intents, "RETRY_LONGEST", account.longest_backoff)
    put(session, "SILENCE_LIMIT", account.silence)
    put(session, "PING_AFTER", account.silence * 25 / 60)
    put(outbox, "MAX_BODY", account.carried_above)


def cheap(password: str, salt: bytes, _parameters: Parameters) -> bytes:
    """Stretch a password for nothing: what is tried here is about something else."""
    return hashlib.sha256(salt + passwords.normalise(password).encode()).digest()


class Member:
    """Owns a client; may be opened and closed many times."""

    def __init__(self, account: Account, report: Callable[[Report], None], clock: Clock) -> None:
        self.account = account
        self._report = report
        self._clock = clock
        self._home = Home(Path(account.home))
        self._client: Client | None = None
        self._watching: asyncio.Task[None] | None = None
        self._errands: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Open the profile, made if there is none: once it stands, the server need not be there."""
        account, trust = self.account, Trust(accept_new=True)
        address = ServerAddress.parse(account.server)
        if not self._home.profile(account.user).exists:
            await register(self._home, address, account.user, account.password, trust)
        self._client = await Client.open(
            self._home, account.user, account.password, trust=trust, server=address, clock=self._clock
        )
        self._watching = asyncio.create_task(self._watch(self._client))
        for conversation in self._client.conversations():
            if conversation.state is Standing.INVITED:
                self._errand(self._join(conversation.name))
        self._report(Up())

    async def close(self) -> None:
        client, self._client = self._client, None
        for errand in tuple(self._errands):
            errand.cancel()
        await asyncio.gather(*self._errands, return_exceptions=True)
        if client is not None:
            await client.close()
        if self._watching is not None:
            await self._watching

    async def obey(self, order: Order) -> None:
        """Do at once what needs nobody, in the order it is asked; what waits for others, by the way."""
        client = self._client
        if client is None:
            return
        match order:
            case Say(to, text):
                try:
                    await client.send(to, text, key=text.split(MARK, 1)[0] + to)
                except ClientError as refused:
                    self._report(Refused(self._place(to), text.split(MARK, 1)[0], str(refused)))
            case Renew(room):
                self._renew(client, room)
            case Recount(lines, number):
                self._report(self._story(client, number, lines=lines))
            case _:
                self._errand(self._run(client, order))

    async def _run(self, client: Client, order: Order) -> None:
        number = getattr(order, "number", 0)
        try:
            match order:
                case Change(Verb.MAKE, room):
                    await client.create_room(room, topic="x" * 2000)
                case Change(Verb.INVITE, room, user):
                    await client.invite(room, user)
                case Change(Verb.REMOVE, room, user):
                    await client.remove(room, user)
                case Change(Verb.LEAVE, room):
                    await client.leave(room)
                case Settle():
                    async with asyncio.timeout(SECONDS):
                        await client.drained(SECONDS)
                        await client.caught_up()
                case Rival():
                    await self._be_two(client)
        except (SecureChatError, TimeoutError) as error:
            self._report(Done(number, f"{type(error).__name__}: {error}"))
        else:
            self._report(Done(number))

    async def _be_two(self, client: Client) -> None:
        """A second session of the same device takes the place of the first, which ends for good."""
        keys = client._engine.keys
        address = ServerAddress.parse(self.account.server)
        second = session.Session(address, Trust(accept_new=True), self._home, Credentials.of(keys))
        second.start()
        try:
            async with asyncio.timeout(SECONDS):
                while not isinstance(await second.events.get(), SessionReady):
                    pass
        finally:
            await second.close()

    def _renew(self, client: Client, room: str) -> None:
        with client._engine.changes.change() as change:
            record = records.by_name(change.db, room)
            if record is not None and record.state is Standing.JOINED:
                intents.add_once(change.db, record.id, What.UPDATE)
                change.wake(record.id)

    def _errand(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _join(self, room: str) -> None:
        if self._client is not None:
            try:
                await self._client.join(room)
            except ClientError as refused:
                self._report(Told("not joined", f"{room}: {refused}"))

    async def _watch(self, client: Client) -> None:
        async for event in client.events():
            match event:
                case events.MessageReceived(message):
                    self._report(Shown(self._line(message)))
                case events.MessageAcknowledged(message):
                    self._report(Acked(self._line(message)))
                case events.Invited(conversation, _):
                    self._errand(self._join(conversation))
                case events.MessageRefused(message, code, text):
                    line = self._line(message)
                    self._report(Refused(line.place, line.name, f"{code}: {text}"))
                case events.Joined(conversation):
                    self._report(In(self._place(conversation)))
                case events.Disconnected(reason, None):
                    self._report(Told(ENDED, reason))
                case events.Connected() | events.Disconnected() | events.MembersChanged():
                    pass
                case _:
                    self._report(Told(type(event).__name__, str(event)[:300]))

    def _line(self, message: events.Message) -> Line:
        return Line(
            self._place(message.conversation),
            message.sender,
            message.own,
            message.text.split(MARK, 1)[0],
            message.state.value,
            message.sequence,
            message.local_id,
            message.code,
        )

    def _place(self, name: str) -> str:
        """Return one name for all who are in it."""
        if name.startswith("#"):
            return name
        return "+".join(sorted((self.account.user, name.removeprefix("@"))))

    def _story(self, client: Client, number: int, *, lines: bool) -> Story:
        db = client._engine.store.db
        told: list[Line] = []
        places = []
        for record in records.every(db):
            if lines:
                said = "m.kind IN ('text', 'unreadable')"
                found = db.execute(f"{rows.SELECT} WHERE m.conversation = ? AND {said}", (record.id,))
                kept = rows.messages_of(db, found.fetchall())
                told += [self._line(message) for message in kept if not is_note(message)]
            shown = client._view(record)
            code = client.fingerprint(record.name).epoch_code if record.group_id else None
            places.append(
                Place(
                    self._place(record.name),
                    shown.state.value,
                    record.held_code,
                    record.group_id or b"",
                    record.cursor,
                    record.epoch,
                    code or "",
                    tuple(member.user for member in shown.members),
                )
            )
        told.sort(key=lambda line: line.local_id)
        return Story(number, tuple(told), tuple(places))


async def main(account: Account) -> None:
    """Obey stdin until it ends."""
    bend(account)
    encode = msgspec.json.Encoder().encode

    def tell(report: Report) -> None:
        _write(encode(report) + b"\n")

    member = Member(account, tell, time.time)
    reader = asyncio.StreamReader(limit=1 << 20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await member.open()
    try:
        while line := await reader.readline():
            await member.obey(ORDERS.decode(line))
    finally:
        await member.close()


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


if __name__ == "__main__":
    asyncio.run(main(msgspec.json.decode(sys.argv[1], type=Account)))
