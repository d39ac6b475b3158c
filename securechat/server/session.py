"""One connection: what it is told goes to a service, what a service says goes out.

Requests with a name are decided in the order they came; reading runs beside them, one at a time,
and waits while the peer does not take what it has asked for (its pushes are bounded, then it is
disconnected: the messages wait in the log).
"""

import asyncio
import functools
import logging
import secrets
from typing import Final, assert_never

from msgspec.structs import replace

from securechat.protocol.connection import Closed, State
from securechat.protocol.limits import MAX_QUEUED
from securechat.protocol.messages import (
    ACCOUNTS,
    BEFORE,
    PUBLIC,
    Acknowledged,
    Answer,
    Done,
    LoggedIn,
    Ping,
    PutFile,
    Refused,
    RequestBody,
)
from securechat.protocol.server_connection import (
    Acked,
    Event,
    Greeted,
    Requested,
    ServerConnection,
)
from securechat.server import security_log
from securechat.server.accounts import Challenge, standing
from securechat.server.budget import source_of
from securechat.server.certificate import Certificate
from securechat.server.desk import Desk
from securechat.server.errors import Refusal
from securechat.server.faults import internal
from securechat.server.guesses import note_told
from securechat.server.login import FAILURES, MAX_FAILED_LOGINS
from securechat.server.pace import GROWING, charge_reading, wait_for_change, wait_for_reading
from securechat.server.quota import disk_full
from securechat.server.rate_limit import limited
from securechat.server.reading import ENOUGH_QUEUED, Reading
from securechat.server.services import WITHOUT_CLIENT, Quick
from securechat.server.tls import TlsPump
from securechat.server.turns import Turns
from securechat.server.values import Caller, GroupPush, InboxPush
from securechat.server.watch import Watch

FLUSH_BYTES: Final = 64 * 1024
"""Pushes that gather in one tick before they are written anyway."""

LOOK_UPS: Final = frozenset({"unknown_user"})
"""Refusals that tell who has no account here, and so cost a look-up (O-09)."""

ACKS_PER_TOKEN: Final = 8
"""Cursors of one frame that cost as much as one request: each is a statement of the writer's."""

KNOWN_FEATURES: Final = frozenset({ACCOUNTS})
"""What this server does only for clients whose Hello says it."""

HELD_SECONDS: Final = 1.0
"""How long a client is not read that takes no notice of refusals; its own socket fills up then."""

log = logging.getLogger("securechat.server.session")


