"""What goes of a log: messages, their hashes, old commits, and the trees that Welcomes waited for.

A message's body goes when every stay that may still read it has passed it, at the latest after its
time; if somebody had not, its SHA-256 stays in its place. ``conversation.expired`` is the last place
that was looked at: no message up to it has a body. Commits go by age, each with all that comes before
it, so that a proposal stays as long as the commit that takes it up.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import apsw

from securechat.server import unread
from securechat.server.groups import forget_trees
from securechat.server.swept import LOOKED_AT, ROWS, Cutoffs, Step, Swept, rows_of

BYTES: Final = 1024 * 1024
"""Bodies of a step: a long one lies on many pages, each of which has to be freed."""

MEMBERS_PER_ROW: Final = 10
"""Cursors that are read in the time in which a row goes."""

_STAYS: Final = 'SELECT min(cursor), count(*) FROM member WHERE conversation = ? AND "end" IS NULL'
_FORMER_STAYS: Final = (
    'SELECT min(cursor) FROM member WHERE conversation = ? AND "end" IS NOT NULL AND cursor < "end"'
)
_HASHES: Final = """
SELECT sequence, time FROM entry
WHERE conversation = ? AND sequence > ? AND digest IS NOT NULL ORDER BY sequence LIMIT ?
"""
_ENTRIES: Final = """
SELECT sequence, time, id, kind, client, length(body) FROM entry
WHERE conversation = ? AND sequence > ? ORDER BY sequence LIMIT ?
"""
_NOBODY: Final = 2**62
"""Where everybody has passed everything: nobody is left."""


def handshakes(db: apsw.Connection, cutoffs: Cutoffs, after: int) -> Step:
    """The oldest commit and everything before it in its log, from the front."""
    oldest = db.execute(
        "SELECT conversation, sequence FROM entry WHERE kind = 'commit' AND time < ? ORDER BY time LIMIT 1",
        (cutoffs.handshakes,),
    ).fetchone()
    if oldest is None:
        return Step(Swept(), None)
    conversation, sequence = oldest
    rows = rows_of(
        db,
        "SELECT sequence, kind, client, coalesce(size, length(body)), digest IS NOT NULL FROM entry "
        "WHERE conversation = ? AND sequence <= ? ORDER BY sequence LIMIT ?",
        (conversation, sequence, ROWS),
    )
    of_messages = [row for row in rows if row[1] == "message"]
    untold = [(row[0], row[2]) for row in of_messages if not row[4]]
    unread.note(db, conversation, untold, cutoffs.now)
    db.execute("DELETE FROM entry WHERE conversation = ? AND sequence <= ?", (conversation, rows[-1][0]))
    db.execute("UPDATE conversation SET expired = max(expired, ?) WHERE id = ?", (rows[-1][0], conversation))
    hashes = sum(row[4] for row in of_messages)
    _lower_stored(db, [(client, size) for _, _, client, size, _ in rows])
    swept = Swept(messages=len(of_messages) - hashes, hashes=hashes, handshakes=len(rows) - len(of_messages))
    return Step(swept, after)


def conversations(db: apsw.Connection, cutoffs: Cutoffs, after: int) -> Step:
    """Messages, hashes and old trees, log by log. One that uses a step up is met again in the next."""
    swept = Swept()
    left = ROWS
    rows = rows_of(
        db, "SELECT id, expired FROM conversation WHERE id > ? ORDER BY id LIMIT ?", (after, LOOKED_AT)
    )
    for conversation, expired in rows:
        visit = _Visit(db, cutoffs, conversation, left)
        swept += visit.trees() + visit.hashes() + visit.messages(expired)
        left = visit.left
        if left <= 0:
            return Step(swept, after)
        after = conversation
    return Step(swept, after if len(rows) == LOOKED_AT else None)


@dataclass(frozen=True, slots=True)
class _Gone:
    """A message whose body goes: its row, its place, who sent it, its bytes."""

    row: int
    sequence: int
    client: int
    size: int


class _Visit:
    """One log's turn: ``left`` rows may still go in this step."""

    def __init__(self, db: apsw.Connection, cutoffs: Cutoffs, conversation: int, left: int) -> None:
        self.left = left
        self._db = db
        self._cutoffs = cutoffs
        self._conversation = conversation
        self._cursors: int | None = None

    def trees(self) -> Swept:
        count = forget_trees(self._db, self._conversation, max(self.left, 0))
        self.left -= count
        return Swept(tree_nodes=count)

    def hashes(self) -> Swept:
        """They go when everybody has passed them, or when the commits beside them would."""
        if self._is_empty(_HASHES, 0):
            return Swept()
        passed = self._passed()
        last = count = 0
        for sequence, time in _each(self._db, _HASHES, (self._conversation, 0, max(self.left, 0))):
            if time >= self._cutoffs.handshakes and sequence > passed:
                break
            last, count = sequence, count + 1
        if count:
            self._db.execute(
                "DELETE FROM entry WHERE conversation = ? AND digest IS NOT NULL AND sequence <= ?",
                (self._conversation, last),
            )
        self.left -= count
        return Swept(hashes=count)

    def messages(self, expired: int) -> Swept:
        """Go on from where the last visit ended, up to what somebody may still fetch."""
        if self._is_empty(_ENTRIES, expired):
            return Swept()
        passed = self._passed()
        gone: list[_Gone] = []
        last, size = expired, 0
        for sequence, time, row, kind, client, length in _each(
            self._db, _ENTRIES, (self._conversation, expired, max(self.left, 0))
        ):
            if (time >= self._cutoffs.messages and sequence > passed) or size >= BYTES:
                break
            last = sequence
            if kind == "message":
                gone.append(_Gone(row, sequence, client, length or 0))
                size += length or 0
            self.left -= 1
        if size >= BYTES:
            self.left = 0
        if last == expired:
            return Swept()
        self._db.execute("UPDATE conversation SET expired = ? WHERE id = ?", (last, self._conversation))
        return self._let_go(gone, expired) if gone else Swept()

    def _is_empty(self, statement: str, after: int) -> bool:
        return self._db.execute(statement, (self._conversation, after, 1)).fetchone() is None

    def _let_go(self, gone: list[_Gone], expired: int) -> Swept:
        passed = self._passed()
        kept = [each for each in gone if each.sequence > passed]
        for each in kept:
            (body, blob) = self._db.execute(
                "SELECT body, blob FROM entry WHERE id = ?", (each.row,)
            ).fetchone() or (b"", None)
            digest = blob or hashlib.sha256(body or b"").digest()
            self._db.execute("UPDATE entry SET body = NULL, digest = ? WHERE id = ?", (digest, each.row))
        sent = [(each.sequence, each.client) for each in kept]
        unread.note(self._db, self._conversation, sent, self._cutoffs.now)
        self._db.execute(
            "DELETE FROM entry WHERE conversation = ? AND sequence > ? AND sequence <= ? "
            "AND kind = 'message'",
            (self._conversation, expired, min(gone[-1].sequence, passed)),
        )
        _lower_stored(self._db, [(each.client, each.size) for each in gone])
        return Swept(messages=len(gone) - len(kept), expired=len(kept))

    def _passed(self) -> int:
        """The last entry that nobody has to fetch any more."""
        if self._cursors is None:
            lowest, count = self._db.execute(_STAYS, (self._conversation,)).fetchone() or (None, 0)
            (behind,) = self._db.execute(_FORMER_STAYS, (self._conversation,)).fetchone() or (None,)
            self._cursors = min(each for each in (lowest, behind, _NOBODY) if each is not None)
            self.left -= count // MEMBERS_PER_ROW
        return self._cursors


def _each(db: apsw.Connection, sql: str, bindings: tuple[int, ...]) -> Iterator[Any]:
    """Read on only as far as somebody looks.

    Nothing else may be asked meanwhile: APSW 3.54 then keeps this cursor for ever, and each one kept
    makes the next statement dearer.
    """
    return iter(db.execute(sql, bindings))


def _lower_stored(db: apsw.Connection, bodies: list[tuple[int, int]]) -> None:
    """Take bodies off what their senders have stored here."""
    sizes: Counter[int] = Counter()
    for client, size in bodies:
        sizes[client] += size or 0
    db.executemany(
        "UPDATE client SET stored = max(0, stored - ?2) WHERE id = ?1",
        [(client, size) for client, size in sizes.items() if size],
    )
