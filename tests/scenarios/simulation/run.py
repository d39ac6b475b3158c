"""Runs one seed from beginning to end."""

import random
from collections import Counter
from dataclasses import dataclass

from securechat.client import records
from securechat.client.events import Standing
from securechat.client.records import ConversationRecord
from tests.scenarios.simulation.acts import acts
from tests.scenarios.simulation.ending import end
from tests.scenarios.simulation.evil import BY_MALLORY, MALLORY, STORIES
from tests.scenarios.simulation.oracle import watching
from tests.scenarios.simulation.people import NAMES, Cast, cast
from tests.scenarios.simulation.virtual import VirtualLoop, running
from tests.scenarios.simulation.world import ROOM, World


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a seed."""

    seed: int
    story: str
    happened: bool
    noticed: bool
    healed: bool
    hidden: int
    """Messages that were withheld from somebody who never learnt it."""
    told: Counter[str]
    wrong: tuple[str, ...]
    trace: tuple[str, ...]

    def report(self) -> str:
        return "\n".join(
            (f"seed {self.seed}: {self.story}", *self.trace, *(f"WRONG: {w}" for w in self.wrong))
        )


def run(seed: int, story: str | None = None) -> Outcome:
    """Play a seed; ``story`` only to try one on purpose."""
    chosen = story or list(STORIES)[seed % len(STORIES)]
    made = cast()
    with running(f"{seed}") as loop:
        return loop.run_until_complete(_play(loop, made, seed, chosen))


async def _play(loop: VirtualLoop, made: Cast, seed: int, story: str) -> Outcome:
    world = World(loop, made, random.Random(f"{seed} acts"), random.Random(f"{seed} wire"))
    with watching(world.oracle):
        return await _watched(world, seed, story)


async def _watched(world: World, seed: int, story: str) -> Outcome:
    try:
        await _begin(world, with_mallory=story in BY_MALLORY)
        await acts(world, world.random.randint(1, 4))
        world.note(f"-- {story}")
        before = _told(world)
        lies = await STORIES[story](world)
        await end(world)
        told = _told(world) - before
    finally:
        await world.end()
    oracle = world.oracle
    held = any(record.held for record in _stays(world))
    return Outcome(
        seed=seed,
        story=story,
        happened=bool(lies),
        noticed=bool(told),
        healed=not held and not oracle.wrong,
        hidden=oracle.hidden,
        told=told,
        wrong=tuple(oracle.wrong),
        trace=tuple(world.trace),
    )


async def _begin(world: World, *, with_mallory: bool) -> None:
    """Three or four are in a room; alice made it."""
    honest = NAMES[:-1]
    others = honest[1 : world.random.randint(3, 4)]
    if with_mallory:
        others = (*others, MALLORY)
        world.oracle.evil.add(MALLORY)
    world.begin(honest if not with_mallory else NAMES)
    await world.go(1)
    alice = world.people["alice"].client
    assert alice is not None
    await alice.create_room(ROOM)
    for name in others:
        await alice.invite(ROOM, name)
    await world.go(2)


def _told(world: World) -> Counter[str]:
    told: Counter[str] = Counter()
    for person in world.honest():
        told += world.oracle.told.get(person.name, Counter())
    return told


def _stays(world: World) -> list[ConversationRecord]:
    return [
        record
        for person in world.honest()
        for record in records.every(person.store.db)
        if record.state is Standing.JOINED
    ]
