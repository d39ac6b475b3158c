"""The room: a group's policy, in a private extension of its context (rules.md C).

The server reads it, every member agrees on it, and ``judge`` holds commits to it. Name, topic and
picture are not in it, only the salted hash of their `profile`.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Collection
from typing import Final

from securechat.errors import SecureChatError
from securechat.mls.cipher_suite import SUITE_3, SUITE_HYBRID
from securechat.mls.codec import Bytes32, Enum8, Opaque, Uint16, Uint32, WireStruct, decode, encode
from securechat.mls.credential import CredentialType
from securechat.mls.errors import DecodeError
from securechat.mls.extensions import (
    Extension,
    ExtensionType,
    RequiredCapabilities,
    extension_of,
    find_extension,
)
from securechat.mls.group_context import GroupContext
from securechat.mls.nodes import Capabilities, ProtocolVersion
from securechat.mls.proposals import ProposalType
from securechat.names import MimiUri, NameRefused, parse_room_uri, parse_user_uri

RULES_VERSION: Final = 1
"""The rules this version judges by."""

ROOM_EXTENSION: Final = 0xF5C1
PROFILE_EXTENSION: Final = 0xF5C2
"""Private-use extension types (RFC 9420 section 17.3): the policy in the context, the profile in a
Welcome's GroupInfo."""

LOG_ENDS_EXTENSION: Final = 0xF5C3
"""Of no extension, only listed in a leaf's capabilities: this client understands a claim about the log that
speaks of earlier epochs too (`membership/chain.py`)."""

PRODUCT_SUITES: Final = (SUITE_HYBRID.number, SUITE_3.number)
"""What the certificates of new devices list, the best first."""

MAX_CLIENTS: Final = 1000
"""Beyond this a cold commit (84 kB at 1,000; hybrid 1.2 MB) and a join cost more than a chat should."""

PROFILE_SALT_BYTES: Final = 32


class RoomRefused(SecureChatError):
    """A group's context does not carry a valid room."""


class UpdateNeeded(RoomRefused):
    """The room's rules are newer than this version: stop and say "update needed"."""


class Kind(Enum8):
    """What the room is; never changes."""

    DIRECT = 1
    ROOM = 2
    ANNOUNCEMENT = 3


class Join(Enum8):
    """Who may add users."""

    BY_ADMIN = 1
    BY_MEMBER = 2


class Role(Enum8):
    """What a user may do; each in the list may do what those after it may."""

    OWNER = 1
    ADMIN = 2
    MEMBER = 3
    READER = 4
    BANNED = 5


class DefaultRole(Enum8):
    """The role of everyone without an entry."""

    MEMBER = 1
    READER = 2

    @property
    def role(self) -> Role:
        return Role.MEMBER if self is DefaultRole.MEMBER else Role.READER


class RoleEntry(WireStruct, frozen=True):
    user: Opaque
    role: Role


class Room(WireStruct, frozen=True):
    """``roles``: sorted by user, unique, only what differs from the default."""

    rules: Uint16
    room: Opaque
    kind: Kind
    join: Join
    max_clients: Uint32
    history: Uint16
    roles: tuple[RoleEntry, ...]
    default_role: DefaultRole
    profile_hash: Bytes32

    @property
    def uri(self) -> MimiUri:
        return parse_room_uri(self.room)

    @property
    def domain(self) -> str:
        return self.uri.domain

    def role(self, user: str) -> Role:
        """Return the role of a user, given by URI, as the entries have it."""
        wanted = user.encode()
        place = bisect_left(self.roles, wanted, key=lambda entry: entry.user)
        found = place < len(self.roles) and self.roles[place].user == wanted
        return self.roles[place].role if found else self.default_role.role

    @property
    def entries(self) -> dict[str, Role]:
        """The roles by user's URI: a new dictionary each time."""
        return {entry.user.decode(): entry.role for entry in self.roles}


class Profile(WireStruct, frozen=True):
    """What the room is called; only members ever see it."""

    name: Opaque
    topic: Opaque = b""
    picture: Opaque = b""


class SaltedProfile(WireStruct, frozen=True):
    """A profile with the salt that its hash needs: what travels in a Welcome and in a message."""

    salt: Bytes32
    profile: Profile

    @property
    def hash(self) -> bytes:
        """The room's ``profile_hash``; without the salt nobody can guess a name from it."""
        return hashlib.sha256(self.salt + encode(self.profile)).digest()

    @property
    def extension(self) -> Extension:
        """The extension for the encrypted GroupInfo of a Welcome; never for the stored one."""
        return extension_of(PROFILE_EXTENSION, self)


def read_profile(extensions: Collection[Extension], room: Room) -> SaltedProfile | None:
    """Return the profile among a Welcome's extensions if it is the room's, else None."""
    data = find_extension(tuple(extensions), PROFILE_EXTENSION)
    return None if data is None else decode_profile(data, room)


def decode_profile(data: bytes, room: Room) -> SaltedProfile | None:
    """Return the profile that ``data`` encodes if its hash is the room's, else None."""
    try:
        profile = decode(SaltedProfile, data)
    except DecodeError:
        return None
    # A public hash, compared to know which profile is meant: nothing secret about it.
    return profile if profile.hash == room.profile_hash else None


