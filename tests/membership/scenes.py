"""The groups that the cases begin with."""

from typing import Any, TypeVar

import msgspec

from securechat.membership.room import Join, Kind, Role, Room, with_roles
from tests.membership.world import Device, World, make_device

Changed = TypeVar("Changed", bound=msgspec.Struct)


def changed(room: Changed, /, **fields: Any) -> Changed:
    return msgspec.structs.replace(room, **fields)


def roles_of(room: Room, **roles: Role) -> Room:
    """Return the room with these roles beside those it has, users given by name."""
    domain = room.domain
    return with_roles(
        room, room.entries | {f"mimi://{domain}/u/{user}": role for user, role in roles.items()}
    )


def team(*, join: Join = Join.BY_ADMIN) -> World:
    """A room: alice owns it, bob is admin, carol a member, dave only reads."""
    world = World(make_device("alice"))
    devices = [make_device(user) for user in ("bob", "carol", "dave")]
    room = roles_of(changed(world.room, join=join), bob=Role.ADMIN, dave=Role.READER)
    world.add(world.of("alice"), *devices, room=room)
    return world


def news() -> World:
    """An announcement room: alice owns it, bob is admin, carol and dave speak, members may add others."""
    world = World(make_device("alice"), Kind.ANNOUNCEMENT)
    devices = [make_device(user) for user in ("bob", "carol", "dave")]
    room = changed(world.room, join=Join.BY_MEMBER)
    room = roles_of(room, bob=Role.ADMIN, carol=Role.MEMBER, dave=Role.MEMBER)
    world.add(world.of("alice"), *devices, room=room)
    return world


def pair() -> World:
    """A direct conversation of alice and bob."""
    world = World(make_device("alice"), Kind.DIRECT)
    world.add(world.of("alice"), make_device("bob"))
    return world


def orphans() -> World:
    """A room that its owner left by a joiner's commit: alice's role is still there, alice is not."""
    world = World(make_device("alice"))
    carol = make_device("carol")
    room = changed(world.room, join=Join.BY_MEMBER)
    world.add(world.of("alice"), carol, make_device("dave"), room=room)
    leave(world, world.of("alice"))
    second = second_device(carol)
    world.follow(second, world.external(second))
    return world


def leave(world: World, device: Device) -> None:
    """Let a device propose that it leaves."""
    world.propose(device, world.groups[device.client].propose_self_remove())


def second_device(device: Device, *, generation: int = 1) -> Device:
    """Return another device of the same account."""
    return make_device(device.user, device.account_key, generation=generation)
