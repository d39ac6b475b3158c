"""What went wrong in a conversation, kept in its history, so that `why` can say it later.

A note is a row between the messages, shown only when it is asked for. It has no message id: nobody
said it.
"""

from securechat.client import history
from securechat.client.change import Change
from securechat.client.events import Message, MessageState, Notice
from securechat.client.records import ConversationRecord


def note(
    change: Change, record: ConversationRecord, code: str, text: str, *, sender: str = "", sequence: int = 0
) -> None:
    """Keep it. ``sender`` is who did it, ``sequence`` its place in the log, where they are known."""
    history.add_received(
        change.db,
        record.id,
        history.Arrival(
            sender=sender,
            state=MessageState.NOT_SHOWN,
            text=text,
            timestamp=change.now,
            sequence=sequence,
            epoch=record.epoch,
            code=code,
        ),
    )


def tell(
    change: Change, record: ConversationRecord, code: str, text: str, *, sender: str = "", sequence: int = 0
) -> None:
    """Keep it, and say it now."""
    note(change, record, code, text, sender=sender, sequence=sequence)
    change.tell(Notice(code, text))


def is_note(message: Message) -> bool:
    return message.state is MessageState.NOT_SHOWN and not message.id
