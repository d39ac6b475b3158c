"""What is kept of a group's successor until a conversation is in it: ours, or Welcomes of others."""

from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct

from securechat.client.change import Change
from securechat.mls.group import Group
from securechat.mls.key_package import Identity
from securechat.protocol.messages import InboxEntry

MAX_WAITING: Final = 8
"""Welcomes kept for one conversation; who is in a group can send its members as many as they like."""


class WaitingWelcome(Struct, frozen=True):
    """A Welcome into a group that says it goes on from one of ours; nothing of it is believed yet."""

    entry: InboxEntry
    welcome: bytes
    tree: bytes


def keep_group(change: Change, conversation: int, group: Group) -> None:
    """Keep the next group as we made it: the server has not said that it has it."""
    change.db.execute(
        "INSERT OR REPLACE INTO successor (conversation, epoch_state, secrets) VALUES (?, ?, ?)",
        (conversation, group.epoch_bytes(), group.secrets_bytes()),
    )


def group(db: apsw.Connection, conversation: int, identity: Identity) -> Group | None:
    row = db.execute(
        "SELECT epoch_state, secrets FROM successor WHERE conversation = ?", (conversation,)
    ).fetchone()
    return None if row is None else Group.from_bytes(row[0], row[1], identity)


def drop_group(db: apsw.Connection, conversation: int) -> None:
    db.execute("DELETE FROM successor WHERE conversation = ?", (conversation,))


def keep_welcome(db: apsw.Connection, conversation: int, waiting: WaitingWelcome) -> None:
    db.execute(
        "INSERT INTO waiting_welcome (conversation, entry, welcome, tree) VALUES (?, ?, ?, ?)",
        (conversation, msgspec.msgpack.encode(waiting.entry), waiting.welcome, waiting.tree),
    )
    db.execute(
        "DELETE FROM waiting_welcome WHERE conversation = ?1 AND id NOT IN"
        " (SELECT id FROM waiting_welcome WHERE conversation = ?1 ORDER BY id DESC LIMIT ?2)",
        (conversation, MAX_WAITING),
    )


def take_welcomes(db: apsw.Connection, conversation: int) -> list[WaitingWelcome]:
    """Return those that wait, and forget them."""
    rows: list[Any] = db.execute(
        "SELECT entry, welcome, tree FROM waiting_welcome WHERE conversation = ? ORDER BY id",
        (conversation,),
    ).fetchall()
    db.execute("DELETE FROM waiting_welcome WHERE conversation = ?", (conversation,))
    return [WaitingWelcome(msgspec.msgpack.decode(row[0], type=InboxEntry), row[1], row[2]) for row in rows]


def clear(db: apsw.Connection, conversation: int) -> None:
    """The conversation is in another group, or in none."""
    drop_group(db, conversation)
    db.execute("DELETE FROM waiting_welcome WHERE conversation = ?", (conversation,))
