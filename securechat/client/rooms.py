"""Rooms as the engine makes and meets them: policy, profile, and who is missing after a commit."""

import secrets
from typing import Final

from securechat.client.device import Device
from securechat.client.events import Kind
from securechat.client.people import credential_of
from securechat.membership import room as policy
from securechat.membership.identity import new_local_id
from securechat.membership.room import Profile, Room, SaltedProfile, extensions_for, room_of, without_absent
from securechat.mls.extensions import Extension
from securechat.mls.nodes import LeafIndex
from securechat.mls.public_group import PublicGroup
from securechat.names import NameRefused, fold_room_alias, room_uri
from securechat.text import mixes_alphabets, sanitise

KINDS: Final = {
    Kind.DIRECT: policy.Kind.DIRECT,
    Kind.ROOM: policy.Kind.ROOM,
    Kind.ANNOUNCEMENT: policy.Kind.ANNOUNCEMENT,
}
SHOWN_KINDS: Final = {theirs: ours for ours, theirs in KINDS.items()}

NAMELESS: Final = "room"
"""The alias of a room whose own name can't be one."""

MAX_TOPIC: Final = 512


def new_room_uri(device: Device) -> str:
    return room_uri(device.domain, new_local_id())


def new_profile(name: str, topic: str) -> SaltedProfile:
    return SaltedProfile(
        secrets.token_bytes(policy.PROFILE_SALT_BYTES), Profile(name.encode(), topic.encode())
    )


def new_policy(
    device: Device, uri: str, kind: Kind, profile: SaltedProfile | None, *, history: int = 0
) -> Room:
    return policy.make_room(
        uri,
        kind=KINDS[kind],
        owner=device.user_uri,
        profile_hash=profile.hash if profile is not None else bytes(32),
        history=history,
    )


def alias_for(profile: SaltedProfile | None) -> str:
    """Return what we call a room until the user says otherwise."""
    name = shown(profile.profile.name) if profile is not None else NAMELESS
    try:
        alias = fold_room_alias(name)
    except NameRefused:
        return "#" + NAMELESS
    return "#" + (NAMELESS if mixes_alphabets(alias) else alias)


def shown(text: bytes) -> str:
    return sanitise(text.decode("utf-8", "replace"), limit=MAX_TOPIC)


def extensions_without(
    public: PublicGroup, gone: frozenset[LeafIndex], coming: frozenset[str] = frozenset()
) -> tuple[Extension, ...] | None:
    """Return the context's extensions once these leaves are gone and these users came; None for no change.

    Role entries of users left without a leaf go in the same commit (rules.md C).
    """
    room = room_of(public.context)
    after = _tidied(room, public, gone, coming)
    return None if after == room else extensions_for(after)


def extensions_with_history(
    public: PublicGroup, gone: frozenset[LeafIndex], history: int
) -> tuple[Extension, ...]:
    """Return the same with another policy on what newcomers are handed."""
    return extensions_for(policy.with_history(_tidied(room_of(public.context), public, gone), history))


def _tidied(
    room: Room, public: PublicGroup, gone: frozenset[LeafIndex], coming: frozenset[str] = frozenset()
) -> Room:
    staying = {credential_of(leaf).user_uri for index, leaf in public.tree.leaves() if index not in gone}
    return without_absent(room, staying | coming)
