"""Monitoring one's own label: every change there is one's own, and every one of one's own is there.

The owner alone can tell (draft-ietf-keytrans-protocol, "Owner Algorithm"). A directory that shows others a
statement that nobody of the owner's devices made has a change there that the owner does not know; one that
hides a revocation lacks one that the owner made. Both are found the next time the owner looks, if it is shown
the same head as the others, which is what comparing heads is for (``evidence.compare_heads``).

What this alone can't see is a change that stood there between two looks and is denied now. It is in the log
for good; who was shown it keeps the proof (``search.Found``), a witness finds it (``update.audit``), and so
do the distinguished sizes at which owner and others look at one tree (``distinguished.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from securechat.membership.statement import verify_statement
from securechat.transparency.entries import Change, LabelChange, changes_between, hash_of_statement
from securechat.transparency.errors import Refused
from securechat.transparency.heads import TrustedHead
from securechat.transparency.search import Absent, Found, SearchAnswer, Seen, verify_search


@dataclass(frozen=True, slots=True)
class Made:
    """A statement that the owner knows to have made, as its entry must name it."""

    serial: int
    statement_hash: bytes
    changes: tuple[Change, ...]

    def is_named_by(self, change: LabelChange) -> bool:
        """Whether an entry is the one of this statement, and says what it changes."""
        named = (change.serial, change.statement_hash, change.changes)
        return named == (self.serial, self.statement_hash, self.changes)


class OwnRefused(Refused):
    """The directory does not say of oneself what one has done; ``unknown`` is what it says beyond that."""

    def __init__(self, rule: str, text: str, unknown: tuple[LabelChange, ...] = ()) -> None:
        super().__init__(rule, text)
        self.unknown = unknown


def made(statement: bytes, previous: bytes | None) -> Made:
    """Return what the entry of one's own statement must be.

    :param statement: encoded, as published
    :param previous: the account's last statement, by whatever account key; None for the first
    :raises StatementRefused: one of them is no statement
    """
    before = None if previous is None else verify_statement(previous)
    this = verify_statement(statement)
    return Made(this.serial, hash_of_statement(statement), changes_between(before, this))


def verify_own(
    trusted: TrustedHead,
    user: str,
    answer: SearchAnswer,
    *,
    seen: Seen | None,
    statements: Sequence[Made],
) -> Found | Absent:
    """Check an answer on one's own label; return it, with all changes since what was seen.

    :param seen: how far one has checked; None: from the label's first entry
    :param statements: all that the owner has made since then and that the server has confirmed, oldest first
    :raises Refused: the answer does not hold, as in ``verify_search``
    :raises OwnRefused: ``own-missing``, a statement of one's own is not in the directory; ``own-unknown``, an
        entry is not one's own, or says that something else was changed than was
    """
    found = verify_search(trusted, user, answer, seen=seen)
    if isinstance(found, Absent):
        if statements:
            raise OwnRefused("own-missing", "The directory has nothing of this account.")
        return found
    changes = found.since
    if seen is None and not changes:
        raise OwnRefused(
            "own-missing", "The directory does not tell the account's changes from the first on."
        )
    for place, change in enumerate(changes):
        if place >= len(statements) or not statements[place].is_named_by(change):
            raise OwnRefused(
                "own-unknown",
                f"The directory's revision {change.revision} of this account is not of its own making.",
                changes[place:],
            )
    if len(changes) < len(statements):
        missing = statements[len(changes)]
        raise OwnRefused("own-missing", f"The directory lacks this account's statement {missing.serial}.")
    return found
