"""The log can't be doctored: what a sender had seen, said in every message (rules.md A).

C_0 is the confirmed transcript hash of the epoch, C_i = SHA-256(C_{i-1} || SHA-256(entry_i)) over
the group's log entries of that epoch. Each application message carries (i, first 16 bytes of C_i)
in its authenticated data. A receiver compares with its own chain: another value, or more entries
than came before the message, is a log that was doctored. What stands at the very end of an epoch is
claimed in a later one: the value that the chain had when the commit came.
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated, Final

from securechat.mls.codec import (
    FixedBytes,
    Opaque,
    Uint32,
    Uint64,
    WireStruct,
    decode,
    encode,
    encode_before,
)
from securechat.mls.errors import DecodeError

VALUE_BYTES: Final = 16
"""Of 32: a doctor of the log would have to find a second preimage of 128 bits, for one message."""


MAX_ENDS: Final = 8
"""Earlier epochs that one message speaks of: about 210 bytes."""

_SHORT: Final = 4 + VALUE_BYTES
"""Bytes of a claim about its own epoch only."""


class LogEnd(WireStruct, frozen=True):
    """... and when the commit came that ended this epoch, its chain had this value.

    ``group`` is empty for the message's own, else the id of the one that it goes on from.
    """

    group: Opaque
    epoch: Uint64
    value: Annotated[bytes, FixedBytes(VALUE_BYTES)]


class LogMark(WireStruct, frozen=True):
    """What a sender claims: after ``count`` entries of this epoch its chain had this value."""

    count: Uint32
    value: Annotated[bytes, FixedBytes(VALUE_BYTES)]
    ends: tuple[LogEnd, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the ``authenticated_data`` of an application message."""
        return encode(self) if self.ends else encode_before(self, "ends")


@dataclass(frozen=True, slots=True)
class LogChain:
    """The chain over a group's log in one epoch, after ``count`` entries."""

    count: int
    digest: bytes

    @classmethod
    def start(cls, confirmed_transcript_hash: bytes) -> "LogChain":
        """Begin an epoch."""
        return cls(0, confirmed_transcript_hash)

    def add(self, entry_hash: bytes) -> "LogChain":
        """Return the chain with one more entry, given by the SHA-256 of its bytes."""
        return LogChain(self.count + 1, hashlib.sha256(self.digest + entry_hash).digest())

    @property
    def value(self) -> bytes:
        return self.digest[:VALUE_BYTES].ljust(VALUE_BYTES, b"\0")

    @property
    def mark(self) -> LogMark:
        return LogMark(self.count, self.value)


def read_mark(authenticated_data: bytes) -> LogMark | None:
    """Return a message's claim; None if it carries none that decodes."""
    short = len(authenticated_data) <= _SHORT
    try:
        mark = decode(LogMark, authenticated_data + b"\0" if short else authenticated_data)
    except DecodeError:
        return None
    return mark if short or 0 < len(mark.ends) <= MAX_ENDS else None
