"""Which epoch of a group somebody is in, as people who share several groups tell each other elsewhere.

Two who are in the same epoch of a group have the same epoch authenticator (RFC 9420 section 8.7), and nobody
else has it. A short digest of it, with the number of the epoch, is enough to see that a group was parted.
"""

import hashlib
from typing import Annotated, Final

from securechat.mls.codec import FixedBytes, Opaque, Uint64, WireStruct, decode, encode_opaque
from securechat.mls.errors import DecodeError

CODE_BYTES: Final = 16
"""As in the log's chain: somebody would have to find a second epoch of the same digest."""

MAX_CODES: Final = 4
"""Groups that one message speaks of: about 260 bytes."""


class EpochCode(WireStruct, frozen=True):
    """... and in this line of the server's log (its incarnation) this group has come to this epoch for me."""

    group: Opaque
    incarnation: Uint64
    epoch: Uint64
    code: Annotated[bytes, FixedBytes(CODE_BYTES)]


class EpochCodes(WireStruct, frozen=True):
    codes: tuple[EpochCode, ...]


def told_code(epoch_authenticator: bytes) -> bytes:
    """Return what is told of an epoch; the digits that people compare are of another digest."""
    content = b"securechat/1 epoch told" + encode_opaque(epoch_authenticator)
    return hashlib.sha512(content).digest()[:CODE_BYTES]


def read_codes(data: bytes) -> tuple[EpochCode, ...]:
    """Return what a member told of groups; nothing where it does not decode, or is more than is told."""
    try:
        codes = decode(EpochCodes, data).codes
    except DecodeError:
        return ()
    return codes if len(codes) <= MAX_CODES else ()
