"""What we sent and the server let go of: before everybody had it (Q-08), or by an older copy (N-03).

What it has lost is its own word, and it may lie: messages get a code and the user one line, or are sealed
anew, but only for those they were sealed for before. The server says the same again at each sync; what
bears a code already is not told again.
"""

from collections.abc import Sequence

from securechat.client import places
from securechat.client.change import Change
from securechat.client.events import Notice
from securechat.client.records import ConversationRecord
from securechat.client.sentences import EXPIRED_UNREAD, NOT_SAID_AGAIN, lost, unread
from securechat.protocol.messages import Run


def note_unread(change: Change, record: ConversationRecord, runs: Sequence[Run]) -> None:
    """Mark what was sent at these places; what the server has not answered yet, at a later sync."""
    count = sum(
        places.mark_between(change.db, record.id, EXPIRED_UNREAD, first=first, last=last)
        for first, last in runs
    )
    if count:
        change.tell(Notice(EXPIRED_UNREAD, f"{record.name}: {unread(count)}"))


def say_again(
    change: Change,
    record: ConversationRecord,
    *,
    first: int,
    last: int,
    since: int = 0,
    epoch: int | None = None,
) -> None:
    """Send again what was at these places of the log, except what somebody who came since must not read.

    The parameters are those of `places.queue_again`.
    """
    count = places.queue_again(
        change.db, record.id, first=first, last=last, since=since, epoch=epoch, newcomers=record.newcomers
    )
    if count:
        change.tell(Notice(NOT_SAID_AGAIN, f"{record.name}: {lost(count)}"))
