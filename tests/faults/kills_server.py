"""python -m tests.faults.kills_server --count N --minutes M --seed S: kill -9 of the server under load.

The server is the real command; three real clients in this process talk in a room and in pairs, and
commit now and then. The server is killed at any moment, and at moments that are aimed at: right
after a request was sent, while it starts, while SQLite brings its log into the database. After each
kill a copy of the database is checked; again and again everything is left to heal, and everybody
must have been shown everything once and in order (C-01, Q-01).
"""

import asyncio
import contextlib
import random
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from unittest import mock

import apsw

from securechat.client import backoff, intents, outbox
from securechat.client.config import ServerAddress
from securechat.client.errors import ClientError
from securechat.client.events import Invited
from tests.faults.command import Amount, Report, Wrong, command, play
from tests.faults.ledger import Ledger, settle, told
from tests.faults.power_client import cheap_passwords, renew
from tests.faults.power_server import check_whole
from tests.faults.server_process import ServerProcess
from tests.scenarios.world import Person, World, in_one_epoch

KILLS: Final = "server kills"
EACH: Final = 100
HEALS_AFTER: Final = 20
"""Kills between two times when everything is left to heal."""

PATIENCE: Final = 60
SHOWN_WITHIN: Final = 60
"""Seconds until what everybody has and nobody is shown is lost."""

NAMES: Final = ("alice", "bob", "carol")
LONGEST_LIFE: Final = 0.3
"""Seconds under load until a kill that is not aimed at anything."""


class KillableWorld(World):
    """People of this process at a server of another."""

    def __init__(self, folder: Path, module: tuple[str, ...]) -> None:
        super().__init__(folder)
        self.server = ServerProcess(folder / "server", module)

    @property
    def address(self) -> ServerAddress:
        return ServerAddress("127.0.0.1", self.server.port)

    async def close(self) -> None:
        for person in self.people.values():
            await person.close()
        await self.server.kill()


