"""Another log in the place of one that cannot go on.

A server whose database was put back to an older copy lacks entries that it has signed. Whatever it signed
next would be a fork. So it begins another log, over the statements it has, and says so: ``LogBegun`` names
the last head that it knows of the log before, and every client tells its user once. It is not evidence of
anything, but it is never silent: who begins logs at will is seen by everybody to do so.

::

    struct {
      uint16 version = 1;  opaque server_key[32];  uint64 log;  optional<TreeHead> before;
      uint64 timestamp;  opaque signature[64];
    } LogBegun;       /* signed by the server's identity key, L = "log begun", over the fields before */

``log`` rises: it is the incarnation of the server in which the log began. Of the first log ``before`` is
absent, and so it is where the server has kept nothing of the log before.
"""

from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.membership.signing import public_of, sign, verify
from securechat.mls.codec import Bytes32, FixedBytes, Uint16, Uint64, WireStruct, decode, encode_before
from securechat.mls.errors import DecodeError
from securechat.transparency.errors import Refused
from securechat.transparency.heads import TreeHead, is_signed

VERSION: Final = 1
_LABEL: Final = "log begun"

MAX_BEGUN: Final = 1024
"""Bytes: with a head in it 338."""


class LogBegun(WireStruct, frozen=True):
    """The server's word that this log began; ``timestamp`` is seconds since 1970."""

    version: Uint16
    server_key: Bytes32
    log: Uint64
    before: TreeHead | None
    timestamp: Uint64
    signature: Annotated[bytes, FixedBytes(64)]


def sign_begun(key: Ed25519PrivateKey, *, log: int, before: TreeHead | None, now: int) -> LogBegun:
    """Sign that a log begins; ``before`` is the last head that is known of the one before."""
    unsigned = LogBegun(
        version=VERSION, server_key=public_of(key), log=log, before=before, timestamp=now, signature=b""
    )
    signature = sign(key, _LABEL, encode_before(unsigned, "signature"))
    return msgspec.structs.replace(unsigned, signature=signature)


def read_begun(data: bytes) -> LogBegun:
    """Decode one from the wire; Refused (``begun-encoding``) if it is none or too large."""
    if len(data) > MAX_BEGUN:
        raise Refused("begun-encoding", f"The beginning of a log has at most {MAX_BEGUN} bytes.")
    try:
        return decode(LogBegun, data)
    except DecodeError:
        raise Refused("begun-encoding", "The beginning of a log does not decode.") from None


def check_begun(begun: LogBegun, known: TreeHead, *, log: int, server_key: bytes) -> None:
    """Check that another log may follow the one that is known.

    :param log: the one that a head is of which the server offers
    :raises Refused: ``begun-signature``, it is not this server's word, or of another log; ``begun-again``, it
        is not a later log; ``begun-early``, it says that it began before a head of the other log that one has
    """
    if begun.version != VERSION or begun.server_key != server_key:
        raise Refused("begun-signature", "The beginning of the log is of another server.")
    if not verify(server_key, _LABEL, encode_before(begun, "signature"), signature=begun.signature):
        raise Refused("begun-signature", "The beginning of the log is not signed by the server.")
    if begun.log != log:
        raise Refused("begun-signature", "The beginning of a log comes with the head of another.")
    before = begun.before
    if before is not None and not (is_signed(before, server_key) and before.log < begun.log):
        raise Refused("begun-signature", "The log before this one was no log of the server.")
    if begun.log <= known.log:
        raise Refused("begun-again", "The server begins a log that is not later than the one before.")
    if begun.timestamp < known.timestamp:
        raise Refused("begun-early", "The log began while the server still signed the one before.")
