"""Who comes into a room, and into what one is invited: ghosts, strangers, rooms that pretend (D-03, M-06)."""

from collections.abc import Callable
from typing import Any, Final
from unittest import mock

import pytest

from securechat.client import rooms
from securechat.client.device import Device
from securechat.client.doubt import CHANGED
from securechat.client.events import Invited
from securechat.membership.room import Kind, Profile, Room, SaltedProfile, make_room
from securechat.mls.codec import decode
from securechat.mls.key_package import KeyPackage
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import Carried
from tests.scenarios.evil_server import ghosts
from tests.scenarios.evil_server.accomplices import Plan, overstepping
from tests.scenarios.evil_server.company import TRIO, a_room
from tests.scenarios.evil_server.hosts import Host, made_up
from tests.scenarios.evil_server.lies import VICTIM
from tests.scenarios.evil_server.stage import Stage, on_stage

FOUR: Final = ("alice", VICTIM, "carol", "mallory")


async def with_mallory(stage: Stage) -> None:
    """Mallory is in the room and may add others; carol is known from elsewhere."""
    await stage.room("alice", VICTIM, "carol", name="#elsewhere")
    await stage.room("mallory", "alice", VICTIM)


def adding(*packages: bytes) -> Plan:
    made = tuple(decode(KeyPackage, each) for each in packages)
    return lambda _: CommitPlan(add=made, force_path=True)


def unsigned(stage: Stage) -> bytes:
    keys = stage.person("carol").keys
    return ghosts.made_up(stage, "carol", client=keys.client, key=keys.account_key)


def of_another_account(stage: Stage) -> bytes:
    return ghosts.made_up(stage, "carol", client=stage.person("carol").keys.client)


def of_another_account_beside_hers(stage: Stage) -> bytes:
    return ghosts.made_up(stage, "alice", client=stage.person("carol").keys.client)


GHOSTS: Final[dict[str, tuple[Callable[[Stage], bytes], str, str]]] = {
    "a device that its account did not sign": (unsigned, "invalid_entry", "not signed by its user's account"),
    "a device of another account beside the true ones": (
        of_another_account_beside_hers,
        "invalid_entry",
        "does not carry the newest account key",
    ),
    "somebody known, with another account key": (of_another_account, "identity_changed", "carol"),
}


@pytest.mark.parametrize(("ghost", "code", "said"), GHOSTS.values(), ids=list(GHOSTS))
@on_stage(*FOUR, after=with_mallory)
async def test_d_03_a_member_and_the_server_bring_in_a_ghost(
    stage: Stage, ghost: Callable[[Stage], bytes], code: str, said: str
) -> None:
    """D-03, D-04, M-13: what everybody can see is refused; what only we know stops our sending."""
    with overstepping(stage, "mallory", adding(ghost(stage))):
        for name in ("alice", VICTIM):
            told = await stage.is_told(name, code)
            assert said in told.text

    stage.say(VICTIM, "nobody else is to read this")
    await stage.go(10)
    assert stage.seals.messages == 0


NAMES: Final = (
    "@alice",
    "alice",
    "@alice\u200b",
    "#team",
    "\x1b]0;root\x07",
    "\u202eecila@",
    "a\nb",
    "",
    "é" * 700,
)
"""What a stranger calls a room."""


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@on_stage(*FOUR, after=a_room)
async def test_m_06_a_stranger_invites_to_a_room_that_is_called_like_somebody(
    stage: Stage, name: str
) -> None:
    """Names of rooms are ours to give: none stands for a person, none takes another's place."""
    before = {each.name for each in stage.client(VICTIM).conversations()}
    profile = SaltedProfile(bytes(32), Profile(name.encode(), name.encode()))
    stage.world.oracle.evil.add("mallory")
    with mock.patch.object(rooms, "new_profile", return_value=profile):
        await stage.client("mallory").create_room("#room")
        await stage.client("mallory").invite("#room", VICTIM)
    await stage.is_told(VICTIM, "invited")

    (invited,) = [each for each in stage.events[VICTIM] if isinstance(each, Invited)]
    assert invited.by == "mallory"
    assert invited.conversation[0] == "#"
    assert invited.conversation not in before
    shown = stage.client(VICTIM).conversation(invited.conversation)
    assert "\x1b" not in shown.name + shown.title + shown.topic
    assert stage.record(VICTIM).group_id != stage.record(VICTIM, invited.conversation).group_id


def of_alice_and_bob(stage: Stage, host: Device) -> Room:
    uri = stage.engine(VICTIM).device.direct_room("alice")
    return make_room(uri, kind=Kind.DIRECT, owner=host.user_uri)


def at_another_address(_: Stage, host: Device) -> Room:
    return make_room(rooms.new_room_uri(host), kind=Kind.DIRECT, owner=host.user_uri)


def of_mallory_and_bob(_: Stage, host: Device) -> Room:
    return make_room(host.direct_room(VICTIM), kind=Kind.DIRECT, owner=host.user_uri)


def of_another_server(_: Stage, host: Device) -> Room:
    uri = rooms.new_room_uri(host).replace(host.domain, "elsewhere.example")
    return make_room(uri, kind=Kind.ROOM, owner=host.user_uri.replace(host.domain, "elsewhere.example"))


Policy = Callable[[Stage, Device], Room]

PRETENDING: Final[dict[str, tuple[Policy, tuple[str, ...], str]]] = {
    "the conversation of two others": (of_alice_and_bob, (VICTIM,), "not the one of these two"),
    "a conversation of two under another address": (
        at_another_address,
        (VICTIM,),
        "not the one of these two",
    ),
    "a conversation of two with three in it": (of_mallory_and_bob, (VICTIM, "carol"), "two users"),
    "a room of another server": (of_another_server, (VICTIM,), "another domain"),
}
"""What a stranger makes, whom they add, and what bob's client says of it."""


