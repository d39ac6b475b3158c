"""A client crashes at each change of its store while it brings a restored server up to now (N-03, C-02).

Before the commit and after it. Whoever comes back goes on where it was: what was said is there once,
everybody is in one epoch, and nothing is sealed twice under one key (D-06).
"""

import asyncio
import itertools
import os

import pytest

from securechat.client.events import Held, Undecryptable
from tests.faults.generations import watching_generations
from tests.scenarios.test_crash_points import CrashingChanges, crash_and_restart
from tests.scenarios.test_restored import SAID, a_lost_day, bring_back, settled, texts
from tests.scenarios.world import PATIENCE, World, in_one_epoch

LAST = 24
"""Changes of one who catches up, and some more."""

CASES = list(itertools.product(range(1, LAST + 1), range(3), [False, True]))[
    :: 1 if os.environ.get("SECURECHAT_ALL_CRASHES") else 17
]
"""At which change, whose, and whether it was committed; in short, each of them is there."""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("point", "who", "committed"), CASES)
async def test_n_03_a_crash_amid_the_catching_up_loses_nothing_and_repeats_nothing(
    world: World, point: int, who: int, *, committed: bool
) -> None:
    with watching_generations() as oracle:
        people, copy = await a_lost_day(world)
        for person in people:
            await person.close()
        await bring_back(world, copy)

        victim = people[who]
        await victim.open()
        crashing = CrashingChanges(victim.client, point, committed=committed)
        over = asyncio.ensure_future(crashing.over.wait())
        caught_up = asyncio.ensure_future(settled(victim))
        await asyncio.wait((over, caught_up), return_when=asyncio.FIRST_COMPLETED)
        for task in (over, caught_up):
            task.cancel()
        await asyncio.gather(over, caught_up, return_exceptions=True)
        await crash_and_restart(victim)
        others = [person for person in people if person is not victim]
        for person in others:
            await person.open()
        await settled(*people)
        for person in people:
            await person.says("#team", f"{person.name} goes on")
            for other in people:
                if other is not person:
                    await other.hears(f"{person.name} goes on")

        oracle.judge()
    for person in people:
        assert texts(person, "#team") == [*SAID, *(f"{each.name} goes on" for each in people)]
        assert [event for event in person.events if isinstance(event, Undecryptable | Held)] == []
    assert texts(people[0], "@bob") == ["hi alice", "hi bob"]
    assert texts(people[1], "@alice") == ["hi alice", "hi bob"]
    assert await in_one_epoch(*people)
    assert await people[who].client.drained(PATIENCE)
