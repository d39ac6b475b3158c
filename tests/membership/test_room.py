"""The room's policy: its bytes, what it may hold, and who may speak."""

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.membership.room import (
    PROFILE_EXTENSION,
    ROOM_EXTENSION,
    DefaultRole,
    Join,
    Kind,
    Profile,
    Role,
    RoleEntry,
    Room,
    RoomRefused,
    SaltedProfile,
    UpdateNeeded,
    capabilities,
    decode_profile,
    extensions_for,
    make_room,
    may_speak,
    read_profile,
    read_room,
    role_of,
    with_roles,
    without_absent,
)
from securechat.mls.codec import encode
from securechat.mls.extensions import Extension

URI = "mimi://chat.example/r/0123456789abcdef"
ALICE, BOB, CAROL = (f"mimi://chat.example/u/{user}" for user in ("alice", "bob", "carol"))


def room(**changes: Any) -> Room:
    made = make_room(URI, kind=Kind.ROOM, owner=ALICE)
    return msgspec.structs.replace(made, **changes)


def test_a_rooms_policy_has_these_bytes() -> None:
    assert encode(room()).hex() == (
        "0001"
        "266d696d693a2f2f636861742e6578616d706c652f722f30313233343536373839616263646566"
        "02" + "01" + "000003e8" + "0000"
        "1d"
        "1b6d696d693a2f2f636861742e6578616d706c652f752f616c696365" + "01" + "01" + "00" * 32
    )


def test_a_group_names_the_policy_in_what_it_requires() -> None:
    (required, policy) = extensions_for(room())
    assert required.extension_data.hex() == "02f5c1" + "02000a" + "020001"
    assert policy.extension_type == ROOM_EXTENSION
    assert read_room(policy.extension_data) == room()


def test_every_leaf_can_do_what_rooms_need() -> None:
    able = capabilities()
    assert {ROOM_EXTENSION, PROFILE_EXTENSION} <= set(able.extensions)
    assert (able.cipher_suites, able.proposals, able.credentials) == ((0xF00E, 3), (0x000A,), (1,))


@pytest.mark.parametrize(
    "changes",
    [
        {"rules": 0},
        {"room": b"mimi://chat.example/u/alice"},
        {"room": b"mimi://chat.example/r/UPPER6789abcdef"},
        {"max_clients": 0},
        {"max_clients": 1001},
        {"roles": (RoleEntry(BOB.encode(), Role.ADMIN), RoleEntry(ALICE.encode(), Role.OWNER))},
        {"roles": (RoleEntry(ALICE.encode(), Role.OWNER), RoleEntry(ALICE.encode(), Role.ADMIN))},
        {"roles": (RoleEntry(ALICE.encode(), Role.MEMBER),)},
        {"roles": (RoleEntry(b"alice", Role.OWNER),)},
        {"roles": (RoleEntry(b"mimi://other.example/u/alice", Role.OWNER),)},
        {"kind": Kind.DIRECT},
        {"kind": Kind.DIRECT, "roles": (), "default_role": DefaultRole.READER},
        {"kind": Kind.ANNOUNCEMENT},
    ],
)
def test_a_room_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RoomRefused) as refused:
        read_room(encode(room(**changes)))
    assert not isinstance(refused.value, UpdateNeeded)


def test_newer_rules_ask_for_an_update_whatever_follows_them() -> None:
    with pytest.raises(UpdateNeeded, match="update needed"):
        read_room(b"\0\2whatever")


@given(st.binary(max_size=120))
def test_reading_a_room_fails_in_one_way_only(data: bytes) -> None:
    for candidate in (data, encode(room())[: len(data)] + data):
        try:
            read = read_room(candidate)
        except RoomRefused:
            continue
        assert encode(read) == candidate


def test_only_what_differs_from_the_default_is_an_entry() -> None:
    changed = with_roles(room(), {CAROL: Role.MEMBER, BOB: Role.READER, ALICE: Role.OWNER})
    assert changed.entries == {ALICE: Role.OWNER, BOB: Role.READER}
    assert [role_of(changed, user) for user in (ALICE, BOB, CAROL)] == [Role.OWNER, Role.READER, Role.MEMBER]


def test_who_left_keeps_no_role_but_a_ban() -> None:
    before = with_roles(room(), {ALICE: Role.OWNER, BOB: Role.ADMIN, CAROL: Role.BANNED})
    assert without_absent(before, {ALICE}).entries == {ALICE: Role.OWNER, CAROL: Role.BANNED}
    assert without_absent(before, {ALICE, BOB}) is before


@pytest.mark.parametrize(
    ("kind", "speakers"),
    [(Kind.DIRECT, [True, True]), (Kind.ROOM, [True, True]), (Kind.ANNOUNCEMENT, [True, False])],
)
def test_in_an_announcement_room_only_those_with_a_role_speak(kind: Kind, speakers: list[bool]) -> None:
    made = make_room(URI, kind=kind, owner=ALICE)
    assert [may_speak(made, user) for user in (ALICE, BOB)] == speakers


def test_a_reader_and_a_banned_user_do_not_speak() -> None:
    made = with_roles(room(), {ALICE: Role.OWNER, BOB: Role.READER, CAROL: Role.BANNED})
    assert [may_speak(made, user) for user in (ALICE, BOB, CAROL)] == [True, False, False]


def test_a_profile_is_read_only_if_it_is_the_rooms() -> None:
    profile = SaltedProfile(bytes(range(32)), Profile("Bürotratsch".encode(), b"who brings cake"))
    named = room(profile_hash=profile.hash)

    assert read_profile((profile.extension,), named) == profile
    assert read_profile((), named) is None
    assert read_profile((profile.extension,), room()) is None
    assert decode_profile(b"?", named) is None
    assert read_profile((Extension(PROFILE_EXTENSION, b""),), named) is None


def test_a_profiles_hash_is_salted() -> None:
    profile = Profile(b"name", b"topic")
    one = SaltedProfile(bytes(32), profile)
    assert one.hash == hashlib.sha256(bytes(32) + b"\x04name\x05topic\x00").digest()
    assert one.hash != SaltedProfile(b"\1" * 32, profile).hash


def test_the_room_is_joined_by_admins_unless_said() -> None:
    assert room().join is Join.BY_ADMIN
