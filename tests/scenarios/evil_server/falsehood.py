"""What a lie of a random run is: how it is told, what brings it up, and what names it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from tests.scenarios.evil_server.lies import Lie
from tests.scenarios.evil_server.stage import NAMED_WITHIN, Stage

HONEST: Final = ("alice", "bob", "carol", "dave")

Occasion = Callable[[Stage, str], Awaitable[None]]
"""What honest people do meanwhile, so that the lie comes up."""


@dataclass(frozen=True, slots=True)
class Falsehood:
    """One kind of lie."""

    tell: Lie
    names: frozenset[str]
    """The codes by which its victim may learn of it; none: it has no effect."""
    occasion: Occasion
    within: float = NAMED_WITHIN
    """Seconds until it has to be named; more where a client says itself how long it waits."""


async def nothing(stage: Stage, victim: str) -> None:
    del victim
    await stage.go(2)


def whom(victim: str) -> str:
    """Return of whom the server lies to somebody."""
    return HONEST[(HONEST.index(victim) + 1) % len(HONEST)]
