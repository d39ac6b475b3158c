"""What all connections of a server share."""

import asyncio
from dataclasses import dataclass, field
from typing import Final, Protocol

from securechat.server.counters import Counters
from securechat.server.hub import Hub
from securechat.server.identity import ServerIdentity
from securechat.server.login import Logins
from securechat.server.rate_limit import RateLimiter
from securechat.server.riders import Riders
from securechat.server.services import Services
from securechat.server.store.reader import THREADS, Readers
from securechat.server.store.writer import Writer
from securechat.server.values import Caller, Clock

JUDGES: Final = THREADS - 1
"""Commits and key packages judged at once: a thread is left for those who read."""


class Guest(Protocol):
    """A connection from the end of its handshake to its own."""

    heard: float
    """When something last came, by the loop's clock."""

    @property
    def caller(self) -> Caller | None: ...

    def bid_farewell(self, code: str, text: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class Desk:
    identity: ServerIdentity
    logins: Logins
    limiter: RateLimiter
    services: Services
    hub: Hub
    riders: Riders
    readers: Readers
    writer: Writer
    now: Clock
    registration: str
    counters: Counters
    sessions: set[Guest] = field(default_factory=set)
    judges: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(JUDGES))
    """First come, first served, one of each connection at a time."""

    def eject(self, account: int) -> int:
        """End all connections of an account; return how many there were."""
        found = [
            session
            for session in self.sessions
            if session.caller is not None and session.caller.account == account
        ]
        for session in found:
            session.bid_farewell("disabled")
        return len(found)
