"""A client as bare as can be: the wire over a real TLS socket, and real MLS groups."""

import asyncio
import hashlib
import itertools
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.membership.identity import make_client_credential
from securechat.membership.login import Purpose, login_to_sign
from securechat.membership.room import PRODUCT_SUITES, Kind, capabilities, extensions_for, make_room
from securechat.membership.signing import new_key, public_of
from securechat.membership.statement import Device, make_statement
from securechat.mls.cipher_suite import SUITE_3, CipherSuite
from securechat.mls.codec import decode, encode
from securechat.mls.credential import BasicCredential
from securechat.mls.group import Group
from securechat.mls.key_package import Identity, KeyPackage, KeyPackageBundle, make_key_package
from securechat.mls.nodes import Lifetime
from securechat.mls.staging import CommitPlan, StagedCommit
from securechat.names import client_uri, room_uri, user_uri
from securechat.protocol import messages as m
from securechat.protocol.client_connection import (
    AccountEvent,
    ClientConnection,
    DeliveredEvent,
    Event,
    Greeted,
    InboxEvent,
    RefusedEvent,
    Responded,
)
from securechat.protocol.connection import Closed
from securechat.protocol.limits import ALPN
from securechat.server.app import App

DAY = 24 * 3600


class WasRefused(Exception):
    def __init__(self, refusal: m.Refused) -> None:
        super().__init__(f"{refusal.code}: {refusal.text}")
        self.refusal = refusal
        self.code = refusal.code


def client_id() -> str:
    return secrets.token_hex(13)


@dataclass
class Person:
    """A user with one device and all keys."""

    user: str
    domain: str
    client: str = field(default_factory=client_id)
    account_key: Ed25519PrivateKey = field(default_factory=new_key)
    device_key: Ed25519PrivateKey = field(default_factory=new_key)
    login_key: Ed25519PrivateKey = field(default_factory=new_key)
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    suite: CipherSuite = SUITE_3
    """Of its key packages and groups; its certificate lists all."""

    @property
    def credential(self) -> bytes:
        return make_client_credential(
            domain=self.domain,
            user=self.user,
            client=self.client,
            account_key=self.account_key,
            signature_key_public=public_of(self.device_key),
            suites=PRODUCT_SUITES,
        )

    @property
    def statement(self) -> bytes:
        device = Device(client_uri(self.domain, self.client).encode(), public_of(self.device_key))
        return make_statement(
            self.account_key, user=user_uri(self.domain, self.user), devices=(device,), issued_at=1
        )

    @property
    def identity(self) -> Identity:
        signer = SUITE_3.signature.load(self.device_key.private_bytes_raw())
        return Identity(BasicCredential(self.credential), signer, capabilities())

    def key_package(self, *, last_resort: bool = False, now: int | None = None) -> KeyPackageBundle:
        start = int(time.time()) if now is None else now
        lifetime = Lifetime(start - 3600, start + 30 * DAY)
        return make_key_package(self.identity, self.suite, lifetime=lifetime, last_resort=last_resort)

    def registration(self, nonce: bytes, login_signature: bytes, device_signature: bytes) -> m.Register:
        return m.Register(
            user=self.user,
            client=self.client,
            salt=self.salt,
            login_key=public_of(self.login_key),
            account_key=public_of(self.account_key),
            device_key=public_of(self.device_key),
            credential=self.credential,
            statement=self.statement,
            client_nonce=nonce,
            login_signature=login_signature,
            device_signature=device_signature,
        )

    def group(self, kind: Kind = Kind.ROOM, group_id: bytes | None = None) -> Group:
        uri = room_uri(self.domain, client_id())
        room = make_room(uri, kind=kind, owner=user_uri(self.domain, self.user))
        return Group.create(
            self.identity,
            suite=self.suite,
            group_id=secrets.token_bytes(32) if group_id is None else group_id,
            extensions=extensions_for(room),
        )


