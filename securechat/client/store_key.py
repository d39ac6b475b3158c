"""What opens a store without its password; a room of its own, so that naming it costs nothing."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StoreKey:
    """The store's own key, kept outside (the system's keyring) instead of the password that opens it."""

    raw: bytes = field(repr=False)
