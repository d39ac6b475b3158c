"""Requests with a name: decided once for ever, whatever is sent twice (rules.md A).

A client numbers what it wants changed: 1, 2, 3 ... Its high-water mark, the change and the answer
are written in one transaction. Sent again with the same bytes, a request gets the same answer; with
other bytes it is a ``conflict``, and that is how a cloned or restored client is found.
"""

import hashlib
import hmac
from collections.abc import Callable
from typing import Any, Final, Protocol

import apsw
from msgspec.msgpack import Decoder

from securechat.protocol.frames import encode_value
from securechat.protocol.limits import ANSWERS_KEPT
from securechat.protocol.messages import UNDECIDED, Refused
from securechat.protocol.server_connection import Requested
from securechat.server import blobs
from securechat.server.errors import Refusal
from securechat.server.store import answers
from securechat.server.store.transaction import Transaction
from securechat.server.store.writer import attempt, judged
from securechat.server.values import Caller, Decision, GroupPush, InboxPush

Operation = Callable[[apsw.Connection], Decision]
"""Runs in a SAVEPOINT of its own."""

QuickOperation = Callable[[Transaction, Caller, Any], Decision]
"""Refuses before it has changed anything, and so needs none; is given the request's body too."""

_REFUSED: Final = Decoder(Refused)


class Told(Protocol):
    """Who asked: told when the disk has it."""

    def decided(self, request_id: int, answer: bytes) -> None: ...

    def declined(self, request_id: int, refused: Refused) -> None: ...

    def push(self, pushes: tuple[GroupPush | InboxPush, ...]) -> None: ...


class NamedJob:
    """One named request on its way through the writer."""

    __slots__ = (
        "_answer",
        "_caller",
        "_digest",
        "_operation",
        "_pushes",
        "_quick",
        "_refused",
        "_requested",
        "_told",
    )

    def __init__(
        self,
        told: Told,
        caller: Caller,
        requested: Requested,
        *,
        operation: Operation | None = None,
        quick: QuickOperation | None = None,
    ) -> None:
        """One of ``operation`` and ``quick`` is what the name is decided by."""
        self._told = told
        self._caller = caller
        self._requested = requested
        self._digest = hashlib.sha256(requested.raw).digest()
        self._operation = operation
        self._quick = quick
        self._answer = b""
        self._refused: Refused | None = None
        self._pushes: tuple[GroupPush | InboxPush, ...] = ()

    def run(self, transaction: Transaction) -> None:
        client, name = self._caller.client, self._requested.name
        high_water = transaction.standing(client).high_water
        if name != high_water + 1:
            transaction.write()
            self._recall(transaction.db, high_water)
            return
        refusal = (
            attempt(transaction, self._decide)
            if self._quick is None
            else judged(transaction, self._decide_quickly)
        )
        if refusal is not None:
            self._refused = refusal.refused
            if refusal.refused.code in UNDECIDED:
                return
            self._answer = encode_value(refusal.refused)
        if self._quick is None:
            blobs.let_go(transaction.db, self._caller, self._requested.body)
        transaction.decide(client, name, self._digest, refused=refusal is not None, answer=self._answer)

    def done(self) -> None:
        if self._refused is not None:
            self._told.declined(self._requested.id, self._refused)
        else:
            self._told.decided(self._requested.id, self._answer)
            if self._pushes:
                self._told.push(self._pushes)

    def undone(self, refusal: Refusal) -> None:
        self._told.declined(self._requested.id, refusal.refused)

    def _decide_quickly(self, transaction: Transaction) -> None:
        if self._quick is not None:
            self._take(self._quick(transaction, self._caller, self._requested.body))

    def _decide(self, db: apsw.Connection) -> None:
        if self._operation is not None:
            self._take(self._operation(db))

    def _take(self, decision: Decision) -> None:
        self._answer = encode_value(decision.answer)
        self._pushes = decision.pushes

    def _recall(self, db: apsw.Connection, high_water: int) -> None:
        """The name is not the next one: find what was said, or say why not."""
        client, name = self._caller.client, self._requested.name
        if name > high_water:
            self._refused = Refused(0, "out_of_order", head=high_water)
            return
        said = answers.find(db, client, name) if name > high_water - ANSWERS_KEPT else None
        if said is None:
            self._refused = Refused(0, "forgotten", head=high_water)
            return
        digest, refused, body = said
        if not hmac.compare_digest(digest, self._digest):
            self._refused = Refused(0, "conflict", head=high_water)
        elif refused:
            self._refused = _REFUSED.decode(body)
        else:
            self._answer = body


def is_new(db: apsw.Connection, caller: Caller, name: int) -> bool:
    """Whether a name was undecided when this snapshot was taken."""
    found = db.execute("SELECT high_water FROM client WHERE id = ?", (caller.client,)).fetchone()
    return found is None or name > found[0]
