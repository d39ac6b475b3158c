"""One connection: what it is told goes to a service, what a service says goes out.

Requests with a name are decided in the order they came; reading runs beside them, one at a time,
and waits while the peer does not take what it has asked for (its pushes are bounded, then it is
disconnected: the messages wait in the log).
"""

import asyncio
import functools
import logging
import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final, assert_never

import apsw
from msgspec.structs import replace

from securechat.protocol.limits import MAX_QUEUED, PROTOCOL_VERSION
from securechat.protocol.messages import (
    Acknowledged,
    Answer,
    Done,
    LoggedIn,
    LogIn,
    LogInWithPassword,
    PasswordParameters,
    Ping,
    Refused,
    Register,
    RequestBody,
    ServerHello,
)
from securechat.protocol.server_connection import (
    Acked,
    Closed,
    Event,
    Greeted,
    Requested,
    ServerConnection,
    State,
)
from securechat.server.accounts import Accounts, Challenge, standing
from securechat.server.certificate import Certificate
from securechat.server.counters import Counters
from securechat.server.errors import Refusal
from securechat.server.faults import internal
from securechat.server.hub import Hub
from securechat.server.identity import ServerIdentity
from securechat.server.named import NamedJob, Operation, is_new
from securechat.server.riders import Riders
from securechat.server.services import WITHOUT_CLIENT, Named, Quick, Services
from securechat.server.store.reader import Readers
from securechat.server.store.writer import Writer
from securechat.server.tls import TlsPump
from securechat.server.values import Caller, Clock, Decision, GroupPush, InboxPush
from securechat.version import __version__

ENOUGH_QUEUED: Final = 256 * 1024
"""Bytes a peer may leave unread before it is read from no more."""

FLUSH_BYTES: Final = 64 * 1024
"""Pushes that gather in one tick before they are written anyway."""

MAX_FAILED_LOGINS: Final = 5
"""On one connection; a person mistypes, a program gets a new connection and its cost."""

log = logging.getLogger("securechat.server.session")


@dataclass(frozen=True, slots=True)
class Desk:
    """What all sessions of a server share."""

    identity: ServerIdentity
    accounts: Accounts
    services: Services
    hub: Hub
    riders: Riders
    readers: Readers
    writer: Writer
    now: Clock
    registration: str
    counters: Counters
    sessions: "set[Session]" = field(default_factory=set)


