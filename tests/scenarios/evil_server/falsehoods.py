"""The lies that a random run draws from: how each is told, what brings it up, and what names it."""

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Any, Final

from securechat.client import rooms
from securechat.client.intents import What
from securechat.membership.room import Kind, Room, make_room
from securechat.protocol.messages import ClaimKeyPackages, FetchInbox, Sync
from tests.scenarios.evil_server import ghosts, lies
from tests.scenarios.evil_server.falsehood import HONEST, Falsehood, nothing, whom
from tests.scenarios.evil_server.ghosts import GHOSTS, Ghost
from tests.scenarios.evil_server.hosts import Host, made_up
from tests.scenarios.evil_server.kept import KEPT
from tests.scenarios.evil_server.liar import Retort
from tests.scenarios.evil_server.lies import LATER, Lie, at_login, of_messages, of_where_it_stands
from tests.scenarios.evil_server.stage import Stage
from tests.scenarios.simulation.world import ROOM


async def talk(stage: Stage, victim: str) -> None:
    """Two others say something, the group changes, and somebody goes on."""
    others = [name for name in HONEST if name != victim]
    first, second = stage.world.random.sample(others, 2)
    stage.world.send(first, ROOM)
    await stage.go(1)
    stage.world.send(second, ROOM)
    await stage.go(1)
    stage.world.want(first, What.UPDATE)
    await stage.go(1)
    stage.world.send(second, ROOM)
    await stage.go(2)


async def make_a_room(stage: Stage, victim: str) -> None:
    """The victim makes a room and invites the one of whom the directory lies."""
    stage.world.counter += 1
    stage.world.do(_make_a_room(stage, victim, f"#room{stage.world.counter}"))
    await stage.go(3)


async def _make_a_room(stage: Stage, victim: str, name: str) -> None:
    client = stage.client(victim)
    await client.create_room(name)
    await client.invite(name, whom(victim))


def of_a_device(how: Callable[[Stage, str, Ghost], Retort], ghost: Ghost) -> Falsehood:
    def tell(stage: Stage, victim: str) -> None:
        stage.liar(victim).retort(ClaimKeyPackages, how(stage, whom(victim), ghost))

    return Falsehood(tell, frozenset({"untrusted_keys", "identity_changed"}), make_a_room)


def each_device_twice(stage: Stage, victim: str) -> None:
    stage.liar(victim).retort(ClaimKeyPackages, ghosts.twice(stage, whom(victim)))


def older_suite(stage: Stage, victim: str) -> None:
    stage.liar(victim).retort(ClaimKeyPackages, ghosts.only_older_suite(stage, whom(victim)))


def from_a_stranger(policy: Callable[[Stage, str, Host], Room] | None, user: str = "zoe") -> Lie:
    """Write a Welcome into somebody's inbox that nobody sent."""

    def tell(stage: Stage, victim: str) -> None:
        stranger = made_up(stage, user)
        room = make_room(rooms.new_room_uri(stranger), kind=Kind.ROOM, owner=stranger.user_uri)
        host = Host(stage, stranger, room)
        if policy is not None:
            host.room = policy(stage, victim, host)
        host.invites(victim, tells=victim)

    return tell


def as_two_others(stage: Stage, victim: str, host: Host) -> Room:
    uri = stage.engine(victim).device.direct_room(whom(victim))
    return make_room(uri, kind=Kind.DIRECT, owner=host.device.user_uri)


def at_another_address(_: Stage, __: str, host: Host) -> Room:
    return make_room(str(host.room.uri), kind=Kind.DIRECT, owner=host.device.user_uri)


def into_the_room_that_is_here(stage: Stage, victim: str) -> None:
    stranger = made_up(stage, "zoe")
    room = make_room(rooms.new_room_uri(stranger), kind=Kind.ROOM, owner=stranger.user_uri)
    Host(stage, stranger, room, group_id=stage.group(victim)).invites(victim, tells=victim)


def _log(tell: Lie, *names: str) -> Falsehood:
    return Falsehood(tell, frozenset(names), talk)


def _line(tell: Lie, *names: str) -> Falsehood:
    return Falsehood(tell, frozenset(names), nothing)


