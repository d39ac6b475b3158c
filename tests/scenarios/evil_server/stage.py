"""A few people with real clients and stores, a real server, and somebody in each line who may lie.

All on a clock that is only a number: sixty seconds pass in no time, and the same lie is told in the
same way in every run.
"""

import asyncio
import functools
import inspect
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Concatenate, Final, ParamSpec, TypeVar
from unittest import mock

from securechat.client.client import Client
from securechat.client.engine import Engine
from securechat.client.events import (
    Disconnected,
    Event,
    Held,
    Invited,
    MessageReceived,
    MessageRefused,
    Notice,
    NotShown,
    Removed,
    Undecryptable,
)
from securechat.client.records import ConversationRecord
from securechat.membership import passwords
from tests.scenarios.evil_server.liar import Liar
from tests.scenarios.evil_server.seals import Seals, guarding
from tests.scenarios.simulation.face import Face
from tests.scenarios.simulation.oracle import watching
from tests.scenarios.simulation.people import Cast, Person, cast, cheap
from tests.scenarios.simulation.virtual import VirtualLoop, running
from tests.scenarios.simulation.world import ROOM, World

NAMED_WITHIN: Final = 60.0
"""Seconds within which a lie has to be named to whom it was told."""

STEP: Final = 0.25
"""Seconds of the virtual clock between two looks."""

NO_TROUBLE: Final = frozenset({"disconnected", "first_met", "invited"})
"""What people are told although nobody lied to them."""

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody was told of something that is not as it should be."""

    at: float
    code: str
    text: str
    conversation: str


@dataclass
class Stage:
    """One story's."""

    world: World
    seals: Seals
    liars: dict[str, Liar] = field(default_factory=dict)
    told: dict[str, list[Told]] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)

    def begin(self, names: tuple[str, ...]) -> None:
        for name in names:
            self.liars[name] = Liar()
            self.world.between[name] = self.liars[name].sit_in
        self.world.begin(names)
        for name in names:
            person = self.world.people[name]
            self.seals.owners.made(person)
            person.hears = functools.partial(self._hear, name, person.hears)

    def person(self, name: str) -> Person:
        return self.world.people[name]

    def client(self, name: str) -> Client:
        client = self.person(name).client
        assert client is not None
        return client

    def engine(self, name: str) -> Engine:
        engine = self.person(name).engine
        assert engine is not None
        return engine

    @property
    def face(self) -> Face:
        return self.world.face

    def liar(self, name: str) -> Liar:
        return self.liars[name]

    def record(self, name: str, conversation: str = ROOM) -> ConversationRecord:
        record = self.world.record(self.person(name), conversation)
        assert record is not None
        return record

    def group(self, name: str, conversation: str = ROOM) -> bytes:
        group = self.record(name, conversation).group_id
        assert group is not None
        return group

    def members(self, name: str, conversation: str = ROOM) -> list[str]:
        return [each.user for each in self.client(name).conversation(conversation).members]

    def say(self, name: str, text: str, to: str = ROOM) -> None:
        """Have somebody write something; it may take long, and it may be refused."""
        self.world.do(self.world._send(self.person(name), to, text))

    async def says(self, name: str, text: str, to: str = ROOM) -> None:
        """Write something, and wait until the server has it."""
        self.say(name, text, to)
        await self.until(lambda: self._sent(name, text) or None)

    async def hears(self, name: str, text: str) -> MessageReceived:
        return await self.until(lambda: self._heard(name, text))

    async def room(self, owner: str, *others: str, name: str = ROOM, announcement: bool = False) -> None:
        """Make a room with these people in it; afterwards all know each other's keys."""
        await self.client(owner).create_room(name, announcement=announcement)
        for other in others:
            await self.client(owner).invite(name, other)
        everybody = {owner, *others}
        await self.until(lambda: self._are_in(everybody, name) or None)

    async def is_told(self, name: str, code: str, *, since: float = 0.0) -> Told:
        """Wait until somebody is told of a lie: at most a minute."""

        def find() -> Told | None:
            told = self.told.get(name, [])
            return next((each for each in told if each.code == code and each.at >= since), None)

        return await self.until(find, lambda: f"{name} was told {self.told.get(name, [])}, not {code}")

    def is_told_nothing(self, name: str) -> bool:
        return not [each for each in self.told.get(name, []) if each.code not in NO_TROUBLE]

    async def until(
        self, find: Callable[[], T | None], otherwise: Callable[[], str] = lambda: "it did not happen"
    ) -> T:
        """Wait for something: at most a minute of the virtual clock."""
        end = self.world.loop.passed + NAMED_WITHIN
        while (found := find()) is None:
            assert self.world.loop.passed < end, "\n".join((*self.world.trace, otherwise()))
            await asyncio.sleep(STEP)
        return found

    async def go(self, seconds: float = NAMED_WITHIN) -> None:
        await asyncio.sleep(seconds)

    def learn(self, name: str, code: str, text: str) -> None:
        """Somebody is told something by a command that comes to nothing."""
        self.world.note(f"    {name} is told {code}: {text}")
        self.told.setdefault(name, []).append(Told(self.world.loop.passed, code, text, ""))

    def _hear(self, name: str, then: Callable[[Event], None], event: Event) -> None:
        self.events.setdefault(name, []).append(event)
        code, text = _trouble(event)
        if code:
            conversation = getattr(event, "conversation", "")
            told = Told(self.world.loop.passed, code, text, conversation)
            self.told.setdefault(name, []).append(told)
        then(event)

    def _sent(self, name: str, text: str) -> bool:
        row = self.person(name).store.db.execute(
            "SELECT 1 FROM message WHERE text = ? AND state = 'sent'", (text,)
        )
        return row.fetchone() is not None

    def _heard(self, name: str, text: str) -> MessageReceived | None:
        for event in self.events.get(name, []):
            if isinstance(event, MessageReceived) and event.message.text == text:
                return event
        return None

    def _are_in(self, everybody: set[str], name: str) -> bool:
        found = [self.world.record(self.person(each), name) for each in everybody]
        joined = [each for each in found if each is not None and each.may_send]
        return len(joined) == len(everybody) and len({each.epoch for each in joined}) == 1


