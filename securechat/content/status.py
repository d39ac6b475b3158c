"""What became of messages at somebody's: draft-mahy-mimi-message-status-01.

One report names many messages of its room. Only two of the draft's values are made and kept here,
`DELIVERED` and `READ`; the others are read and mean nothing to us.
"""

from typing import Final

from securechat.content.deterministic import ARRAY, children, encode_head, end_of
from securechat.content.errors import ContentError
from securechat.content.values import read_bytes, read_uint

STATUS_TYPE: Final = "application/mimi-message-status"

DELIVERED: Final = 1
READ: Final = 2

MAX_REPORTED: Final = 1000
"""Messages in one report: what fits a message of 64 KiB beside its other fields, and no more."""

_DEPTH: Final = 2
_ID_BYTES: Final = 32

Reported = tuple[tuple[bytes, int], ...]


def encode_report(reported: Reported) -> bytes:
    """Return a report of (message id, status)."""
    parts = [encode_head(ARRAY, len(reported))]
    for message_id, status in reported:
        parts += [b"\x82\x58\x20", message_id, encode_head(0, status)]
    encoded = b"".join(parts)
    decode_report(encoded)
    return encoded


def decode_report(data: bytes) -> Reported:
    """Read a report.

    :raises ContentError: it is none, or longer than we take
    """
    if end_of(data, 0, _DEPTH) != len(data):
        raise ContentError("Something follows the report.")
    items = children(data, 0, _DEPTH)
    if data[0] >> 5 != ARRAY or len(items) > MAX_REPORTED:
        raise ContentError(f"A report is a list of at most {MAX_REPORTED}.")
    return tuple(map(_pair, items))


def _pair(data: bytes) -> tuple[bytes, int]:
    fields = children(data, 0, 1)
    if data[0] >> 5 != ARRAY or len(fields) != 2:
        raise ContentError("A report has a message id and a status for each message.")
    message_id = read_bytes(fields[0])
    if len(message_id) != _ID_BYTES:
        raise ContentError("A message id has 32 bytes.")
    return message_id, read_uint(fields[1], 8)
