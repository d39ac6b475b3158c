"""File descriptors: how many a process may have, and how many connections that leaves (O-08)."""

import importlib
import importlib.util
import logging
from typing import Final

KEPT: Final = 256
"""For the database and its readers, the log, the admin socket, metrics, and sockets that are being closed."""

VERY_MANY: Final = 1 << 31

log = logging.getLogger("securechat.server.descriptors")


def raise_limit() -> None:
    """Take as many descriptors as the system lets this process have; for a process of its own."""
    soft, hard = _limits()
    if soft >= hard:
        return
    resource = importlib.import_module("resource")
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError) as error:  # macOS says "unlimited" and means its own number
        log.info("the limit of %d open files stays: %s", soft, error)


def connections_that_fit(wanted: int) -> int:
    """As many of the wanted connections as there are descriptors for; says so where it is fewer."""
    soft, _ = _limits()
    fit = max(soft - KEPT, soft // 2, 1)
    if fit < wanted:
        log.info("at most %d connections instead of %d: the system allows %d open files", fit, wanted, soft)
    return min(fit, wanted)


def allowed() -> int:
    """Descriptors this process may have; ``VERY_MANY`` where nothing bounds them."""
    return _limits()[0]


def _limits() -> tuple[int, int]:
    """The soft and the hard limit; very many where the system has none."""
    if importlib.util.find_spec("resource") is None:  # Windows
        return VERY_MANY, VERY_MANY
    resource = importlib.import_module("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _number(soft, resource.RLIM_INFINITY), _number(hard, resource.RLIM_INFINITY)


def _number(limit: int, infinity: int) -> int:
    return VERY_MANY if limit == infinity else limit
