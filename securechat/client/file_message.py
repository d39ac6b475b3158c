"""A file's message, queued once the server has the file."""

from typing import Final

from securechat.client.change import Change
from securechat.client.compose import Written, frame_for, queue
from securechat.client.device import Device
from securechat.client.errors import NotAMember
from securechat.client.events import Message, MessageKind, Standing
from securechat.client.records import ConversationRecord
from securechat.content.attached import with_thumbnail
from securechat.content.message import file_text, framed
from securechat.content.sealed_file import SealedFile, file_part
from securechat.text import sanitise

MAX_SHOWN: Final = 64 * 1024


def check_may_send(record: ConversationRecord) -> None:
    """Refuse a conversation that nothing can be sent to.

    :raises NotAMember: one is not in it (or has not joined it yet)
    """
    if record.state not in (Standing.OPENING, Standing.JOINED):
        raise NotAMember(record.name)


def queue_file(
    change: Change,
    device: Device,
    record: ConversationRecord,
    file: SealedFile,
    *,
    now: int,
    thumbnail: bytes = b"",
) -> Message:
    """Store the message of a file that the server has.

    :param thumbnail: empty for none
    :raises NotAMember: one is no longer in the conversation
    """
    check_may_send(record)
    part = file_part(file)
    written = Written(
        content=framed(with_thumbnail(part, thumbnail), frame_for(device, record)),
        kind=MessageKind.FILE,
        text=sanitise(file_text(part), multiline=True, limit=MAX_SHOWN),
    )
    return queue(change, device, record, written, now=now)
