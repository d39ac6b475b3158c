"""What may lie here: bytes and groups of an account, unread mail of a client, space on the disk (O-06, Q-08).

A quota that is reached is told to whoever asks for more, as ``quota``: decided, so the sender sees it.
A disk that is nearly full is nobody's doing: ``busy``, and what was asked comes again by itself.
Everything that decides is read in the transaction that writes; a message costs two comparisons.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import apsw

from securechat.protocol.limits import MAX_CLIENTS_PER_USER
from securechat.server.config import Quotas
from securechat.server.errors import Refusal
from securechat.server.store.transaction import Log, Transaction
from securechat.server.values import Caller

FROM_ONE: Final = 8
"""Welcomes of one account that wait for one client; more than it would ever have to send again."""

FROM_STRANGERS: Final = 64
"""Welcomes that wait for one client, of those who can't know whether it wants any."""

WAITING: Final = 256
"""Welcomes that wait for one client; a Welcome may be large, and its epoch's tree waits with it."""

HANDSHAKES_SHARE: Final = 2
"""Allowances up to which commits and proposals are taken: where messages are refused, who is to go can go."""

LOOKED_EVERY: Final = 16
"""Messages of a log between two looks at whether anybody reads them."""

MAX_LOOKS: Final = 50_000
"""Logs of which is kept when it was last looked, about 100 bytes each; then all are looked at again."""

LEAST_BYTES: Final = 1024
"""What a message counts at least where nobody reads: its row has a size too."""

LOOK_SECONDS: Final = 1.0
"""Between two looks at the disk."""

RETRY_FULL: Final = 60
"""Seconds until somebody asks again whether there is space."""

_OTHERS: Final = """
SELECT count(*), max(m.cursor >= m.start), min(m.start) FROM member m JOIN client c ON c.id = m.client
WHERE m.conversation = ? AND m."end" IS NULL AND c.account != ?
"""

_SOMEBODY_READS: Final = """
SELECT 1 FROM member m JOIN client c ON c.id = m.client
WHERE m.conversation = ? AND m."end" IS NULL AND m.cursor >= m.start AND c.account != ? LIMIT 1
"""

_STORED: Final = """
SELECT (SELECT coalesce(sum(stored), 0) FROM client WHERE account = a.id), a.quota
FROM client c JOIN account a ON a.id = c.account WHERE c.id = ?
"""

_CREATED: Final = """
SELECT count(*) FROM client c JOIN member m ON m.client = c.id WHERE c.account = ? AND m.start = 1
"""
"""Entry 1 is before everybody's coming but the creator's. A group is never without anybody, so none goes."""

_CREATOR: Final = "SELECT client FROM member WHERE conversation = ? AND start = 1"

_KNOWS: Final = """
EXISTS (SELECT 1 FROM member theirs CROSS JOIN member mine ON mine.conversation = theirs.conversation
        WHERE mine.client = :client AND mine.cursor >= mine.start AND theirs."end" IS NULL
        AND theirs.client IN (SELECT id FROM client WHERE account = {account}))
"""
"""Whether a client has read anything in a conversation that an account is in.

From that account's conversations, as CROSS JOIN says: a stranger has few. The client's own may be thousands,
and to look through them for each of 64 strangers would be a second of the writer's time.
"""

_IS_STRANGER: Final = f"SELECT NOT {_KNOWS.format(account=':account')}"
_STRANGERS: Final = (
    "SELECT count(*) FROM inbox i JOIN client s ON s.id = i.sender "  # noqa: S608 - constants of ours
    f"WHERE i.client = :client AND NOT {_KNOWS.format(account='s.account')}"
)


log = logging.getLogger("securechat.server.quota")