class Peer:
    """One connection. ``ask`` waits for the answer; pushes gather in ``pushes``."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, features: list[str]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self.connection = ClientConnection(m.ClientHello([1], features))
        self.events: list[Event] = []
        self.hello: m.ServerHello | None = None
        self.pushes: list[DeliveredEvent | InboxEvent] = []
        self.closed: Closed | None = None
        self.name = 0
        self._answers: dict[int, Responded | RefusedEvent] = {}
        self._changed = asyncio.Condition()
        self._task = asyncio.create_task(self._run())

    @classmethod
    async def connect(cls, port: int, *features: str) -> "Peer":
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client_context())
        peer = cls(reader, writer, list(features))
        peer.flush()
        await peer.until(lambda: peer.hello is not None or peer.closed is not None)
        return peer

    def challenge(self, person: Person, purpose: Purpose, nonce: bytes, client: str) -> bytes:
        tls: ssl.SSLObject = self._writer.get_extra_info("ssl_object")
        assert self.hello is not None
        return login_to_sign(
            purpose=purpose,
            domain=self.hello.domain,
            user=person.user,
            client=client,
            server_nonce=self.hello.nonce,
            client_nonce=nonce,
            certificate_hash=hashlib.sha256(tls.getpeercert(binary_form=True) or b"").digest(),
        )

    def registration(self, person: Person) -> m.Register:
        """What registers a person on this connection."""
        nonce = secrets.token_bytes(32)
        signed = self.challenge(person, Purpose.REGISTER, nonce, person.client)
        return person.registration(nonce, person.login_key.sign(signed), person.device_key.sign(signed))

    async def register(self, person: Person) -> m.LoggedIn:
        answer = await self.ask(self.registration(person))
        assert isinstance(answer, m.LoggedIn)
        self.name = answer.high_water
        return answer

    async def log_in(self, person: Person) -> m.LoggedIn:
        nonce = secrets.token_bytes(32)
        signature = person.device_key.sign(self.challenge(person, Purpose.DEVICE, nonce, person.client))
        answer = await self.ask(m.LogIn(person.user, person.client, nonce, signature))
        assert isinstance(answer, m.LoggedIn)
        self.name = answer.high_water
        return answer

    async def log_in_with_password(self, person: Person) -> m.LoggedIn:
        nonce = secrets.token_bytes(32)
        signature = person.login_key.sign(self.challenge(person, Purpose.PASSWORD, nonce, ""))
        answer = await self.ask(
            m.LogInWithPassword(person.user, public_of(person.login_key), nonce, signature)
        )
        assert isinstance(answer, m.LoggedIn)
        return answer

    def send(self, body: m.RequestBody, name: int | None = None) -> int:
        """Send a request and return its id; a changing one gets the next name."""
        if type(body) not in m.CHANGING:
            name = 0
        elif name is None:
            self.name += 1
            name = self.name
        request_id = self.connection.request(body, name)
        self.flush()
        return request_id

    async def answer(self, request_id: int) -> m.Answer:
        await self.until(lambda: request_id in self._answers or self.closed is not None)
        if request_id not in self._answers:
            raise ConnectionError(str(self.closed))
        answer = self._answers.pop(request_id)
        if isinstance(answer, RefusedEvent):
            raise WasRefused(answer.refusal)
        return answer.answer

    async def ask(self, body: m.RequestBody, name: int | None = None) -> m.Answer:
        return await self.answer(self.send(body, name))

    async def entries(self, count: int) -> list[m.Entry]:
        """Wait for so many pushed entries; return all there are."""
        await self.until(lambda: len(self.pushed_entries()) >= count)
        return self.pushed_entries()

    async def entry(self, sequence: int) -> m.Entry:
        """Wait for the push of one place of a log."""

        def found() -> list[m.Entry]:
            return [entry for entry in self.pushed_entries() if entry.sequence == sequence]

        await self.until(lambda: bool(found()))
        return found()[0]

    def pushed_entries(self) -> list[m.Entry]:
        return [entry for push in self.pushes if isinstance(push, DeliveredEvent) for entry in push.entries]

    async def invitations(self, count: int) -> list[m.InboxEntry]:
        def found() -> list[m.InboxEntry]:
            return [entry for push in self.pushes if isinstance(push, InboxEvent) for entry in push.entries]

        await self.until(lambda: len(found()) >= count)
        return found()

    async def told_of(self, user: str) -> int:
        """Wait until the server says that an account has changed; return the serial it says."""

        def found() -> list[int]:
            return [e.serial for e in self.events if isinstance(e, AccountEvent) and e.user == user]

        await self.until(lambda: bool(found()))
        return found()[-1]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(holds)

    def flush(self) -> None:
        data = self.connection.data_to_send()
        if data:
            self._writer.write(data)

    def write_raw(self, data: bytes) -> None:
        self._writer.write(data)

    async def close(self) -> None:
        self.connection.close()
        self.flush()
        self._writer.close()
        await self._task

    async def _run(self) -> None:
        while self.closed is None:
            try:
                data = await self._reader.read(65536)
            except OSError:
                data = b""
            events = self.connection.receive_data(data) if data else self.connection.receive_eof()
            async with self._changed:
                for event in events:
                    self._take(event)
                if not data and self.closed is None:
                    self.closed = Closed("bye")
                self._changed.notify_all()
            self.flush()
        self._writer.close()

    def _take(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case Greeted():
                self.hello = event.hello
            case Responded() | RefusedEvent():
                self._answers[event.id] = event
            case DeliveredEvent() | InboxEvent():
                self.pushes.append(event)
            case Closed():
                self.closed = event


def client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    return context


@asynccontextmanager
async def registered(
    app: App, *users: str, suite: CipherSuite = SUITE_3
) -> AsyncIterator[list[tuple[Person, Peer]]]:
    """Connections of people who have just made their accounts."""
    people: list[tuple[Person, Peer]] = []
    try:
        for user in users:
            person, peer = (
                Person(user, app.identity.domain, suite=suite),
                await Peer.connect(app.port, m.ACCOUNTS),
            )
            people.append((person, peer))
            await peer.register(person)
        yield people
    finally:
        for _, peer in people:
            await peer.close()


def create_request(group: Group, first: StagedCommit | None = None) -> m.CreateGroup:
    """What opens a group at the server; for a direct conversation with its first commit."""
    return m.CreateGroup(
        group=group.group_id,
        group_info=m.Carried(group.group_info()),
        tree=m.Carried(group.tree_bytes()),
        commit=None if first is None else m.Carried(first.message),
        commit_group_info=None if first is None else m.Carried(first.group_info),
        welcome=None if first is None or first.welcome is None else m.Carried(first.welcome),
    )


def commit_request(group: Group, staged: StagedCommit, handshake_head: int) -> m.CommitGroup:
    return m.CommitGroup(
        group=group.group_id,
        epoch=staged.facts.old_context.epoch,
        handshake_head=handshake_head,
        commit=m.Carried(staged.message),
        group_info=m.Carried(staged.group_info),
        welcome=None if staged.welcome is None else m.Carried(staged.welcome),
    )


async def refusal(peer: Peer, body: m.RequestBody, name: int | None = None) -> m.Refused:
    """Ask for what must be refused; return what was said."""
    try:
        answer = await peer.ask(body, name)
    except WasRefused as refused:
        return refused.refusal
    raise AssertionError(f"it was not refused: {answer}")


async def tried(peer: Peer, body: m.RequestBody) -> str:
    """The code of a refusal, or ``taken``."""
    try:
        await peer.ask(body)
    except WasRefused as refused:
        return refused.code
    return "taken"


async def publish(
    peer: Peer, person: Person, count: int = 1, *, last_resort: bool = False
) -> list[KeyPackageBundle]:
    """Publish key packages; return their bundles, the last resort at the end."""
    bundles = [person.key_package() for _ in range(count)]
    resort = [person.key_package(last_resort=True)] if last_resort else []
    await peer.ask(
        m.PublishKeyPackages(
            [encode(bundle.key_package) for bundle in bundles],
            encode(resort[0].key_package) if resort else b"",
        )
    )
    return bundles + resort


async def claim(peer: Peer, user: str) -> KeyPackage:
    answer = await peer.ask(m.ClaimKeyPackages(user, 3))
    assert isinstance(answer, m.ClaimedKeyPackages)
    (package,) = answer.packages
    return decode(KeyPackage, package.key_package)


async def open_room(
    creator: tuple[Person, Peer], *others: tuple[Person, Peer], kind: Kind = Kind.ROOM
) -> list[Group]:
    """A group of these people, each of whom has joined; the creator's first."""
    person, peer = creator
    bundles = {other.user: (await publish(their, other))[0] for other, their in others}
    packages = [await claim(peer, user) for user in bundles]
    group = person.group(kind)
    staged = group.stage_commit(CommitPlan(add=tuple(packages))) if packages else None
    await peer.ask(create_request(group, staged))
    if staged is None:
        return [group]
    group.merge(staged)
    groups = [group]
    for (other, their), invitation in zip(others, itertools.repeat(staged.welcome), strict=False):
        tree = await read_tree(their, group.group_id, 1)
        joined = Group.join(invitation or b"", bundles[other.user], other.identity, tree=tree)
        groups.append(joined.group)
    return groups


async def read_tree(peer: Peer, group: bytes, epoch: int) -> bytes:
    tree = b""
    while True:
        chunk = await peer.ask(m.GetTree(group, epoch, len(tree)))
        assert isinstance(chunk, m.Chunk)
        tree += chunk.data
        if len(tree) >= chunk.total:
            return tree
