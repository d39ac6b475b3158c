"""Cursors on their way to the database: they go with the next transaction that somebody waits for.

Nobody waits for an acknowledgement, so none causes a sync of its own until it is 200 ms old. Lost
with the process, it costs a repeated delivery that the client drops.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from securechat.protocol.messages import Acknowledged
from securechat.server.delivery import Delivery
from securechat.server.errors import Refusal
from securechat.server.store.transaction import Transaction
from securechat.server.store.writer import Job

RIDE_AFTER: Final = 0.05
"""Seconds a cursor gathers before it rides: a busy client moves it many times in that."""

ALONE_AFTER: Final = 0.2
"""Seconds after which cursors go without company."""

MAX_GATHERED: Final = 2_048
"""Cursors that wait, of all clients; then they go at once."""


class Riders:
    """For the loop's thread."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._acks: dict[int, dict[bytes, int]] = {}
        self._count = 0
        self._since = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.go: Callable[[], None] = lambda: None
        """Makes the writer take what is here; set by the app."""

    def add(self, client: int, acks: list[Acknowledged]) -> None:
        waiting = self._acks.setdefault(client, {})
        for ack in acks:
            if ack.sequence > waiting.get(ack.group, 0):
                waiting[ack.group] = ack.sequence
        self._count += len(acks)
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._since = loop.time()
            self._timer = loop.call_later(ALONE_AFTER, self.leave)
        if self._count > MAX_GATHERED:
            self.leave()

    def leave(self) -> None:
        """Go now, whoever else does."""
        self._since = 0.0
        self.go()

    def take(self) -> list[Job]:
        """What goes with a transaction that is about to begin."""
        if not self._acks or asyncio.get_running_loop().time() - self._since < RIDE_AFTER:
            return []
        acks, self._acks, self._count = self._acks, {}, 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return [_Cursors(self._delivery, acks)]


class _Cursors:
    """Acknowledgements of several clients, in one job."""

    __slots__ = ("_acks", "_delivery")

    def __init__(self, delivery: Delivery, acks: dict[int, dict[bytes, int]]) -> None:
        self._delivery = delivery
        self._acks = acks

    def run(self, transaction: Transaction) -> None:
        transaction.settle()
        for client, acks in self._acks.items():
            self._delivery.acknowledge(transaction.db, client, acks)

    def done(self) -> None:
        """Nobody waits for it."""

    def undone(self, refusal: Refusal) -> None:
        """Nobody waits for it; the client acknowledges later entries, which covers these."""
