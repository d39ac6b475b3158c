"""Who may speak, and who comes in, is held by those who listen (rules.md C, M-13), not by the server."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import pytest

from securechat.client import rooms
from securechat.client.events import MessageChanged, MessageReceived
from securechat.membership.room import Kind, extensions_for, room_of
from securechat.mls.codec import decode
from securechat.mls.group import Group
from securechat.mls.key_package import KeyPackage
from securechat.mls.staging import CommitPlan
from tests.scenarios.evil_server.accomplices import (
    Plan,
    a_server_that_looks_away,
    overstepping,
    ruthless,
)
from tests.scenarios.evil_server.ghosts import published
from tests.scenarios.evil_server.stage import Stage, on_stage

NEWS: Final = "#news"
FOUR: Final = ("alice", "bob", "carol", "mallory")
LISTENING: Final = ("alice", "bob", "carol")

Deed = Callable[[Stage, str], Awaitable[object]]


async def news(stage: Stage) -> None:
    """A room in which alice speaks and the others listen."""
    with a_server_that_looks_away():
        await stage.room(*FOUR, name=NEWS, announcement=True)
        await stage.says("alice", "alice has news", NEWS)
        for name in FOUR[1:]:
            await stage.hears(name, "alice has news")
        await stage.go(5)


DEEDS: Final[dict[str, Deed]] = {
    "says something": lambda stage, _: stage.client("mallory").send(NEWS, "mallory has news"),
    "asks something": lambda stage, _: stage.client("mallory").poll(NEWS, "mallory asks?", ["a", "b"]),
    "changes another's words": lambda stage, said: stage.client("mallory").edit(NEWS, said, "other news"),
    "withdraws another's words": lambda stage, said: stage.client("mallory").delete(NEWS, said),
    "reacts": lambda stage, said: stage.client("mallory").react(NEWS, said, "👍"),
    "sets a timer": lambda stage, _: stage.client("mallory").set_expiry(NEWS, 60),
}
"""What mallory does, of whom everybody knows that she only reads there."""


@pytest.mark.parametrize("deed", DEEDS.values(), ids=list(DEEDS))
@on_stage(*FOUR, after=news)
async def test_m_13_what_a_reader_says_is_kept_and_not_shown(stage: Stage, deed: Deed) -> None:
    """Nothing of it is shown, nothing that was there is another, and it is told whose it was."""
    before = {name: shown(stage, name) for name in LISTENING}
    said = next(each.id for each in stage.client("mallory").messages(NEWS) if each.text == "alice has news")
    stage.world.oracle.evil.add("mallory")

    with a_server_that_looks_away(), ruthless("mallory"):
        await deed(stage, said)
        for name in LISTENING:
            await stage.is_told(name, "may_not_speak")

    assert {name: shown(stage, name) for name in LISTENING} == before
    for name in LISTENING:
        heard = [e for e in stage.events[name] if isinstance(e, MessageReceived | MessageChanged)]
        assert heard == []


def shown(stage: Stage, name: str) -> list[Any]:
    visible = [each for each in stage.client(name).timeline(NEWS) if each.state != "not_shown"]
    return [(each.text, each.sender, each.reactions, each.expires, each.deleted) for each in visible]


async def two(stage: Stage) -> None:
    await stage.says("alice", "alice to bob", "@bob")
    await stage.hears("bob", "alice to bob")
    await stage.says("bob", "bob to alice", "@alice")
    await stage.hears("alice", "bob to alice")


def with_a_third(stage: Stage) -> Plan:
    package = decode(KeyPackage, published(stage, "carol"))
    return lambda _: CommitPlan(add=(package,), force_path=True)


def made_a_room(stage: Stage) -> Plan:
    del stage

    def plan(group: Group) -> CommitPlan:
        room = msgspec.structs.replace(room_of(group.public.context), kind=Kind.ROOM)
        return CommitPlan(extensions=extensions_for(room), force_path=True)

    return plan


def made_anothers(stage: Stage) -> Plan:
    uri = rooms.new_room_uri(stage.engine("alice").device).encode()

    def plan(group: Group) -> CommitPlan:
        room = msgspec.structs.replace(room_of(group.public.context), room=uri)
        return CommitPlan(extensions=extensions_for(room), force_path=True)

    return plan


OF_TWO: Final[dict[str, tuple[Callable[[Stage], Plan], str]]] = {
    "a third is added": (with_a_third, "Nobody can be added"),
    "it is made a room": (made_a_room, "kind and rules stay"),
    "it gets another address": (made_anothers, "kind and rules stay"),
}


@pytest.mark.parametrize(("deed", "said"), OF_TWO.values(), ids=list(OF_TWO))
@on_stage(*FOUR, after=two)
async def test_m_13_a_conversation_of_two_stays_one(
    stage: Stage, deed: Callable[[Stage], Plan], said: str
) -> None:
    """D-03: nobody comes in between, and it turns into nothing else."""
    before = stage.record("bob", "@alice").epoch

    with overstepping(stage, "alice", deed(stage), room="@bob"):
        told = await stage.is_told("bob", "invalid_entry")

    assert (told.conversation, said in told.text) == ("@alice", True)
    assert stage.record("bob", "@alice").epoch == before
    assert stage.members("bob", "@alice") == ["alice", "bob"]


async def with_mallory(stage: Stage) -> None:
    await stage.room(*FOUR)


@on_stage(*FOUR, after=with_mallory)
async def test_m_13_who_was_removed_does_not_come_back_by_the_server_alone(stage: Stage) -> None:
    """An external commit with the server's own GroupInfo, by somebody without a leaf."""
    device = stage.engine("mallory").device
    await stage.client("alice").remove("#team", "mallory")
    await stage.is_told("mallory", "removed")
    alice = stage.engine("alice").groups.group(stage.person("alice").store.db, stage.record("alice").id)
    assert alice is not None

    commit = Group.join_externally(alice.group_info(), alice.tree_bytes(), device.identity)
    number = stage.face.db.execute("SELECT id FROM client WHERE name = ?", (device.client,)).get
    stage.face.append_raw(
        stage.group("alice"), "commit", alice.epoch, stage.face.caller(number), commit.message
    )

    for name in LISTENING:
        told = await stage.is_told(name, "invalid_entry")
        assert "@mallory has no device here" in told.text
        assert stage.members(name) == ["alice", "bob", "carol"]
