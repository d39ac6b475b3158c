"""A real server without its threads and sockets: what clients see when they connect.

An honest server has one face. One that lies has two, each a whole server of its own with its own
database, so that every lie is told by code that would accept and serve it like the truth.
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, TypeVar

import apsw
import msgspec

from securechat.membership.login import domain_of
from securechat.membership.signing import new_key, public_of
from securechat.mls.randomness import random_bytes
from securechat.protocol.limits import MAX_CHUNK
from securechat.protocol.messages import (
    ACCOUNTS,
    Appended,
    CommitGroup,
    DeleteFile,
    Done,
    Entry,
    FilePiece,
    FileStored,
    GetFile,
    PutFile,
    SendMessage,
    ServerHello,
)
from securechat.protocol.server_connection import Requested
from securechat.server.account_changes import AccountChanges
from securechat.server.accounts import Accounts
from securechat.server.backup import begin_incarnation
from securechat.server.certificate import Certificate
from securechat.server.config import Quotas, Rate, Retention
from securechat.server.counters import Counters
from securechat.server.desk import Desk
from securechat.server.errors import Refusal
from securechat.server.hub import Hub
from securechat.server.identity import ServerIdentity, _read
from securechat.server.links import Rendezvous
from securechat.server.login import Logins
from securechat.server.login_hash import LoginHasher
from securechat.server.named import NamedJob
from securechat.server.quota import DiskSpace
from securechat.server.rate_limit import RULES, RateLimiter
from securechat.server.riders import Riders
from securechat.server.services import Quick, Services
from securechat.server.session import Session
from securechat.server.store.migrate import migrate
from securechat.server.store.transaction import Known, Transaction
from securechat.server.store.writer import Job, _Awaited, _tell, _transact
from securechat.server.transparency_start import begin
from securechat.server.values import Caller, Decision, GroupPush, InboxPush
from tests.scenarios.simulation.wire import Line

T = TypeVar("T")

UNLIMITED: Final = {rule.name: Rate(burst=1e6, per_second=1e6) for rule in RULES}
SLOWEST_JUDGE: Final = 0.05
"""Seconds between judging over a snapshot and deciding."""


@dataclass(frozen=True, slots=True)
class Shop:
    """What all faces of a server have in common."""

    hasher: LoginHasher
    certificate: Certificate
    der: bytes


class DirectWriter:
    """The writer without its thread: a transaction is over within one turn of the loop."""

    def __init__(self, face: "Face", riders: Riders) -> None:
        self._face = face
        self._riders = riders
        self.known = Known()
        self._gathered: list[Job] = []
        self._loop = asyncio.get_running_loop()

    def submit(self, job: Job) -> None:
        if not self._gathered:
            self._loop.call_soon(self.hand_over)
        self._gathered.append(job)

    async def find(self, work: Callable[[apsw.Connection], T]) -> T:
        waiter: asyncio.Future[T] = self._loop.create_future()
        self.submit(_Awaited(work, waiter))
        return await waiter

    def hand_over(self) -> None:
        batch, self._gathered = self._gathered + self._riders.take(), []
        if batch and not self._face.is_gone:
            refusal, _ = _transact(self._face.db, batch, self.known)
            assert refusal is None
            self._loop.call_soon(self._tell, batch)

    def _tell(self, batch: list[Job]) -> None:
        if not self._face.is_gone:
            _tell(batch, None)
            self._face.hub.flush()
            for job in batch:
                if isinstance(job, NamedJob):
                    self._face.on_named(self._face, job)


class DirectReaders:
    """The readers without their threads: a snapshot, and what happens until it is used."""

    def __init__(self, face: "Face") -> None:
        self._face = face

    async def run(self, work: Callable[[apsw.Connection], T]) -> T:
        found = work(self._face.db)
        await asyncio.sleep(self._face.source.uniform(0, SLOWEST_JUDGE))
        return found


class Nobody:
    """Asks in the place of somebody who is not connected here."""

    def __init__(self, face: "Face") -> None:
        self._face = face

    def decided(self, request_id: int, answer: bytes) -> None:
        pass

    def declined(self, request_id: int, refused: object) -> None:
        pass

    def push(self, pushes: tuple[GroupPush | InboxPush, ...]) -> None:
        self._face.hub.push(self, pushes)

    def deliver(self, frame: bytes) -> None:
        pass

    def bid_farewell(self, code: str) -> None:
        pass

    @property
    def features(self) -> frozenset[str]:
        return frozenset()


def _room_enough() -> DiskSpace:
    return DiskSpace(Path(), 0, free=lambda _: 1 << 40)


class _Files:
    """Attachments in memory, for as long as a face lives."""

    def __init__(self) -> None:
        self.space = _room_enough()
        self.moving = {PutFile: self.put, GetFile: self.get, DeleteFile: self.delete}
        self._files: dict[bytes, bytes] = {}

    async def put(self, _caller: Caller, body: PutFile) -> FileStored:
        had = self._files.get(body.file, b"")
        if body.offset == len(had):
            had += body.data
        self._files[body.file] = had
        return FileStored(len(had), 0)

    async def get(self, _caller: Caller, body: GetFile) -> FilePiece:
        data = self._files.get(body.file)
        if data is None:
            raise Refusal("no_file")
        return FilePiece(len(data), body.offset, data[body.offset : body.offset + MAX_CHUNK])

    async def delete(self, _caller: Caller, body: DeleteFile) -> Done:
        self._files.pop(body.file, None)
        return Done()


class _Desk(Desk):
    """Of a server that tells nobody of its key log: there is no disk here that its head could lie on."""

    def hello(self, *, nonce: bytes, signature: bytes) -> ServerHello:
        hello = super().hello(nonce=nonce, signature=signature)
        return msgspec.structs.replace(hello, features=[ACCOUNTS])


class Face:
    """One server. ``close`` is a power loss: lines break, and what was not committed is gone."""

    def __init__(self, shop: Shop, source: random.Random, data: bytes | None) -> None:
        self.shop = shop
        self.source = source
        self.is_gone = False
        self.on_named: Callable[[Face, NamedJob], None] = lambda _face, _job: None
        self.lines: dict[int, Line] = {}
        self.db = open_memory(data)
        identity = _read(self.db)
        assert identity is not None
        self.identity: ServerIdentity = identity
        self.hub = Hub()
        self.services = Services(identity.domain, Quotas(), Retention(), now)
        riders = Riders(self.services.delivery)
        self.writer = DirectWriter(self, riders)
        riders.go = self.writer.hand_over
        self._desk = self._make_desk(riders)

    def snapshot(self) -> bytes:
        return bytes(self.db.serialize("main"))

    def twin(self) -> "Face":
        return Face(self.shop, self.source, self.snapshot())

    def close(self) -> None:
        if self.is_gone:
            return
        self.is_gone = True
        for line in list(self.lines.values()):
            line.cut()
        self.db.close()

    def accept(self, port: int, line: Line) -> None:
        self.lines[port] = line
        signature = self.identity.sign_certificate(self.shop.certificate)
        session = Session(self._desk, line.server, self.shop.certificate, signature)  # type: ignore[arg-type]
        line.server.begin(session)

    def begin_incarnation(self) -> None:
        """What ``--restored`` does to a database; takes effect with the next face made of it."""
        self.db.execute("BEGIN")
        begin_incarnation(self.db, now())
        self.db.execute("COMMIT")

    def repeat(self, caller: Caller, requested: Requested, twist: "Twist | None" = None) -> None:
        """Decide here what somebody asked for elsewhere, under the same name."""
        operation = partial(self._do, caller, requested.body, twist)
        self.writer.submit(NamedJob(Nobody(self), caller, requested, operation=operation))

    def inject(self, work: Callable[[Transaction], Decision]) -> None:
        """Have the log take something that nobody asked for."""
        self.writer.submit(_Injected(self, work))

    def send(self, caller: Caller, body: SendMessage) -> None:
        self.inject(lambda transaction: self.services.delivery.send(transaction, caller, body))

    def append_raw(self, group: bytes, kind: str, epoch: int, caller: Caller, body: bytes) -> None:
        """Put anything at the end of a log; the server's own idea of the group stays what it was."""

        def work(transaction: Transaction) -> Decision:
            transaction.settle()
            db = transaction.db
            conversation, head = one(db, "SELECT id, head FROM conversation WHERE group_id = ?", group)
            entry = Entry(head + 1, kind, epoch, caller.name, now(), body)
            db.execute(
                "INSERT INTO entry (conversation, sequence, kind, epoch, client, time, body)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (conversation, head + 1, kind, epoch, caller.client, now(), body),
            )
            db.execute("UPDATE conversation SET head = head + 1 WHERE id = ?", (conversation,))
            push = GroupPush(group, self._members(conversation), entry, echo=True)
            return Decision(Appended(head + 1), (push,))

        self.inject(work)

    def log(self, group: bytes) -> list[tuple[int, str, int, int, bytes]]:
        """Sequence, kind, epoch, client and body of what is in a log."""
        return list(
            self.db.execute(
                "SELECT e.sequence, e.kind, e.epoch, e.client, e.body FROM entry e"
                " JOIN conversation c ON c.id = e.conversation WHERE c.group_id = ? ORDER BY e.sequence",
                (group,),
            )
        )

    def caller(self, client: int) -> Caller:
        names = "SELECT a.id, a.user, c.id, c.name FROM client c JOIN account a ON a.id = c.account"
        return Caller(*one(self.db, f"{names} WHERE c.id = ?", client))

    def _members(self, conversation: int) -> tuple[int, ...]:
        rows = self.db.execute(
            'SELECT client FROM member WHERE conversation = ? AND "end" IS NULL', (conversation,)
        )
        return tuple(client for (client,) in rows)

    def _do(self, caller: Caller, body: Any, twist: "Twist | None", db: apsw.Connection) -> Decision:
        if twist is not None:
            body = twist(body)
        if body is None:
            return Decision(Appended(0))
        service = self.services.named[type(body)]
        if isinstance(service, Quick):
            transaction = Transaction(db)
            decision = service.decide(transaction, caller, body)
            transaction.settle()
            return decision
        body = self._placed(db, body)
        if service.prepare is None:
            return service.decide(db, caller, body)
        return service.decide(db, caller, body, service.prepare(db, caller, body))

    @staticmethod
    def _placed(db: apsw.Connection, body: Any) -> Any:
        """A commit, as if it had been made for the log as it lies here."""
        if not isinstance(body, CommitGroup):
            return body
        row = db.execute(
            "SELECT handshake_head FROM conversation WHERE group_id = ?", (body.group,)
        ).fetchone()
        return body if row is None else msgspec.structs.replace(body, handshake_head=row[0])

    def _make_desk(self, riders: Riders) -> Desk:
        readers: Any = DirectReaders(self)
        writer: Any = self.writer
        accounts = Accounts(self.identity, self.shop.hasher, readers, writer, now=now, admits="open")
        counters = Counters()
        attachments: Any = _Files()
        limiter = RateLimiter(UNLIMITED, asyncio.get_running_loop().time, limited=counters.limited)
        return _Desk(
            identity=self.identity,
            logins=Logins(accounts, limiter),
            limiter=limiter,
            space=_room_enough(),
            services=self.services,
            hub=self.hub,
            riders=riders,
            readers=readers,
            writer=writer,
            now=now,
            registration="open",
            counters=counters,
            attachments=attachments,
            rendezvous=Rendezvous(limiter, readers, self.hub, now=now, clock=asyncio.get_running_loop().time),
            key_log=SimpleNamespace(answers={}),  # type: ignore[arg-type]
            account_changes=AccountChanges(
                self.identity.domain,
                self.shop.hasher,
                readers,
                writer,
                self.hub,
                now,
                lambda caller: self._desk.end_visits(caller),  # noqa: PLW0108 - the desk comes later
                limiter=limiter,
                offered_for=Retention().handshakes_seconds,
            ),
        )


