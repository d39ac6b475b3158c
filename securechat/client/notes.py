"""What went wrong in a conversation, kept in its history, so that `why` can say it later.

A note is a row between the messages, shown only when it is asked for. It has no message id: nobody
said it. What belongs to no conversation that is here, an invitation that was not taken, is kept by itself.
"""

from typing import Any, Final

import apsw
from msgspec import Struct

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


MOST_KEPT: Final = 20
"""Notes of no conversation; strangers can send as many invitations as the server lets them."""


class AccountNote(Struct, frozen=True):
    """``epoch`` is that of the group it was an invitation to, else 0; ``timestamp`` is seconds since 1970."""

    id: int
    code: str
    text: str
    epoch: int
    timestamp: int


def tell_account(change: Change, code: str, text: str, *, epoch: int = 0) -> None:
    """Keep what belongs to no conversation, and say it now."""
    change.db.execute(
        "INSERT INTO account_note (code, text, epoch, timestamp) VALUES (?, ?, ?, ?)",
        (code, text, epoch, change.now),
    )
    change.db.execute(
        "DELETE FROM account_note WHERE id NOT IN (SELECT id FROM account_note ORDER BY id DESC LIMIT ?)",
        (MOST_KEPT,),
    )
    change.tell(Notice(code, text))


def of_account(db: apsw.Connection) -> list[AccountNote]:
    """Return what was kept of no conversation, oldest first."""
    rows: list[Any] = db.execute(
        "SELECT id, code, text, epoch, timestamp FROM account_note ORDER BY id"
    ).fetchall()
    return [AccountNote(*row) for row in rows]


def is_note(message: Message) -> bool:
    return message.state is MessageState.NOT_SHOWN and not message.id
