"""People with real clients, but for disk and sockets; and the accounts that all runs begin with."""

import asyncio
import atexit
import functools
import hashlib
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest import mock

import apsw
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from securechat.client.client import Client
from securechat.client.config import Home, ServerAddress
from securechat.client.engine import Engine
from securechat.client.events import Event
from securechat.client.keystore import Keys, load_keys, unlock
from securechat.client.listener import Listener
from securechat.client.registration import register
from securechat.client.session import Credentials, Session
from securechat.client.store import ClientStore, _Cursor, let_go_with, migrate
from securechat.client.trust import Pins, Trust
from securechat.membership import passwords
from securechat.server.certificate import make_certificate, read_certificate
from securechat.server.login_hash import LoginHasher
from tests.scenarios.simulation.face import Face, Shop, now
from tests.scenarios.simulation.virtual import VirtualLoop, running
from tests.scenarios.simulation.wire import Line

NAMES: Final = ("alice", "bob", "carol", "dave", "mallory")
PORTS: Final = {name: 7001 + number for number, name in enumerate(NAMES)}
"""Each has a port of their own, so that a server knows who comes before they say it."""

PASSWORD: Final = "a long enough password for all"


class MemoryStore(ClientStore):
    """The client's store, unsealed and in memory. It outlives the process that is killed."""

    def __init__(self, data: bytes | None = None) -> None:
        self._path = Path("memory")
        self._db = apsw.Connection(":memory:")
        let_go_with(self, self._db)
        if data is not None:
            self._db.deserialize("main", data)
        self._db.cursor_factory = _Cursor
        self._db.pragma("foreign_keys", 1)
        self._db.pragma("synchronous", "OFF")
        migrate(self._db)

    def close(self) -> None:
        """Whoever comes next finds it as it is."""

    def snapshot(self) -> bytes:
        return bytes(self._db.serialize("main"))

    def copy_of(self, other: ClientStore) -> None:
        """Take over the rows of a store of the same schema."""
        tables = [name for (name,) in other.db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        self._db.pragma("foreign_keys", 0)
        for table in tables:
            if table.startswith(("sqlite_", "message_words")):
                continue  # the words come with the messages
            for row in other.db.execute(f"SELECT * FROM {table}"):  # noqa: S608 - a name of the schema
                marks = ", ".join("?" * len(row))
                self._db.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", row)  # noqa: S608 - as above
        self._db.pragma("foreign_keys", 1)


@dataclass(frozen=True)
class Cast:
    """What every run begins with: a server that knows five accounts, and their profiles."""

    shop: Shop
    home: Home
    server: bytes
    stores: dict[str, bytes]


class _Unlocked:
    def release(self) -> None:
        """Nobody else wants it."""


class Tap(Listener):
    """Hands each event on at once."""

    def __init__(self, hear: Callable[[Event], None]) -> None:
        super().__init__([])
        self._hear = hear

    def put(self, event: Event | None) -> None:
        if event is not None:
            self._hear(event)


class Person:
    """One account, its profile and, while it runs, its client."""

    def __init__(self, name: str, home: Home, data: bytes, source: random.Random) -> None:
        self.name = name
        self.home = home
        self.store = MemoryStore(data)
        self.keys: Keys = load_keys(self.store)
        self.hears: Callable[[Event], None] = lambda _: None
        self._source = source
        self._tap = Tap(self._told)
        self.client: Client | None = None
        self.engine: Engine | None = None

    @property
    def port(self) -> int:
        return PORTS[self.name]

    def _told(self, event: Event) -> None:
        self.hears(event)

    def start(self) -> None:
        address = ServerAddress("127.0.0.1", self.port)
        session = Session(
            address,
            Trust(),
            self.home,
            Credentials.of(self.keys),
            source=random.Random(self._source.random()),
        )
        engine = Engine(self.store, session, self.keys, lambda: float(now()))
        engine._early = None
        engine._listeners.add(self._tap)
        self.engine, self.client = engine, Client(engine, _Unlocked())  # type: ignore[arg-type]
        engine.start()

    async def stop(self) -> None:
        """End in peace, or, where the line was cut before, not."""
        engine, self.engine, self.client = self.engine, None, None
        if engine is not None:
            await engine.close()

    def restore(self, data: bytes) -> None:
        """Put back an older copy of the profile; only while nothing runs."""
        assert self.engine is None
        self.store = MemoryStore(data)


def cheap(password: str, salt: bytes, _parameters: object) -> bytes:
    """Stretch a password for nothing: no run is about passwords."""
    return hashlib.sha256(salt + passwords.normalise(password).encode()).digest()


@functools.cache
def cast() -> Cast:
    """Make the accounts, once in a process, by the real registration."""
    folder = Path(tempfile.mkdtemp(prefix="securechat-simulation-"))
    atexit.register(shutil.rmtree, folder)
    home = Home(folder / "home")
    with running("the cast") as loop, mock.patch.object(passwords, "_argon2id", cheap):
        shop = _shop(folder)
        server, stores = loop.run_until_complete(_register_all(loop, shop, home))
    return Cast(shop, home, server, stores)


def _shop(folder: Path) -> Shop:
    path = folder / "server.pem"
    make_certificate(path)
    der = load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER)
    return Shop(LoginHasher(passes=1, memory_kib=64), read_certificate(path), der)


async def _register_all(loop: VirtualLoop, shop: Shop, home: Home) -> tuple[bytes, dict[str, bytes]]:
    source = random.Random("cast")
    face = Face(shop, source, None)
    loop.dial = functools.partial(dial, face, source)
    stores = {}
    for name in NAMES:
        address = ServerAddress("127.0.0.1", PORTS[name])
        await register(home, address, name, PASSWORD, Trust(accept_new=True))
        profile = home.profile(name)
        with ClientStore(profile.database, unlock(profile, PASSWORD)) as store:
            copy = MemoryStore()
            copy.copy_of(store)
            stores[name] = copy.snapshot()
    data = face.snapshot()
    assert all(Pins(home).get(ServerAddress("127.0.0.1", port)) for port in PORTS.values())
    face.close()
    return data, stores


async def dial(
    face: Face,
    source: random.Random,
    factory: Callable[[], asyncio.Protocol],
    port: int,
    sit_in: Callable[[Line], None] | None = None,
) -> tuple[asyncio.Transport, asyncio.Protocol]:
    """Connect somebody to a face.

    :param sit_in: puts somebody between the two
    """
    await asyncio.sleep(source.uniform(0.001, 0.05))
    if face.is_gone:
        raise ConnectionRefusedError
    line = Line(source, face.shop.der)
    if sit_in is not None:
        sit_in(line)
    protocol = factory()
    line.client.begin(protocol)
    face.accept(port, line)
    return line.client, protocol