@pytest.mark.parametrize(("policy", "added", "said"), PRETENDING.values(), ids=list(PRETENDING))
@on_stage(*TRIO, after=a_room)
async def test_m_06_a_group_that_pretends_to_be_another_is_not_joined(
    stage: Stage, policy: Policy, added: tuple[str, ...], said: str
) -> None:
    """Rooms made one-to-one, and what looks like a conversation that one has."""
    before = stage.client(VICTIM).conversations()
    stranger = made_up(stage, "mallory")

    Host(stage, stranger, policy(stage, stranger)).invites(*added)
    told = await stage.is_told(VICTIM, "welcome_refused")

    assert said in told.text
    assert stage.client(VICTIM).conversations() == before


@on_stage(*TRIO, after=a_room)
async def test_d_04_somebody_made_up_under_a_known_name_is_not_written_to(stage: Stage) -> None:
    """A Welcome from "alice" into the conversation with her: what comes bears that it is not known hers."""
    impostor = made_up(stage, "alice")
    host = Host(stage, impostor, make_room(impostor.direct_room(VICTIM), kind=Kind.DIRECT, owner=""))

    host.invites(VICTIM)
    told = await stage.is_told(VICTIM, "identity_changed")
    stage.world.oracle.say("it is me", "somebody", impostor.direct_room(VICTIM))
    host.says("it is me")
    heard = await stage.hears(VICTIM, "it is me")

    assert told.conversation == "@alice"
    assert heard.message.verified == CHANGED
    stage.say(VICTIM, "to alice alone", "@alice")
    await stage.go(10)
    assert stage.seals.messages == 0


@on_stage(*TRIO, after=a_room)
async def test_m_06_a_second_conversation_with_somebody_does_not_take_the_place_of_the_first(
    stage: Stage,
) -> None:
    await stage.says("alice", "alice to bob", "@bob")
    await stage.hears(VICTIM, "alice to bob")
    before = stage.group(VICTIM, "@alice")
    impostor = made_up(stage, "alice")

    Host(stage, impostor, make_room(impostor.direct_room(VICTIM), kind=Kind.DIRECT, owner="")).invites(VICTIM)
    told = await stage.is_told(VICTIM, "welcome_refused")

    assert "the one that is here stays" in told.text
    assert stage.group(VICTIM, "@alice") == before


@on_stage(*TRIO, after=a_room)
async def test_m_06_a_welcome_into_a_group_that_is_here_changes_nothing(stage: Stage) -> None:
    stranger = made_up(stage, "mallory")
    room = make_room(rooms.new_room_uri(stranger), kind=Kind.ROOM, owner=stranger.user_uri)
    before = stage.record(VICTIM)

    Host(stage, stranger, room, group_id=stage.group(VICTIM)).invites(VICTIM)
    told = await stage.is_told(VICTIM, "welcome_refused")

    assert "#team, which is here already" in told.text
    assert stage.record(VICTIM) == before


TOLD_OTHERWISE: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "for another group": ({"group": bytes(32)}, "not for the group it came for"),
    "for another epoch": ({"epoch": 7}, "not for the group it came for"),
    "of no sense": ({"welcome": Carried(body=b"nothing")}, "not taken"),
    "somebody else's": ({"welcome": None}, "keys that are not here"),
}


@pytest.mark.parametrize(("changes", "said"), TOLD_OTHERWISE.values(), ids=list(TOLD_OTHERWISE))
@on_stage(*TRIO, after=a_room)
async def test_m_06_a_welcome_that_is_told_otherwise_is_not_taken(
    stage: Stage, changes: dict[str, Any], said: str
) -> None:
    stranger = made_up(stage, "mallory")
    room = make_room(rooms.new_room_uri(stranger), kind=Kind.ROOM, owner=stranger.user_uri)
    host = Host(stage, stranger, room)
    if changes.get("welcome", host) is None:
        host.invites("carol")
    else:
        host.invites(VICTIM, **changes)

    assert said in (await stage.is_told(VICTIM, "welcome_refused")).text


@on_stage(*TRIO, after=a_room)
async def test_m_06_a_welcome_with_another_tree_is_not_taken(stage: Stage) -> None:
    stranger = made_up(stage, "mallory")
    room = make_room(rooms.new_room_uri(stranger), kind=Kind.ROOM, owner=stranger.user_uri)
    host, other = Host(stage, stranger, room), Host(stage, stranger, room)
    other.invites("carol", tells="carol")
    host.invites(VICTIM)
    host.tell_tree(other.group.tree_bytes())

    await stage.is_told(VICTIM, "welcome_refused")


@on_stage(*TRIO, after=a_room)
async def test_m_10_a_stay_that_is_told_to_begin_later_than_it_does_is_noticed(stage: Stage) -> None:
    """What was said first is passed over: the next message says that there was more."""
    stranger = made_up(stage, "mallory")
    room = make_room(rooms.new_room_uri(stranger), kind=Kind.ROOM, owner=stranger.user_uri)
    host = Host(stage, stranger, room)
    host.invites(VICTIM, start=3)
    await stage.is_told(VICTIM, "invited")
    await stage.go(5)
    stage.world.oracle.say("the second", "mallory", str(room.uri))
    host.says("the first")
    host.says("the second")

    await stage.is_told(VICTIM, "log_altered")