class Quota:
    """For the writer's thread."""

    def __init__(self, limits: Quotas) -> None:
        self._limits = limits
        self._looked_at: dict[int, int] = {}
        self._watched = 0
        self._asked_at = -1

    def check_message(self, transaction: Transaction, log: Log, caller: Caller, size: int, now: int) -> None:
        """Refuse a message too many of an account, or one more that nobody reads.

        :raises Refusal: ``quota``
        """
        if now != self._asked_at:
            self._look_up_lowest(transaction.db, now)
        if transaction.stored(caller.client) + size > self._watched:
            self._check_account(transaction, log, caller, size)
        # Since the last look, and not at every sixteenth place: there a commit could stand each time.
        if log.head - self._looked_at.get(log.conversation, 0) >= LOOKED_EVERY:
            self._check_readers(transaction, log, caller)
            self._note_look(log)

    def count_handshake(self, db: apsw.Connection, client: int, size: int) -> None:
        """Add what a client's commit or proposal carries to what it has stored, with messages settled.

        :raises Refusal: ``quota``: its account has twice what it may
        """
        stored, own = db.execute(_STORED, (client,)).fetchone() or (0, None)
        allowed = self._limits.account_bytes if own is None else own
        if stored + size > HANDSHAKES_SHARE * allowed:
            raise Refusal(
                "quota", f"twice the {allowed} bytes that may lie here do; some of them expire in time"
            )
        add_stored(db, client, size)

    def count_state(self, db: apsw.Connection, conversation: int, grown: int, *, may_refuse: bool) -> None:
        """Count by how much a conversation's tree and policy have grown, for whoever began it.

        :raises Refusal: ``quota``: that account has twice what it may
        """
        rows: list[Any] = db.execute(_CREATOR, (conversation,)).fetchall()
        for (creator,) in rows:
            if may_refuse and grown > 0:
                self.count_handshake(db, creator, grown)
            else:
                add_stored(db, creator, grown)

    def check_creation(self, db: apsw.Connection, caller: Caller) -> None:
        """Refuse a group too many of an account.

        :raises Refusal: ``quota``
        """
        (created,) = db.execute(_CREATED, (caller.account,)).fetchone() or (0,)
        if created >= self._limits.account_groups:
            raise Refusal("quota", f"{created} conversations here were begun by you, as many as may")

    def _note_look(self, log: Log) -> None:
        """Somebody reads, or may begin to: enough for a while."""
        if len(self._looked_at) >= MAX_LOOKS:
            self._looked_at.clear()
        self._looked_at[log.conversation] = log.head

    def _look_up_lowest(self, db: apsw.Connection, now: int) -> None:
        """Below a client's share of the lowest quota there is, nothing has to be added up."""
        (lowest,) = db.execute("SELECT min(quota) FROM account WHERE quota IS NOT NULL").fetchone() or (None,)
        least = self._limits.account_bytes if lowest is None else min(lowest, self._limits.account_bytes)
        self._watched, self._asked_at = least // MAX_CLIENTS_PER_USER, now

    def _check_account(self, transaction: Transaction, log: Log, caller: Caller, size: int) -> None:
        others, own = transaction.db.execute(
            "SELECT (SELECT coalesce(sum(stored), 0) FROM client WHERE account = a.id AND id != ?2), a.quota "
            "FROM account a WHERE a.id = ?1",
            (caller.account, caller.client),
        ).fetchone() or (0, None)
        allowed = self._limits.account_bytes if own is None else own
        if others + transaction.stored(caller.client) + size > allowed:
            raise Refusal(
                "quota",
                f"{allowed} bytes of yours wait here to be read, as many as may; some of them expire in time",
                head=log.head,
            )

    def _check_readers(self, transaction: Transaction, log: Log, caller: Caller) -> None:
        asked = (log.conversation, caller.account)
        db = transaction.db
        if db.execute(_SOMEBODY_READS, asked).fetchone() is not None:
            return
        transaction.settle_entries()
        others, _, start = db.execute(_OTHERS, asked).fetchone() or (0, 0, 0)
        if not others or log.head - start < LOOKED_EVERY:
            return
        (waiting,) = db.execute(
            "SELECT coalesce(sum(max(length(body), ?)), 0) FROM entry "
            "WHERE conversation = ? AND sequence >= ?",
            (LEAST_BYTES, log.conversation, start),
        ).fetchone() or (0,)
        if waiting >= self._limits.unread_bytes:
            raise Refusal(
                "quota", "nobody here has read anything yet, and much waits for them", head=log.head
            )


def add_stored(db: apsw.Connection, client: int, size: int) -> None:
    """Count bytes that a client has stored; fewer where ``size`` is below nothing."""
    db.execute("UPDATE client SET stored = max(0, stored + ?2) WHERE id = ?1", (client, size))


def check_inbox(db: apsw.Connection, caller: Caller, client: int) -> None:
    """Refuse a Welcome too many for a client; those it talks with still get through to it.

    :raises Refusal: ``quota``
    """
    asked = {"client": client, "account": caller.account}
    whose, waiting, of_sender = db.execute(
        "SELECT (SELECT account FROM client WHERE id = :client), count(*), "
        "count(*) FILTER (WHERE s.account = :account) "
        "FROM inbox i JOIN client s ON s.id = i.sender WHERE i.client = :client",
        asked,
    ).fetchone() or (0, 0, 0)
    if whose == caller.account:
        return
    if of_sender >= FROM_ONE:
        raise Refusal("quota", f"{FROM_ONE} invitations of yours wait there to be read")
    if waiting >= WAITING:
        raise Refusal("quota", f"{WAITING} invitations wait there to be read")
    if waiting < FROM_STRANGERS or not _one(db, _IS_STRANGER, asked):
        return
    if _one(db, _STRANGERS, {"client": client}) >= FROM_STRANGERS:
        raise Refusal("quota", f"{FROM_STRANGERS} invitations of strangers wait there to be read")


def _one(db: apsw.Connection, sql: str, bindings: dict[str, int]) -> int:
    (found,) = db.execute(sql, bindings).fetchone() or (0,)
    return int(found)


class DiskSpace:
    """Whether the disk is nearly full. For the loop's thread; a thread of its own looks, now and then."""

    def __init__(self, folder: Path, floor: int, free: Callable[[Path], int] | None = None) -> None:
        """Look once.

        :param floor: bytes that stay free
        :param free: how many are
        """
        self._folder = folder
        self._floor = floor
        self._free = free_bytes if free is None else free
        self._low = self._free(folder) < floor
        self._looked_at = float("-inf")
        self._looking = False

    def is_low(self, now: float) -> bool:
        """What the last look found; begins another if that was a while ago (``now``: the loop's time)."""
        if now - self._looked_at >= LOOK_SECONDS and not self._looking:
            self._looking = True
            looked = asyncio.get_running_loop().run_in_executor(None, self._free, self._folder)
            looked.add_done_callback(lambda done: self._note(done, now))
        return self._low

    def check(self, now: float) -> None:
        """Refuse what makes the database larger.

        :raises Refusal: ``busy``
        """
        if self.is_low(now):
            raise disk_full()

    def _note(self, looked: "asyncio.Future[int]", now: float) -> None:
        self._looking = False
        self._looked_at = now
        if looked.cancelled():
            return
        if (error := looked.exception()) is not None:
            log.warning("how much space the disk has cannot be seen: %s", error)
        else:
            self._low = looked.result() < self._floor


def disk_full() -> Refusal:
    return Refusal("busy", "the server's disk is nearly full; try again later", retry_after=RETRY_FULL)


def free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
