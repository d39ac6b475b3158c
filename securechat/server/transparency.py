"""Answers about the key log: heads, searches, and every entry for who follows them all.

A head is signed when somebody asks and the last one no longer says all (docs/transparency.md): many
entries that come at once share one. Every answer is read in one snapshot under the head it comes with.
Heads, extensions and entries are for strangers too, whose addresses have a rate: they name nobody. To
search for a user is a look-up (O-09), but for who is in a group with them.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw
import msgspec

from securechat.mls.codec import encode
from securechat.protocol.limits import MAX_AUDITED
from securechat.protocol.messages import (
    Answer,
    AuditLog,
    ExtendLog,
    GetTreeHead,
    LogExtension,
    LogSearched,
    LogStanding,
    LogSteps,
    MonitorLog,
    RequestBody,
    SearchLog,
    TreeHeadOffered,
)
from securechat.server.counters import Counters
from securechat.server.errors import Refusal
from securechat.server.faults import survived
from securechat.server.identity import ServerIdentity
from securechat.server.rate_limit import RateLimiter, limited
from securechat.server.store.reader import Readers
from securechat.server.store.writer import Writer
from securechat.server.transparency_rows import (
    Nodes,
    Standing,
    changes_after,
    known_label,
    prepare_label,
    record_if_missing,
    standing,
)
from securechat.server.transparency_start import is_fresh, publish
from securechat.server.values import Caller, Clock
from securechat.transparency.distinguished import prove_standing
from securechat.transparency.heads import HeadOffer, TreeHead, extend, offer_head
from securechat.transparency.search import MAX_SINCE, SearchAnswer, answer_search
from securechat.transparency.update import DirectoryState

TRIES: Final = 8
"""Heads signed for one question: each time an entry may have come in between."""

BATCH: Final = 8
"""Accounts of before the log whose entries are made in one transaction: about 10 ms of the writer's."""

PAUSE_SECONDS: Final = 0.05
"""Between two batches: those who write messages go first."""

FILL_SECONDS: Final = 5
"""When to ask again for an account that has no entry yet."""

_SHARED: Final = """
SELECT 1 FROM client c JOIN account a ON a.id = c.account
JOIN member theirs ON theirs.client = c.id AND theirs."end" IS NULL
WHERE a.user = :user AND EXISTS (
    SELECT 1 FROM client d JOIN member ours ON ours.client = d.id
    WHERE d.account = :account AND ours.conversation = theirs.conversation AND ours."end" IS NULL
) LIMIT 1
"""

T = TypeVar("T")

log = logging.getLogger("securechat.server")


