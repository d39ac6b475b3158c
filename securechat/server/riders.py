"""Cursors on their way to the database: they go with the next transaction that somebody waits for.

Nobody waits for an acknowledgement, so none causes a sync of its own until it is 200 ms old. Lost
with the process, it costs a repeated delivery that the client drops. That nobody waits is also why
they are bounded here: a client may say them as fast as its line goes.
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
"""Cursors that wait, of all clients; then they go at once. More than that do not go with one transaction:
it is ten milliseconds, and others wait for it."""

MAX_OF_CLIENT: Final = 1_024
"""Groups of one client whose cursors wait: what one frame can name. It says the others again."""


class Riders:
    """For the loop's thread."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._acks: dict[int, dict[bytes, int]] = {}
        self._count = 0
        self._since = 0.0
        self._under_way = False
        self._timer: asyncio.TimerHandle | None = None
        self.go: Callable[[], None] = lambda: None
        """Makes the writer take what is here; set by the app."""

    def add(self, client: int, acks: list[Acknowledged]) -> None:
        waiting = self._acks.setdefault(client, {})
        for ack in acks:
            if ack.group not in waiting:
                if len(waiting) >= MAX_OF_CLIENT:
                    continue
                self._count += 1
            waiting[ack.group] = max(ack.sequence, waiting.get(ack.group, 0))
        if self._timer is None:
            loop = asyncio.get_running_loop()
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
        if self._under_way or not self._acks or asyncio.get_running_loop().time() - self._since < RIDE_AFTER:
            return []
        self._under_way = True
        return [_Cursors(self._delivery, self._take_some(), self._arrived)]

    def _take_some(self) -> dict[int, dict[bytes, int]]:
        acks: dict[int, dict[bytes, int]] = {}
        count = 0
        while self._acks and count < MAX_GATHERED:
            client = next(iter(self._acks))
            acks[client] = self._acks.pop(client)
            count += len(acks[client])
        self._count -= count
        if self._acks:
            self._since = 0.0  # as soon as these have arrived
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return acks

    def _arrived(self) -> None:
        """The last ones are written: now others may go, and at once if their time has come meanwhile."""
        self._under_way = False
        if self._acks and not self._since:
            self.go()


class _Cursors:
    """Acknowledgements of several clients, in one job."""

    __slots__ = ("_acks", "_arrived", "_delivery")

    def __init__(
        self, delivery: Delivery, acks: dict[int, dict[bytes, int]], arrived: Callable[[], None]
    ) -> None:
        self._delivery = delivery
        self._acks = acks
        self._arrived = arrived

    def run(self, transaction: Transaction) -> None:
        transaction.write()
        for client, acks in self._acks.items():
            self._delivery.acknowledge(transaction.db, client, acks)

    def done(self) -> None:
        self._arrived()

    def undone(self, _refusal: Refusal) -> None:
        """Nobody waits for these; the client acknowledges later entries, which covers them."""
        self._arrived()
