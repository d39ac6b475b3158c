"""Turns at what only a few may do at once, fair by account: who has many connections waits no less (O-07)."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FairTurns:
    """Like a semaphore, but those who wait are called account by account. For the loop's thread."""

    def __init__(self, at_once: int) -> None:
        self._free = at_once
        self._waiting: OrderedDict[int, deque[asyncio.Future[None]]] = OrderedDict()
        """By account, the one that is called next first. Somebody waits only while none is free."""

    @asynccontextmanager
    async def of(self, account: int) -> AsyncIterator[None]:
        """Wait for a turn of the account's, and have it as long as the block lasts."""
        if self._free:
            self._free -= 1
        else:
            await self._called(account)
        try:
            yield
        finally:
            self._hand_on()

    async def _called(self, account: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(account, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._hand_on()  # called and cancelled in one tick of the loop
            raise

    def _hand_on(self) -> None:
        while self._waiting:
            account, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[account] = turns  # behind all others
            if not turn.done():  # not cancelled meanwhile
                turn.set_result(None)
                return
        self._free += 1
