"""From what a person types to a stored message: names, limits, content and its id."""

import secrets
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from securechat.client import history, records, timeline
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
from securechat.client.events import Kind, Message, MessageKind, Standing
from securechat.client.forks import with_codes
from securechat.client.gossip import with_head
from securechat.client.groups import Groups
from securechat.client.records import ConversationRecord
from securechat.client.sentences import RESTORED
from securechat.content.errors import ContentError
from securechat.content.message import Frame, framed, text_part
from securechat.content.mimi import Expiration, MimiContent, SinglePart, encode, message_id
from securechat.content.threads import topic_name
from securechat.names import fold_room_alias, fold_user
from securechat.protocol.limits import MAX_BODY
from securechat.text import sanitise

SALT_BYTES: Final = 16

MAX_CONTENT: Final = MAX_BODY - 2048
"""Bytes of content that fit the last bucket of padding (`work.PADDING`) with the signature beside them."""

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


def frame_for(
    device: Device,
    record: ConversationRecord,
    *,
    in_reply_to: bytes | None = None,
    topic_id: bytes = b"",
    passing: bool = False,
) -> Frame:
    """Return what stands around a message of ours; what is not to be read has no time to stay either."""
    timed = record.expires_after and not passing
    return Frame(
        salt=secrets.token_bytes(SALT_BYTES),
        sender_uri=device.user_uri,
        room_uri=record.room,
        in_reply_to=in_reply_to,
        topic_id=topic_id,
        expires=Expiration(relative=True, time=record.expires_after) if timed else None,
    )


class Written(Struct, frozen=True, kw_only=True):
    """A message of ours as it is to be kept; ``hidden`` if it has no line of its own.

    ``about`` is the MIMI id of what it answers, or is about.
    """

    content: MimiContent
    kind: str
    text: str = ""
    hidden: bool = False
    key: str | None = None
    about: bytes | None = None


class Around(Struct, frozen=True, kw_only=True):
    """Where a text belongs, whom it may name (user name -> URI), and of which groups it may speak besides."""

    reply_to: bytes | None = None
    topic_id: bytes = b""
    people: Mapping[str, str] = {}
    groups: Groups | None = None


def queue(
    change: Change,
    device: Device,
    record: ConversationRecord,
    written: Written,
    *,
    now: int,
    groups: Groups | None = None,
) -> Message:
    """Store a message to be sent: from here on it is not lost.

    :param groups: those whose epochs it may speak of besides (`forks`); of none without them
    :raises NotAMember: one is not in the conversation (or has not joined it yet)
    :raises Forbidden: it is too large
    """
    if record.state not in (Standing.OPENING, Standing.JOINED):
        raise NotAMember(record.name)
    content = with_head(change, record, written.content, written.kind)
    if groups is not None:
        content = with_codes(change, groups, record, content, kind=written.kind, most=MAX_CONTENT)
    encoded = _encoded(content)
    if record.peer and not written.hidden:
        change.db.execute("INSERT OR IGNORE INTO correspondent (user) VALUES (?)", (record.peer,))
    timeline.keep_topic(change.db, record.id, written.content.topic_id)
    stays = written.content.expires if not written.hidden else None
    draft = history.Draft(
        sender=device.user,
        text=written.text,
        content=encoded,
        mimi_id=message_id(encoded, sender_uri=device.user_uri, room_uri=record.room),
        timestamp=now,
        key=written.key,
        kind=written.kind,
        hidden=written.hidden,
        about=written.about,
        thread=topic_name(written.content.topic_id),
        lifetime=stays.time if stays is not None else 0,
        account_key=device.account_keys[0],
    )
    return history.add_outgoing(change.db, record.id, draft)


def _encoded(content: MimiContent) -> bytes:
    """Return what is sealed: more than fits the largest bucket could be sealed, and never be sent."""
    try:
        encoded = encode(content)
    except ContentError:
        encoded = b""  # of the fields of ours only their length can be wrong
    if not 0 < len(encoded) <= MAX_CONTENT:
        raise Forbidden("quota", "the text is too long here: its topic takes up much of the message")
    return encoded


def queue_text(
    change: Change,
    device: Device,
    record: ConversationRecord,
    text: str,
    *,
    now: int,
    key: str | None,
    around: Around = Around(),  # noqa: B008 (frozen)
) -> Message:
    """Store a text to be sent.

    :raises NotAMember: one is not in the conversation (or has not joined it yet)
    :raises Forbidden: the text is empty or too long
    """
    part = checked_text(text, around.people)
    frame = frame_for(device, record, in_reply_to=around.reply_to, topic_id=around.topic_id)
    written = Written(
        content=framed(part, frame),
        kind=MessageKind.TEXT,
        text=sanitise(text, multiline=True, limit=MAX_TEXT),
        key=key,
        about=around.reply_to,
    )
    return queue(change, device, record, written, now=now, groups=around.groups)


def checked_text(text: str, people: Mapping[str, str] | None = None) -> SinglePart:
    """Return a text as it is sent; Forbidden if it is empty or too long."""
    if not text.strip():
        raise Forbidden("bad_request", "there is nothing to send")
    part = text_part(text, people)
    if len(part.content) > MAX_TEXT:
        raise Forbidden("quota", f"the text is too long: one message holds {MAX_TEXT // 1024} KiB")
    return part


def why_held(record: ConversationRecord) -> ClientError:
    """Return the error for somebody who waits for a message to a held conversation."""
    if record.held_code == "identity_changed":
        return IdentityChanged(record.peer or record.name)
    if record.held_code in RESTORED:
        return ServerOlder(record.held_text)
    if record.held_code == SuiteForbidden.code:
        return refusal("forbidden", record.held_text)
    return UntrustedKeys(record.held_text)
