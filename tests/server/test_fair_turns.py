"""Turns are fair by account, and none is lost (O-07)."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.server.fair_turns import FairTurns
from tests.client.parts import a_moment


class Court:
    """Accounts that come for a turn, and the order in which they had it."""

    def __init__(self, at_once: int = 1) -> None:
        self.turns = FairTurns(at_once)
        self.had: list[int] = []
        self.inside = self.most = 0

    def come(self, account: int) -> asyncio.Task[None]:
        return asyncio.create_task(self._come(account))

    async def _come(self, account: int) -> None:
        async with self.turns.of(account):
            self.had.append(account)
            self.inside += 1
            self.most = max(self.most, self.inside)
            try:
                await a_moment()
            finally:
                self.inside -= 1


async def test_o_07_who_comes_with_many_waits_no_less_and_others_no_longer() -> None:
    court = Court()
    crowd = [court.come(1) for _ in range(50)]
    await a_moment()
    others = [court.come(account) for account in (2, 3, 2)]
    await asyncio.gather(*others)
    assert court.had[:7].count(1) <= 4, "between two turns of the crowd's everybody else had one"
    await asyncio.gather(*crowd)
    assert court.had.count(1) == 50


async def test_o_07_of_one_account_first_come_is_first_served() -> None:
    turns, had = FairTurns(1), list[int]()

    async def come(number: int) -> None:
        async with turns.of(7):
            had.append(number)
            await a_moment()

    await asyncio.gather(*(come(number) for number in range(10)))
    assert had == list(range(10))


async def test_o_07_a_mistake_inside_gives_the_turn_back() -> None:
    turns = FairTurns(1)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with turns.of(1):
                1 // 0  # noqa: B018 - a mistake
    async with asyncio.timeout(1), turns.of(2):
        pass


async def play(at_once: int, steps: list[tuple[int, bool]]) -> Court:
    court = Court(at_once)
    tasks = [(court.come(account), gives_up) for account, gives_up in steps]
    for number, (task, gives_up) in enumerate(tasks):
        if number % 3 == 0:
            await a_moment()
        if gives_up:
            task.cancel()
    await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
    return court


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 3), st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=30))
def test_o_07_whoever_gives_up_no_turn_is_lost_and_none_too_many_given(
    at_once: int, steps: list[tuple[int, bool]]
) -> None:
    court = asyncio.run(play(at_once, steps))
    assert court.most <= at_once
    assert court.turns._free == at_once
    assert not court.turns._waiting
