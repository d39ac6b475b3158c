"""Where the key log goes on after a start, or begins anew (docs/decisions/0020).

A server that signs two logs under one key has lied, whatever the reason. So the newest head lies in a file
beside the database (``tree_head``), written and synced before the head is spoken: a restore of the database
does not reach it. A start compares the two. Where the database has all that was signed, the log goes on.
Where it hasn't, or where nobody can tell because an older copy came back without the file, another log
begins over the statements that are there, with the server's signed word for it.
"""

import logging
import secrets
from pathlib import Path
from typing import Any, Final

import apsw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.mls.codec import decode, encode
from securechat.mls.errors import DecodeError
from securechat.private_files import UnsafeFile, read_file, replace_file
from securechat.server.errors import ConfigError
from securechat.server.identity import ServerIdentity
from securechat.server.store.sqlite import open_database
from securechat.server.transparency_rows import Nodes, Standing, standing, vrf_key
from securechat.transparency.begun import LogBegun, sign_begun
from securechat.transparency.heads import TreeHead, sign_head
from securechat.transparency.merkle import root_of
from securechat.transparency.update import EMPTY_DIRECTORY, DirectoryState
from securechat.transparency.vrf import SEED

FILE: Final = "tree_head"

RESIGN_SECONDS: Final = 3600
"""A head that is older is signed anew when somebody asks: clients take one for a day."""

log = logging.getLogger("securechat.server")


def begin_if_due(path: Path, identity: ServerIdentity, *, now: int) -> bool:
    """Have the log go on, or begin; whether another one began in the place of one that was there.

    :param path: the database
    :param now: seconds since 1970
    :raises ConfigError: the file beside the database is no head of this server
    """
    db = open_database(path)
    try:
        db.execute("BEGIN IMMEDIATE")  # whoever else serves this database writes the file inside one, too
        try:
            spoken = read_spoken(path)
            known = _begun(db)
            if known is not None and goes_on(db, known, spoken, identity.incarnation):
                _take_up(db, known, spoken)
                again = False
            else:
                before = spoken if spoken is not None else known.head if known is not None else None
                begin(db, identity, before, now=now)
                again = before is not None
            db.execute("COMMIT")
        finally:
            if db.in_transaction:
                db.execute("ROLLBACK")
    finally:
        db.close()
    if again:
        log.warning("the key log lacks entries that were signed: another one begins, and clients say so")
    return again


def is_behind(path: Path) -> bool:
    """Whether the database is older than what this server has signed: it was put back, whoever says not."""
    spoken = read_spoken(path)
    if spoken is None:
        return False
    db = open_database(path)
    try:
        known = _begun(db)
        return known is None or not _has(db, known, spoken)
    finally:
        db.close()


def read_spoken(path: Path) -> TreeHead | None:
    """The newest head that was spoken, as it lies beside a database; None if there is none."""
    file = path.with_name(FILE)
    try:
        return decode(TreeHead, read_file(file))
    except FileNotFoundError:
        return None
    except (UnsafeFile, DecodeError, OSError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from None


def goes_on(db: apsw.Connection, known: Standing, spoken: TreeHead | None, incarnation: int) -> bool:
    """Whether the log of the database has all that was ever signed of it."""
    if spoken is None:
        # Nothing was signed yet; or the file is gone, and nobody knows what was.
        return known.head is None and known.log == incarnation
    if known.head is None and decode(LogBegun, known.begun).before == spoken:
        return True  # it began in the place of the one that the file is of, and has said nothing yet
    return _has(db, known, spoken)


def publish(
    db: apsw.Connection, path: Path, key: Ed25519PrivateKey, committed: DirectoryState, *, now: int
) -> None:
    """Sign a head over what is on the disk for good, unless there is one: in a transaction of the writer's.

    The order is what makes a restore show: the entries are committed, then the file names them, then the
    head can be read from the database and is spoken.

    :param committed: the log as a reader saw it; what this transaction adds is not signed
    """
    known = standing(db)
    head = known.head
    if head is not None and (head.size > committed.frontier.size or is_fresh(head, committed, now)):
        return
    # Nobody is to find two heads whose sizes and times contradict each other.
    latest = max(now, committed.timestamp, head.timestamp if head is not None else 0)
    signed = encode(
        sign_head(
            key,
            log=known.log,
            vrf_key=vrf_key(db).public,
            frontier=committed.frontier,
            prefix_root=committed.prefix_root,
            now=latest,
        )
    )
    replace_file(path.with_name(FILE), signed)
    db.execute("UPDATE key_log SET head = ?", (signed,))


def is_fresh(head: TreeHead, state: DirectoryState, now: int) -> bool:
    """Whether a head is over this state, and of lately."""
    return head.size == state.frontier.size and now - head.timestamp < RESIGN_SECONDS


def _begun(db: apsw.Connection) -> Standing | None:
    try:
        found = db.execute("SELECT 1 FROM key_log").fetchone()
    except apsw.SQLError:
        return None
    return None if found is None else standing(db)


def _has(db: apsw.Connection, known: Standing, spoken: TreeHead) -> bool:
    if spoken.log != known.log or spoken.size > known.state.frontier.size:
        return False
    return root_of(Nodes(db), spoken.size) == spoken.log_root


def _take_up(db: apsw.Connection, known: Standing, spoken: TreeHead | None) -> None:
    """A crash may have left a head in the file that nobody has heard: it is the last one all the same."""
    head = known.head
    if spoken is None or spoken.log != known.log:
        return
    if head is None or (head.size, head.timestamp) < (spoken.size, spoken.timestamp):
        db.execute("UPDATE key_log SET head = ?", (encode(spoken),))


def begin(db: apsw.Connection, identity: ServerIdentity, before: TreeHead | None, *, now: int) -> None:
    """Begin a log without entries in the place of what is there, in the caller's transaction."""
    (secret,) = db.execute("SELECT vrf_secret FROM key_log").fetchone() or (secrets.token_bytes(SEED),)
    latest = max(now, before.timestamp if before is not None else 0)
    number = max(identity.incarnation, before.log + 1 if before is not None else 0)
    begun = sign_begun(identity.key, log=number, before=before, now=latest)
    for table in ("log_entry", "log_node", "prefix_node"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
    state: Any = encode(DirectoryState(EMPTY_DIRECTORY.frontier, EMPTY_DIRECTORY.prefix_root, latest))
    db.execute(
        "INSERT OR REPLACE INTO key_log (id, vrf_secret, log, begun, state, head, filled)"
        " VALUES (1, ?, ?, ?, ?, x'', 0)",
        (secret, number, encode(begun), state),
    )
