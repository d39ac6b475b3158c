"""Rooms as the engine makes and meets them."""

from pathlib import Path

import pytest

from securechat.client.events import Kind, Member
from securechat.client.people import leaves_of, members_of, user_of_client, users_in
from securechat.client.rooms import alias_for, extensions_without, new_policy, new_profile, new_room_uri
from securechat.client.verification import fingerprint
from securechat.client.views import view
from securechat.membership.room import may_speak, room_of
from tests.client.members import MemberOf


@pytest.fixture
def pair(tmp_path: Path) -> tuple[MemberOf, MemberOf]:
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    alice.founds(bob)
    return alice, bob


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("team", "#team"),
        ("Team", "#team"),
        ("", "#room"),
        ("two words", "#room"),
        ("\x1b[2Jx", "#room"),
        ("команда", "#команда"),
        ("東京-tokyo", "#東京-tokyo"),
        ("\u0430dmin", "#room"),
    ],
)
def test_an_alias_is_made_of_the_rooms_name_if_it_can_be(name: str, alias: str) -> None:
    """U-01: a name that is none never reaches the screen as one."""
    assert alias_for(new_profile(name, "")) == alias


def test_a_room_without_a_profile_has_an_alias_too() -> None:
    assert alias_for(None) == "#room"


def test_in_an_announcement_room_the_owner_speaks(tmp_path: Path) -> None:
    device = MemberOf(tmp_path, "alice").device
    room = new_policy(device, new_room_uri(device), Kind.ANNOUNCEMENT, new_profile("news", ""))

    assert may_speak(room, device.user_uri)
    assert not may_speak(room, device.uri_of("bob"))


def test_two_profiles_of_one_name_have_different_hashes() -> None:
    assert new_profile("team", "").hash != new_profile("team", "").hash


def test_members_are_named_with_their_roles(pair: tuple[MemberOf, MemberOf]) -> None:
    alice, bob = pair
    tree = alice.group.public.tree

    assert members_of(tree, room_of(alice.group.public.context)) == (
        Member("alice", "owner", 1),
        Member("bob", "member", 1),
    )
    assert users_in(tree) == {"alice": 1, "bob": 1}
    assert user_of_client(tree, bob.device.client) == "bob"
    assert user_of_client(tree, "nobody") == "?"


def test_the_roles_of_who_goes_go_too(pair: tuple[MemberOf, MemberOf]) -> None:
    """rules.md C: in that same commit."""
    alice, _ = pair
    public = alice.group.public

    assert extensions_without(public, frozenset(leaves_of(public.tree, "bob"))) is None
    assert extensions_without(public, frozenset(leaves_of(public.tree, "alice"))) is not None


def test_a_view_says_what_a_list_shows(pair: tuple[MemberOf, MemberOf]) -> None:
    _, bob = pair
    shown = view(bob.store.db, bob.device, bob.groups, bob.record)

    assert (shown.name, shown.title, shown.invited_by) == ("#team", "team", "alice")
    assert shown.may_speak
    assert shown.suite == "MLS_256_XWING_CHACHA20POLY1305_SHA512_Ed25519"


def test_epoch_codes_are_equal_for_members_of_one_epoch(pair: tuple[MemberOf, MemberOf]) -> None:
    codes = [fingerprint(each.store.db, each.device, b"k" * 32, each.groups, each.record) for each in pair]

    assert codes[0].epoch_code == codes[1].epoch_code is not None
