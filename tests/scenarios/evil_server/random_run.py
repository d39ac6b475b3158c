"""Lives of a few people under a server that lies at random; its checker believes no check of theirs.

In each life people talk, their groups change, lines break, and about every other action is a lie to one of
them. Afterwards no plaintext was sealed to a key that nobody approved of (`seals.py`), no message was
shown under a name it is not known to be of (the simulation's oracle), and each lie that came up was
named to whom it was told within a minute of the virtual clock.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from securechat.client.sentences import STOPPED
from tests.scenarios.evil_server.accomplices import a_server_that_looks_away, overstepping, ruthless
from tests.scenarios.evil_server.falsehood import HONEST, Falsehood
from tests.scenarios.evil_server.falsehoods import FALSEHOODS, talk
from tests.scenarios.evil_server.stage import NAMED_WITHIN, STEP, Stage, perform
from tests.scenarios.evil_server.undue import UNDUE, with_roles_given
from tests.scenarios.simulation import acts
from tests.scenarios.simulation.people import NAMES
from tests.scenarios.simulation.world import ROOM

COLLUDES = 0.1
"""How many of the lies a member helps with."""

LIFE: Final = 15
"""Actions in a life, if it does not end before."""

MALLORY: Final = "mallory"

QUIET: Final = 10.0
"""Seconds in which everything that is under way comes to its end."""


HONEST_ACTS: Final[tuple[tuple[acts.Act, float], ...]] = (
    (acts.talk, 6),
    (acts.talk_much, 1),
    (acts.talk_to_one, 3),
    (acts.fresh_keys, 2),
    (acts.restart, 1),
    (acts.cut, 1),
    (acts.wait, 1),
)


@dataclass
class Outcome:
    """What came of a run."""

    seed: str
    first: int
    """The number of the first life."""
    actions: int = 0
    lives: int = 0
    told: Counter[str] = field(default_factory=Counter)
    """How often each lie came up."""
    named: Counter[str] = field(default_factory=Counter)
    """By which code it was named."""
    slowest: float = 0.0
    """Seconds of the virtual clock until a lie was named, at most, of those that have a minute."""
    messages: int = 0
    """Ciphertexts whose group was looked at."""
    commits: int = 0
    links: int = 0
    """Accounts that were passed on to a new device, which was looked at."""
    misled: bool = False
    """Whether somebody in this life has been told a log otherwise."""
    wrong: list[str] = field(default_factory=list)
    trace: list[str] = field(default_factory=list)


def run(actions: int, seed: str, *, first: int = 0) -> Outcome:
    """Play lives until there were so many actions, or something is wrong."""
    outcome = Outcome(seed, first)
    while outcome.actions < actions and not outcome.wrong:
        life = f"{seed}/{first + outcome.lives}"
        most = min(LIFE, actions - outcome.actions)
        with a_server_that_looks_away():
            stage = perform(partial(_live, outcome=outcome, most=most), NAMES, life, after=a_company)
        outcome.lives += 1
        outcome.messages += stage.seals.messages
        outcome.commits += stage.seals.commits
        outcome.links += stage.seals.links
        outcome.wrong += [f"life {life}: {each}" for each in stage.world.oracle.wrong]
        outcome.trace = stage.world.trace
    return outcome


async def a_company(stage: Stage) -> None:
    """All are in one room, where mallory may only read; everybody knows everybody's keys."""
    await with_roles_given(stage)
    for name in HONEST:
        stage.world.send(name, ROOM)
    await stage.go(5)


async def _live(stage: Stage, *, outcome: Outcome, most: int) -> None:
    world = stage.world
    world.oracle.evil.add(MALLORY)
    outcome.misled = False
    for _ in range(most):
        outcome.actions += 1
        if world.random.random() < 0.5:
            await _act_honestly(stage)
        elif world.random.random() < COLLUDES:
            await _collude(stage, outcome)
        else:
            await _lie(stage, outcome)
        if world.oracle.wrong or not _who_can_be_told(stage):
            break
    await stage.go(5)


