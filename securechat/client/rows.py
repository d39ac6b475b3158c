"""Rows of the table ``message`` as the values that are shown, with what was said of each beside it.

Reactions, votes and receipts are read for all messages of a page at once.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from securechat.client.doubt import SHARED
from securechat.client.events import Message, MessageKind, MessageState, Poll, PollOption, Reaction
from securechat.client.exported import Said, message_of
from securechat.client.file_info import file_info
from securechat.content.errors import ContentError
from securechat.content.mimi import decode
from securechat.content.own_types import PollAsked
from securechat.content.saying import Asks, said
from securechat.content.status import DELIVERED, READ
from securechat.text import sanitise

MAX_REACTIONS_SHOWN: Final = 20
"""Different reactions to one message; more than a screen shows of it are kept, and not shown."""

BATCH: Final = 500
"""Messages that one query is asked about: far fewer than SQLite's limit on what a statement binds."""

COLUMNS: Final = (
    "m.id, m.mimi_id, c.name, m.sender, m.own, m.text, m.timestamp, m.sequence, m.epoch, m.state, m.code,"
    " m.verified, m.kind, m.about, m.thread, m.edited, m.deleted, m.mentions_me, m.expires, m.conversation,"
    " CASE WHEN m.kind IN ('poll', 'file') OR m.imported IS NOT NULL THEN m.content END, f.part, f.path,"
    " m.imported, m.closed, m.lifetime, m.vouched"
)
SELECT: Final = (
    f"SELECT {COLUMNS} FROM message m JOIN conversation c ON c.id = m.conversation"  # noqa: S608 (constants)
    " LEFT JOIN fetched_file f ON f.message = m.id"
)

EARLY: Final = "early"
"""The kind of a line that tells a change of a message that is not here."""

SHOWN_KINDS: Final = frozenset(MessageKind)
"""What a row may be that has a line of its own; the others are our words about other messages."""

Row = tuple[Any, ...]


class _Beside(Struct, frozen=True):
    """What was said of some messages: by place in the history, or by MIMI id."""

    reactions: dict[bytes, dict[str, list[str]]]
    votes: dict[bytes, list[tuple[str, bytes]]]
    receipts: dict[int, list[tuple[str, int]]]


def messages_of(db: apsw.Connection, rows: Sequence[Row]) -> list[Message]:
    """Return the messages that these rows (of `SELECT`) are, in their order."""
    beside: dict[int, _Beside] = {}
    for conversation in {row[19] for row in rows}:
        beside[conversation] = _read_beside(
            db, conversation, [(row[0], row[1], row[4]) for row in rows if row[19] == conversation]
        )
    return [_message(row, beside[row[19]]) for row in rows]


def poll_of(content: bytes) -> PollAsked | None:
    """Return what a stored poll asks; None if it was withdrawn."""
    try:
        asks = said(decode(content), domain="") if content else None
    except ContentError:
        return None
    return asks.poll if isinstance(asks, Asks) else None


def options_of(content: bytes, *, imported: bool) -> tuple[str, ...]:
    """Return what may be voted for in what is stored of a message; nothing if it is no poll.

    :param imported: it is what a file says of a message
    """
    if not imported:
        asked = poll_of(content)
        return tuple(map(sanitise, asked.options)) if asked is not None else ()
    try:
        poll = msgspec.json.decode(content, type=Said).poll
    except msgspec.MsgspecError:
        return ()
    return tuple(option.text for option in poll.options) if poll is not None else ()


def _message(row: Row, beside: _Beside) -> Message:
    if row[23] is not None and row[20]:
        said = msgspec.json.decode(row[20], type=Said)
        found = message_of(said, local_id=row[0], conversation=row[2], own=bool(row[4]))
        return msgspec.structs.replace(found, verified=SHARED + row[26]) if row[26] else found
    mimi_id, kind = row[1] or b"", row[12]
    votes = beside.votes.get(mimi_id, [])
    got = beside.receipts.get(row[0], ())
    return Message(
        id=mimi_id.hex(),
        local_id=row[0],
        conversation=row[2],
        sender=row[3],
        own=bool(row[4]),
        text=row[5],
        timestamp=row[6],
        sequence=row[7],
        epoch=row[8],
        state=MessageState(row[9]),
        code=row[10],
        verified=row[11],
        kind=MessageKind(kind) if kind in SHOWN_KINDS else MessageKind.TEXT,
        reply_to=(row[13] or b"").hex() if kind != EARLY else "",
        thread=row[14],
        edited=row[15],
        deleted=bool(row[16]),
        mentions_me=bool(row[17]),
        expires=row[18],
        lifetime=row[25],
        reactions=_reactions(beside.reactions.get(mimi_id, {})),
        delivered_to=tuple(user for user, status in got if status >= DELIVERED),
        read_by=tuple(user for user, status in got if status >= READ),
        poll=_poll(row[20], votes, closed=bool(row[24])) if kind == MessageKind.POLL else None,
        file=file_info(row[20], row[21], row[22]) if kind == MessageKind.FILE else None,
    )


def _reactions(found: dict[str, list[str]]) -> tuple[Reaction, ...]:
    return tuple(Reaction(text, tuple(users)) for text, users in list(found.items())[:MAX_REACTIONS_SHOWN])


def _poll(content: bytes | None, votes: list[tuple[str, bytes]], *, closed: bool) -> Poll | None:
    asked = poll_of(content) if content else None
    if asked is None:
        return None
    options = tuple(
        PollOption(sanitise(text), tuple(user for user, numbers in votes if number in numbers))
        for number, text in enumerate(asked.options, 1)
    )
    return Poll(sanitise(asked.question), options, closed)


def _read_beside(
    db: apsw.Connection, conversation: int, known: list[tuple[int, bytes | None, int]]
) -> _Beside:
    found = _Beside({}, {}, {})
    for mimi_ids in _batches([mimi_id for _, mimi_id, _ in known if mimi_id]):
        marks = ", ".join("?" * len(mimi_ids))
        where = f"WHERE conversation = ? AND target IN ({marks}) AND waiting = 0 ORDER BY id"
        rows: Any = db.execute(
            f"SELECT target, text, sender FROM reaction {where}",  # noqa: S608 (marks only)
            (conversation, *mimi_ids),
        )
        for target, text, sender in rows:
            found.reactions.setdefault(target, {}).setdefault(text, []).append(sender)
        rows = db.execute(
            f"SELECT target, sender, numbers FROM vote {where}",  # noqa: S608 (marks only)
            (conversation, *mimi_ids),
        )
        for target, sender, numbers in rows:
            found.votes.setdefault(target, []).append((sender, numbers))
    for local_ids in _batches([local_id for local_id, _, own in known if own]):
        marks = ", ".join("?" * len(local_ids))
        rows = db.execute(
            f"SELECT message, user, status FROM receipt WHERE message IN ({marks}) ORDER BY message, user",  # noqa: S608
            tuple(local_ids),
        )
        for local_id, user, status in rows:
            found.receipts.setdefault(local_id, []).append((user, status))
    return found


def _batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), BATCH):
        yield values[start : start + BATCH]
