"""python -m tests.faults.flips --count N --minutes M --seed S: one flipped bit, or a lost end, in any file.

A server and two clients that have talked are copied while they run, logs and all; in each copy one
bit is turned over, or the end of a file is cut off, in one of the files of the server or of alice.
Then both are started on it and used. It must be found out and said, or do no harm: nothing is ever
shown that nobody said, or as somebody else's; no key is used twice; nothing breaks without a
sentence, and nothing hangs (C-05).
"""

import asyncio
import logging
import random
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from securechat.client.errors import ClientError
from securechat.client.events import (
    Disconnected,
    Event,
    Held,
    Invited,
    MessageRefused,
    MessageState,
    Notice,
    Undecryptable,
)
from securechat.errors import SecureChatError
from tests.faults.command import Amount, Report, Wrong, command, play
from tests.faults.generations import Oracle, watching_generations
from tests.faults.kills_server import hurried_clients
from tests.faults.ledger import Ledger
from tests.faults.patient_world import PatientWorld
from tests.faults.power_client import cheap_passwords, renew
from tests.scenarios.world import Person

FLIPS: Final = "damages"
EACH: Final = 50
TRUNCATED: Final = 0.2
PATIENCE: Final = 1.0
"""Seconds between two looks whether somebody has said why what was said is not heard."""

HANGS: Final = 40.0

NOT_COPIED: Final = shutil.ignore_patterns("socket", "*.sock", "*-shm", "lock")
FILES: Final = (
    "server/server.db",
    "server/server.db-wal",
    "server.pem",
    "home-alice/alice/store.db",
    "home-alice/alice/store.db-wal",
    "home-alice/alice/account.json",
    "home-alice/pins.json",
)


@dataclass(frozen=True, slots=True)
class Damage:
    """What was done to which file."""

    file: str
    place: int
    bit: int | None
    """None: everything from here on is gone."""

    def __str__(self) -> str:
        what = "cut off at" if self.bit is None else f"bit {self.bit} turned over at"
        return f"{self.file}: {what} {self.place}"

    def do(self, folder: Path) -> None:
        path = folder / self.file
        data = bytearray(path.read_bytes())
        if self.bit is None:
            del data[self.place :]
        else:
            data[self.place] ^= 1 << self.bit
        path.write_bytes(data)


CERTAIN: Final = Damage("home-alice/alice/account.json", 0, None)
"""Nothing can be used with it: where this is not found out, nothing would be."""


def draw(chance: random.Random, folder: Path) -> Damage:
    file = chance.choice([name for name in FILES if (folder / name).exists()])
    place = chance.randrange((folder / file).stat().st_size)
    return Damage(file, place, None if chance.random() < TRUNCATED else chance.randrange(8))


@dataclass
class Heard:
    """What the server logged and the people were told: where a damage is said."""

    lines: list[str] = field(default_factory=list)


class _Handler(logging.Handler):
    def __init__(self, heard: Heard) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.lines.append(f"{record.name}: {record.getMessage()}")


