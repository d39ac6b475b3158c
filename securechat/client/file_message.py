"""A file's message: queued once the server has the file, and what it shows of it."""

import secrets
from pathlib import Path
from typing import Final

import cbor2

from securechat.client import history
from securechat.client.change import Change
from securechat.client.device import Device
from securechat.client.errors import NotAMember
from securechat.client.events import FileInfo, Message, Standing
from securechat.client.file_names import safe_name
from securechat.client.records import ConversationRecord
from securechat.content.errors import ContentError
from securechat.content.message import file_text
from securechat.content.mimi import (
    ROOM_URI,
    SENDER_URI,
    ExternalPart,
    MimiContent,
    decode,
    encode,
    message_id,
)
from securechat.content.sealed_file import SealedFile, file_part, read_file_part
from securechat.text import sanitise

SALT_BYTES: Final = 16
MAX_SHOWN: Final = 64 * 1024

OFFERED, PARTIAL, SAVED, FOREIGN = "offered", "partial", "saved", "foreign"


def check_may_send(record: ConversationRecord) -> None:
    """Refuse a conversation that nothing can be sent to.

    :raises NotAMember: one is not in it (or has not joined it yet)
    """
    if record.state not in (Standing.OPENING, Standing.JOINED):
        raise NotAMember(record.name)


def queue_file(
    change: Change, device: Device, record: ConversationRecord, file: SealedFile, *, now: int
) -> Message:
    """Store the message of a file that the server has.

    :raises NotAMember: one is no longer in the conversation
    """
    check_may_send(record)
    part = file_part(file)
    content = encode(
        MimiContent(
            salt=secrets.token_bytes(SALT_BYTES),
            extensions=((SENDER_URI, cbor2.dumps(device.user_uri)), (ROOM_URI, cbor2.dumps(record.room))),
            part=part,
        )
    )
    draft = history.Draft(
        sender=device.user,
        text=sanitise(file_text(part), multiline=True, limit=MAX_SHOWN),
        content=content,
        mimi_id=message_id(content, sender_uri=device.user_uri, room_uri=record.room),
        timestamp=now,
        key=None,
    )
    return history.add_outgoing(change.db, record.id, draft)


def file_info(content: bytes, part: Path | None, path: Path | None) -> FileInfo | None:
    """Return what a stored message shows of its file; None if it has none.

    :param part: where it grows, if some of it was fetched
    :param path: where it lies, if all of it was
    """
    try:
        external = decode(content).part if content else None
    except ContentError:
        return None
    if not isinstance(external, ExternalPart):
        return None
    state = SAVED if path else PARTIAL if part else OFFERED
    try:
        size = read_file_part(external).size
    except ContentError:
        state, size = FOREIGN, external.size
    return FileInfo(
        name=sanitise(safe_name(external.filename)),
        content_type=sanitise(external.content_type),
        size=size,
        state=state,
        path=sanitise(str(path)) if path else "",
    )
