"""Whatever happens in whatever order: nothing lost, nothing twice, nobody apart (Q-01, M-09)."""

import asyncio
import os
import random

import pytest

from securechat.client import intents
from securechat.client.intents import What
from tests.scenarios.evil import CutLines, Flipped
from tests.scenarios.test_rooms import room_of_three
from tests.scenarios.world import PATIENCE, Person, World, in_one_epoch

SEEDS = range(int(os.environ.get("SECURECHAT_CHAOS_SEEDS", "2")))
STEPS = 60


class Chaos:
    """Does one thing after the other to a room of three, drawn from a seed."""

    def __init__(
        self,
        world: World,
        people: tuple[Person, ...],
        lines: CutLines,
        *,
        seed: int,
        tags: Flipped | None = None,
    ) -> None:
        self.world = world
        self.people = people
        self.lines = lines
        self.tags = tags
        self.random = random.Random(seed)
        self.said: dict[str, list[str]] = {person.name: [] for person in people}
        self.away: set[str] = set()

    async def step(self) -> None:
        person = self.random.choice(self.people)
        if self.tags is not None:
            self.tags.on = self.random.random() < 0.2
        happenings = [self.says] * 12 + [self.renews] * 4 + [self.cut] * 3 + [self.goes_or_comes] * 3
        await self.random.choice([*happenings, self.server_restarts])(person)

    async def says(self, person: Person) -> None:
        if person.name not in self.away:
            text = f"{person.name} {len(self.said[person.name])}"
            self.said[person.name].append(text)
            await person.client.send("#team", text)

    async def renews(self, person: Person) -> None:
        if person.name not in self.away:
            with person.client._engine.changes.change() as change:
                record = person.client._verbs.record("#team")
                intents.add_once(change.db, record.id, What.UPDATE)
                change.wake(record.id)

    async def cut(self, _: Person) -> None:
        if self.random.random() < 0.5:
            self.lines.answers_to_lose = self.random.randrange(1, 4)
        else:
            self.lines.pushes_to_break = self.random.randrange(1, 4)

    async def goes_or_comes(self, person: Person) -> None:
        if person.name in self.away:
            self.away.discard(person.name)
            await person.open()
        else:
            self.away.add(person.name)
            await person.close()

    async def server_restarts(self, _: Person) -> None:
        await self.world.stop_server()
        await self.world.start_server()

    async def settle(self) -> None:
        self.lines.answers_to_lose = self.lines.pushes_to_break = 0
        if self.tags is not None:
            self.tags.on = False
        for person in self.people:
            if person.name in self.away:
                await person.open()
        self.away.clear()
        for person in self.people:
            assert await person.client.drained(PATIENCE)
        for person in self.people:
            await person.client.caught_up()


@pytest.mark.parametrize("seed", SEEDS)
async def test_after_any_schedule_everybody_has_heard_everything_once_and_in_order(
    world: World, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    lines = CutLines(monkeypatch)
    people = await room_of_three(world)
    chaos = Chaos(world, people, lines, seed=seed)

    for _ in range(STEPS):
        await chaos.step()
        if chaos.random.random() < 0.3:
            await asyncio.sleep(chaos.random.random() * 0.05)
    await chaos.settle()

    for person in people:
        for sender, texts in chaos.said.items():
            if sender != person.name and texts:
                await person.hears(texts[-1])
                assert [text for text in person.heard() if text.startswith(f"{sender} ")] == texts
    assert await in_one_epoch(*people)
    assert all(len(set(bodies)) == 1 for bodies in lines.seen.values())


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_server_that_breaks_tags_on_top_cannot_end_the_group(
    world: World, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """M-15: what was said in an epoch that some could not open is lost to them, and said so; nothing else."""
    lines, tags = CutLines(monkeypatch), Flipped(monkeypatch, "commit")
    people = await room_of_three(world)
    chaos = Chaos(world, people, lines, seed=seed, tags=tags)

    for _ in range(STEPS):
        await chaos.step()
    await chaos.settle()
    for _ in range(2):
        for person in people:
            await person.says("#team", f"{person.name} is here")
        await chaos.settle()

    for person in people:
        for other in people:
            if other is not person:
                assert person.heard().count(f"{other.name} is here") == 2
        for sender, texts in chaos.said.items():
            heard = [text for text in person.heard() if text in texts]
            assert heard == [text for text in texts if text in heard], sender
    assert await in_one_epoch(*people)
