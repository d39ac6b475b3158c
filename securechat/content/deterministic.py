"""Where the items of a deterministic CBOR document lie (RFC 8949, section 4.2.1).

The CBOR library decodes more than we want to meet (tags that build objects, shared references,
any depth) and does not say whether an encoding is the deterministic one. So the outline of a
document is checked here first: heads in their shortest form, definite lengths, map keys in order
and unique, a bounded depth. Only plain items are then handed to the library, one by one; what
this version does not know is kept as its encoding.
"""

from typing import Final, NamedTuple

from securechat.content.errors import ContentError

UINT: Final = 0
NEGATIVE: Final = 1
BYTES: Final = 2
TEXT: Final = 3
ARRAY: Final = 4
MAP: Final = 5
TAG: Final = 6
SIMPLE: Final = 7

_TOO_SHORT: Final = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}
"""By additional information: an argument below this has a shorter form."""


class Head(NamedTuple):
    """An item's first bytes: its major type, its argument, and where its content begins."""

    major: int
    argument: int
    body: int


def head(data: bytes, start: int) -> Head:
    """Read the head at ``start``."""
    if start >= len(data):
        raise ContentError("The content ends too early.")
    major, info = data[start] >> 5, data[start] & 0x1F
    if info < 24:
        return Head(major, info, start + 1)
    if info > 27:
        raise ContentError("The content has an item of indefinite length or of a reserved form.")
    body = start + 1 + (1 << (info - 24))
    if body > len(data):
        raise ContentError("The content ends too early.")
    argument = int.from_bytes(data[start + 1 : body], "big")
    # A float's argument is its value, so its length says nothing about being shortest.
    smallest = 32 if (major, info) == (SIMPLE, 24) else 0 if major == SIMPLE else _TOO_SHORT[info]
    if argument < smallest:
        raise ContentError("The content is not in its shortest form.")
    return Head(major, argument, body)


def end_of(data: bytes, start: int, depth: int) -> int:
    """Return where the item at ``start`` ends; at most ``depth`` arrays, maps and tags lie in each other."""
    major, argument, body = head(data, start)
    if major in (UINT, NEGATIVE, SIMPLE):
        return body
    if major in (BYTES, TEXT):
        if argument > len(data) - body:
            raise ContentError("The content ends too early.")
        return body + argument
    if depth == 0:
        raise ContentError("The content is nested too deeply.")
    if major == MAP:
        return _end_of_map(data, body, argument, depth)
    for _ in range(1 if major == TAG else argument):
        body = end_of(data, body, depth - 1)
    return body


def children(data: bytes, start: int, depth: int) -> list[bytes]:
    """Return the encodings of the items of the array, or of the keys and values of the map, at ``start``."""
    major, argument, position = head(data, start)
    if major not in (ARRAY, MAP):
        raise ContentError("The content has another item where a list or a map was expected.")
    found = []
    for _ in range(argument if major == ARRAY else 2 * argument):
        end = end_of(data, position, depth - 1)
        found.append(data[position:end])
        position = end
    return found


def encode_head(major: int, argument: int) -> bytes:
    """Return the shortest head for an argument below 2**64."""
    if argument < 24:
        return bytes([major << 5 | argument])
    width = next(w for w in (1, 2, 4, 8) if argument < 1 << (8 * w))
    return bytes([major << 5 | (23 + width.bit_length())]) + argument.to_bytes(width, "big")


def _end_of_map(data: bytes, position: int, pairs: int, depth: int) -> int:
    previous = b""
    for _ in range(pairs):
        end = end_of(data, position, depth - 1)
        key = data[position:end]
        # Section 4.2.1: keys in the bytewise order of their encodings; no two are equal (section 5.6).
        if key <= previous:
            raise ContentError("The content has a map whose keys are not in order or not unique.")
        previous = key
        position = end_of(data, end, depth - 1)
    return position