def _digest(entry: Any) -> bytes:
    return sha256(entry.body).digest()


FALSEHOODS: Final[dict[str, Callable[[], Falsehood]]] = {
    **{
        f"directory: {name}, {how.__name__}": partial(of_a_device, how, ghost)
        for name, ghost in GHOSTS.items()
        for how in (ghosts.beside, ghosts.instead)
    },
    "directory: each device twice": lambda: Falsehood(
        each_device_twice, frozenset({"untrusted_keys"}), make_a_room
    ),
    "directory: the weaker suite": lambda: Falsehood(older_suite, frozenset({"suite_withheld"}), make_a_room),
    "log: a message kept back": lambda: _log(lies.withholding("message"), "log_withheld"),
    "log: closed up": lambda: _log(lies.closing_up, "log_altered", "invalid_entry", "missing_commit"),
    "log: a change kept back": lambda: _log(lies.withholding("commit"), "log_withheld"),
    "log: places changed": lambda: _log(lies.exchanging, "log_altered"),
    "log: told twice": lambda: _log(lies.repeating, "generation_used", "log_altered"),
    "log: altered": lambda: _log(of_messages(body=lies.flipped), "aead"),
    "log: emptied": lambda: _log(of_messages(body=b""), "decodeerror"),
    "log: an earlier epoch": lambda: _log(of_messages(epoch=lambda e: e.epoch - 1), "wrong_epoch"),
    "log: a later epoch": lambda: _log(of_messages(epoch=lambda e: e.epoch + 1), "missing_commit"),
    "log: another kind": lambda: _log(of_messages(kind="commit"), "invalid_entry"),
    "log: no kind": lambda: _log(of_messages(kind="system"), "invalid_entry"),
    "log: the future": lambda: _log(of_messages(time=LATER), "wrong_time"),
    "log: long ago": lambda: _log(of_messages(time=lies.long_ago), "wrong_time"),
    "log: another sender": lambda: _log(of_messages(sender="q" * 26)),
    "log: no bytes": lambda: _log(lies.of_other_bytes, "log_withheld"),
    "log: expired": lambda: _log(lies.said_to_have_expired(_digest), "expired"),
    "log: expired, otherwise": lambda: _log(lies.said_to_have_expired(lambda _: bytes(32)), "expired"),
    "login: restored again and again": lambda: _line(lies.restored_at_every_login, "server_restored"),
    "login: more was asked": lambda: _line(at_login(high_water=1 << 62), "conflict"),
    "login: nothing was asked": lambda: _line(at_login(high_water=0), "server_older"),
    "login: another century": lambda: _line(at_login(time=LATER), "clock"),
    "login: wrong passwords": lambda: _line(at_login(failed_logins=7), "failed_logins"),
    "sync: no groups": lambda: _line(of_where_it_stands(lambda _: []), "server_older"),
    "sync: shorter logs": lambda: _line(
        of_where_it_stands(lambda groups: [lies._changed(each, {"head": 1}) for each in groups]),
        "server_older",
    ),
    "inbox: without end": lambda: _line(lies.with_invitations_to_come, "invitation_expired"),
    "line: an answer to nothing": lambda: _line(lies.unasked, "disconnected"),
    "line: no frame": lambda: _line(lies.unintelligible, "disconnected"),
    "line: another kind of answer": lambda: _line(lies.of_another_kind, "disconnected"),
    "line: no answer about where the logs stand": lambda: _line(lies.never_answering(Sync), "unanswered"),
    "line: never time for invitations": lambda: _line(lies.never_with_time(FetchInbox), "unanswered"),
    "line: goodbye": lambda: _line(lies.goodbye("stopping", "come back"), "disconnected"),
    "welcome: from a stranger": lambda: _line(from_a_stranger(None), "invited", "welcome_refused"),
    "welcome: as two others": lambda: _line(from_a_stranger(as_two_others), "welcome_refused"),
    "welcome: as two elsewhere": lambda: _line(from_a_stranger(at_another_address), "welcome_refused"),
    "welcome: into what is here": lambda: _line(into_the_room_that_is_here, "welcome_refused"),
    **KEPT,
}
"""Made anew for each time one is told: some remember what they have told."""
