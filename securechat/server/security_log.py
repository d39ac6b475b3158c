"""Security events: a table of what is said, so that nothing else is (G-01, G-03).

An event names who it happened to (an account, never a pair of them), what was done, or which rule
said no. Never content, a secret, a group, an address, or what somebody typed for a name or a
password and was refused.
"""

import logging
from typing import Final

EVENTS: Final[dict[str, tuple[str, ...]]] = {
    "registered": ("user",),
    "account_changed": ("user", "revoked"),
    "account_offered": ("user", "revoked"),
    "account_reset": ("user", "revoked"),
    "login": ("user", "way"),
    "login_failed": (),
    "ejected": ("user", "sessions"),
    "limited": ("rule", "times"),
    "admin": ("action", "user"),
    "certificate_reloaded": ("days",),
    "certificate_kept": (),
    "new_incarnation": ("number",),
    "new_key_log": ("number",),
}
"""Every event, with its fields."""

log = logging.getLogger("securechat.server.security")


def tell(event: str, **fields: str | int) -> None:
    """Log one event; its fields are those of the table."""
    names = EVENTS[event]
    if set(fields) != set(names):
        raise ValueError(f"{event} says {names}")
    if log.isEnabledFor(logging.INFO):
        said = event + "".join(f" {name}=%s" for name in names)
        log.info(said, *(fields[name] for name in names), extra={"event": event, "fields": fields})
