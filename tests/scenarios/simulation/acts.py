"""What honest people and honest machines do, drawn at random: they talk, come, go, race and break."""

from collections.abc import Awaitable, Callable
from typing import Final

from securechat.client.intents import What
from tests.scenarios.simulation.people import Person
from tests.scenarios.simulation.world import ROOM, World

LONGEST_PAUSE: Final = 1.5
"""Seconds between two acts, drawn; often the next begins before the last has ended."""


async def act(world: World) -> None:
    """Do one thing."""
    names, weights = zip(*((each, weight) for each, weight in ACTS), strict=True)
    (chosen,) = world.random.choices(names, weights)
    await chosen(world)
    pause = world.random.choice((0.0, 0.02, 0.3, LONGEST_PAUSE))
    await world.go(world.random.uniform(0, pause))


async def acts(world: World, count: int) -> None:
    for _ in range(count):
        await act(world)


def _somebody(world: World, among: list[Person] | None = None) -> Person | None:
    people = [each for each in (world.honest() if among is None else among) if each.engine is not None]
    return world.random.choice(people) if people else None


async def talk(world: World) -> None:
    person = _somebody(world, world.members())
    if person is not None:
        world.send(person.name, ROOM)


async def talk_to_one(world: World) -> None:
    person = _somebody(world)
    others = [each.name for each in world.honest() if each is not person]
    if person is not None and others:
        world.send(person.name, f"@{world.random.choice(others)}")


async def talk_much(world: World) -> None:
    person = _somebody(world, world.members())
    for _ in range(world.random.randint(2, 5)):
        if person is not None:
            world.send(person.name, ROOM)


async def fresh_keys(world: World) -> None:
    """Several commit for one epoch (M-09)."""
    members = world.members()
    for person in world.random.sample(members, min(len(members), world.random.randint(1, 3))):
        world.note(f"{person.name} wants fresh keys")
        world.want(person.name, What.UPDATE)


async def invite(world: World) -> None:
    by, other = _somebody(world, world.members()), _somebody(world)
    if by is not None and other is not None and by.client is not None and by is not other:
        world.note(f"{by.name} invites {other.name}")
        world.do(by.client.invite(ROOM, other.name))


async def remove(world: World) -> None:
    by, other = world.people["alice"], _somebody(world, world.members())
    if other is not None and by.client is not None and by is not other and len(world.members()) > 2:
        world.note(f"{by.name} removes {other.name}")
        world.do(by.client.remove(ROOM, other.name))


async def leave(world: World) -> None:
    person = _somebody(world, [each for each in world.members() if each.name != "alice"])
    if person is not None and person.client is not None and len(world.members()) > 2:
        world.note(f"{person.name} leaves")
        world.do(person.client.leave(ROOM))


async def restart(world: World) -> None:
    person = _somebody(world)
    if person is not None:
        world.note(f"{person.name} is killed and starts again")
        await world.restart(person)


async def cut(world: World) -> None:
    """What is under way on a line is lost, answers among it."""
    person = _somebody(world)
    if person is not None:
        world.note(f"the line of {person.name} is cut")
        world.cut(person.name)


async def power_loss(world: World) -> None:
    """The server ends between two moments and comes back with what was on its disk."""
    if world.sides:
        return
    world.note("the server is killed and starts again")
    world.replace_face(world.face.twin())


async def wait(world: World) -> None:
    await world.go(world.random.uniform(1, 8))


Act = Callable[[World], Awaitable[None]]

ACTS: Final[tuple[tuple[Act, float], ...]] = (
    (talk, 10),
    (talk_much, 3),
    (talk_to_one, 3),
    (fresh_keys, 3),
    (invite, 2),
    (remove, 1),
    (leave, 0.5),
    (restart, 1.5),
    (cut, 3),
    (power_loss, 0.7),
    (wait, 2),
)
