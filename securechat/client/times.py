"""When something was said is the server's word; where it cannot be, that is told.

Nothing authenticates the time of an entry, and any is shown as it is given (C-06). But what comes is
not of tomorrow, and not of before what stands ahead of it in the log.
"""

from typing import Final

from securechat.client import notes
from securechat.client.change import Change
from securechat.client.records import ConversationRecord
from securechat.client.sentences import WRONG_TIME
from securechat.membership.identity import CLOCK_TOLERANCE
from securechat.protocol.messages import Entry

CODE: Final = "wrong_time"

_BEFORE: Final = """
SELECT timestamp FROM message WHERE conversation = ? AND sequence < ? AND state = 'received'
ORDER BY sequence DESC LIMIT 1
"""

_SAID: Final = (
    "SELECT 1 FROM message WHERE conversation = ? AND sequence >= 0 AND code = ? AND epoch = ? LIMIT 1"
)


def compare(change: Change, record: ConversationRecord, entry: Entry) -> None:
    """Tell, once in an epoch, of a message whose time cannot be: by more than clocks may differ."""
    row = change.db.execute(_BEFORE, (record.id, entry.sequence)).fetchone()
    earliest = int(row[0]) if row is not None else 0
    if earliest - CLOCK_TOLERANCE <= entry.time <= change.now + CLOCK_TOLERANCE:
        return
    if change.db.execute(_SAID, (record.id, CODE, record.epoch)).fetchone() is None:
        notes.tell(change, record, CODE, WRONG_TIME.format(name=record.name), sequence=entry.sequence)
