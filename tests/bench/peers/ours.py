"""Our own server, as the command runs it, with real groups and messages that were sealed beforehand.

Accounts are put into its database before it starts (registering costs Argon2, which is not what is
measured); logins, groups and messages go the whole way. Every limit runs; only its numbers are raised.
"""

import asyncio
import contextlib
import hashlib
import importlib
import importlib.util
import itertools
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, cast

import apsw
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client.link import ACKS_GATHER
from securechat.membership.room import Kind
from securechat.membership.signing import public_of
from securechat.mls.codec import encode
from securechat.mls.group import Group
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.protocol.frames import FrameReader, decode_server_frame, encode_frame, encode_value
from securechat.protocol.limits import ALPN
from securechat.server.identity import load_identity
from securechat.server.store.sqlite import open_database, prepare_database
from tests.bench.dialect import Serving, context_for, process
from tests.bench.line import Line, Taken
from tests.server.peer import Peer, Person, claim, commit_request, create_request

MESSAGE_BYTES: Final = 1_000
SEALED: Final = 32
"""Messages sealed beforehand per group; the server does not tell them apart."""

ADDS: Final = 32
"""Members that one commit brings: what goes into a frame, and needs no blob."""

DOMAIN: Final = "bench.example"


def person(number: int) -> Person:
    """The same keys in every process."""

    def seed(what: str) -> bytes:
        return hashlib.sha256(f"{what} {number}".encode()).digest()

    return Person(
        f"u{number}",
        DOMAIN,
        client=seed("client").hex()[:26],
        account_key=Ed25519PrivateKey.from_private_bytes(seed("account")),
        device_key=Ed25519PrivateKey.from_private_bytes(seed("device")),
        login_key=Ed25519PrivateKey.from_private_bytes(seed("login")),
        salt=seed("salt")[:16],
    )


class OurWire:
    def __init__(self, request: int = 0, name: int = 0, bodies: Iterator[msgspec.Raw] | None = None) -> None:
        self.request = request
        self.name = name
        self.bodies = bodies
        self.group = b""
        self.cursor = 0
        self.acknowledged = 0.0
        self.reader = FrameReader(1 << 20)

    def message(self) -> bytes:
        if self.bodies is None:
            raise LookupError("this client only listens")
        self.name += 1
        return self.ask(next(self.bodies), self.name)

    def ask(self, body: msgspec.Raw, name: int = 0) -> bytes:
        self.request += 1
        return encode_frame(m.Request(self.request, body, name))

    def take(self, data: bytes) -> Taken:
        payloads, error = self.reader.receive(data)
        if error is not None:
            raise error
        answered = delivered = 0
        reply = []
        for payload in payloads:
            frame = decode_server_frame(payload)
            match frame:
                case m.Response():
                    page = self._page(frame) if len(frame.body) > 256 else None
                    if page is None:
                        answered += 1
                        continue
                    delivered += len(page.entries)
                    self._remember(page.group, page.entries)
                    if self.cursor < page.head:
                        reply.append(self.fetch())
                case m.Delivered():
                    delivered += len(frame.entries)
                    self._remember(frame.group, frame.entries)
                case m.Refused() | m.Goodbye():
                    raise ConnectionError(str(frame))
                case _:
                    pass
        if delivered:
            reply.append(self._acknowledgement())
        return Taken(answered, delivered, b"".join(reply))

    def _acknowledgement(self) -> bytes:
        """As the real client says it: not for every message."""
        now = time.monotonic()
        if now - self.acknowledged < ACKS_GATHER:
            return b""
        self.acknowledged = now
        return encode_frame(m.Acknowledge([m.Acknowledged(self.group, self.cursor)]))

    def fetch(self) -> bytes:
        return self.ask(msgspec.Raw(encode_value(m.Fetch(self.group, self.cursor + 1))))

    def _page(self, frame: m.Response) -> m.Entries | None:
        answer = _ANSWER.decode(frame.body)
        return answer if isinstance(answer, m.Entries) else None

    def _remember(self, group: bytes, entries: "list[m.Entry] | list[m.Entry | m.Gap]") -> None:
        last = entries[-1]
        self.group, self.cursor = group, last.last if isinstance(last, m.Gap) else last.sequence


_PING: Final = msgspec.Raw(encode_value(m.Ping()))
_ANSWER: Final = msgspec.msgpack.Decoder(m.Answer)