class KeyLog:
    """For the loop's thread. Holds nothing but who reads and who writes."""

    def __init__(
        self,
        path: Path,
        identity: ServerIdentity,
        readers: Readers,
        writer: Writer,
        *,
        limiter: RateLimiter,
        counters: Counters,
        now: Clock,
    ) -> None:
        self._path = path
        self._identity = identity
        self._readers = readers
        self._writer = writer
        self._limiter = limiter
        self._counters = counters
        self._now = now
        self._filling: asyncio.Task[None] | None = None
        self.answers: dict[type[RequestBody], Callable[[Caller, Any], Awaitable[Answer]]] = {
            SearchLog: self.search,
            MonitorLog: self.monitor,
        }
        """What answers which request of somebody who has logged in."""
        self._public: dict[type[RequestBody], Callable[[Any], Awaitable[Answer]]] = {
            GetTreeHead: self.tree_head,
            ExtendLog: self.extend,
            AuditLog: self.audit,
        }

    def start(self) -> None:
        """Begin to make the entries of accounts that were there before the log."""
        self._filling = asyncio.create_task(self._fill(), name="key log")

    async def close(self) -> None:
        """Stop between two batches; call it before the writer is closed."""
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.gather(self._filling, return_exceptions=True)
            self._filling = None

    async def answer(self, body: RequestBody, stranger: str) -> Answer:
        """Answer what anybody may ask; ``stranger`` is the place on the net of who has not logged in."""
        if stranger:
            self._limiter.check("before_login", stranger)
        return await self._public[type(body)](body)

    async def tree_head(self, body: GetTreeHead) -> TreeHeadOffered:
        """The newest head, with what it takes to believe it."""
        return await self._under_head(lambda db, known, head: _offered(db, known, head, body.log, body.size))

    async def search(self, caller: Caller, body: SearchLog) -> LogSearched:
        """What the log says of a user.

        :raises Refusal: ``unknown_user``, ``limited``; ``busy``: the user's entry is still to be made
        """
        return await self._looked_up(
            caller,
            self._under_head(
                lambda db, known, head: (_search(db, known, head, body), _are_known(db, caller, body.user))
            ),
        )

    async def monitor(self, caller: Caller, body: MonitorLog) -> LogStanding:
        """What the log said of a user when it had a certain size; raises as ``search``."""
        return await self._looked_up(
            caller,
            self._readers.run(lambda db: (_monitor(db, body), _are_known(db, caller, body.user))),
        )

    async def extend(self, body: ExtendLog) -> LogExtension:
        """How the log extends what it was."""
        return await self._readers.run(lambda db: _extend(db, body))

    async def audit(self, body: AuditLog) -> LogSteps:
        """Some entries, each with the proof that who follows them checks it by."""
        return await self._readers.run(lambda db: _audit(db, body))

    async def _looked_up(self, caller: Caller, asked: Awaitable[tuple[T | Refusal, bool]]) -> T:
        """Charge who is not there for a look-up, as a claim does (O-09)."""
        found, are_known = await asked
        if not are_known:
            if wait := self._limiter.wait("look_ups", caller.account):
                raise limited(wait)
            if isinstance(found, Refusal) and found.refused.code == "unknown_user":
                self._limiter.charge("look_ups", caller.account)
        if isinstance(found, Refusal):
            raise found
        return found

    async def _under_head(self, work: Callable[[apsw.Connection, Standing, TreeHead], T]) -> T:
        """Read something under a head that covers all that the same snapshot has."""
        for _ in range(TRIES):
            behind, found = await self._readers.run(lambda db: self._look(db, work))
            if behind is None:
                return found[0]
            committed = behind
            await self._writer.find(
                lambda db, committed=committed: publish(  # type: ignore[misc]
                    db, self._path, self._identity.key, committed, now=self._now()
                )
            )
        raise Refusal("busy", "the key log grows faster than it is signed", retry_after=1)

    def _look(
        self, db: apsw.Connection, work: Callable[[apsw.Connection, Standing, TreeHead], T]
    ) -> tuple[DirectoryState | None, list[T]]:
        known = standing(db)
        if known.head is None or not is_fresh(known.head, known.state, self._now()):
            return known.state, []
        return None, [work(db, known, known.head)]

    async def _fill(self) -> None:
        wait = PAUSE_SECONDS
        while wait:
            try:
                wait = PAUSE_SECONDS if await self._fill_some() else 0.0
            except Refusal as refusal:  # a full disk, or the end: tried again
                log.warning("not all accounts are in the key log yet: %s", refusal)
                wait = FILL_SECONDS
            except Exception as error:  # noqa: BLE001 - a task's root: without it the log would stay short
                survived(self._counters, log, "the key log", error)
                wait = FILL_SECONDS
            await asyncio.sleep(wait)

    async def _fill_some(self) -> bool:
        """Make the entries of the next accounts that have none; whether there may be more."""
        accounts = await self._readers.run(_next_accounts)
        for _, user in accounts:
            await self._readers.run(functools.partial(prepare_label, user=user))
        last = accounts[-1][0] if accounts else await self._readers.run(_last_account)
        if last:
            await self._writer.find(lambda db: _make_entries(db, accounts, last, now=self._now()))
        return bool(accounts)


def _offer(known: Standing, nodes: Nodes, head: TreeHead, log_number: int, size: int) -> HeadOffer:
    last = nodes.log_entry(head.size - 1) if head.size else None
    same = log_number == known.log and 0 < size <= head.size
    return offer_head(nodes, head, last, size if same else None)


def _offered(
    db: apsw.Connection, known: Standing, head: TreeHead, log_number: int, size: int
) -> TreeHeadOffered:
    offer = _offer(known, Nodes(db), head, log_number, size)
    return TreeHeadOffered(encode(offer), b"" if log_number == known.log else known.begun)


