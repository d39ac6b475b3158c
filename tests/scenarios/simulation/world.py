"""One run: people, a server, what happens to them, and whether they agree at the end.

A seed decides everything. What happens is written into a trace, so that a run that went wrong can be
read; the same seed writes the same trace again.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final

from securechat.client import intents, records
from securechat.client.errors import ClientError
from securechat.client.events import (
    Connected,
    Disconnected,
    Event,
    Invited,
    MessageAcknowledged,
    Standing,
)
from securechat.client.intents import What
from securechat.client.records import ConversationRecord
from tests.scenarios.simulation.face import Face
from tests.scenarios.simulation.oracle import Oracle
from tests.scenarios.simulation.people import NAMES, Cast, Person, dial
from tests.scenarios.simulation.virtual import VirtualLoop
from tests.scenarios.simulation.wire import Line

ROOM: Final = "#team"

QUIET: Final = frozenset({Connected, Disconnected, MessageAcknowledged})
"""Events that say nothing to a reader of a trace."""


@dataclass
class World:
    """A server, the people of one run, and what has happened so far."""

    loop: VirtualLoop
    cast: Cast
    random: Random
    wire: Random
    oracle: Oracle = field(default_factory=Oracle)
    trace: list[str] = field(default_factory=list)
    people: dict[str, Person] = field(default_factory=dict)
    sides: dict[str, Face] = field(default_factory=dict)
    """Who sees another face than the main one."""
    between: dict[str, Callable[[Line], None]] = field(default_factory=dict)
    """Who has somebody sitting in their line."""
    machines: dict[int, str] = field(default_factory=dict)
    """Ports of machines that have no account yet, by what each is called in ``between``."""
    codes: dict[bytes, str] = field(default_factory=dict)
    """Epoch authenticators that were compared, in the order they were met."""
    counter: int = 0
    lied: bool = False
    """Whether the server ever kept from somebody what it showed to others."""

    def __post_init__(self) -> None:
        self.face = Face(self.cast.shop, self.wire, self.cast.server)
        self.loop.dial = self._dial
        self._doing: list[asyncio.Task[None]] = []

    # --- what the acts use ------------------------------------------------------------------------

    def note(self, text: str) -> None:
        self.trace.append(f"{self.loop.passed:9.3f}  {text}")

    async def go(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def honest(self) -> list[Person]:
        return [person for person in self.people.values() if person.name not in self.oracle.evil]

    def begin(self, names: tuple[str, ...]) -> None:
        for name in names:
            person = Person(name, self.cast.home, self.cast.stores[name], self.wire)
            person.hears = partial(self._hear, person)
            self.people[name] = person
            person.start()

    def face_of(self, name: str) -> Face:
        return self.sides.get(name, self.face)

    def do(self, what: Coroutine[Any, Any, object]) -> None:
        """Begin what a user asked for; it may take long, and it may be refused."""
        self._doing.append(self.loop.create_task(self._done(what)))

    def cut(self, name: str) -> None:
        line = self.face_of(name).lines.get(self.people[name].port)
        if line is not None:
            line.cut()

    def cut_everywhere(self, name: str) -> None:
        """Have somebody connect anew, whichever face they see."""
        for face in (self.face, *self.sides.values()):
            line = face.lines.get(self.people[name].port)
            if line is not None:
                line.cut()

    async def restart(self, person: Person, data: bytes | None = None) -> None:
        """Kill a client and start it again, perhaps with an older copy of its profile."""
        self.cut(person.name)
        await person.stop()
        if data is not None:
            person.restore(data)
            self.oracle.forgets(person.name)
        person.start()

    def replace_face(self, face: Face) -> None:
        """Another server has taken the place of the main one."""
        self.face.close()
        self.face = face

    def unite(self) -> None:
        """Only the main face is left, and it is as any honest server."""
        for other in {id(face): face for face in self.sides.values()}.values():
            other.close()
        self.sides.clear()
        self.face.on_named = lambda _face, _job: None

    def send(self, name: str, to: str) -> None:
        person = self.people[name]
        if person.client is None or person.engine is None:
            return
        self.counter += 1
        text = f"{name} says {self.counter}"
        self.do(self._send(person, to, text))

    def want(self, name: str, what: What, to: str = ROOM) -> None:
        """Have a client change a group as it does by itself now and then."""
        person = self.people[name]
        record = self.record(person, to)
        if record is not None and person.engine is not None and record.state is Standing.JOINED:
            with person.engine.changes.change() as change:
                intents.add_once(change.db, record.id, what)
                change.wake(record.id)

    def record(self, person: Person, name: str) -> ConversationRecord | None:
        return records.by_name(person.store.db, name)

    def members(self, name: str = ROOM) -> list[Person]:
        """Who takes itself for a member of a room."""
        found = []
        for person in self.people.values():
            record = self.record(person, name)
            if record is not None and record.state is Standing.JOINED and person.engine is not None:
                found.append(person)
        return found

    async def end(self) -> None:
        for task in self._doing:
            task.cancel()
        await asyncio.gather(*self._doing, return_exceptions=True)
        for person in self.people.values():
            await person.stop()
        self.unite()
        self.face.close()

    # --- inside -----------------------------------------------------------------------------------

    async def _dial(self, factory: Any, port: int) -> Any:
        name = self.machines.get(port) or NAMES[port - 7001]
        return await dial(self.face_of(name), self.wire, factory, port, self.between.get(name))

    async def _done(self, what: Coroutine[Any, Any, object]) -> None:
        with suppress(ClientError):
            await what

    async def _send(self, person: Person, to: str, text: str) -> None:
        assert person.client is not None
        message = await person.client.send(to, text)
        record = self.record(person, message.conversation)
        assert record is not None
        self.oracle.say(text, person.name, record.room)
        self.note(f"{person.name} to {to}: {text}")

    def _hear(self, person: Person, event: Event) -> None:
        conversation = getattr(event, "conversation", None) or getattr(
            getattr(event, "message", None), "conversation", ""
        )
        record = self.record(person, conversation) if conversation else None
        if type(event) not in QUIET:
            self.note(f"    {person.name} is told {_shown(event)}")
        self.oracle.hear(person.name, record, event)
        if isinstance(event, Invited):
            self.loop.call_later(self.random.uniform(0.01, 1.0), self._join, person, event.conversation)

    def _join(self, person: Person, conversation: str) -> None:
        if person.client is not None:
            self.do(person.client.join(conversation))


def say_restored(world: World) -> None:
    world.note("the operator starts the server with --restored")
    world.face.begin_incarnation()
    world.replace_face(world.face.twin())


def _shown(event: Event) -> str:
    message = getattr(event, "message", None)
    if message is not None:
        place = f"{message.sender} in {message.conversation} ({message.sequence})"
        return f"{type(event).__name__}: {place}: {message.text!r}"
    return str(event)
