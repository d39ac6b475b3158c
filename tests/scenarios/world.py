"""A server and some people, over real sockets: what the scenarios are told with."""

import asyncio
import functools
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from securechat.client import anchor, backoff, intents, outbox, patience, reentry, sync
from securechat.client.client import Client
from securechat.client.config import Home, ServerAddress
from securechat.client.device import Clock
from securechat.client.events import Event, MessageReceived
from securechat.client.policy import Policy
from securechat.client.registration import register
from securechat.client.trust import Trust
from securechat.membership.room import PRODUCT_SUITES
from securechat.server import app as the_server
from securechat.server.app import App, running
from securechat.server.config import ServerConfig
from securechat.server.login_hash import LoginHasher
from tests.held_port import HeldPort

PATIENCE = 20
"""Seconds until a step that does not happen is a failure."""

LONGEST_DRAW = 3.0
"""Seconds: the longest of the waits that are drawn at random. Some are up to ``PATIENCE`` and far beyond."""

LONGEST_RETRY = 0.3
"""Seconds until a line, or a request that decided nothing, is tried again: nobody here is spared by more."""

E = TypeVar("E")


def without_long_draws(put: Callable[[object, str, object], None]) -> None:
    """Bound the waits that are drawn at random, so that no test waits for a draw.

    :param put: sets an attribute of a module, for the time of a test
    """

    def jitter(longest: float) -> float:
        return secrets.SystemRandom().uniform(0, min(longest, LONGEST_DRAW))

    for module in (anchor, intents, reentry, sync):
        put(module, "jitter", jitter)
    put(backoff, "LONGEST_SECONDS", LONGEST_RETRY)
    put(outbox, "RETRY_LONGEST", LONGEST_RETRY)
    put(patience, "LONGEST_SECONDS", LONGEST_RETRY)


def without_cost(put: Callable[[object, str, object], None]) -> None:
    """Spare what every test would pay for and none is about.

    That is: what the server's own hashes cost, and reading the system's authorities, of which none vouches
    for a server here.

    :param put: sets an attribute, for the time of a test
    """
    put(the_server, "LoginHasher", functools.partial(LoginHasher, passes=1, memory_kib=8))
    put(ssl.SSLContext, "load_default_certs", lambda *_: None)


class Person:
    """Somebody with an account; opens and closes the client, and remembers what it told."""

    def __init__(self, world: "World", name: str) -> None:
        self.world = world
        self.name = name
        self.home = Home(world.folder / f"home-{name}")
        self.clock: Clock = time.time
        self.policy = Policy.FIRST_USE
        self.port: int | None = None
        """Where the server is for this person; none: where it is."""
        self.password = f"{name} has a long enough password"
        self.events: list[Event] = []
        self._client: Client | None = None
        self._watching: asyncio.Task[None] | None = None
        self._news = asyncio.Condition()

    @property
    def client(self) -> Client:
        assert self._client is not None
        return self._client

    @property
    def address(self) -> ServerAddress:
        address = self.world.address
        return address if self.port is None else ServerAddress("127.0.0.1", self.port)

    async def register(self) -> None:
        await register(self.home, self.address, self.name, self.password, self.world.trust)

    async def open(self) -> None:
        self._client = await Client.open(
            self.home,
            self.name,
            self.password,
            trust=self.world.trust,
            server=self.address,
            clock=self.clock,
            people=self.policy,
        )
        self._watching = asyncio.create_task(self._watch(self._client))

    async def close(self) -> None:
        if self._client is None:
            return
        await self._client.close()
        if self._watching is not None:
            await self._watching
        self._client = None

    async def _watch(self, client: Client) -> None:
        async for event in client.events():
            async with self._news:
                self.events.append(event)
                self._news.notify_all()

    async def sees(
        self, kind: type[E], matches: Callable[[E], bool] = lambda _: True, *, within: float = PATIENCE
    ) -> E:
        """Wait for an event; those of before count too."""
        async with asyncio.timeout(within), self._news:
            while True:
                for event in self.events:
                    if isinstance(event, kind) and matches(event):
                        return event
                await self._news.wait()

    async def hears(self, text: str, *, within: float = PATIENCE) -> MessageReceived:
        return await self.sees(MessageReceived, lambda event: event.message.text == text, within=within)

    def heard(self) -> list[str]:
        return [event.message.text for event in self.events if isinstance(event, MessageReceived)]

    async def says(self, to: str, text: str) -> None:
        """Send, and wait until the server has it."""
        message = await self.client.send(to, text)
        await self.client.acknowledged(message.local_id, PATIENCE)


async def in_one_epoch(*people: Person, name: str = "#team") -> bool:
    """Whether all come to be in one epoch, with the same secrets.

    Not at once: what one of them commits, perhaps as a second attempt, is on its way to the others.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            while len({person.client.fingerprint(name).epoch_code for person in people}) != 1:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    except TimeoutError:
        return False
    return True


_SUITES_WITH_KEYS = """SELECT count(DISTINCT package.suite) FROM key_package package
JOIN client ON client.id = package.client JOIN account ON account.id = client.account
WHERE account.user = ? AND package.last_resort = 0 AND package.claimed = 0"""


async def has_keys(person: Person) -> None:
    """Wait until the server has keys of somebody in each suite: they are left there after all was read."""
    app = person.world.app
    assert app is not None
    wanted = len(PRODUCT_SUITES)
    async with asyncio.timeout(PATIENCE):
        while await app._readers.run(lambda db: db.execute(_SUITES_WITH_KEYS, (person.name,)).get) != wanted:
            pass


async def no_transport_left() -> None:
    """Let those close that were cut in a handshake, or the collector finds them in another test."""
    transports = getattr(asyncio.get_running_loop(), "_transports", {})
    for _ in range(1_000):
        if all(each._sock is None for each in list(transports.values())):
            return
        await asyncio.sleep(0.001)


class World:
    """A server in this process, and the people who use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.app: App | None = None
        self.people: dict[str, Person] = {}
        self._stack = AsyncExitStack()
        self._held = HeldPort()
        self.port = self._held.number
        """The server's, also while it is away."""

    @property
    def address(self) -> ServerAddress:
        return ServerAddress("127.0.0.1", self.port)

    @property
    def trust(self) -> Trust:
        return Trust(accept_new=True)

    def config(self) -> ServerConfig:
        return ServerConfig(data=self.folder / "server", host="127.0.0.1", port=self.port)

    async def start_server(self) -> App:
        self.app = await self._stack.enter_async_context(running(self.config()))
        return self.app

    async def stop_server(self) -> None:
        await self._stack.aclose()
        self._stack = AsyncExitStack()

    async def register(self, name: str) -> Person:
        """Make an account and leave its client closed."""
        person = self.people[name] = Person(self, name)
        await person.register()
        return person

    async def join(self, *names: str) -> list[Person]:
        """Make accounts and open their clients."""
        people = [await self.register(name) for name in names]
        for person in people:
            await person.open()
        return people

    def stored(self) -> bytes:
        """Everything the server has on its disk."""
        files = sorted((self.folder / "server").rglob("*"))
        return b"".join(file.read_bytes() for file in files if file.is_file())

    async def close(self) -> None:
        for person in self.people.values():
            await person.close()
        await self.stop_server()
        await no_transport_left()


@asynccontextmanager
async def a_world(folder: Path) -> AsyncIterator[World]:
    world = World(folder)
    await world.start_server()
    try:
        yield world
    finally:
        await world.close()