class Ours:
    acknowledges = True
    lacks: frozenset[str] = frozenset()

    @contextmanager
    def serve(self, folder: Path, clients: int) -> Iterator[Serving]:
        _seed(folder / "data", clients)
        config = folder / "config.toml"
        config.write_text(_raised_limits())
        options = ["--host", "127.0.0.1", "--port", "0", "--config", str(config)]
        options += ["--data", str(folder / "data"), "--cert", str(folder / "server.pem")]
        command = [sys.executable, "-m", "securechat", "server", *options]
        with process(command, folder / "log") as running:
            port = 0
            for line in running.stdout or ():
                if line.startswith("listening on "):
                    port = int(line.rsplit(":", 1)[1])
                if line.startswith("ready"):
                    break
            if not port:
                raise SystemExit((folder / "log").read_text())
            yield Serving(running.pid, port)

    async def log_in(self, port: int, number: int) -> Line:
        peer, line = await _peer(port, number)
        await _hand_over(peer, line)
        return line

    def keep_alive(self, line: Line) -> None:
        line.write(cast("OurWire", line.wire).ask(_PING))

    async def pairs(self, port: int, count: int) -> list[tuple[Line, Line]]:
        return [tuple(await self._group(port, 2, start, Kind.DIRECT))[:2] for start in range(0, 2 * count, 2)]  # type: ignore[misc]

    async def room(self, port: int, size: int) -> list[Line]:
        return await self._group(port, size, 0, Kind.ROOM)

    async def leave(self, receiver: Line) -> None:
        receiver.close()

    async def drain(self, port: int, receiver: Line) -> Line:
        old = cast("OurWire", receiver.wire)
        peer, line = await _peer(port, _NUMBERS[old.group])
        synced = await peer.ask(m.Sync())
        assert isinstance(synced, m.Synced)
        wire = await _hand_over(peer, line)
        wire.group, wire.cursor = old.group, old.cursor
        line.write(wire.fetch())
        return line

    async def _group(self, port: int, size: int, start: int, kind: Kind) -> list[Line]:
        """People with a conversation whose first member speaks."""
        found = [await _peer(port, start + number) for number in range(size)]
        people = [person(start + number) for number in range(size)]
        owner = found[0][0]
        packages = []
        for who, (peer, _) in zip(people[1:], found[1:], strict=True):
            await peer.ask(m.PublishKeyPackages([encode(who.key_package().key_package)]))
            packages.append(await claim(owner, who.user))
        group = people[0].group(kind)
        head = 0
        for position in range(0, max(1, len(packages)), ADDS):
            staged = group.stage_commit(CommitPlan(add=tuple(packages[position : position + ADDS])))
            if head == 0:
                await owner.ask(create_request(group, staged))
            else:
                await owner.ask(commit_request(group, staged, head))
            head += 1
            group.merge(staged)
        wires = [await _hand_over(peer, line) for peer, line in found]
        wires[0].bodies = itertools.cycle(_sealed(group))
        for wire in wires:
            wire.group, wire.cursor = group.group_id, head
        _NUMBERS[group.group_id] = start + 1
        return [line for _, line in found]


_NUMBERS: Final[dict[bytes, int]] = {}
"""Who receives in a pair's group."""


def _sealed(group: Group) -> list[msgspec.Raw]:
    overhead = len(group.encrypt(b""))
    epoch = group.public.context.epoch
    sealed = [group.encrypt(secrets.token_bytes(MESSAGE_BYTES - overhead)) for _ in range(SEALED)]
    return [msgspec.Raw(encode_value(m.SendMessage(group.group_id, epoch, one))) for one in sealed]


async def _peer(port: int, number: int) -> tuple[Peer, Line]:
    """A slow, careful client that has logged in, over a line of ours."""
    line = await Line.connect(port, context_for(ALPN))
    stream: Any = line
    peer = Peer(stream, stream, [])
    peer.flush()
    await peer.until(lambda: peer.hello is not None or peer.closed is not None)
    await peer.log_in(person(number))
    return peer, line


async def _hand_over(peer: Peer, line: Line) -> OurWire:
    """Take the connection over from its careful peer."""
    peer._task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await peer._task
    wire = OurWire(peer.connection._last_id, peer.name)
    line.speak(wire)
    return wire


def _seed(folder: Path, clients: int) -> None:
    path = prepare_database(folder)
    load_identity(path, DOMAIN)
    db: apsw.Connection = open_database(path)
    with db:
        for number in range(clients):
            who = person(number)
            db.execute(
                "INSERT INTO account (id, user, salt, login_hash, account_key, statement, created) "
                "VALUES (?, ?, ?, '', ?, ?, 1)",
                (number + 1, who.user, who.salt, public_of(who.account_key), who.statement),
            )
            db.execute(
                "INSERT INTO client (account, name, device_key, credential, created) VALUES (?, ?, ?, ?, 1)",
                (number + 1, who.client, public_of(who.device_key), who.credential),
            )
    db.close()


def _raised_limits() -> str:
    lines = ["[connections]", "total = 30000", "before_login = 20000", "before_login_per_address = 20000"]
    if importlib.util.find_spec("securechat.server.rate_limit") is not None:
        for rule in importlib.import_module("securechat.server.rate_limit").RULES:
            lines += [f"[rates.{rule.name}]", "burst = 1e12", "per_second = 1e12"]
    return "\n".join(lines) + "\n"


DIALECT: Final = Ours()
