"""How an account's archive stands, as a value: front ends import it without what keeps the archive."""

from msgspec import Struct


class ArchiveStatus(Struct, frozen=True, kw_only=True):
    """How the account's archive stands: ``messages`` and ``bytes`` of it, and how many wait here to go there.

    ``seen``: whether its list was read since this process began; without that the two are 0.
    """

    on: bool
    seen: bool
    messages: int
    bytes: int
    waiting: int
