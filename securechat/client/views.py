"""A conversation as a value to show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import apsw
from msgspec import structs

from securechat.client.contacts import identities, of_all
from securechat.client.device import Device
from securechat.client.events import Conversation, Identity, Member, Standing
from securechat.client.groups import Groups
from securechat.client.marks import NOTHING, Marks
from securechat.client.people import members_of
from securechat.client.records import ConversationRecord
from securechat.client.statements import listed
from securechat.membership.room import may_speak, room_of
from securechat.mls.cipher_suite import cipher_suite


@dataclass(frozen=True, slots=True)
class People:
    """What is known of users, by name, whatever conversation they are in."""

    known: Mapping[str, Identity]
    """What each whose key is known is to us."""
    listed: Mapping[str, int]
    """How many devices the account of each has."""

    @classmethod
    def of(cls, db: apsw.Connection) -> "People":
        return cls(identities(db), listed(db))


STRANGERS: Final = People({}, {})


def view(
    db: apsw.Connection,
    device: Device,
    groups: Groups,
    record: ConversationRecord,
    *,
    marks: Marks = NOTHING,
    people: People = STRANGERS,
) -> Conversation:
    """Return what a list shows."""
    members: tuple[Member, ...] = ()
    suite, speaks = "", False
    public = groups.public(db, record.id)
    if public is not None:
        room = room_of(public.context)
        members = tuple(
            structs.replace(
                member, identity=people.known.get(member.user), listed=people.listed.get(member.user)
            )
            for member in members_of(public.tree, room)
        )
        suite = cipher_suite(public.context.cipher_suite).name
        speaks = may_speak(room, device.user_uri) and record.state is Standing.JOINED and not record.held
    others = {record.peer} if record.peer else {member.user for member in members} - {device.user}
    identity = of_all(others, people.known)
    return Conversation(
        name=record.name,
        kind=record.kind,
        state=Standing.HELD if record.held else record.state,
        epoch=record.epoch,
        suite=suite,
        members=members,
        title=record.title,
        topic=record.topic,
        invited_by=record.invited_by,
        may_speak=speaks,
        held_code=record.held_code,
        held_text=record.held_text,
        unread=marks.unread,
        mentions=marks.mentions,
        last=marks.last,
        last_time=marks.last_time,
        notify=marks.notify,
        draft=marks.draft,
        verified=identity is Identity.VERIFIED,
        expires_after=record.expires_after,
        identity=identity,
    )
