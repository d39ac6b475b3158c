"""A commit of ours on its way: stored with its secrets before it is sent, gone with its epoch."""

import apsw
from msgspec import Struct

from securechat.mls.group import Group
from securechat.mls.staging import StagedCommit


class Staged(Struct, frozen=True):
    """``sequence`` is 0 until the server said where it stands; ``external``: it replaces our leaf."""

    intent: int
    external: bool
    epoch: int
    sequence: int
    staged: bytes

    def load(self, group: Group | None) -> StagedCommit:
        """Return the commit; ``group`` is in the epoch it was made in, None if it is an external one.

        :raises UsageError: a member's commit without its group
        """
        return StagedCommit.from_bytes(self.staged, None if group is None else group.public)

    def __repr__(self) -> str:
        return f"<Staged commit of epoch {self.epoch}>"


def get(db: apsw.Connection, conversation: int) -> Staged | None:
    row = db.execute(
        "SELECT intent, external, epoch, sequence, staged FROM staged WHERE conversation = ?", (conversation,)
    ).fetchone()
    return None if row is None else Staged(row[0], bool(row[1]), *row[2:])


def exists(db: apsw.Connection, conversation: int) -> bool:
    return db.execute("SELECT 1 FROM staged WHERE conversation = ?", (conversation,)).fetchone() is not None


def put(
    db: apsw.Connection, conversation: int, commit: StagedCommit, *, intent: int, external: bool, epoch: int
) -> None:
    db.execute(
        "INSERT INTO staged (conversation, intent, external, epoch, staged) VALUES (?, ?, ?, ?, ?)",
        (conversation, intent, int(external), epoch, commit.to_bytes()),
    )


def place(db: apsw.Connection, conversation: int, sequence: int) -> None:
    """Note where the server put it."""
    db.execute("UPDATE staged SET sequence = ? WHERE conversation = ?", (sequence, conversation))


def unplace(db: apsw.Connection, conversation: int, *, after: int) -> None:
    """The server has lost its log after a place: a commit of ours there waits to be sent again."""
    db.execute(
        "UPDATE staged SET sequence = 0 WHERE conversation = ? AND sequence > ?", (conversation, after)
    )


def drop(db: apsw.Connection, conversation: int) -> None:
    db.execute("DELETE FROM staged WHERE conversation = ?", (conversation,))