class Tale:
    """What people say while their server is killed."""

    def __init__(self, world: KillableWorld, chance: random.Random, report: Report) -> None:
        self.world = world
        self.server = world.server
        self.chance = chance
        self.report = report
        self.ledger = Ledger()
        self._seen: dict[str, int] = {}
        self._talking: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Everybody has an account; all are in one room, and each pair has spoken."""
        await self.server.start()
        people = await self.world.join(*NAMES)
        await people[0].client.create_room("#team")
        for person in people[1:]:
            await people[0].client.invite("#team", person.name)
            await person.sees(Invited)
            await person.client.join("#team")
        for first, second in PAIRS:
            await self.says(self.world.people[first], f"{first}-{second}")
        await self.heal()

    async def kill(self) -> None:
        """One life of the server under load, its end, and its next start."""
        aim = self.chance.choice([self.at_any_time, self.after_a_request, self.in_start, self.in_checkpoint])
        self._talking = [asyncio.create_task(self._talk(person)) for person in self.world.people.values()]
        try:
            await aim()
            await self.server.gone()
        finally:
            for task in self._talking:
                task.cancel()
            ends = await asyncio.gather(*self._talking, return_exceptions=True)
        for end in ends:
            if isinstance(end, Exception):
                raise Wrong("a client does not take in what is said") from end
        self.report.counts[KILLS] += 1
        self.report.counts[aim.__name__.replace("_", " ")] += 1
        check_copy(self.server.database, self.world.folder / "copy")
        self.report.took("start after a kill", await self.server.start())

    async def at_any_time(self) -> None:
        await asyncio.sleep(self.chance.random() * LONGEST_LIFE)
        self.server.strike()

    async def after_a_request(self) -> None:
        """The kill races with the work on some request."""
        left = self.chance.randint(1, 40)
        delay = self.chance.choice([0.0, 0.0005, 0.002])
        sent = asyncio.Event()

        def count() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                sent.set()

        with self._requests_watched(count), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_LIFE * 2):
                await sent.wait()
            if delay:
                await asyncio.sleep(delay)
        self.server.strike()

    async def in_start(self) -> None:
        """Killed twice: it does not even come to listen the second time."""
        await self.at_any_time()
        await self.server.gone()
        await self.server.begin()
        await asyncio.sleep(self.chance.random() * self.report.longest.get("start after a kill", 0.4))
        self.server.strike()

    async def in_checkpoint(self) -> None:
        """Killed when SQLite has begun to write to the database itself."""
        before = self.server.database.stat().st_mtime_ns
        for _ in range(int(LONGEST_LIFE / 0.001)):
            await asyncio.sleep(0.001)
            if self.server.database.stat().st_mtime_ns != before:
                self.report.counts["caught in a checkpoint"] += 1
                break
        self.server.strike()

    async def heal(self) -> None:
        """Leave everything alone until it is whole, and judge."""
        people = self.world.people.values()
        for _ in range(2):
            for person in people:
                if not await person.client.drained(PATIENCE):
                    raise Wrong(f"{person.name} cannot send what is queued")
                async with asyncio.timeout(PATIENCE):
                    await person.client.caught_up()
        await settle(self.ledger, self._show_all, SHOWN_WITHIN)
        Wrong.if_any(self.ledger.verdict())
        if not await in_one_epoch(*people):
            raise Wrong("not all are in the same epoch of the room")

    def missing(self) -> str:
        """What is not as it should be by now: whatever else is found first may come of that."""
        self._show_all()
        return told(self.ledger.verdict())

    async def says(self, person: Person, place: str) -> None:
        """Say the next thing; what the client has taken in must arrive, whatever happens."""
        text = self.ledger.says(place, person.name, others(person.name, place))
        await person.client.send(screen_name(person.name, place), text)
        self.ledger.acknowledged(place, person.name, text)

    def _show_all(self) -> None:
        for person in self.world.people.values():
            self._show(person)

    def _show(self, person: Person) -> None:
        """Tell the ledger what a person was shown since it was last told."""
        pairs = [f"{first}-{second}" for first, second in PAIRS if person.name in (first, second)]
        places = {screen_name(person.name, place): place for place in [*pairs, "#team"]}
        rows = person.client._engine.store.rows(
            "SELECT m.id, c.name, m.sender, m.text FROM message m"
            " JOIN conversation c ON c.id = m.conversation"
            " WHERE m.own = 0 AND m.id > ? AND (m.mimi_id IS NOT NULL OR m.state <> 'not_shown')"
            " ORDER BY m.id",
            (self._seen.get(person.name, 0),),
        )
        for number, conversation, sender, text in rows:
            self.ledger.shown(places[conversation], person.name, sender, text)
            self._seen[person.name] = number

    async def _talk(self, person: Person) -> None:
        places = [
            "#team",
            *(f"{first}-{second}" for first, second in PAIRS if person.name in (first, second)),
        ]
        while True:
            place = self.chance.choice(places)
            for _ in range(self.chance.choice([1, 1, 3, 8])):
                await self.says(person, place)
            if self.chance.random() < 0.03:
                renew(person.client, screen_name(person.name, place))
            await asyncio.sleep(self.chance.choice([0.02, 0.1, 0.2]))

    @contextmanager
    def _requests_watched(self, count: Callable[[], None]) -> Iterator[None]:
        """Call ``count`` after each request that any client sends."""
        with contextlib.ExitStack() as stack:
            for person in self.world.people.values():
                session = person.client._engine._session
                send = session.send_named

                def counted(
                    name: int, body: bytes, *, send: Callable[[int, bytes], Awaitable[object]] = send
                ) -> Awaitable[object]:
                    future = send(name, body)
                    count()
                    return future

                stack.enter_context(mock.patch.object(session, "send_named", counted))
            yield


PAIRS: Final = (("alice", "bob"), ("alice", "carol"), ("bob", "carol"))
"""A place is a room, or the two who talk."""


def others(name: str, place: str) -> list[str]:
    return [each for each in NAMES if each != name and (place.startswith("#") or each in place.split("-"))]


def screen_name(name: str, place: str) -> str:
    return place if place.startswith("#") else f"@{others(name, place)[0]}"


def check_copy(database: Path, into: Path) -> None:
    """:raises Wrong: what a killed server left is not whole"""
    into.mkdir(exist_ok=True)
    for suffix in ("", "-wal"):
        source = Path(f"{database}{suffix}")
        if source.exists():
            shutil.copyfile(source, into / f"server.db{suffix}")
    db = apsw.Connection(str(into / "server.db"))
    try:
        check_whole(db)
    finally:
        db.close()
        shutil.rmtree(into)


@contextmanager
def hurried_clients() -> Iterator[None]:
    """Clients that try again sooner than among people: a thousand kills are to be lived through."""
    with (
        mock.patch.object(backoff, "FIRST_SECONDS", 0.02),
        mock.patch.object(backoff, "LONGEST_SECONDS", 0.1),
        mock.patch.object(outbox, "RETRY_FIRST", 0.02),
        mock.patch.object(outbox, "RETRY_LONGEST", 0.1),
        mock.patch.object(intents, "RETRY_LONGEST", 0.5),
    ):
        yield


def world(
    where: Path,
    chance: random.Random,
    report: Report,
    at_most: int,
    module: tuple[str, ...] = ("securechat",),
) -> None:
    """One server and three people, from their registration on."""
    asyncio.run(_world(where, chance, report, at_most, module))


async def _world(
    where: Path, chance: random.Random, report: Report, at_most: int, module: tuple[str, ...]
) -> None:
    with cheap_passwords(), hurried_clients():
        people = KillableWorld(where, module)
        tale = Tale(people, chance, report)
        try:
            await tale.begin()
            for number in range(1, at_most + 1):
                await tale.kill()
                if number % HEALS_AFTER == 0 or number == at_most:
                    await tale.heal()
        except Wrong as wrong:
            raise Wrong(f"{wrong}\n{tale.missing()}") from wrong.__cause__
        except TimeoutError as late:
            raise Wrong(
                f"something did not happen in {PATIENCE} s: {people.server.log()}\n{tale.missing()}"
            ) from late
        except ClientError as error:
            raise Wrong(f"a client ends for good: {error}") from error
        finally:
            await people.close()
            report.counts["messages"] += tale.ledger.counts["said"]


def run(amount: Amount) -> list[Report]:
    return [play("kills_server", KILLS, amount, world, each=EACH)]


if __name__ == "__main__":
    sys.exit(command(__doc__, run, count=1_000))
