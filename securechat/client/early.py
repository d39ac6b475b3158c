"""Changes of messages that are not here: each has a line of its own, so that nothing is said unseen (Q-06).

The message may have come before we joined, it may have been unreadable, or the server brings it later.
Later changes by the same account stand in the line; once the message comes, the words are put there
and the line goes.
"""

from typing import Any

import apsw
from msgspec import Struct

from securechat.client import forgetting
from securechat.client.said_of import LONG_AGO, Told, is_of


class Line(Struct, frozen=True):
    """What stands in place of a message. ``told`` is its last change; without content it was withdrawn."""

    local_id: int
    mimi_id: bytes
    told: Told


def lines(db: apsw.Connection, conversation: int, target: bytes) -> list[Line]:
    """Return what stands in place of a message, of whomever."""
    rows: Any = db.execute(
        "SELECT id, mimi_id, sender, account_key, coalesce(version, mimi_id), max(timestamp, edited), content"
        " FROM message WHERE conversation = ? AND about = ? AND kind = 'early' ORDER BY id",
        (conversation, target),
    ).fetchall()
    return [
        Line(
            local_id,
            mimi_id,
            Told(
                sender=sender, keys=(key,), mimi_id=last, timestamp=when, content=content, sequence=LONG_AGO
            ),
        )
        for local_id, mimi_id, sender, key, last, when, content in rows
    ]


def line_of(db: apsw.Connection, conversation: int, target: bytes, told: Told) -> bytes | None:
    """Return the id of the line that the same account has in place of a message."""
    found = lines(db, conversation, target)
    own = (each for each in found if each.told.sender == told.sender and is_of(each.told.key, told.keys))
    return next((each.mimi_id for each in own), None)


def close(db: apsw.Connection, conversation: int, line: Line, code: str) -> None:
    """The message has come: its words hold them now; or, with a code, they do not count."""
    if not code:
        forgetting.disappear(db, conversation, line.local_id, line.mimi_id)
        return
    db.execute(
        "UPDATE message SET state = 'not_shown', hidden = 1, shown = 1, printed = 1, kind = 'text', code = ?"
        " WHERE id = ?",
        (code, line.local_id),
    )
