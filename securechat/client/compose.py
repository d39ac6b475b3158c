"""From what a person types to a stored message: names, limits, content and its id."""

import secrets
from typing import Final

from securechat.client import history, records
from securechat.client.change import Change
from securechat.client.device import Device
from securechat.client.errors import (
    ClientError,
    Forbidden,
    IdentityChanged,
    NotAMember,
    ServerOlder,
    SuiteForbidden,
    UnknownConversation,
    UntrustedKeys,
    refusal,
)
from securechat.client.events import Kind, Message, Standing
from securechat.client.records import ConversationRecord
from securechat.client.sentences import RESTORED
from securechat.client.work import MAX_CONTENT
from securechat.content.message import text_message
from securechat.content.mimi import encode, message_id
from securechat.names import fold_room_alias, fold_user
from securechat.text import sanitise

SALT_BYTES: Final = 16

MAX_TEXT: Final = MAX_CONTENT - 2048
"""Bytes of text; two URIs and the fields of the content stand beside it."""


def fold_name(name: str) -> str:
    """Return a conversation's name as it is kept: ``@bob`` or ``#team``; a bare word is a user.

    :raises NameRefused: it can't be one
    """
    return "#" + fold_room_alias(name) if name.startswith("#") else "@" + fold_user(name)


def conversation_for(change: Change, device: Device, name: str) -> ConversationRecord:
    """Return the conversation to send to; a direct one begins here if there is none.

    :raises UnknownConversation: there is no room of this name
    :raises Forbidden: one does not write to oneself
    """
    record = records.by_name(change.db, name)
    if record is not None:
        return record
    if name.startswith("#"):
        raise UnknownConversation(name)
    peer = name.removeprefix("@")
    if peer == device.user:
        raise Forbidden("forbidden", "you cannot write to yourself")
    return records.insert(
        change.db,
        name=name,
        kind=Kind.DIRECT,
        state=Standing.OPENING,
        room=device.direct_room(peer),
        peer=peer,
    )


def queue_text(
    change: Change, device: Device, record: ConversationRecord, text: str, *, now: int, key: str | None
) -> Message:
    """Store a message to be sent: from here on it is not lost.

    :raises NotAMember: one is not in the conversation (or has not joined it yet)
    :raises Forbidden: the text is empty or too long
    """
    if record.state not in (Standing.OPENING, Standing.JOINED):
        raise NotAMember(record.name)
    if not text.strip():
        raise Forbidden("bad_request", "there is nothing to send")
    if len(text.encode("utf-8", "replace")) > MAX_TEXT:
        raise Forbidden("quota", f"the text is too long: one message holds {MAX_TEXT // 1024} KiB")
    content = encode(
        text_message(text, secrets.token_bytes(SALT_BYTES), sender_uri=device.user_uri, room_uri=record.room)
    )
    draft = history.Draft(
        sender=device.user,
        text=sanitise(text, multiline=True, limit=MAX_TEXT),
        content=content,
        mimi_id=message_id(content, sender_uri=device.user_uri, room_uri=record.room),
        timestamp=now,
        key=key,
    )
    return history.add_outgoing(change.db, record.id, draft)


def why_held(record: ConversationRecord) -> ClientError:
    """Return the error for somebody who waits for a message to a held conversation."""
    if record.held_code == "identity_changed":
        return IdentityChanged(record.peer or record.name)
    if record.held_code in RESTORED:
        return ServerOlder(record.held_text)
    if record.held_code == SuiteForbidden.code:
        return refusal("forbidden", record.held_text)
    return UntrustedKeys(record.held_text)
