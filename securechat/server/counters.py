"""What the server counts about itself; metrics and `admin status` read it, nothing decides by it.

Plain numbers, raised where the thing happens: on the loop's thread, but for the store's, which its
own thread raises. No user, group or address stands in them (G-01).
"""

import time
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from securechat.protocol.messages import GOODBYES

ENDS: Final = frozenset(GOODBYES) | {"lost"}
"""How a connection may end; ``lost`` is without a goodbye."""

WORK: Final = frozenset({"retention", "files", "letting in", "letting go", "the certificate", "closing"})
"""What the server does by itself."""


@dataclass(slots=True)
class Counters:
    """Everything counts from the start of the process."""

    connections_accepted: int = 0
    connections_refused: Counter[str] = field(default_factory=Counter)
    """By reason: the cap or deadline that was reached."""
    connections_ended: Counter[str] = field(default_factory=Counter)
    """By the code of the goodbye; ``lost`` without one."""
    handshakes: int = 0
    """TLS handshakes that were finished."""
    logins: int = 0
    logins_failed: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    """By code."""
    limited: Counter[str] = field(default_factory=Counter)
    """By the rule of the rate table that said no."""
    messages: int = 0
    """Application messages appended."""
    slow_readers: int = 0
    transactions: int = 0
    transaction_jobs: int = 0
    transaction_seconds: float = 0.0
    """In the writer's thread, its sync included."""
    latest_transactions: deque[float] = field(default_factory=lambda: deque(maxlen=512))
    """Seconds of each of the last ones, its sync included."""
    last_transaction: float = 0.0
    """When the last one was on the disk: seconds since 1970."""
    entries_expired: int = 0
    file_bytes_received: int = 0
    """Of attachments, sealed."""
    file_bytes_sent: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """Of `WORK`, that went wrong once and went on."""

    def committed(self, jobs: int, messages: int, seconds: float) -> None:
        """A transaction of so many jobs and messages is on the disk; told by the writer's thread."""
        self.messages += messages
        self.transactions += 1
        self.transaction_jobs += jobs
        self.transaction_seconds += seconds
        self.latest_transactions.append(seconds)
        self.last_transaction = time.time()

    def ended(self, code: str) -> None:
        """A connection ended; a word that a peer made up is not kept."""
        self.connections_ended[code if code in ENDS else "other"] += 1
