"""A conversation as a value to show."""

import apsw

from securechat.client.device import Device
from securechat.client.events import Conversation, Member, Standing
from securechat.client.groups import Groups
from securechat.client.people import members_of
from securechat.client.records import ConversationRecord
from securechat.membership.room import may_speak, room_of
from securechat.mls.cipher_suite import cipher_suite


def view(db: apsw.Connection, device: Device, groups: Groups, record: ConversationRecord) -> Conversation:
    members: tuple[Member, ...] = ()
    suite, speaks = "", False
    public = groups.public(db, record.id)
    if public is not None:
        room = room_of(public.context)
        members = members_of(public.tree, room)
        suite = cipher_suite(public.context.cipher_suite).name
        speaks = may_speak(room, device.user_uri) and record.state is Standing.JOINED and not record.held
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
    )
