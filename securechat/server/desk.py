"""What all connections of a server share."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from securechat.protocol.limits import PROTOCOL_VERSION
from securechat.protocol.messages import ACCOUNTS, ServerHello
from securechat.server.account_changes import AccountChanges
from securechat.server.attachments import Attachments
from securechat.server.counters import Counters
from securechat.server.fair_turns import FairTurns
from securechat.server.hub import Hub
from securechat.server.identity import ServerIdentity
from securechat.server.links import Rendezvous
from securechat.server.login import Logins
from securechat.server.quota import DiskSpace
from securechat.server.rate_limit import RateLimiter
from securechat.server.riders import Riders
from securechat.server.services import Services
from securechat.server.store.reader import THREADS, Readers
from securechat.server.store.writer import Writer
from securechat.server.transparency import KeyLog
from securechat.server.values import Caller, Clock
from securechat.version import __version__

KEY_LOG: Final = "key_log"
"""What a Hello says of a server that has one."""

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
    space: DiskSpace
    services: Services
    hub: Hub
    riders: Riders
    readers: Readers
    writer: Writer
    now: Clock
    registration: str
    counters: Counters
    attachments: Attachments
    account_changes: AccountChanges
    rendezvous: Rendezvous
    key_log: KeyLog
    sessions: set[Guest] = field(default_factory=set)
    judges: FairTurns = field(default_factory=lambda: FairTurns(JUDGES))
    """Account by account, one of each connection at a time."""

    def hello(self, *, nonce: bytes, signature: bytes) -> ServerHello:
        """What a connection is greeted with; ``signature`` is over its certificate's key."""
        return ServerHello(
            version=PROTOCOL_VERSION,
            domain=self.identity.domain,
            identity_key=self.identity.public_key,
            identity_signature=signature,
            nonce=nonce,
            features=[ACCOUNTS, KEY_LOG],
            agent=f"securechat {__version__}",
            registration=self.registration,
        )

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

    def end_visits(self, caller: Caller) -> None:
        """A password was changed: end the account's sessions without a client, but not the asking one."""
        for session in list(self.sessions):
            other = session.caller
            if other is None or other is caller or other.client or other.account != caller.account:
                continue
            session.bid_farewell("password_changed")
