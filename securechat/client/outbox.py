"""Durable named requests: stored before they are sent, resent byte for byte until answered.

A name rises by one with each request and is decided by the server once (docs/protocol.md), so
requests go out strictly in order, several in flight. After a reconnect everything that has no
answer is sent again; the server answers what it decided before with the same answer (Q-05).
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from securechat.client.change import Change, Changes
from securechat.client.errors import RefusedByServer, refusal
from securechat.client.events import Notice
from securechat.client.intents import asked_wait
from securechat.client.records import counter, set_counter
from securechat.client.session import Session
from securechat.client.tasks import Tasks
from securechat.protocol.errors import ProtocolError, RemoteProtocolError
from securechat.protocol.frames import decode_request
from securechat.protocol.limits import MAX_BODY, MAX_CHUNK
from securechat.protocol.messages import (
    UNDECIDED,
    Answer,
    Carried,
    Changing,
    PutChunk,
    SendMessage,
    Uploaded,
)

TOO_FAST: Final = frozenset({"limited"})
"""Of the refusals that decide nothing those that are about our pace."""

MAX_OUTSTANDING: Final = 64
"""Requests in flight: enough to keep a connection busy, few enough to resend at once."""

MAX_LEAD: Final = 1 << 32
"""Names that another copy of this client can have used: a thousand a second for fifty days."""

RETRY_FIRST: Final = 0.5
RETRY_LONGEST: Final = 30.0

RETRY_SPREAD: Final = 0.5
"""Drawn at random on top of what the server asked for: it knows when, so little is enough."""

SAID_AFTER: Final = 10.0
"""Seconds that the server may slow us down before it is said: a paste takes a few and nobody minds."""

_COUNTER: Final = "request_name"
_ENCODER: Final = msgspec.msgpack.Encoder()
_NOTHING: Final = SendMessage(bytes(16), 0, b"")
"""To a group that nobody has."""


class Purpose(StrEnum):
    """Whose answer it is."""

    PUBLISH = "publish"
    CLAIM = "claim"
    CREATE = "create"
    SUCCEED = "succeed"
    COMMIT = "commit"
    RECOMMIT = "recommit"
    OFFER = "offer"
    PROPOSE = "propose"
    SEND = "send"
    NONE = "none"
    """Takes up the name of a request that could not be sent: names have no gaps."""


class StoredRequest(Struct, frozen=True):
    """``conversation`` and ``ref`` (an intent, a message) say what the answer belongs to."""

    name: int
    purpose: Purpose
    conversation: int
    ref: int
    body: bytes


class Parcel(Struct, frozen=True):
    """Bytes of any size as a request carries them; what is too large for a frame goes up first."""

    carried: Carried
    data: bytes = b""


def parcel(data: bytes) -> Parcel:
    if len(data) <= MAX_BODY:
        return Parcel(Carried(body=data))
    return Parcel(Carried(blob=hashlib.sha256(data).digest(), size=len(data)), data)


Answered = Callable[[Change, StoredRequest, Answer | RefusedByServer], None]


class Outbox:
    """Owns the table ``request``. ``answered`` is called inside the change that forgets the request."""

    def __init__(self, changes: Changes, session: Session, tasks: Tasks, answered: Answered) -> None:
        self._changes = changes
        self._session = session
        self._tasks = tasks
        self._answered = answered
        self._online = False
        self._connection = 0
        self._sent = 0
        self._outstanding = 0
        self._failures = 0
        self._window = MAX_OUTSTANDING
        self._slowed_since: float | None = None
        self._slowness_said = False
        self._arrived: list[tuple[StoredRequest, Answer | RefusedByServer]] = []
        self._sender: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def put(
        self,
        change: Change,
        purpose: Purpose,
        body: Changing,
        *,
        conversation: int = 0,
        ref: int = 0,
        parcels: tuple[Parcel, ...] = (),
    ) -> int:
        """Store a request in the caller's change; it goes out once that is on the disk."""
        name = store_request(change.db, purpose, encoded(body), conversation=conversation, ref=ref)
        for each in parcels:
            if each.data:
                change.db.execute(
                    "INSERT INTO upload (id, request, data) VALUES (?, ?, ?)",
                    (secrets.token_bytes(16), name, each.data),
                )
        change.requested = True
        return name

    def online(self, high_water: int) -> bool:
        """Start sending on a new connection.

        Returns whether the server decided names we never gave: another copy of this client
        runs, or this one was restored (rules.md A, conflict).
        """
        with self._changes.change() as change:
            known = counter(change.db, _COUNTER)
            # A lead that no copy of us can have is a lie; believing it would use up all names for good.
            if known < high_water <= known + MAX_LEAD:
                set_counter(change.db, _COUNTER, high_water)
        self._online, self._sent, self._outstanding = True, 0, 0
        self._connection += 1
        self.kick()
        return high_water > known

    def offline(self) -> None:
        """Send nothing until the next ``online``; what is in flight will be asked again."""
        self._online = False
        for pending in (self._sender, self._timer):
            if pending is not None:
                pending.cancel()
        self._sender = self._timer = None

    def kick(self) -> None:
        """Send what is stored and not sent on this connection."""
        if self._online and (self._sender is None or self._sender.done()) and self._timer is None:
            self._sender = self._tasks.spawn(self._send(), "outbox")

    async def _send(self) -> None:
        while self._online and self._outstanding < self._window and self._timer is None:
            request, sent = self._next(), self._sent
            if request is None:
                return
            try:
                await self._upload(request.name)
            except RefusedByServer as refused:
                self._retry_from(request.name, refused)
                return
            if self._sent != sent:
                continue  # one before it was refused meanwhile, and has its turn first
            try:
                future = self._session.send_named(request.name, request.body)
            except ProtocolError:
                if _is_request(request.body):
                    raise
                self._refuse(request)
                continue
            self._sent = request.name
            self._outstanding += 1
            future.add_done_callback(partial(self._on_answer, self._connection, request))

    def _refuse(self, request: StoredRequest) -> None:
        """Answer a request that no server would take; one that changes nothing goes under its name.

        Left where it is it would keep all later ones from going out, after every restart too.
        """
        with self._changes.change() as change:
            change.db.execute("DELETE FROM upload WHERE request = ?", (request.name,))
            change.db.execute(
                "UPDATE request SET purpose = ?, body = ? WHERE name = ?",
                (Purpose.NONE, encoded(_NOTHING), request.name),
            )
            self._answered(change, request, refusal("bad_request"))

    def _next(self) -> StoredRequest | None:
        row = self._changes.store.row(
            "SELECT name, purpose, conversation, ref, body FROM request WHERE name > ? ORDER BY name LIMIT 1",
            (self._sent,),
        )
        return None if row is None else StoredRequest(row[0], Purpose(row[1]), *row[2:])

    async def _upload(self, name: int) -> None:
        rows = self._changes.store.rows("SELECT id, data FROM upload WHERE request = ?", (name,))
        for upload, data in rows:
            offset = 0
            for _ in range(2 * len(data) // MAX_CHUNK + 4):  # each piece, and once more where it was lost
                chunk = data[offset : offset + MAX_CHUNK]
                answer = await self._session.request(PutChunk(upload, offset, len(data), chunk))
                if not isinstance(answer, Uploaded) or answer.blob:
                    break
                offset = answer.received

    def _on_answer(self, connection: int, request: StoredRequest, future: "asyncio.Future[Answer]") -> None:
        if future.cancelled() or connection != self._connection:
            return  # of a connection that is gone: asked again on the next one
        self._outstanding -= 1
        error = future.exception()
        answer: Answer | RefusedByServer
        if error is None:
            answer = future.result()
        elif isinstance(error, RefusedByServer):
            answer = error
        else:
            return  # Disconnected: whether it was decided is not known; the next connection asks again
        if isinstance(answer, RefusedByServer) and answer.code in UNDECIDED:
            self._retry_from(request.name, answer)
            return
        self._failures = 0
        self._window = min(MAX_OUTSTANDING, 2 * self._window)
        if not self._arrived:
            self._tasks.spawn(self._apply_answers(), "answers")
        self._arrived.append((request, answer))

    async def _apply_answers(self) -> None:
        """Apply all answers of one tick in one change: one fsync for what came together."""
        arrived, self._arrived = self._arrived, []
        with self._changes.change() as change:
            for request, answer in arrived:
                if forget_request(change.db, request.name):
                    self._answered(change, request, answer)
            if not unanswered(change.db):
                self._slowed_since, self._slowness_said = None, False
        self.kick()

    def _retry_from(self, name: int, refused: RefusedByServer) -> None:
        """Send again from here on, once the server may want it: the same bytes, in the same order."""
        self._sent = min(self._sent, name - 1)
        if self._timer is not None or not self._online:
            return
        if refused.code in TOO_FAST:
            # One at a time shows when there is room again, and costs the server nothing until then.
            self._window, longest = 1, RETRY_SPREAD
            self._say_slowness()
        else:
            self._failures += 1
            longest = min(RETRY_LONGEST, RETRY_FIRST * 2 ** min(self._failures, 8))
        delay = asked_wait(refused.retry_after) + secrets.SystemRandom().uniform(0, longest)
        self._timer = asyncio.get_running_loop().call_later(delay, self._retry)

    def _say_slowness(self) -> None:
        """One line, once it takes long, until everything has gone out."""
        now = asyncio.get_running_loop().time()
        if self._slowed_since is None:
            self._slowed_since = now
        if now - self._slowed_since < SAID_AFTER or self._slowness_said:
            return
        self._slowness_said = True
        with self._changes.change() as change:
            count = unanswered(change.db)
            text = f"the server takes it slowly; {count} waiting, they go out by themselves"
            change.tell(Notice("limited", text))

    def _retry(self) -> None:
        self._timer = None
        self.kick()


def encoded(body: Changing) -> bytes:
    return _ENCODER.encode(body)


def _is_request(body: bytes) -> bool:
    """Whether stored bytes are a request of this protocol."""
    try:
        decode_request(body)
    except RemoteProtocolError:
        return False
    return True


def store_request(
    db: apsw.Connection, purpose: Purpose, body: bytes, *, conversation: int = 0, ref: int = 0
) -> int:
    """Give a request the next name and store it."""
    name = counter(db, _COUNTER) + 1
    set_counter(db, _COUNTER, name)
    db.execute(
        "INSERT INTO request (name, purpose, conversation, ref, body) VALUES (?, ?, ?, ?, ?)",
        (name, purpose, conversation, ref, body),
    )
    return name


def forget_request(db: apsw.Connection, name: int) -> bool:
    """Drop an answered request; whether it was still there."""
    db.execute("DELETE FROM request WHERE name = ?", (name,))
    return bool(db.changes())


def waiting_any(db: apsw.Connection, purpose: Purpose) -> bool:
    """Whether a request of this purpose has no answer yet."""
    return db.execute("SELECT 1 FROM request WHERE purpose = ? LIMIT 1", (purpose,)).fetchone() is not None


def is_waiting(db: apsw.Connection, purpose: Purpose, conversation: int) -> bool:
    """Whether a request of this purpose for a conversation has no answer yet."""
    row = db.execute(
        "SELECT 1 FROM request WHERE purpose = ? AND conversation = ? LIMIT 1", (purpose, conversation)
    )
    return row.fetchone() is not None


def every(db: apsw.Connection) -> list[StoredRequest]:
    """Return the requests that have no answer yet, in order."""
    rows: list[Any] = db.execute(
        "SELECT name, purpose, conversation, ref, body FROM request ORDER BY name"
    ).fetchall()
    return [StoredRequest(row[0], Purpose(row[1]), *row[2:]) for row in rows]


def answered(db: apsw.Connection) -> int:
    """Return the last name up to which the server has answered everything."""
    row = db.execute("SELECT min(name) FROM request").fetchone()
    return counter(db, _COUNTER) if row is None or row[0] is None else int(row[0]) - 1


def restart_names(db: apsw.Connection, high_water: int) -> None:
    """Let the names go on after ``high_water``: a restored server knows no later ones."""
    db.execute("DELETE FROM request WHERE name > ?", (high_water,))
    set_counter(db, _COUNTER, high_water)


def unanswered(db: apsw.Connection) -> int:
    row = db.execute("SELECT count(*) FROM request").fetchone()
    return int(row[0]) if row else 0
