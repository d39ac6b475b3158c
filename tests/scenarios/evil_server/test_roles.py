"""The rights of a room are held by those who receive (rules.md C, M-13): the server lets everything pass.

Alice owns the room, bob is an admin, carol a member, dave a reader; mallory is outside.
"""

from typing import Final

import pytest

from securechat.membership.room import Join, Kind, Role, with_roles
from tests.scenarios.evil_server.accomplices import a_server_that_looks_away, commit, overstepping
from tests.scenarios.evil_server.deeds import (
    Deed,
    adding,
    for_readers,
    giving,
    moving_house,
    policy,
    removing,
    roles,
    slipping_in_an_extension,
    starting_anew,
    with_fields,
)
from tests.scenarios.evil_server.stage import Stage, on_stage
from tests.scenarios.simulation.people import NAMES

ALL: Final = ("alice", "bob", "carol", "dave")
ROLES: Final = {"alice": Role.OWNER, "bob": Role.ADMIN, "dave": Role.READER}


async def a_room(stage: Stage) -> None:
    await stage.room(*ALL)
    await commit(stage, "alice", policy(lambda room: with_roles(room, roles(stage, ROLES))))


FORBIDDEN: Final[dict[str, tuple[str, Deed, str]]] = {
    "a member adds": ("carol", adding("mallory"), "may not add"),
    "a reader adds": ("dave", adding("mallory"), "may not add"),
    "a member removes a reader": ("carol", removing("dave"), "may not remove"),
    "a reader removes a member": ("dave", removing("carol"), "may not remove"),
    "an admin removes the owner": ("bob", removing("alice"), "may not remove"),
    "a member becomes owner": ("carol", giving(carol=Role.OWNER), "Only owners and admins"),
    "a reader becomes member": ("dave", giving(dave=Role.MEMBER), "Only owners and admins"),
    "an admin becomes owner": ("bob", giving(bob=Role.OWNER), "An admin may change only"),
    "an admin makes an admin": ("bob", giving(carol=Role.ADMIN), "An admin may change only"),
    "an admin takes the owner's role": ("bob", giving(alice=Role.MEMBER), "An admin may change only"),
    "a member changes the profile": ("carol", with_fields(profile_hash=bytes(32)), "Only owners and admins"),
    "a member opens the door": ("carol", with_fields(join=Join.BY_MEMBER), "Only owners and admins"),
    "a reader gives everybody the word": ("dave", giving(dave=Role.MEMBER), "Only owners and admins"),
    "an admin changes what newcomers see": ("bob", with_fields(history=65535), "An admin may change only"),
    "a member changes what newcomers see": ("carol", with_fields(history=65535), "Only owners and admins"),
    "an admin changes the room's size": ("bob", with_fields(max_clients=7), "An admin may change only"),
    "an admin has all but some only read": ("bob", for_readers(), "An admin may change only"),
    "an admin starts the group anew": ("bob", starting_anew, "Only an owner may start"),
    "a member starts the group anew": ("carol", starting_anew, "Only an owner may start"),
    "the owner makes it a one-to-one": (
        "alice",
        with_fields(kind=Kind.DIRECT, roles=()),
        "kind and rules stay",
    ),
    "the owner makes it one-way": ("alice", for_readers(kind=Kind.ANNOUNCEMENT), "kind and rules stay"),
    "the owner gives it another address": ("alice", moving_house, "kind and rules stay"),
    "the owner changes more than the policy": ("alice", slipping_in_an_extension, "Only the room's own"),
    "the owner bans who stays": ("alice", giving(carol=Role.BANNED), "is banned and cannot stay"),
}
"""Who, what, and what those who receive it say of it."""


@pytest.mark.parametrize(("actor", "deed", "said"), FORBIDDEN.values(), ids=list(FORBIDDEN))
@on_stage(*NAMES, after=a_room)
async def test_m_13_what_a_role_does_not_allow_nobody_applies(
    stage: Stage, actor: str, deed: Deed, said: str
) -> None:
    """M-13: everybody else stops there, says why, and stays with the people and the roles of before."""
    before = standing(stage, "alice" if actor != "alice" else "bob")

    with overstepping(stage, actor, deed(stage)):
        others = [name for name in ALL if name != actor]
        for name in others:
            told = await stage.is_told(name, "invalid_entry")
            assert said in told.text
        await stage.go(5)

    assert all(standing(stage, name) == before for name in others)
    for name in others:
        stage.say(name, f"{name} is not heard")
    sealed = stage.seals.messages
    await stage.go(10)
    assert stage.seals.messages == sealed


ALLOWED: Final[dict[str, tuple[str, Deed]]] = {
    "the owner adds": ("alice", adding("mallory")),
    "an admin adds": ("bob", adding("mallory")),
    "an admin removes a reader": ("bob", removing("dave")),
    "an admin removes a member": ("bob", removing("carol")),
    "the owner removes an admin": ("alice", removing("bob")),
    "the owner gives ownership": ("alice", giving(carol=Role.OWNER)),
    "an admin silences a member": ("bob", giving(carol=Role.READER)),
    "an admin changes the profile": ("bob", with_fields(profile_hash=b"p" * 32)),
    "an admin opens the door": ("bob", with_fields(join=Join.BY_MEMBER)),
    "the owner changes what newcomers see": ("alice", with_fields(history=65535)),
}
"""The same deeds by who may: they are not refused for how they are done."""


@pytest.mark.parametrize(("actor", "deed"), ALLOWED.values(), ids=list(ALLOWED))
@on_stage(*NAMES, after=a_room)
async def test_m_13_what_a_role_allows_everybody_applies(stage: Stage, actor: str, deed: Deed) -> None:
    before = stage.record("alice").epoch

    with a_server_that_looks_away():
        await commit(stage, actor, deed(stage))

    inside = [name for name in ALL if stage.record(name).may_send]
    assert {stage.record(name).epoch for name in inside} == {before + 1}
    assert all("invalid_entry" not in [each.code for each in stage.told.get(name, [])] for name in ALL)


def standing(stage: Stage, name: str) -> tuple[int, list[tuple[str, str]]]:
    members = stage.client(name).conversation("#team").members
    return stage.record(name).epoch, [(each.user, each.role) for each in members]
