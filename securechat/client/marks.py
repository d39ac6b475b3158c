"""What a list of conversations shows of each: what is unread, what was said last, what was set for it.

All of it at once is three queries, each answered by an index: their cost goes with the number of
conversations and of unread messages, not with all that was ever said.
"""

from typing import Final, get_args

import apsw
from msgspec import Struct

from securechat.client.doubt import IMPORTED, SHARED, doubt
from securechat.client.events import Notify
from securechat.text import sanitise

NOTIFY: Final = get_args(Notify)

MAX_LAST: Final = 120
"""Code points of the last line: more stands in no list."""

MAX_LOOSE: Final = 100
"""Drafts for conversations that do not exist: names are cheap, and nobody goes back to so many."""

_UNREAD: Final = "shown = 0 AND own = 0 AND state IN ('received', 'unreadable')"
"""As the index has it, word for word: else it is not used."""

_ISOLATES: Final = "\N{FIRST STRONG ISOLATE}\N{POP DIRECTIONAL ISOLATE}"


class Marks(Struct, frozen=True, kw_only=True):
    """As the fields of `events.Conversation` of these names."""

    unread: int = 0
    mentions: int = 0
    last: str = ""
    last_time: int = 0
    notify: str = "all"
    draft: str = ""


NOTHING: Final = Marks()


def marks(db: apsw.Connection, conversation: int) -> Marks:
    """Return what one conversation has."""
    return _found(db, "= ?", (conversation,)).get(conversation, NOTHING)


def all_marks(db: apsw.Connection) -> dict[int, Marks]:
    """Return what each conversation has, by its number; one that has nothing may be missing."""
    return _found(db, "IS NOT NULL", ())


def set_notify(db: apsw.Connection, conversation: int, notify: Notify) -> None:
    db.execute(
        "INSERT INTO choice (conversation, notify) VALUES (?, ?)"
        " ON CONFLICT (conversation) DO UPDATE SET notify = excluded.notify",
        (conversation, notify),
    )


def set_draft(db: apsw.Connection, conversation: int, draft: str) -> None:
    db.execute(
        "INSERT INTO choice (conversation, draft) VALUES (?, ?)"
        " ON CONFLICT (conversation) DO UPDATE SET draft = excluded.draft",
        (conversation, draft),
    )


def set_loose_draft(db: apsw.Connection, name: str, draft: str) -> None:
    """Keep what was begun for a conversation that does not exist yet; beyond so many the oldest goes."""
    db.execute("DELETE FROM loose_draft WHERE name = ?", (name,))
    if draft:
        db.execute("INSERT INTO loose_draft (name, draft) VALUES (?, ?)", (name, draft))
        db.execute(
            "DELETE FROM loose_draft WHERE rowid NOT IN"
            " (SELECT rowid FROM loose_draft ORDER BY rowid DESC LIMIT ?)",
            (MAX_LOOSE,),
        )


def loose_draft(db: apsw.Connection, name: str) -> str:
    row = db.execute("SELECT draft FROM loose_draft WHERE name = ?", (name,)).fetchone()
    return "" if row is None else str(row[0])


# ``which`` is one of the two above, never what somebody typed: hence S608 in what follows.
def _found(db: apsw.Connection, which: str, given: tuple[int, ...]) -> dict[int, Marks]:
    unread: dict[int, tuple[int, int]] = {
        conversation: (count, mentions)
        for conversation, count, mentions in db.execute(
            "SELECT conversation, count(*), sum(mentions_me) FROM message"  # noqa: S608
            f" WHERE {_UNREAD} AND conversation {which} GROUP BY conversation",
            given,
        )
    }
    last = {
        conversation: (_doubted(verified) + _line(kind, sender, bool(own), text), timestamp)
        for conversation, kind, sender, own, text, timestamp, verified in db.execute(
            "SELECT c.id, c.kind, m.sender, m.own,"  # noqa: S608
            " CASE WHEN m.deleted THEN '(withdrawn)' ELSE substr(m.text, 1, 400) END, m.timestamp,"
            f" CASE WHEN m.imported IS NULL THEN m.verified WHEN m.vouched <> '' THEN '{SHARED}' || m.vouched"
            f" ELSE '{IMPORTED}' END"
            " FROM conversation c CROSS JOIN message m ON m.id = (SELECT max(id) FROM message"
            f" WHERE conversation = c.id AND hidden = 0) WHERE c.id {which}",
            given,
        )
    }
    chosen = {
        conversation: (notify, draft)
        for conversation, notify, draft in db.execute(
            f"SELECT conversation, notify, draft FROM choice WHERE conversation {which}",  # noqa: S608
            given,
        )
    }
    return {
        conversation: Marks(
            unread=unread.get(conversation, (0, 0))[0],
            mentions=unread.get(conversation, (0, 0))[1],
            last=last.get(conversation, ("", 0))[0],
            last_time=last.get(conversation, ("", 0))[1],
            notify=chosen.get(conversation, ("all", ""))[0],
            draft=chosen.get(conversation, ("all", ""))[1],
        )
        for conversation in unread.keys() | last.keys() | chosen.keys()
    }


def _doubted(verified: str) -> str:
    word = doubt(verified)
    return f"({word}) " if word else ""


def _line(kind: str, sender: str, own: bool, text: str) -> str:  # noqa: FBT001 - a row's column
    """The last thing said as one line; who said it where that is not the conversation's own name."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    said = sanitise(first.strip(_ISOLATES), limit=MAX_LAST)
    return f"@{sender}: {said}" if sender and (own or kind != "direct") else said
