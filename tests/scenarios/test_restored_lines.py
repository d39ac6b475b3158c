"""Copies of different lines are restored one after the other: an operator tries what there is (N-03).

Each restore begins a line of its own. A copy may be of the line before the last restore, or of one
that was given up long ago, older or newer than what is in use.
"""

import itertools
import os
from pathlib import Path

import pytest

from securechat.client.events import Held, Undecryptable
from tests.faults.generations import watching_generations
from tests.scenarios.test_restored import (
    SAID,
    a_lost_day,
    bring_back,
    copy_of,
    renews,
    settled,
    texts,
)
from tests.scenarios.world import Person, World, in_one_epoch

ALL = bool(os.environ.get("SECURECHAT_ALL_RESTORES"))
ORDERS = [
    order
    for length in (2, 3)
    for order in itertools.product(["morning", "evening", "second"], repeat=length)
    if order[0] != "second"
]
SHORT = [("morning", "evening"), ("evening", "morning"), ("morning", "evening", "second")]


async def lives_on(people: tuple[Person, ...], day: str) -> None:
    """A day of talk and a change, in the line that is in use."""
    await settled(*people)
    for person in people:
        await person.says("#team", f"{person.name} {day}")
        for other in people:
            if other is not person:
                await other.hears(f"{person.name} {day}")
    await renews(people[len(day) % len(people)])
    await settled(*people)


@pytest.mark.parametrize("order", ORDERS if ALL else SHORT, ids="-".join)
@pytest.mark.parametrize("connected", [True, False], ids=["connected", "away"])
async def test_n_03_copies_of_different_lines_one_after_the_other(
    world: World, order: tuple[str, ...], *, connected: bool
) -> None:
    with watching_generations() as oracle:
        people, morning = await a_lost_day(world)
        copies: dict[str, Path] = {"morning": morning, "evening": copy_of(world, "evening.db")}
        said = list(SAID)
        await lives_on(people, "night")
        said += [f"{person.name} night" for person in people]
        for number, name in enumerate(order):
            for person in people if not connected else ():
                await person.close()
            await bring_back(world, copies[name])
            for person in people if not connected else ():
                await person.open()
            if number == 0:
                await settled(*people)
                copies["second"] = copy_of(world, "second.db")
            await lives_on(people, f"day {number}")
            said += [f"{person.name} day {number}" for person in people]
        oracle.judge()

    for person in people:
        assert texts(person, "#team") == said
        assert [event for event in person.events if isinstance(event, Undecryptable | Held)] == []
    assert texts(people[0], "@bob") == ["hi alice", "hi bob"]
    assert await in_one_epoch(*people)