class Session:
    """Stands on a pump; everything here runs on the loop's thread."""

    __slots__ = (
        "_caller",
        "_certificate",
        "_connection",
        "_desk",
        "_failed_logins",
        "_features",
        "_flushing",
        "_held",
        "_loop",
        "_nonce",
        "_pump",
        "_reading",
        "_signature",
        "_source",
        "_turns",
        "_unflushed",
        "_untold",
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
        self._turns: Turns | None = None
        self._failed_logins = 0
        self._features: frozenset[str] = frozenset()
        self._flushing = False
        self._held: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()  # asking for it each time is a system call each time
        self._source = source_of(pump.address)
        self._unflushed = 0
        self._untold = 0
        self._reading = Reading(pump, self._answer)
        self.heard = self._loop.time()

    @property
    def caller(self) -> Caller | None:
        """Who is logged in here: whoever acts, acts as this and nothing else (A-07)."""
        return self._caller

    @property
    def features(self) -> frozenset[str]:
        return self._features

    # What the pump calls.

    def secured(self) -> None:
        self._desk.sessions.add(self)

    def received(self, data: bytes) -> None:
        self.heard = self._loop.time()
        for event in self._connection.receive_data(data):
            self._take(event)
        if self._connection.has_data_to_send:
            self._flush_soon()

    def writable(self) -> None:
        if self._held is None:
            self._pump.resume()
        self._reading.writable()

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
        if self._connection.state is not State.CLOSED:
            self._desk.counters.ended(code)
        self._connection.close(code, text)
        self._flush()
        self._forget()
        self._pump.close()

    def decided(self, request_id: int, answer: bytes) -> None:
        self._desk.hub.turn_to(self)
        if self._connection.state is State.LOGGED_IN:
            self._connection.respond_encoded(request_id, answer)
            self._flush_soon()

    def declined(self, request_id: int, refused: Refused) -> None:
        self._desk.hub.turn_to(self)
        if refused.code in LOOK_UPS and self._caller is not None:
            self._desk.limiter.charge("look_ups", self._caller.account)
        self._decline(request_id, refused)

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
                self._features = KNOWN_FEATURES.intersection(event.hello.features)
                self._greet()
            case Closed():
                log.debug("a connection ended: %s", event.code)
                self._desk.counters.ended(event.code)
                self._flush()
                self._forget()
                self._pump.close()
            case _:
                assert_never(event)

    def _greet(self) -> None:
        if self._connection.state is State.CLOSED:
            return  # what came in the same piece as the Hello has ended it
        self._connection.greet(self._desk.hello(nonce=self._nonce, signature=self._signature))

    def _take_request(self, requested: Requested) -> None:
        caller = self._caller
        if requested.name == 0:
            self._take_reading(requested, caller)
        elif caller is None or self._turns is None:
            self._turn_away(requested.id, Refused(0, "forbidden", "no device is logged in here"))
        else:
            self._take_change(requested, caller, self._turns)

    def _take_acks(self, acks: list[Acknowledged]) -> None:
        caller = self._caller
        if caller is None or not caller.client:
            return
        self._desk.riders.add(caller.client, acks)
        if self._desk.limiter.take("reading", caller.account, max(1.0, len(acks) / ACKS_PER_TOKEN)):
            self._hold()

    # Requests with a name.

    def _take_change(self, requested: Requested, caller: Caller, turns: Turns) -> None:
        desk, body = self._desk, requested.body
        if desk.space.is_low(self.heard):
            self._turn_away(requested.id, disk_full().refused)
            return
        if wait := wait_for_change(desk.limiter, caller, body, len(requested.raw)):
            self._turn_away(requested.id, limited(wait).refused)
            return
        service = desk.services.named[type(body)]
        if isinstance(service, Quick) and turns.is_idle:
            turns.submit_quick(requested, service)
        else:
            turns.take(requested)
            if turns.is_full:
                self._hold()

    # Reading.

    def _take_reading(self, requested: Requested, caller: Caller | None) -> None:
        if caller is None or not caller.client:
            self._pump.asked()
        if caller is not None:
            size = len(requested.raw)
            if wait := wait_for_reading(self._desk.limiter, caller, requested.body, size):
                self._turn_away(requested.id, limited(wait).refused)
                return
        self._reading.take(requested)

    async def _answer(self, requested: Requested) -> None:
        try:
            answer = await self._find_answer(requested.body)
        except Refusal as refusal:
            self._decline(requested.id, refusal.refused)
            self._count_failure(refusal)
        except Exception as error:  # noqa: BLE001 - a request's root: a mistake of ours ends it, not the server
            self._decline(requested.id, internal(log, "a request", error).refused)
        else:
            if self._connection.state is not State.CLOSED:
                if isinstance(answer, LoggedIn):
                    self._connection.logged_in()
                    if answer.client:
                        # Without a client it stays a stranger's: short, and bounded in number.
                        self._pump.admitted()
                self._connection.respond(requested.id, answer)
                self._flush_soon()

    async def _find_answer(self, body: RequestBody) -> Answer:
        if type(body) in GROWING:
            self._desk.space.check(self.heard)
        if type(body) is PutFile:
            self._desk.attachments.space.check(self.heard)
        if type(body) in PUBLIC:
            return await self._desk.key_log.answer(body, "" if self._caller else self._source)
        if type(body) not in BEFORE:
            return await self._ask_service(body)
        challenge = Challenge(self._nonce, self._certificate.digest)
        answer = await self._desk.logins.answer(body, challenge, self._source)
        return await self._enter(answer) if isinstance(answer, Caller) else answer

    async def _enter(self, caller: Caller) -> LoggedIn:
        """Bind the connection to its client, after what older connections of it had asked for."""
        desk = self._desk
        high_water = head = cursor = changed = 0
        if caller.client:
            desk.hub.enter(caller.client, self)
            try:
                # The writer works in order: what it says now holds whatever the older connection sent.
                high_water, head, cursor, self._untold, changed = await desk.writer.find(
                    functools.partial(standing, caller, desk.now())
                )
            except BaseException:
                desk.hub.leave(caller.client, self)  # not logged in: nothing is pushed here
                raise
        self._become(caller)
        desk.counters.logins += 1
        security_log.tell("login", user=caller.user, way=caller.way)
        incarnation, now = desk.identity.incarnation, desk.now()
        untold = self._untold
        return LoggedIn(caller.user, caller.name, high_water, incarnation, head, cursor, now, untold, changed)

    def _become(self, caller: Caller) -> None:
        """The one place where a connection becomes somebody's, once (A-07)."""
        if self._caller is not None:
            raise Refusal("bad_request", "this connection has logged in already")
        self._caller = caller
        self._turns = Turns(self._desk, self, caller) if caller.client else None

    async def _ask_service(self, body: RequestBody) -> Answer:
        caller, desk = self._caller, self._desk
        if isinstance(body, Ping):
            return Done()
        if caller is None or not (caller.client or type(body) in WITHOUT_CLIENT):
            raise Refusal("forbidden", "no device is logged in here")
        if self._untold:  # it goes on after the login, so it has read what it was told there
            count, self._untold = self._untold, 0
            await desk.writer.find(lambda db: note_told(db, caller.account, count))
        tables = (desk.attachments.moving, desk.account_changes.answers, desk.key_log.answers)
        if asked := next((table[type(body)] for table in tables if type(body) in table), None):
            return await asked(caller, body)
        link = desk.rendezvous.answers.get(type(body))
        if link is not None:
            return await link(caller, body, self._pump)
        reading = desk.services.reading.get(type(body))
        if reading is not None:
            watch = Watch()
            try:
                return await desk.readers.run(watch.timed(lambda db: reading(db, caller, body)))
            finally:
                charge_reading(desk.limiter, caller, watch.seconds)
        writing = desk.services.writing[type(body)]
        return await desk.writer.find(lambda db: writing(db, caller, body))

    def _count_failure(self, refusal: Refusal) -> None:
        if self._caller is not None or refusal.refused.code not in FAILURES:
            return
        security_log.tell("login_failed")
        self._desk.counters.logins_failed += 1
        self._failed_logins += 1
        if self._failed_logins >= MAX_FAILED_LOGINS:
            self.bid_farewell("protocol_error", "too many failed logins")

    # Refusing.

    def _turn_away(self, request_id: int, refused: Refused) -> None:
        """Not now: who takes no notice of that is not read for a while, so that refusing stays cheap."""
        self._decline(request_id, refused)
        client = 0 if self._caller is None else self._caller.client
        if self._desk.limiter.take("refusals", client or self._source):
            self._hold()

    def _hold(self) -> None:
        if self._held is None:
            self._pump.pause()
            self._held = self._loop.call_later(HELD_SECONDS, self._let_go)

    def _let_go(self) -> None:
        self._held = None
        if self._turns is not None and self._turns.is_full:
            self.heard = self._loop.time()  # that nothing comes is our doing
            self._hold()
        elif self._pump.queued <= ENOUGH_QUEUED:
            self._pump.resume()

    def _decline(self, request_id: int, refused: Refused) -> None:
        if self._connection.state is not State.CLOSED:
            self._desk.counters.refusals[refused.code] += 1
            self._connection.refuse(replace(refused, id=request_id))
            self._flush_soon()

    # Writing to the peer.

    def _flush_soon(self) -> None:
        """What gathers in one tick of the loop leaves in one write."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

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
        if self._turns is not None:
            self._turns.clear()
        self._reading.clear()
        if self._held is not None:
            self._held.cancel()
