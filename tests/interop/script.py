"""A random script: a group of both kinds of members goes through many steps and agrees after each commit."""

from dataclasses import dataclass
from random import Random
from typing import Final

from securechat.mls.cipher_suite import cipher_suite
from tests.interop.peer import Peer
from tests.interop.steps import STEPS
from tests.interop.world import World

TRIES: Final = 50
"""How many steps in a row may not be possible."""


class ScriptFailed(Exception):
    """Something went wrong; the text says how to have it again, and what happened before."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a script did."""

    version: str
    suite: int
    seed: int
    steps: int
    counts: dict[str, int]

    def __str__(self) -> str:
        head = f"ts-mls {self.version}, suite {self.suite:#06x}, seed {self.seed}: {self.steps} steps"
        return "\n".join([head, *(f"  {self.counts[what]:6}  {what}" for what in sorted(self.counts))])


def run_script(peer: Peer, *, suite: int, seed: int, steps: int) -> Report:
    """Do ``steps`` random steps; ScriptFailed if members disagree or refuse each other."""
    world = World(peer, cipher_suite(suite), Random(f"{peer.major} {suite} {seed}"))
    done = 0
    try:
        world.begin(b"interop", ours_first=seed % 2 == 0)
        while done < steps:
            one_step(world)
            done += 1
    except Exception as error:
        tale = "\n  ".join(world.tale)
        raise ScriptFailed(
            f"ts-mls {peer.version}, suite {suite}, seed {seed}, step {done + 1}: "
            f"{type(error).__name__}: {error}\nbefore that:\n  {tale}"
        ) from error
    world.counts["most members"] = world.most
    return Report(peer.version, suite, seed, done, dict(world.counts))


def one_step(world: World) -> None:
    """Do one step; those that are not possible now are passed over."""
    names = list(STEPS)
    for _ in range(TRIES):
        step = world.rng.choices(names, weights=list(STEPS.values()))[0]
        if step(world):
            world.counts[f"steps: {step.__name__}"] += 1
            return
    raise ScriptFailed(f"{TRIES} steps in a row were not possible")
