"""What we sent and the server let go of before everybody had read it (Q-08).

Who has read what is the server's word, and it may lie: the messages get a code and the user one
line, nothing else comes of it. The server says the same again at each sync; what bears a code
already is not told again.
"""

from collections.abc import Sequence

from securechat.client import history
from securechat.client.change import Change
from securechat.client.events import Notice
from securechat.client.records import ConversationRecord
from securechat.client.sentences import EXPIRED_UNREAD, unread
from securechat.protocol.messages import Run


def note_unread(change: Change, record: ConversationRecord, runs: Sequence[Run]) -> None:
    """Mark what was sent at these places; what the server has not answered yet, at a later sync."""
    count = sum(
        history.mark_sent_between(change.db, record.id, EXPIRED_UNREAD, first=first, last=last)
        for first, last in runs
    )
    if count:
        change.tell(Notice(EXPIRED_UNREAD, f"{record.name}: {unread(count)}"))