def _trouble(event: Event) -> tuple[str, str]:
    match event:
        case Held() | Notice() | MessageRefused():
            return event.code, event.text
        case Undecryptable() | NotShown():
            return event.code, ""
        case Removed():
            return "removed", event.by
        case Disconnected():
            return "disconnected", event.reason
        case Invited():
            return "invited", event.by
        case _:
            return "", ""


Story = Callable[Concatenate[Stage, P], Awaitable[None]]
Prelude = Callable[[Stage], Awaitable[None]]
"""What has happened before; played once, and many stories begin after it."""


def on_stage(*names: str, after: Prelude | None = None) -> Callable[[Story[P]], Callable[P, None]]:
    """Make a test of a story with these people in it."""

    def decorate(story: Story[P]) -> Callable[P, None]:
        def test(*args: P.args, **kwargs: P.kwargs) -> None:
            play(lambda stage: story(stage, *args, **kwargs), names, after=after)

        functools.update_wrapper(test, story)
        del test.__dict__["__wrapped__"]
        parameters = list(inspect.signature(story).parameters.values())[1:]
        test.__dict__["__signature__"] = inspect.Signature(parameters)
        return test

    return decorate


def play(
    story: Prelude, names: tuple[str, ...], seed: str = "a lie", *, after: Prelude | None = None
) -> Stage:
    """Play a story; afterwards nothing may have happened that must never happen."""
    stage = perform(story, names, seed, after=after)
    oracle = stage.world.oracle
    assert not oracle.wrong, "\n".join((*stage.world.trace, *oracle.wrong))
    return stage


def perform(story: Prelude, names: tuple[str, ...], seed: str, *, after: Prelude | None = None) -> Stage:
    """Play a story; what went wrong is in the world's oracle."""
    made = cast() if after is None else _cast_after(after, names)
    with running(seed) as loop:
        loop.passed = 0.0 if after is None else NAMED_WITHIN
        return loop.run_until_complete(_played(loop, made, story, names, seed))


@functools.cache
def _cast_after(prelude: Prelude, names: tuple[str, ...]) -> Cast:
    """The server and the profiles as a prelude leaves them."""
    left: list[Cast] = []

    async def story(stage: Stage) -> None:
        await prelude(stage)
        await stage.go(5)  # nothing is under way any more
        stores = {name: stage.person(name).store.snapshot() for name in names}
        left.append(replace(stage.world.cast, server=stage.face.snapshot(), stores=stores))

    play(story, names, "a prelude")
    return left[0]


async def _played(loop: VirtualLoop, made: Cast, story: Prelude, names: tuple[str, ...], seed: str) -> Stage:
    world = World(loop, made, random.Random(f"{seed} acts"), random.Random(f"{seed} wire"))
    stage = Stage(world, Seals(world))
    # What fails in a callback, a lie of ours or the code that hears it, must not pass by unseen.
    loop.set_exception_handler(
        lambda _, context: world.oracle.complain(f"{context['message']}: {context.get('exception')!r}")
    )
    with (
        watching(world.oracle),
        guarding(stage.seals),
        mock.patch.object(passwords, "_argon2id", cheap),  # no story is about what a guess costs
    ):
        try:
            stage.begin(names)
            await stage.go(1)
            await story(stage)
        finally:
            await world.end()
    return stage
