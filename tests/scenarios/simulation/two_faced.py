"""A server with two faces: some see one log, the others another, and it carries over what it likes.

What one side asks for is asked at the other in the same names, so that whoever is brought back later
finds nothing amiss in them: what gives the lie away is the log alone.
"""

from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from securechat.client import epoch_codes
from securechat.client.intents import What
from securechat.protocol.messages import CommitGroup, SendMessage
from securechat.server.named import NamedJob
from securechat.server.values import Caller
from tests.scenarios.simulation.acts import acts
from tests.scenarios.simulation.face import Face, Nobody
from tests.scenarios.simulation.world import ROOM, World, say_restored

LONGEST: Final = 8
"""Acts during a lie."""

Body = TypeVar("Body", SendMessage, CommitGroup)


@dataclass
class Carrier:
    """Carries what was decided at one face over to the other. As it stands, it changes nothing."""

    world: World
    other: Face
    lies: int = 0
    older: list[tuple[Caller, SendMessage]] = field(default_factory=list)

    def carry(self, _face: Face, job: NamedJob) -> None:
        if isinstance(job._told, Nobody):
            return
        caller = self.other.caller(job._caller.client)
        refused = job._refused is not None
        self.other.repeat(caller, job._requested, (lambda _: None) if refused else self._twisted(caller))

    def _twisted(self, caller: Caller) -> Any:
        def twist(body: Any) -> Any:
            match body:
                case SendMessage():
                    return self.message(caller, body)
                case CommitGroup():
                    return self.commit(caller, body)
                case _:
                    return body

        return twist

    def message(self, caller: Caller, body: SendMessage) -> SendMessage | None:
        del caller
        return body

    def commit(self, caller: Caller, body: CommitGroup) -> CommitGroup | None:
        del caller
        return body

    def lied(self, what: str) -> None:
        self.lies += 1
        self.world.note(f"the server {what}")


class Truthful(Carrier):
    pass


class Withholding(Carrier):
    def message(self, caller: Caller, body: SendMessage) -> SendMessage | None:
        if self.world.random.random() < 0.5:
            self.lied(f"withholds a message of {caller.user} from the others")
            return None
        return body


class Silencing(Carrier):
    """Carries over everything but what is said before the next commit."""

    ended: bool = False

    def message(self, caller: Caller, body: SendMessage) -> SendMessage | None:
        if self.ended:
            return body
        self.lied(f"withholds what {caller.user} says at the end of epoch {body.epoch}")
        return None

    def commit(self, caller: Caller, body: CommitGroup) -> CommitGroup | None:
        self.ended = self.lies > 0
        return super().commit(caller, body)


class Flipping(Carrier):
    def message(self, caller: Caller, body: SendMessage) -> SendMessage | None:
        if self.world.random.random() < 0.4:
            self.lied(f"flips a bit of a message of {caller.user}")
            return SendMessage(body.group, body.epoch, body.message[:-1] + bytes([body.message[-1] ^ 1]))
        return body


class Reordering(Carrier):
    """Keeps a message back until the next one has gone before it."""

    kept: tuple[Caller, SendMessage] | None = None

    def message(self, caller: Caller, body: SendMessage) -> SendMessage | None:
        if self.kept is None:
            self.kept = (caller, body)
            return None
        before, self.kept = self.kept, None
        self.lied(f"puts a message of {caller.user} before one of {before[0].user}")
        self.other.send(*before)
        return body


class Replaying(Carrier):
    def message(self, caller: Caller, body: SendMessage) -> SendMessage | None:
        self.older.append((caller, body))
        if self.world.random.random() < 0.5:
            again = self.world.random.choice(self.older)
            self.lied(f"delivers a message of {again[0].user} once more")
            self.other.send(*again)
        return body


class Equivocating(Carrier):
    """Each side has its own commits; messages go across, dressed up for the epoch of the other side."""

    def message(self, caller: Caller, body: SendMessage) -> SendMessage | None:
        log = self.other.log(body.group)
        epoch = log[-1][2] + (log[-1][1] == "commit") if log else 0
        self.lied(f"carries a message of {caller.user} across the fork")
        self.other.append_raw(body.group, "message", epoch, caller, body.message)
        return None

    def commit(self, caller: Caller, body: CommitGroup) -> CommitGroup | None:
        self.lied(f"keeps a commit of {caller.user} for epoch {body.epoch + 1} to one half")
        return None


