"""A mistake of ours: the log gets the traceback, the peer a number to ask about (G-02)."""

import logging
import secrets

from securechat.server.errors import Refusal


def internal(log: logging.Logger, what: str, error: Exception) -> Refusal:
    """Log an exception that nobody foresaw; return what the peer is told."""
    number = secrets.token_hex(4)
    log.error("%s failed, id %s", what, number, exc_info=error)
    return Refusal("internal", f"see {number} in the server's log")
