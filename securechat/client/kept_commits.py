"""The commits that led to a group's present epoch, kept as they came: a restored server may lack them.

They are public and signed, so keeping them gives nothing away that the log did not. Kept as long as the
server keeps them itself.
"""

from collections.abc import Sequence
from typing import Final

import apsw
import msgspec
from msgspec import Struct

from securechat.mls.commit_facts import VerifiedProposal
from securechat.mls.proposals import ProposalRef
from securechat.mls.public_group import VerifiedCommit

KEPT_SECONDS: Final = 90 * 86_400
"""Like handshakes at the server (rules.md A): a copy that is older brings nobody up to now."""


class KeptCommit(Struct, frozen=True):
    """A commit made in ``epoch``, with the proposals it refers to and, if it is ours, its Welcome."""

    epoch: int
    message: bytes
    proposals: list[bytes]
    adds: bool
    welcome: bytes | None

    @property
    def is_better_brought_by_its_committer(self) -> bool:
        """Whether it adds somebody, and the Welcome is not here."""
        return self.adds and self.welcome is None


def keep(
    db: apsw.Connection,
    conversation: int,
    verified: VerifiedCommit,
    pending: Sequence[VerifiedProposal],
    *,
    welcome: bytes | None,
    now: int,
) -> None:
    """Keep a commit that was applied; ``pending`` are the proposals that waited for it."""
    named = {each.reference for each in verified.commit.proposals if isinstance(each, ProposalRef)}
    proposals = [each.message for each in pending if each.reference in named]
    db.execute(
        "INSERT OR REPLACE INTO kept_commit VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            conversation,
            verified.facts.old_context.epoch,
            verified.message,
            msgspec.msgpack.encode(proposals),
            bool(verified.facts.added),
            welcome,
            now,
        ),
    )
    db.execute("DELETE FROM kept_commit WHERE kept < ?", (now - KEPT_SECONDS,))


def get(db: apsw.Connection, conversation: int, epoch: int) -> KeptCommit | None:
    row = db.execute(
        "SELECT epoch, message, proposals, adds, welcome FROM kept_commit"
        " WHERE conversation = ? AND epoch = ?",
        (conversation, epoch),
    ).fetchone()
    if row is None:
        return None
    return KeptCommit(row[0], row[1], msgspec.msgpack.decode(row[2], type=list[bytes]), bool(row[3]), row[4])


def has_all(db: apsw.Connection, conversation: int, *, first: int, last: int) -> bool:
    """Whether the commits of all epochs first..last are here."""
    row = db.execute(
        "SELECT count(*) FROM kept_commit WHERE conversation = ? AND epoch BETWEEN ? AND ?",
        (conversation, first, last),
    ).fetchone()
    return row is not None and row[0] == last - first + 1


def drop_all(db: apsw.Connection, conversation: int) -> None:
    """Forget them: the conversation has another group now."""
    db.execute("DELETE FROM kept_commit WHERE conversation = ?", (conversation,))