Twist = Callable[[Any], Any]
"""What becomes of a request on its way to the other face; None: only its name is taken."""


class _Injected:
    """Work that no name stands for; refused, it has not happened."""

    def __init__(self, face: Face, work: Callable[[Transaction], Decision]) -> None:
        self._face = face
        self._work = work
        self._pushes: tuple[GroupPush | InboxPush, ...] = ()

    def run(self, transaction: Transaction) -> None:
        try:
            self._pushes = self._work(transaction).pushes
        except Refusal:
            return

    def done(self) -> None:
        Nobody(self._face).push(self._pushes)

    def undone(self, refusal: Refusal) -> None:
        raise AssertionError(refusal)


def one(db: apsw.Connection, sql: str, key: object) -> tuple[Any, ...]:
    """Return the one row of a key."""
    row: tuple[Any, ...] | None = db.execute(sql, (key,)).fetchone()
    assert row is not None
    return row


def now() -> int:
    return int(time.time())


def open_memory(data: bytes | None) -> apsw.Connection:
    """A server's database that nobody syncs."""
    db = apsw.Connection(":memory:", statementcachesize=200)
    if data is not None:
        db.deserialize("main", data)
    db.pragma("synchronous", "OFF")
    if data is None:
        db.pragma("auto_vacuum", "incremental")
        migrate(db)
        key = new_key()
        db.execute(
            "INSERT INTO server (id, domain, incarnation, identity_key, secret) VALUES (1, ?, 1, ?, ?)",
            (domain_of(public_of(key)), key.private_bytes_raw(), random_bytes(32)),
        )
        identity = _read(db)
        assert identity is not None
        begin(db, identity, None, now=now())
    return db