@contextmanager
def listening(heard: Heard) -> Iterator[None]:
    handler = _Handler(heard)
    logger = logging.getLogger("securechat")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class Original:
    """A world that talked, copied while it ran."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "original"
        self.live = folder / "live"
        self.ledger = Ledger()
        self.identity = b""

    async def make(self) -> None:
        self.live.mkdir()
        world = PatientWorld(self.live)
        await world.start_server()
        alice, bob = await world.join("alice", "bob")
        await alice.client.create_room("#team")
        await alice.client.invite("#team", "bob")
        await bob.sees(Invited)
        await bob.client.join("#team")
        for number in range(12):
            await self._says(alice, "@bob", "direct", "bob")
            await self._says(bob, "@alice", "direct", "alice")
            await self._says(bob, "#team", "room", "alice")
            if number % 5 == 0:
                renew(alice.client, "#team")
        for person in (alice, bob):
            assert await person.client.drained(20)
            await person.client.caught_up()
        shutil.copytree(self.live, self.folder, ignore=NOT_COPIED)
        await world.close()

    async def _says(self, person: Person, name: str, place: str, other: str) -> None:
        await person.client.send(name, self.ledger.says(place, person.name, [other]))


class Trial:
    """A damaged copy, used."""

    def __init__(self, folder: Path, original: Original, heard: Heard) -> None:
        self.world = PatientWorld(folder)
        self.original = original
        self.heard = heard
        self.people = [Person(self.world, name) for name in ("alice", "bob")]

    async def use(self) -> str:
        """Return how it went: ``refused`` at a start, ``said`` later, or ``harmless``."""
        try:
            await self.world.start_server()
        except SecureChatError as error:
            self.heard.lines.append(str(error))
            return "refused"
        try:
            return await self._people()
        finally:
            for person in self.people:
                if person._client is not None:
                    await person.close()
            await self.world.close()

    async def _people(self) -> str:
        for person in self.people:
            try:
                await person.open()
            except SecureChatError as error:
                self.heard.lines.append(str(error))
                return "refused"
        alice, bob = self.people
        went = await self._talk(alice, bob)
        for person in self.people:
            self._check(person)
        return went

    async def _talk(self, alice: Person, bob: Person) -> str:
        try:
            await alice.client.send("@bob", "alice goes on")
            await bob.client.send("#team", "bob goes on")
        except ClientError as error:
            self.heard.lines.append(str(error))
            return "said"
        hearing = asyncio.gather(bob.hears("alice goes on"), alice.hears("bob goes on"))
        try:
            while not hearing.done():
                await asyncio.wait([hearing], timeout=PATIENCE)
                if self.heard.lines or any(map(_says_why, alice.events + bob.events)):
                    return "said"
            await hearing
        except TimeoutError:
            raise Wrong("it does not go on, and nobody says why") from None
        finally:
            hearing.cancel()
            await asyncio.gather(hearing, return_exceptions=True)
        return "harmless"

    def _check(self, person: Person) -> None:
        """:raises Wrong: something is shown that nobody said there"""
        ledger = self.original.ledger
        try:
            rows = person.client._engine.store.rows(
                "SELECT c.name, m.sender, m.text, m.state FROM message m"
                " JOIN conversation c ON c.id = m.conversation WHERE m.own = 0"
            )
        except ClientError as error:
            self.heard.lines.append(str(error))
            return
        for name, sender, text, state in rows:
            place = "direct" if name.startswith("@") else "room"
            if (
                state == MessageState.RECEIVED
                and text != f"{sender} goes on"
                and not ledger.knows(place, sender, text)
            ):
                raise Wrong(f"{person.name} was shown {text!r} as of {sender} in {name}")


def _says_why(event: Event) -> bool:
    return isinstance(event, Held | Notice | MessageRefused | Undecryptable | Disconnected)


def world(where: Path, chance: random.Random, report: Report, at_most: int) -> None:
    """One original, and so many damaged copies; the first damage is `CERTAIN`, the others are drawn."""
    asyncio.run(_world(where, chance, report, at_most))


async def _world(where: Path, chance: random.Random, report: Report, at_most: int) -> None:
    with cheap_passwords(), hurried_clients(), watching_generations() as oracle:
        original = Original(where)
        await original.make()
        oracle.judge()
        for number in range(at_most):
            damage = draw(chance, original.folder) if number else CERTAIN
            await _try(where / "copy", original, damage, report, oracle)


async def _try(copy: Path, original: Original, damage: Damage, report: Report, oracle: Oracle) -> None:
    shutil.copytree(original.folder, copy)
    damage.do(copy)
    known, heard = set(oracle.sealed), Heard()
    try:
        with listening(heard):
            async with asyncio.timeout(HANGS):
                went = await Trial(copy, original, heard).use()
        oracle.judge()
    except TimeoutError:
        raise Wrong(f"{damage}: it hangs") from None
    except Wrong as wrong:
        raise Wrong(f"{damage}: {wrong}; said: {heard.lines}") from wrong
    except Exception as error:  # what no person should ever see
        raise Wrong(f"{damage}: {type(error).__name__}: {error}") from error
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    for place in set(oracle.sealed) - known:
        del oracle.sealed[place]  # each copy goes on from the same original
    report.counts[FLIPS] += 1
    report.counts[went] += 1


def run(amount: Amount) -> list[Report]:
    return [play("flips", FLIPS, amount, world, each=EACH)]


if __name__ == "__main__":
    sys.exit(command(__doc__, run, count=1_000))
