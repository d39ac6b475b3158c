"""What members do to a room, whether they may or not: each a commit."""

from collections.abc import Callable
from typing import Any

import msgspec

from securechat.client.rooms import new_room_uri
from securechat.membership.room import DefaultRole, Role, Room, extensions_for, room_of, with_roles
from securechat.mls.codec import decode
from securechat.mls.extensions import Extension
from securechat.mls.group import Group
from securechat.mls.key_package import KeyPackage
from securechat.mls.proposals import ReInit
from securechat.mls.staging import CommitPlan
from tests.scenarios.evil_server.accomplices import Plan
from tests.scenarios.evil_server.ghosts import published
from tests.scenarios.evil_server.stage import Stage

Deed = Callable[[Stage], Plan]


def uri(stage: Stage, name: str) -> str:
    return stage.engine(name).device.user_uri


def roles(stage: Stage, given: dict[str, Role]) -> dict[str, Role]:
    return {uri(stage, name): role for name, role in given.items()}


def policy(change: Callable[[Room], Room]) -> Plan:
    """A commit after which the room's policy is another."""

    def plan(group: Group) -> CommitPlan:
        room = change(room_of(group.public.context))
        return CommitPlan(extensions=extensions_for(room), force_path=True)

    return plan


def with_fields(**fields: Any) -> Deed:
    return lambda _: policy(lambda room: msgspec.structs.replace(room, **fields))


def for_readers(**fields: Any) -> Deed:
    """A policy by which only those with a role speak."""

    def deed(stage: Stage) -> Plan:
        given = roles(stage, {"alice": Role.OWNER, "bob": Role.ADMIN})
        changed = fields | {"default_role": DefaultRole.READER}
        return policy(lambda room: with_roles(msgspec.structs.replace(room, **changed), given))

    return deed


def moving_house(stage: Stage) -> Plan:
    address = new_room_uri(stage.engine("alice").device).encode()
    return policy(lambda room: msgspec.structs.replace(room, room=address))


def giving(**given: Role) -> Deed:
    def deed(stage: Stage) -> Plan:
        return policy(lambda room: with_roles(room, room.entries | roles(stage, given)))

    return deed


def adding(name: str) -> Deed:
    def deed(stage: Stage) -> Plan:
        package = decode(KeyPackage, published(stage, name))
        return lambda _: CommitPlan(add=(package,), force_path=True)

    return deed


def removing(name: str) -> Deed:
    def deed(stage: Stage) -> Plan:
        def plan(group: Group) -> CommitPlan:
            own = stage.person(name).keys.device_key.public_key().public_bytes_raw()
            gone = [index for index, leaf in group.public.tree.leaves() if leaf.signature_key == own]
            room = room_of(group.public.context)
            kept = {user: role for user, role in room.entries.items() if user != uri(stage, name)}
            changed = with_roles(room, kept)
            extensions = None if changed == room else extensions_for(changed)
            return CommitPlan(remove=tuple(gone), extensions=extensions, force_path=True)

        return plan

    return deed


def starting_anew(stage: Stage) -> Plan:
    del stage

    def plan(group: Group) -> CommitPlan:
        context = group.public.context
        reinit = ReInit(bytes(32), context.version, context.cipher_suite, context.extensions)
        return CommitPlan(reinit=reinit)

    return plan


def slipping_in_an_extension(stage: Stage) -> Plan:
    del stage

    def plan(group: Group) -> CommitPlan:
        more = (*group.public.context.extensions, Extension(0xF5C2, b"anything"))
        return CommitPlan(extensions=more, force_path=True)

    return plan
