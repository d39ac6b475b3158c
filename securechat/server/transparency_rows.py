"""The key directory as rows: where the log stands, its nodes, and adding an entry (docs/transparency.md).

All of it runs in the caller's transaction: an account and its entry are there together, or neither.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import apsw

from securechat.membership.statement import verify_statement
from securechat.mls.codec import decode, encode
from securechat.names import user_uri
from securechat.transparency.distinguished import must_stay
from securechat.transparency.entries import (
    LabelChange,
    LogEntry,
    changes_between,
    hash_of_statement,
    prove_label,
)
from securechat.transparency.errors import MissingNode
from securechat.transparency.heads import TreeHead
from securechat.transparency.update import DirectoryState, Recorded, record
from securechat.transparency.vrf import VrfKey

MAX_LABELS: Final = 256
"""Labels kept that were made before their accounts were: one takes milliseconds, and the writer none."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the log stands: the row ``key_log``."""

    log: int
    begun: bytes
    state: DirectoryState
    head: TreeHead | None


class Nodes:
    """Both trees' nodes and the entries, read as they are asked for."""

    __slots__ = ("_db",)

    def __init__(self, db: apsw.Connection) -> None:
        self._db = db

    def log_node(self, level: int, index: int) -> bytes:
        return self._one("SELECT value FROM log_node WHERE level = ? AND place = ?", (level, index))

    def prefix_node(self, name: bytes) -> bytes:
        return self._one("SELECT content FROM prefix_node WHERE name = ?", (name,))

    def log_entry(self, position: int) -> LogEntry:
        return decode(LogEntry, self._one("SELECT body FROM log_entry WHERE position = ?", (position,)))

    def _one(self, query: str, values: tuple[int | bytes, ...]) -> bytes:
        row = self._db.execute(query, values).fetchone()
        if row is None:
            raise MissingNode("the key log lacks a row")
        value: bytes = row[0]
        return value


def standing(db: apsw.Connection) -> Standing:
    """Where the log stands; it began when the server first started with this database."""
    row: Any = db.execute("SELECT log, begun, state, head FROM key_log").fetchone()
    log, begun, state, head = row
    return Standing(log, begun, decode(DirectoryState, state), decode(TreeHead, head) if head else None)


def vrf_key(db: apsw.Connection) -> VrfKey:
    (secret,) = db.execute("SELECT vrf_secret FROM key_log").fetchone() or (b"",)
    return _key(secret)


def record_statement(
    db: apsw.Connection, user: str, statement: bytes, previous: bytes | None, *, now: int
) -> None:
    """Append the entry that makes a statement the user's newest.

    An account that has no entry yet, because its log is still being filled, gets the one of its last
    statement first.

    :param user: the local part of the name
    :param statement: encoded and verified, as it is stored
    :param previous: the user's last one, by whatever account key; None if this is the first
    :param now: seconds since 1970
    """
    label, _ = label_of(db, user)
    if previous is not None and not has_entry(db, label):
        _append(db, label, previous, None, now=now)
    _append(db, label, statement, previous, now=now)


def record_if_missing(db: apsw.Connection, user: str, statement: bytes, *, now: int) -> None:
    """Append the first entry of an account that was there before the log; nothing if it has one."""
    label, _ = label_of(db, user)
    if not has_entry(db, label):
        _append(db, label, statement, None, now=now)


def label_of(db: apsw.Connection, user: str) -> tuple[bytes, bytes]:
    """A user's label and its proof; made and stored where it is not there yet."""
    found = known_label(db, user)
    if found is None:
        found = _made_label(db, user)
        db.execute("INSERT INTO log_label (user, label, proof) VALUES (?, ?, ?)", (user, *found))
    return found


def known_label(db: apsw.Connection, user: str) -> tuple[bytes, bytes] | None:
    row: Any = db.execute("SELECT label, proof FROM log_label WHERE user = ?", (user,)).fetchone()
    return None if row is None else (row[0], row[1])


def prepare_label(db: apsw.Connection, user: str) -> None:
    """Make a label ahead, in a reader's thread: it takes milliseconds, and the writer then none."""
    if known_label(db, user) is None:
        _made_label(db, user)


def _made_label(db: apsw.Connection, user: str) -> tuple[bytes, bytes]:
    domain, secret = _of_server(db)
    return _proved(secret, user_uri(domain, user))


def has_entry(db: apsw.Connection, label: bytes) -> bool:
    return db.execute("SELECT 1 FROM log_entry WHERE label = ? LIMIT 1", (label,)).fetchone() is not None


def changes_after(db: apsw.Connection, label: bytes, revision: int, limit: int) -> tuple[LabelChange, ...]:
    """A label's changes after one of its revisions, oldest first."""
    rows: Any = db.execute(
        "SELECT body FROM log_entry WHERE label = ? AND revision > ? ORDER BY revision LIMIT ?",
        (label, revision, limit),
    )
    return tuple(decode(LogEntry, body).change for (body,) in rows)


def _append(db: apsw.Connection, label: bytes, statement: bytes, previous: bytes | None, *, now: int) -> None:
    this = verify_statement(statement)
    before = None if previous is None else verify_statement(previous)
    state = standing(db).state
    done = record(
        state,
        Nodes(db),
        label,
        changes=changes_between(before, this),
        serial=this.serial,
        statement_hash=hash_of_statement(statement),
        now=now,
    )
    _store(db, done)


def _store(db: apsw.Connection, done: Recorded) -> None:
    position, change = done.state.frontier.size - 1, done.entry.change
    db.execute(
        "INSERT INTO log_entry (position, label, revision, body, before) VALUES (?, ?, ?, ?, ?)",
        (position, change.label, change.revision, encode(done.entry), encode(done.before)),
    )
    db.executemany(
        "INSERT INTO log_node (level, place, value) VALUES (?, ?, ?)",
        [(node.level, node.index, node.value) for node in done.log_nodes],
    )
    for name in done.prefix.replaced:
        _let_go(db, name, position)
    db.executemany(
        "INSERT INTO prefix_node (name, content, added) VALUES (?, ?, ?)",
        [(name, content, position) for name, content in done.prefix.added],
    )
    db.execute("UPDATE key_log SET state = ?", (encode(done.state),))


def _let_go(db: apsw.Connection, name: bytes, position: int) -> None:
    """Drop a node that an entry has replaced, unless a distinguished root reaches it."""
    (added,) = db.execute("SELECT added FROM prefix_node WHERE name = ?", (name,)).fetchone() or (0,)
    if not must_stay(added, position):
        db.execute("DELETE FROM prefix_node WHERE name = ?", (name,))


def _of_server(db: apsw.Connection) -> tuple[str, bytes]:
    row: Any = db.execute("SELECT s.domain, k.vrf_secret FROM server s, key_log k").fetchone()
    return row[0], row[1]


@lru_cache(maxsize=1)
def _key(secret: bytes) -> VrfKey:
    return VrfKey(secret)


@lru_cache(maxsize=MAX_LABELS)
def _proved(secret: bytes, user: str) -> tuple[bytes, bytes]:
    return prove_label(_key(secret), user)
