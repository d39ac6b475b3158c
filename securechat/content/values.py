"""Plain values out of their encodings: nothing that could build an object is given to the library."""

from typing import Any

import cbor2

from securechat.content.deterministic import ARRAY, MAP, TAG
from securechat.content.errors import ContentError


def read_bytes(data: bytes) -> bytes:
    value = read_plain(data)
    if not isinstance(value, bytes):
        raise ContentError("The content has another item where bytes were expected.")
    return value


def read_text(data: bytes) -> str:
    value = read_plain(data)
    if not isinstance(value, str):
        raise ContentError("The content has another item where text was expected.")
    return value


def read_truth(data: bytes) -> bool:
    value = read_plain(data)
    if not isinstance(value, bool):
        raise ContentError("The content has another item where true or false was expected.")
    return value


def read_uint(data: bytes, bits: int) -> int:
    value = read_plain(data)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << bits:
        raise ContentError(f"The content has another item where a number of {bits} bits was expected.")
    return value


def read_plain(data: bytes) -> Any:  # noqa: ANN401 (callers check what they got)
    """Decode one item that has no items inside."""
    if data[0] >> 5 in (ARRAY, MAP, TAG):
        raise ContentError("The content has a list, map or tag where a plain value was expected.")
    try:
        return cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError) as error:
        raise ContentError("The content has an item that is not well formed.") from error
