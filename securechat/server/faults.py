"""A mistake of ours: the log gets the traceback, the peer a number to ask about (G-02).

What the server does by itself goes on after one, and counts it (``survived``): nobody asked for it, so
nobody would ever notice that it has ended.
"""

import logging
import secrets

from securechat.server.counters import Counters
from securechat.server.errors import Refusal


def internal(log: logging.Logger, what: str, error: Exception) -> Refusal:
    """Log an exception that nobody foresaw; return what the peer is told."""
    number = secrets.token_hex(4)
    log.error("%s failed, id %s", what, number, exc_info=error)
    return Refusal("internal", f"see {number} in the server's log")


def survived(counters: Counters, log: logging.Logger, work: str, error: Exception) -> None:
    """Log and count what went wrong with work of the server's own, one of `counters.WORK`."""
    internal(log, work, error)
    counters.failures[work] += 1
