"""Random lives of a server that dies and comes back as an older copy (N-03, D-06, M-10).

``python -m tests.faults.restore --rounds N --seed S``: three people write, renew their keys, come and
go; a copy is taken at a random moment; more happens; the copy comes back, once or twice (the same, or
one taken since). In the end everybody must have everything that was said, once, in each sender's
order, in one epoch, and nobody may have been told of a message that cannot be read, or of a
conversation that is held.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from securechat.client import intents
from securechat.client.events import Held, Invited, Undecryptable
from securechat.client.intents import What
from securechat.server.backup import back_up
from tests.scenarios.world import PATIENCE, Person, World, a_world

NAMES: Final = ("alice", "bob", "carol")
STEPS: Final = 25
"""Happenings before the copy, and again after it, at most."""

CONVERGE_SECONDS: Final = 60


class Lost(AssertionError):
    """What was promised is not there."""


@dataclass
class Round:
    """One life of a server; what was said in it, by whom and where."""

    world: World
    random: random.Random
    said: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    away: set[str] = field(default_factory=set)
    restores: list[float] = field(default_factory=list)
    """Seconds from each start of a copy until all who were there had everything."""

    @property
    def people(self) -> list[Person]:
        return [self.world.people[name] for name in NAMES]

    @property
    def here(self) -> list[Person]:
        return [person for person in self.people if person.name not in self.away]

    async def begins(self) -> None:
        alice, *others = await self.world.join(*NAMES)
        await alice.client.create_room("#team")
        for person in others:
            await alice.client.invite("#team", person.name)
            await person.sees(Invited)
            await person.client.join("#team")

    async def happens(self, steps: int) -> None:
        for _ in range(steps):
            happening = self.random.choice([self.speaks] * 8 + [self.renews] * 2 + [self.moves] * 2)
            await happening(self.random.choice(self.people))
            if self.random.random() < 0.3:
                await asyncio.sleep(self.random.random() * 0.05)

    async def speaks(self, person: Person) -> None:
        if person.name in self.away:
            return
        others = [f"@{other.name}" for other in self.people if other is not person]
        to = self.random.choice(["#team", "#team", *others])
        texts = self.said.setdefault((person.name, to), [])
        texts.append(f"{person.name} {to} {len(texts)}")
        await person.client.send(to, texts[-1])

    async def renews(self, person: Person) -> None:
        """Only one renews at a time: of two branches of a group no restore makes one."""
        if person.name in self.away:
            return
        await self.settles()
        with person.client._engine.changes.change() as change:
            record = person.client._verbs.record("#team")
            intents.add_once(change.db, record.id, What.UPDATE)
            change.wake(record.id)
        await self.settles()

    async def moves(self, person: Person) -> None:
        if person.name in self.away:
            self.away.discard(person.name)
            await person.open()
        elif len(self.here) > 1:
            self.away.add(person.name)
            await person.close()

    async def settles(self) -> None:
        for person in self.here:
            if not await person.client.drained(PATIENCE):
                raise Lost(f"{person.name} can't send: {held_by(person)}")
        for person in self.here:
            async with asyncio.timeout(PATIENCE):
                await person.client.caught_up()

    async def dies_and_comes_back(self, copy: Path) -> None:
        for person in list(self.here):
            if self.random.random() < 0.5:
                self.away.add(person.name)
                await person.close()
        await self.world.stop_server()
        began = time.monotonic()
        data = self.world.folder / "server"
        for suffix in ("", "-wal", "-shm"):
            (data / f"server.db{suffix}").unlink(missing_ok=True)
        shutil.copy(copy, data / "server.db")
        await self.world.start_server()
        coming = [person for person in self.people if person.name in self.away]
        self.random.shuffle(coming)
        for person in coming:
            self.away.discard(person.name)
            await person.open()
            await asyncio.sleep(self.random.random() * 0.1)
        await self.converges()
        self.restores.append(time.monotonic() - began)

    async def converges(self) -> None:
        """Wait until everybody has everything."""
        began = time.monotonic()
        while problem := self.problem():
            if time.monotonic() - began > CONVERGE_SECONDS:
                raise Lost(problem)
            await asyncio.sleep(0.05)

    def problem(self) -> str:
        """What is not as it should be yet; empty if all is well."""
        for person in self.people:
            for (sender, to), texts in self.said.items():
                where = to if to.startswith("#") else (f"@{sender}" if to == f"@{person.name}" else "")
                if not where or sender == person.name:
                    continue
                shown = (
                    [each.text for each in person.client.messages(where, 10_000)]
                    if known(person, where)
                    else []
                )
                heard = [text for text in shown if text.startswith(f"{sender} {to} ")]
                if heard != texts:
                    return f"{person.name} has {heard} of {texts}; {[held_by(each) for each in self.people]}"
        codes = {person.client.fingerprint("#team").epoch_code for person in self.people}
        return "" if len(codes) == 1 else f"{len(codes)} epochs"

    def noise(self) -> list[str]:
        """What nobody should have been told."""
        return [
            f"{person.name}: {event}"
            for person in self.people
            for event in person.events
            if isinstance(event, Undecryptable | Held)
        ]


def known(person: Person, name: str) -> bool:
    return name in {each.name for each in person.client.conversations()}


def held_by(person: Person) -> str:
    held = {each.name: each.held_code for each in person.client.conversations() if each.held_code}
    return f"{person.name} {held}"


async def one_round(folder: Path, seed: int) -> Round:
    async with a_world(folder) as world:
        life = Round(world, random.Random(seed))
        await life.begins()
        await life.happens(life.random.randrange(STEPS))
        await life.settles()
        copies = []
        for number in range(life.random.choice([1, 1, 2])):
            copies.append(world.folder / f"copy-{number}.db")
            back_up(world.folder / "server" / "server.db", copies[-1])
            await life.happens(life.random.randrange(STEPS))
        for number in range(life.random.choice([1, 1, 2])):
            copy = life.random.choice(copies)
            await life.dies_and_comes_back(copy)
            await life.happens(life.random.randrange(8))
            # Of one line: the same copy again, or one that was taken since.
            copies = [copy, world.folder / f"later-{number}.db"]
            back_up(world.folder / "server" / "server.db", copies[-1])
        for person in life.people:
            if person.name in life.away:
                life.away.discard(person.name)
                await person.open()
        await life.settles()
        await life.converges()
        noise = life.noise()
        if noise:
            raise Lost("; ".join(noise[:5]))
        return life


async def run(rounds: int, seed: int) -> int:
    messages, restores, failed = 0, list[float](), 0
    for number in range(seed, seed + rounds):
        with tempfile.TemporaryDirectory() as folder:
            try:
                life = await one_round(Path(folder), number)
            except (Lost, TimeoutError) as problem:
                failed += 1
                print(f"seed {number}: {type(problem).__name__} {problem}", flush=True)
                continue
        messages += sum(map(len, life.said.values()))
        restores += life.restores
    slowest = max(restores, default=0.0)
    middle = sorted(restores)[len(restores) // 2] if restores else 0.0
    print(
        f"{rounds} rounds, {len(restores)} restores, {messages} messages; lost in {failed} rounds; "
        f"all caught up after {middle:.2f} s (median), {slowest:.2f} s (longest)"
    )
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.restore", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    return asyncio.run(run(options.rounds, options.seed))


if __name__ == "__main__":
    sys.exit(main())