class Session:
    """Stands on a pump; everything here runs on the loop's thread."""

    __slots__ = (
        "_caller",
        "_certificate",
        "_connection",
        "_desk",
        "_failed_logins",
        "_flushing",
        "_named",
        "_named_task",
        "_nonce",
        "_pump",
        "_reading",
        "_reading_task",
        "_signature",
        "_unflushed",
        "_writable",
        "heard",
    )

    def __init__(self, desk: Desk, pump: TlsPump, certificate: Certificate, signature: bytes) -> None:
        self._desk = desk
        self._pump = pump
        self._certificate = certificate
        self._signature = signature
        self._connection = ServerConnection()
        self._nonce = secrets.token_bytes(32)
        self._caller: Caller | None = None
        self._failed_logins = 0
        self._flushing = False
        self._unflushed = 0
        self._named: deque[Requested] = deque()
        self._named_task: asyncio.Task[None] | None = None
        self._reading: deque[Requested] = deque()
        self._reading_task: asyncio.Task[None] | None = None
        self._writable: asyncio.Event | None = None
        self.heard = asyncio.get_running_loop().time()

    # What the pump calls.

    def secured(self) -> None:
        self._desk.sessions.add(self)

    def received(self, data: bytes) -> None:
        self.heard = asyncio.get_running_loop().time()
        for event in self._connection.receive_data(data):
            self._take(event)
        self._flush_soon()

    def writable(self) -> None:
        self._pump.resume()
        if self._writable is not None:
            self._writable.set()

    def ended(self) -> None:
        for event in self._connection.receive_eof():
            self._take(event)
        self._forget()

    # What others on the loop call.

    def deliver(self, frame: bytes) -> None:
        """Push a frame; a reader that is too far behind is let go."""
        if self._connection.state is not State.LOGGED_IN:
            return
        if self._pump.queued + self._unflushed + len(frame) > MAX_QUEUED:
            self._desk.counters.slow_readers += 1
            log.info("a client reads too slowly; it is disconnected")
            self._desk.hub.leave(self._caller.client if self._caller else 0, self)
            self._pump.abort()
            return
        self._connection.deliver(frame)
        self._unflushed += len(frame)
        if self._unflushed > FLUSH_BYTES:
            self._flush()  # so that what waits is counted above
        else:
            self._flush_soon()

    def bid_farewell(self, code: str, text: str = "") -> None:
        """Say goodbye and end; nothing of this connection is decided any more."""
        self._connection.close(code, text)
        self._flush()
        self._forget()
        self._pump.close()

    def decided(self, request_id: int, answer: bytes) -> None:
        if self._connection.state is State.LOGGED_IN:
            self._connection.respond_encoded(request_id, answer)
            self._flush_soon()

    def declined(self, request_id: int, refused: Refused) -> None:
        if self._connection.state is not State.CLOSED:
            self._connection.refuse(replace(refused, id=request_id))
            self._flush_soon()

    def push(self, pushes: tuple[GroupPush | InboxPush, ...]) -> None:
        self._desk.hub.push(self, pushes)

    # Events.

    def _take(self, event: Event) -> None:
        match event:
            case Requested():
                self._take_request(event)
            case Acked():
                self._take_acks(event.acks)
            case Greeted():
                self._greet()
            case Closed():
                log.debug("a connection ended: %s", event.code)
                self._flush()
                self._forget()
                self._pump.close()
            case _:
                assert_never(event)

    def _greet(self) -> None:
        if self._connection.state is State.CLOSED:
            return  # what came in the same piece as the Hello has ended it
        identity = self._desk.identity
        self._connection.greet(
            ServerHello(
                version=PROTOCOL_VERSION,
                domain=identity.domain,
                identity_key=identity.public_key,
                identity_signature=self._signature,
                nonce=self._nonce,
                agent=f"securechat {__version__}",
                registration=self._desk.registration,
            )
        )

    def _take_request(self, requested: Requested) -> None:
        if requested.name == 0:
            if self._caller is None or not self._caller.client:
                self._pump.asked()
            self._reading.append(requested)
            if self._reading_task is None:
                self._reading_task = asyncio.create_task(self._work_through_reading())
            return
        service = self._desk.services.named[type(requested.body)]
        if isinstance(service, Quick) and not self._named:
            self._submit_quick(requested, service)
            return
        self._named.append(requested)
        if self._named_task is None:
            self._named_task = asyncio.create_task(self._work_through_named())

    def _take_acks(self, acks: list[Acknowledged]) -> None:
        if self._caller is not None and self._caller.client:
            self._desk.riders.add(self._caller.client, acks)

    # Requests with a name.

    def _submit_quick(self, requested: Requested, service: Quick) -> None:
        caller, body = self._caller, requested.body
        if caller is None or not caller.client:
            self.declined(requested.id, Refused(0, "forbidden", "no device is logged in here"))
            return
        self._desk.writer.submit(
            NamedJob(
                self,
                caller,
                requested.id,
                name=requested.name,
                raw=requested.raw,
                quick=lambda transaction: service.decide(transaction, caller, body),
            )
        )

    async def _work_through_named(self) -> None:
        """Judge what needs judging, one after the other, so that the order stays."""
        try:
            while self._named:
                requested, caller = self._named[0], self._caller
                service = self._desk.services.named[type(requested.body)]
                if caller is None or not caller.client:
                    self._named.popleft()
                    self.declined(requested.id, Refused(0, "forbidden", "no device is logged in here"))
                    continue
                if isinstance(service, Quick):
                    self._named.popleft()
                    self._submit_quick(requested, service)
                    continue
                operation = await self._operation(requested, service, caller)
                if self._named:  # not cleared by an end meanwhile
                    self._named.popleft()
                    self._submit(requested, caller, operation)
        finally:
            self._named_task = None

    def _submit(self, requested: Requested, caller: Caller, operation: Operation) -> None:
        self._desk.writer.submit(
            NamedJob(self, caller, requested.id, name=requested.name, raw=requested.raw, operation=operation)
        )

    async def _operation(self, requested: Requested, named: Named, caller: Caller) -> Operation:
        """The half for the transaction. A refusal of the judging half is decided there too, in its turn."""
        body, prepare = requested.body, named.prepare
        if prepare is None:
            return lambda db: named.decide(db, caller, body)

        def judge(db: apsw.Connection) -> Any:  # noqa: ANN401 - what a service hands from one half to the other
            # A name that is decided is answered from what was kept: sent a thousand times it is judged once.
            return prepare(db, caller, body) if is_new(db, caller, requested.name) else None

        try:
            prepared = await self._desk.readers.run(judge)
        except Refusal as refusal:
            return functools.partial(_refuse, refusal)
        except Exception as error:  # noqa: BLE001 - a request's root: a mistake of ours ends it, not the server
            return functools.partial(_refuse, internal(log, "judging a request", error))
        return lambda db: named.decide(db, caller, body, prepared)

    # Reading.

    async def _work_through_reading(self) -> None:
        try:
            while self._reading:
                await self._until_writable()
                if self._reading:  # not cleared by an end meanwhile
                    await self._answer(self._reading.popleft())
        finally:
            self._reading_task = None

    async def _answer(self, requested: Requested) -> None:
        try:
            answer = await self._find_answer(requested.body)
        except Refusal as refusal:
            self.declined(requested.id, refusal.refused)
            self._count_failure(refusal)
        except Exception as error:  # noqa: BLE001 - a request's root: a mistake of ours ends it, not the server
            self.declined(requested.id, internal(log, "a request", error).refused)
        else:
            if self._connection.state is not State.CLOSED:
                if isinstance(answer, LoggedIn):
                    self._connection.logged_in()
                    if self._caller is not None and self._caller.client:
                        # Without a client it stays a stranger's: short, and bounded in number.
                        self._pump.admitted()
                self._connection.respond(requested.id, answer)
                self._flush_soon()

    async def _find_answer(self, body: RequestBody) -> Answer:
        accounts = self._desk.accounts
        challenge = Challenge(self._nonce, self._certificate.digest)
        match body:
            case PasswordParameters():
                return await accounts.password_parameters(body)
            case Register():
                return await self._enter(await accounts.register(body, challenge))
            case LogIn():
                return await self._enter(await accounts.log_in(body, challenge))
            case LogInWithPassword():
                return await self._enter(await accounts.log_in_with_password(body, challenge))
            case _:
                return await self._ask_service(body)

    async def _enter(self, caller: Caller) -> LoggedIn:
        """Bind the connection to its client, after what older connections of it had asked for."""
        if self._connection.state is State.CLOSED:
            raise Refusal("busy")
        self._caller = caller
        if caller.client:
            self._desk.hub.enter(caller.client, self)
            try:
                # The writer works in order: what it says now holds whatever the older connection sent.
                high_water, head, cursor = await self._desk.writer.find(functools.partial(standing, caller))
            except Refusal:
                self._desk.hub.leave(caller.client, self)  # not logged in: nothing is pushed here
                self._caller = None
                raise
        else:
            high_water = head = cursor = 0
        log.info("@%s has logged in", caller.user)
        incarnation = self._desk.identity.incarnation
        return LoggedIn(caller.user, caller.name, high_water, incarnation, head, cursor, self._desk.now())

    async def _ask_service(self, body: RequestBody) -> Answer:
        caller, desk = self._caller, self._desk
        if isinstance(body, Ping):
            return Done()
        if caller is None or not (caller.client or type(body) in WITHOUT_CLIENT):
            raise Refusal("forbidden", "no device is logged in here")
        reading = desk.services.reading.get(type(body))
        if reading is not None:
            return await desk.readers.run(lambda db: reading(db, caller, body))
        writing = desk.services.writing[type(body)]
        return await desk.writer.find(lambda db: writing(db, caller, body))

    def _count_failure(self, refusal: Refusal) -> None:
        if refusal.refused.code != "wrong_credentials":
            return
        log.info("a login failed")
        self._failed_logins += 1
        if self._failed_logins >= MAX_FAILED_LOGINS:
            self.bid_farewell("protocol_error", "too many failed logins")

    # Writing to the peer.

    async def _until_writable(self) -> None:
        """Wait while the peer leaves unread what it has asked for."""
        while self._pump.queued > ENOUGH_QUEUED and self._connection.state is not State.CLOSED:
            self._writable = asyncio.Event()
            await self._writable.wait()
        self._writable = None

    def _flush_soon(self) -> None:
        """What gathers in one tick of the loop leaves in one write."""
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        self._unflushed = 0
        data = self._connection.data_to_send()
        if data:
            self._pump.write(data)
            if self._pump.queued > ENOUGH_QUEUED:
                self._pump.pause()

    def _forget(self) -> None:
        """Leave every list; what has been submitted is still decided, and told to nobody."""
        self._desk.sessions.discard(self)
        if self._caller is not None and self._caller.client:
            self._desk.hub.leave(self._caller.client, self)
        self._named.clear()
        self._reading.clear()
        if self._writable is not None:
            self._writable.set()


def _refuse(refusal: Refusal, _db: apsw.Connection) -> Decision:
    raise refusal