async def _act_honestly(stage: Stage) -> None:
    doings, weights = zip(*HONEST_ACTS, strict=True)
    (doing,) = stage.world.random.choices(doings, weights)
    await doing(stage.world)
    await stage.go(stage.world.random.choice((0.0, 0.3, 2.0)))


def _who_can_be_told(stage: Stage) -> list[str]:
    """Of whom something is to be expected yet: who holds everything is told nothing that counts."""
    return [name for name in HONEST if stage.world.people[name].engine and stage.record(name).may_send]


async def _lie(stage: Stage, outcome: Outcome) -> None:
    world = stage.world
    victim = world.random.choice(_who_can_be_told(stage))
    name = world.random.choice(list(FALSEHOODS))
    lie, liar = FALSEHOODS[name](), stage.liar(victim)
    if lie.occasion is talk:
        if not _all_know_the_log(stage, outcome):
            return
        outcome.misled = True
    await stage.go(2)  # what is told in the place of something else has to come before it
    while stage.engine(victim).connected is None:
        await stage.go(STEP)
    before, since = liar.lies, world.loop.passed
    world.note(f"the server lies to {victim}: {name}")
    lie.tell(stage, victim)
    await lie.occasion(stage, victim)
    if liar.lies > before:
        outcome.told[name] += 1
        await _await_its_name(stage, outcome, victim, name, lie, since)
    liar.repent()
    liar.cut()
    await stage.go(3)
    _go_on(stage, victim)
    await stage.go(2)


def _all_know_the_log(stage: Stage, outcome: Outcome) -> bool:
    """Whether there are others to learn from what a log holds: who was misled before is no witness."""
    return not outcome.misled and len(_who_can_be_told(stage)) == len(HONEST)


async def _await_its_name(
    stage: Stage, outcome: Outcome, victim: str, name: str, lie: Falsehood, since: float
) -> None:
    """Go on with life until the victim was told, at most a minute."""
    world = stage.world
    while lie.names:
        told = [each for each in stage.told.get(victim, []) if each.at >= since and each.code in lie.names]
        if told:
            outcome.named[told[0].code] += 1
            if lie.within == NAMED_WITHIN:
                outcome.slowest = max(outcome.slowest, told[0].at - since)
            return
        if world.loop.passed > since + lie.within:
            world.oracle.complain(f"{victim} was not told within {lie.within / 60:.0f} minutes: {name}")
            return
        if world.random.random() < STEP / 8:
            await talk(stage, victim)
        await stage.go(STEP)


def _go_on(stage: Stage, victim: str) -> None:
    """The user has seen why, and goes on where that can be."""
    record = stage.record(victim)
    if record.held and record.held_code not in STOPPED and record.held_code != "identity_changed":
        stage.world.oracle.released(victim, record.group_id)
        stage.world.do(stage.client(victim).release(ROOM))


async def _collude(stage: Stage, outcome: Outcome) -> None:
    """Mallory does what the server alone can't; it is the room's end, or nothing is heard of it."""
    world = stage.world
    name = world.random.choice(list(UNDUE))
    await stage.go(QUIET)  # what she wanted honestly is done, or is not going to be
    undue, listeners, since = UNDUE[name], _who_can_be_told(stage), world.loop.passed
    world.note(f"mallory {name}, and the server lets it pass")
    before = _said_by_mallory(stage)
    if undue.plan is not None:
        with overstepping(stage, MALLORY, undue.plan(stage)):
            await stage.go(8)
    else:
        with ruthless(MALLORY):
            world.send(MALLORY, ROOM)
            await stage.go(8)
    if _said_by_mallory(stage) == before:
        return  # she has no place in the group to do it from
    outcome.told[f"mallory {name}"] += 1
    for listener in listeners:
        told = [each for each in stage.told.get(listener, []) if each.at >= since and each.code == undue.code]
        if told:
            outcome.named[undue.code] += 1
        elif stage.record(listener).held_code not in STOPPED:
            world.oracle.complain(f"{listener} was not told: mallory {name}")


def _said_by_mallory(stage: Stage) -> int:
    client = stage.person(MALLORY).keys.client
    log = stage.face.log(stage.group(MALLORY))
    return sum(stage.face.caller(number).name == client for _, _, _, number, _ in log)