def _search(db: apsw.Connection, known: Standing, head: TreeHead, body: SearchLog) -> LogSearched | Refusal:
    """What the log says of a user, or why not."""
    found = known_label(db, body.user)
    if found is None:
        is_here = db.execute("SELECT 1 FROM account WHERE user = ?", (body.user,)).fetchone() is not None
        return Refusal("busy", retry_after=FILL_SECONDS) if is_here else Refusal("unknown_user")
    label, proof = found
    nodes = Nodes(db)
    since = () if body.after is None else changes_after(db, label, body.after, MAX_SINCE)
    answer: SearchAnswer = answer_search(nodes, head, label, vrf_proof=proof, since=since)
    if answer.newest is None:
        return Refusal("busy", retry_after=FILL_SECONDS)
    offered = _offered(db, known, head, body.log, body.size)
    (statement,) = db.execute("SELECT statement FROM account WHERE user = ?", (body.user,)).fetchone() or (
        b"",
    )
    return LogSearched(offered.offer, encode(answer), statement, offered.begun)


def _are_known(db: apsw.Connection, caller: Caller, user: str) -> bool:
    """Whether it is one's own name, or somebody's in a group with one."""
    asked = {"user": user, "account": caller.account}
    return user == caller.user or db.execute(_SHARED, asked).fetchone() is not None


def _head_of(db: apsw.Connection, log_number: int) -> TreeHead:
    """The head that was spoken last; what one asks about must be of its log, and not beyond it."""
    known = standing(db)
    if known.log != log_number or known.head is None:
        raise Refusal("gone", "that log has ended")
    return known.head


def _monitor(db: apsw.Connection, body: MonitorLog) -> LogStanding | Refusal:
    head = _head_of(db, body.log)
    found = known_label(db, body.user)
    if found is None:
        return Refusal("unknown_user")
    if not 0 < body.at <= body.size <= head.size:
        raise Refusal("bad_request", "the log never had this size")
    under = msgspec.structs.replace(head, size=body.size)
    return LogStanding(encode(prove_standing(Nodes(db), under, body.at, found[0])))


def _extend(db: apsw.Connection, body: ExtendLog) -> LogExtension:
    head = _head_of(db, body.log)
    if not body.first <= body.second <= head.size:
        raise Refusal("bad_request", "the log never had this size")
    under = msgspec.structs.replace(head, size=body.second)
    return LogExtension(encode(extend(Nodes(db), body.first, under)))


def _audit(db: apsw.Connection, body: AuditLog) -> LogSteps:
    head = _head_of(db, body.log)
    rows: Any = db.execute(
        "SELECT body, before FROM log_entry WHERE position >= ? AND position < ? ORDER BY position LIMIT ?",
        (body.start, head.size, MAX_AUDITED),
    )
    return LogSteps([entry + before for entry, before in rows])


def _next_accounts(db: apsw.Connection) -> list[tuple[int, str]]:
    """The next accounts of before the log: who came since has an entry by registering."""
    rows: Any = db.execute(
        "SELECT a.id, a.user FROM account a WHERE a.id > (SELECT filled FROM key_log) AND NOT EXISTS"
        " (SELECT 1 FROM log_label l JOIN log_entry e ON e.label = l.label WHERE l.user = a.user)"
        " ORDER BY a.id LIMIT ?",
        (BATCH,),
    )
    return [(account, user) for account, user in rows]


def _last_account(db: apsw.Connection) -> int:
    """The last account, where not all are known to have their entry; else 0."""
    (last, filled) = db.execute("SELECT (SELECT max(id) FROM account), filled FROM key_log").fetchone() or (
        0,
        0,
    )
    return int(last) if last is not None and last > filled else 0


def _make_entries(db: apsw.Connection, accounts: list[tuple[int, str]], last: int, *, now: int) -> None:
    for number, user in accounts:
        # As it is now: it may have changed since, and have its entry by that.
        row: Any = db.execute("SELECT statement FROM account WHERE id = ?", (number,)).fetchone()
        record_if_missing(db, user, row[0], now=now)
    db.execute("UPDATE key_log SET filled = max(filled, ?)", (last,))
