"""Telling each other which head of the key log one was shown, inside sealed messages (docs/transparency.md).

A server that keeps two logs must show each person one of them for ever, and can't read what they tell each
other. So a message carries the head that its sender believes: when it is another than the last one that was
told in this conversation, and not more often than ``EVERY_SECONDS``. It is an extension of the content
(section "Extension Fields"), which earlier versions leave alone.
"""

from typing import Any, Final

import cbor2
import msgspec

from securechat.client import history, key_log
from securechat.client.change import Change
from securechat.client.records import ConversationRecord
from securechat.content.errors import ContentError
from securechat.content.mimi import MimiContent
from securechat.content.values import read_bytes
from securechat.mls.codec import encode
from securechat.transparency.errors import Refused
from securechat.transparency.heads import TreeHead, is_signed, read_head

KEY: Final = "vnd.securechat.tree-head"

EVERY_SECONDS: Final = 3600
"""Of one conversation: a head is 250 bytes, and its log grows with every account that changes."""

SILENT: Final = frozenset({history.TYPING})
"""Kinds that carry none: they come and go."""


def with_head(change: Change, record: ConversationRecord, content: MimiContent, kind: str) -> MimiContent:
    """Return a message of ours that also says which head we believe, if it is time to."""
    known = None if kind in SILENT else key_log.known(change.db)
    if known is None:
        return content
    head = known.trusted.head
    row: Any = change.db.execute(
        "SELECT log, size, since FROM key_log_told WHERE conversation = ?", (record.id,)
    ).fetchone()
    if row is not None:
        log, size, since = row
        if (log, size) == (head.log, head.size) or 0 <= change.now - since < EVERY_SECONDS:
            return content
    change.db.execute(
        "INSERT OR REPLACE INTO key_log_told VALUES (?, ?, ?, ?)",
        (record.id, head.log, head.size, change.now),
    )
    told = (KEY, cbor2.dumps(encode(head)))
    return msgspec.structs.replace(content, extensions=(*content.extensions, told))


def take(change: Change, sender: str, content: MimiContent) -> None:
    """Keep the head that a member says it was shown, to be held against ours.

    What is no head, or not signed by our server, its bearer made up: it accuses nobody.
    """
    head = _head_in(content)
    if head is None or not is_signed(head, _server_key(change)):
        return
    if not key_log.is_kept(change.db):
        key_log.set_mode(change.db, key_log.KEPT)  # it does: or nothing would heed the accusation
        text = f"it says that it keeps no key log, and has shown {sender} one"
        key_log.accuse(change, key_log.REFUSED, "log-withheld", text)
    elif key_log.hear(change.db, sender, head, now=change.now):
        change.wants_log = True


def _head_in(content: MimiContent) -> TreeHead | None:
    for key, value in content.extensions:
        if key == KEY:
            try:
                return read_head(read_bytes(value))
            except (ContentError, Refused):
                return None
    return None


def _server_key(change: Change) -> bytes:
    """The key that the server proved when we took its last head; before that, when we registered."""
    known = key_log.known(change.db)
    if known is not None:
        return known.trusted.head.server_key
    row: Any = change.db.execute("SELECT server_key FROM profile").fetchone()
    return bytes(row[0])
