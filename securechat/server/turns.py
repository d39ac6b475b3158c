"""The named requests of one connection, each in its turn: decided in the order they came.

What only writes goes to the writer at once. What has to be judged first is judged one after the
other, beside other connections' but not beside this one's, and what came later waits for it.
"""

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import apsw

from securechat.protocol.messages import ClaimKeyPackages
from securechat.protocol.server_connection import Requested
from securechat.server.desk import Desk
from securechat.server.errors import Refusal
from securechat.server.faults import internal
from securechat.server.named import NamedJob, Operation, Told, is_new
from securechat.server.pace import refuse_claim
from securechat.server.rate_limit import limited
from securechat.server.services import Named, Quick
from securechat.server.values import Caller, Decision
from securechat.server.watch import Watch

MAX_WAITING: Final = 1024 * 1024
"""Bytes of one connection's requests that wait to be judged; then it is not read until there are fewer."""

log = logging.getLogger("securechat.server.turns")


class Turns:
    """For the loop's thread. Lives as long as its connection is somebody's."""

    __slots__ = ("_bytes", "_caller", "_desk", "_task", "_told", "_waiting")

    def __init__(self, desk: Desk, told: Told, caller: Caller) -> None:
        self._desk = desk
        self._told = told
        self._caller = caller
        self._waiting: deque[Requested] = deque()
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits: a quick request need not either."""
        return not self._waiting

    @property
    def is_full(self) -> bool:
        """Whether more waits here than a connection may have us hold."""
        return self._bytes > MAX_WAITING

    def take(self, requested: Requested) -> None:
        self._waiting.append(requested)
        self._bytes += len(requested.raw)
        if self._task is None:
            self._task = asyncio.create_task(self._work_through())

    def clear(self) -> None:
        """Forget what waits; what has been submitted is still decided, and told to nobody."""
        self._waiting.clear()
        self._bytes = 0

    def submit_quick(self, requested: Requested, service: Quick) -> None:
        self._desk.writer.submit(NamedJob(self._told, self._caller, requested, quick=service.decide))

    async def _work_through(self) -> None:
        """Judge what needs judging, one after the other, so that the order stays."""
        try:
            while self._waiting:
                requested = self._waiting[0]
                service = self._desk.services.named[type(requested.body)]
                if isinstance(service, Quick):
                    self._pop()
                    self.submit_quick(requested, service)
                    continue
                operation = await self._operation(requested, service)
                if self._waiting:  # not cleared by an end meanwhile
                    self._pop()
                    self._submit(requested, operation)
        finally:
            self._task = None

    def _pop(self) -> None:
        self._bytes -= len(self._waiting.popleft().raw)

    def _submit(self, requested: Requested, operation: Operation) -> None:
        self._desk.writer.submit(NamedJob(self._told, self._caller, requested, operation=operation))

    async def _operation(self, requested: Requested, named: Named) -> Operation:
        """The half for the transaction. A refusal of the judging half is decided there too, in its turn."""
        caller, body, prepare = self._caller, requested.body, named.prepare
        if isinstance(body, ClaimKeyPackages) and (early := refuse_claim(self._desk.limiter, caller, body)):
            return functools.partial(_refuse, early)
        if prepare is None:
            return lambda db: named.decide(db, caller, body)

        def judge(db: apsw.Connection) -> Any:  # noqa: ANN401 - what a service hands from one half to the other
            # A name that is decided is answered from what was kept: sent a thousand times it is judged once.
            return prepare(db, caller, body) if is_new(db, caller, requested.name) else None

        watch = Watch()
        try:
            prepared = await self._in_turn(watch.timed(judge))
        except Refusal as refusal:
            return functools.partial(_refuse, refusal)
        except Exception as error:  # noqa: BLE001 - a request's root: a mistake of ours ends it, not the server
            return functools.partial(_refuse, internal(log, "judging a request", error))
        finally:
            self._desk.limiter.charge("judging", caller.account, watch.seconds)
        return lambda db: named.decide(db, caller, body, prepared)

    async def _in_turn(self, judge: Callable[[apsw.Connection], Any]) -> Any:  # noqa: ANN401 - as above
        """Judge when others have been; not for who has gone meanwhile, or has no time left."""
        async with self._desk.judges.of(self._caller.account):
            if not self._waiting:
                return None
            # Asked again: a whole window was let in while there was some.
            if wait := self._desk.limiter.wait("judging", self._caller.account):
                raise limited(wait)
            return await self._desk.readers.run(judge)


def _refuse(refusal: Refusal, _db: apsw.Connection) -> Decision:
    raise refusal