class BadTags(Carrier):
    """Breaks the membership tags of commits, which nobody but members can check."""

    def commit(self, caller: Caller, body: CommitGroup) -> CommitGroup | None:
        whole = body.commit.body
        self.lied(f"breaks the membership tag of a commit of {caller.user}")
        broken = type(body.commit)(body=whole[:-1] + bytes([whole[-1] ^ 1]))
        return CommitGroup(body.group, body.epoch, body.handshake_head, broken, body.group_info, body.welcome)


class Futuristic(Carrier):
    def message(self, caller: Caller, body: SendMessage) -> SendMessage | None:
        if not self.lies:
            self.lied(f"says that a message of {caller.user} is of a later epoch")
            self.other.append_raw(body.group, "message", body.epoch + 1, caller, body.message)
            return None
        return body


class Inventing(Carrier):
    """Puts an old commit, or one that breaks a rule in public, into the log of one half."""

    def message(self, caller: Caller, body: SendMessage) -> SendMessage | None:
        commits = [entry for entry in self.other.log(body.group) if entry[1] in {"commit", "proposal"}]
        if commits and not self.lies:
            _, kind, epoch, client, old = self.world.random.choice(commits)
            what = self.world.random.choice(("replays", "alters"))
            if what == "alters":
                place = self.world.random.randrange(len(old) // 2, len(old))
                old = old[:place] + bytes([old[place] ^ 1]) + old[place + 1 :]
            self.lied(f"{what} a {kind} of epoch {epoch} (message of {caller.user} is next)")
            self.other.append_raw(body.group, kind, body.epoch, self.other.caller(client), old)
        return body


@dataclass
class Parting(Carrier):
    """The room is another on each side; whatever else people say goes across as it was said."""

    room: bytes = b""

    def message(self, caller: Caller, body: SendMessage) -> SendMessage | None:
        return self._across(caller, body)

    def commit(self, caller: Caller, body: CommitGroup) -> CommitGroup | None:
        return self._across(caller, body)

    def _across(self, caller: Caller, body: Body) -> Body | None:
        if body.group != self.room:
            return body
        self.lied(f"keeps what {caller.user} does in {ROOM} to one half")
        return None


async def part(world: World, apart: tuple[str, str] | None = None) -> tuple[Face, set[str]]:
    """Show some of the members another face; both faces are the same yet.

    :param apart: who is in one half and who in the other, for certain
    """
    twin, world.lied = world.face.twin(), True
    world.face.on_named, twin.on_named = Truthful(world, twin).carry, Truthful(world, world.face).carry
    names = [person.name for person in world.people.values()]
    half = set(world.random.sample(names, world.random.randint(1, len(names) - 1)))
    if apart is not None:
        half = half - {apart[1]} | {apart[0]}
    for name in half:
        world.sides[name] = twin
    for name in sorted(half):
        line = world.face.lines.get(world.people[name].port)
        if line is not None:
            line.cut()
    world.note(f"the server shows {', '.join(sorted(half))} another face")
    await world.go(2)
    return twin, half


async def lie(world: World, kind: type[Carrier]) -> int:
    """Live with two faces for a while; return how often it was lied.

    What the other half says reaches the first one, as it was said; but of a fork both halves get it.
    """
    twin, half = await part(world)
    there, here = kind(world, twin), (kind if kind is Equivocating else Truthful)(world, world.face)
    world.face.on_named = there.carry
    twin.on_named = here.carry
    if kind in {Equivocating, BadTags}:
        rest = [name for name in world.people if name not in half]
        for side in (sorted(half), rest):
            world.want(world.random.choice(side), What.UPDATE, ROOM)
        await world.go(2)
    await acts(world, world.random.randint(4, LONGEST))
    await _one_more_message(world, half)
    lies = there.lies + here.lies
    await _show_one_face(world)
    return lies


async def part_the_room(world: World) -> int:
    """Each half has a room of its own, whole in itself; what two of them say to each other gives it away."""
    members = [person.name for person in world.members()]
    record = world.record(world.people["alice"], ROOM)
    if len(members) < 2 or record is None or record.group_id is None:
        return 0
    one, other = world.random.sample(members, 2)
    world.send(one, f"@{other}")
    await world.go(3)
    twin, _ = await part(world, (one, other))
    there, here = Parting(world, twin, room=record.group_id), Parting(world, world.face, room=record.group_id)
    world.face.on_named, twin.on_named = there.carry, here.carry
    for name in (one, other):
        world.want(name, What.UPDATE, ROOM)
    await world.go(epoch_codes.EVERY_SECONDS)
    epochs = {_epoch_of(world, name) for name in (one, other)}
    parted = len(epochs) == 2 and b"" not in epochs  # who was on their way out is in no half
    for name, to in ((one, other), (other, one)):
        world.send(name, f"@{to}")
        await world.go(3)
    if parted and not any(world.oracle.told[name]["group_forked"] for name in (one, other)):
        world.oracle.complain(f"{one} and {other} talk to each other, and {ROOM} was parted unseen")
    await _show_one_face(world)
    return there.lies + here.lies


def _epoch_of(world: World, name: str) -> bytes:
    """Tell the epoch of the room that somebody can speak in."""
    person = world.people[name]
    record = world.record(person, ROOM)
    if record is None or person.engine is None or not record.may_send:
        return b""
    group = person.engine.groups.group(person.store.db, record.id)
    return b"" if group is None else group.epoch_authenticator


async def withhold_the_end(world: World) -> int:
    """What some say last in an epoch is withheld from the others; in the next epoch nothing is."""
    twin, half = await part(world)
    there = Silencing(world, twin)
    world.face.on_named, twin.on_named = there.carry, Truthful(world, world.face).carry
    rest = [name for name in world.people if name not in half]
    world.send(world.random.choice(rest), ROOM)
    await world.go(1)
    world.want(world.random.choice(rest), What.UPDATE, ROOM)
    await world.go(2)
    await _one_more_message(world, half)
    await _show_one_face(world)
    return there.lies


async def _one_more_message(world: World, half: set[str]) -> None:
    """Somebody of each side says something, for the lie to be noticed by."""
    for side in ([n for n in world.people if n not in half], sorted(half)):
        world.send(world.random.choice(side), ROOM)
        await world.go(1)


async def _show_one_face(world: World) -> None:
    """The lie ends; an operator may say that the server went back, as it must look to one half."""
    world.note("the server shows everybody the same face again")
    world.unite()
    await world.go(2)
    if world.random.random() < 0.5:
        say_restored(world)


async def orphan_welcome(world: World) -> int:
    """Somebody is invited to a log that nobody will see again."""
    twin, half = await part(world)
    world.face.on_named = twin.on_named = lambda _face, _job: None
    newcomer = next((each for each in world.honest() if each not in world.members()), None)
    hosts = [each for each in world.members() if each.name in half]
    if newcomer is None or not hosts:
        world.unite()
        return 0
    world.sides[newcomer.name] = twin
    world.cut_everywhere(newcomer.name)
    await world.go(2)
    host = world.random.choice(hosts)
    world.note(f"{host.name} invites {newcomer.name}, where the others do not see it")
    if host.client is not None:
        world.do(host.client.invite(ROOM, newcomer.name))
    await world.go(2)
    await acts(world, world.random.randint(1, 4))
    await _show_one_face(world)
    return 1


async def isolate(world: World) -> int:
    """Two groups go on for themselves, each with all its own; in the end only one of the logs is left."""
    twin, half = await part(world)
    world.face.on_named = twin.on_named = lambda _face, _job: None
    for side in (sorted(half), [name for name in world.people if name not in half]):
        world.want(world.random.choice(side), What.UPDATE, ROOM)
    await acts(world, world.random.randint(3, LONGEST))
    await _one_more_message(world, half)
    await _show_one_face(world)
    return 1