def make_room(
    uri: str,
    *,
    kind: Kind,
    owner: str,
    join: Join = Join.BY_ADMIN,
    max_clients: int = MAX_CLIENTS,
    profile_hash: bytes = bytes(32),
    history: int = 0,
) -> Room:
    """Return the policy of a new room; ``owner`` is its creator's URI."""
    announcement = kind is Kind.ANNOUNCEMENT
    return Room(
        rules=RULES_VERSION,
        room=uri.encode(),
        kind=kind,
        join=join,
        max_clients=max_clients,
        history=history,
        roles=() if kind is Kind.DIRECT else (RoleEntry(owner.encode(), Role.OWNER),),
        default_role=DefaultRole.READER if announcement else DefaultRole.MEMBER,
        profile_hash=profile_hash,
    )


def with_roles(room: Room, roles: dict[str, Role]) -> Room:
    """Return the room with exactly these roles, by user's URI; what equals the default gets no entry."""
    entries = sorted((user.encode(), role) for user, role in roles.items() if role != room.default_role.role)
    return _replaced(room, tuple(RoleEntry(user, role) for user, role in entries))


def with_history(room: Room, history: int) -> Room:
    """Return the room with another policy on what newcomers are handed: none 0, all 65,535."""
    fields = {name: getattr(room, name) for name in Room.__struct_fields__}
    return Room(**(fields | {"history": history}))


def without_absent(room: Room, present: Collection[str]) -> Room:
    """Return the room as it must be after a commit: no entry of a user without a leaf, but bans."""
    kept = {u: role for u, role in room.entries.items() if role is Role.BANNED or u in present}
    return room if len(kept) == len(room.roles) else with_roles(room, kept)


def room_of(context: GroupContext) -> Room:
    """Return the room of a group.

    :raises UpdateNeeded: its rules are newer than this version
    :raises RoomRefused: there is none, or it is not valid
    """
    data = find_extension(context.extensions, ROOM_EXTENSION)
    if data is None:
        raise RoomRefused("The group does not say which room it is.")
    return read_room(data)


def read_room(data: bytes) -> Room:
    """Read the extension's data; raises like `room_of`."""
    # The version comes first, so that it can be read whatever later rules put behind it.
    if int.from_bytes(data[:2], "big") > RULES_VERSION:
        raise UpdateNeeded("The room follows newer rules than this version knows: update needed.")
    try:
        room = decode(Room, data)
    except DecodeError:
        raise RoomRefused("The group's room does not decode.") from None
    problem = _room_problem(room)
    if problem is not None:
        raise RoomRefused(problem)
    return room


def role_of(room: Room, user: str) -> Role:
    """Return the role of a user, given by URI; in a direct conversation everyone is a member."""
    return room.role(user)


def acting_role(room: Room, user: str, present: Collection[str]) -> Role:
    """Return what a user may do: admins act as owners where no owner is present (users by URI)."""
    role = room.role(user)
    owned = any(had is Role.OWNER and owner in present for owner, had in room.entries.items())
    return Role.OWNER if role is Role.ADMIN and not owned else role


def may_speak(room: Room, user: str) -> bool:
    """Whether what this user sends is shown; readers of an announcement room only read."""
    return room.role(user) <= Role.MEMBER


def extensions_for(room: Room) -> tuple[Extension, ...]:
    """Return all extensions of a group's context: the policy, and that every member must know it."""
    required = RequiredCapabilities(
        extension_types=(ROOM_EXTENSION,),
        proposal_types=(ProposalType.SELF_REMOVE,),
        credential_types=(CredentialType.BASIC,),
    )
    return (
        extension_of(ExtensionType.REQUIRED_CAPABILITIES, required),
        extension_of(ROOM_EXTENSION, room),
    )


def capabilities(suites: tuple[int, ...] = PRODUCT_SUITES) -> Capabilities:
    """Return what every leaf of ours says it can do."""
    return Capabilities(
        versions=(ProtocolVersion.MLS10,),
        cipher_suites=suites,
        extensions=(
            ROOM_EXTENSION,
            PROFILE_EXTENSION,
            LOG_ENDS_EXTENSION,
            ExtensionType.APP_DATA_DICTIONARY,
        ),
        proposals=(ProposalType.SELF_REMOVE,),
        credentials=(CredentialType.BASIC,),
    )


def _replaced(room: Room, roles: tuple[RoleEntry, ...]) -> Room:
    fields = {name: getattr(room, name) for name in Room.__struct_fields__}
    return Room(**(fields | {"roles": roles}))


def _room_problem(room: Room) -> str | None:
    """Return what is wrong with a room by itself."""
    users = [entry.user for entry in room.roles]
    checks = (
        (room.rules == 0, "The room's rules have no version."),
        (not _is_room_uri(room.room), "The room's URI is not one."),
        (not 1 <= room.max_clients <= MAX_CLIENTS, f"A room has at most {MAX_CLIENTS} clients."),
        (users != sorted(set(users)), "The room's roles are not sorted and unique."),
        (
            any(entry.role is room.default_role.role for entry in room.roles),
            "The room's roles name what everyone is by default.",
        ),
        (room.kind is Kind.DIRECT and users != [], "A direct conversation has no roles."),
        (
            room.kind is Kind.DIRECT and room.default_role is not DefaultRole.MEMBER,
            "In a direct conversation both may speak.",
        ),
        (
            room.kind is Kind.ANNOUNCEMENT and room.default_role is not DefaultRole.READER,
            "In an announcement room only those with a role may speak.",
        ),
    )
    for broken, text in checks:
        if broken:
            return text
    if not all(_is_user_uri(user, room.domain) for user in users):
        return "The room's roles name somebody who is no user of its domain."
    return None


def _is_room_uri(uri: bytes) -> bool:
    try:
        parse_room_uri(uri)
    except NameRefused:
        return False
    return True


def _is_user_uri(uri: bytes, domain: str) -> bool:
    try:
        return parse_user_uri(uri).domain == domain
    except NameRefused:
        return False
