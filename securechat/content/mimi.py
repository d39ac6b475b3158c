"""MIMI content: what is inside an application message (draft-ietf-mimi-content).

One draft is pinned by `DRAFT`: it decides how a message id is made. Bytes become a frozen
`MimiContent` and the same bytes again; parts and extensions of kinds that this version does not
know are kept as they came. Section names below are the draft's.
"""

import hashlib
from typing import Final

import cbor2
from msgspec import Struct

from securechat.content.deterministic import ARRAY, MAP, children, encode_head, end_of
from securechat.content.errors import ContentError
from securechat.content.values import read_bytes, read_plain, read_text, read_truth, read_uint

DRAFT: Final = "draft-ietf-mimi-content-08"

MAX_CONTENT: Final = 64 * 1024
"""What fits the largest padding bucket; more is an attachment."""

MAX_PARTS: Final = 1024
MAX_PART_DEPTH: Final = 4
MAX_TOPIC: Final = 4096
"""Depth: section "Depth restrictions"; the others: "General handling"."""

MAX_CONTENT_TYPE: Final = 255
"""Bytes: RFC 6838 allows a type and a subtype of 127 each; ours have one short parameter more."""

MAX_LANGUAGE: Final = 255
MAX_URL: Final = 2048
MAX_FILE_NAME: Final = 1024
"""Bytes of UTF-8: the longest name that a file system takes (255 units of UTF-16) has 765."""

MAX_DESCRIPTION: Final = 16 * 1024
"""Bytes of what is said of a file: below it stands as text, so it may be a long one."""

MAX_EXTENSIONS: Final = 64
MAX_EXTENSION_DEPTH: Final = 4
MAX_KEY: Final = (1 << 53) - 1
MAX_KEY_TEXT: Final = 255

SENDER_URI: Final = 1
ROOM_URI: Final = 2
_SHA_256: Final = 1

RENDER: Final = 1
REACTION: Final = 2
ATTACHMENT: Final = 6
PREVIEW: Final = 8
CHOOSE_ONE: Final = 0
SINGLE_UNIT: Final = 1
PROCESS_ALL: Final = 2

_NULL, _SINGLE, _EXTERNAL, _MULTI = range(4)
_FIELDS: Final = (0, 2, 12, 2)
"""By cardinality: how many fields follow it."""

_DEPTH: Final = 1 + 2 * MAX_PART_DEPTH + MAX_EXTENSION_DEPTH
"""The message, two lists per part, and what an unknown part may hold."""


class Expiration(Struct, frozen=True):
    """When the message should be forgotten: seconds after reading, or since 1970."""

    relative: bool
    time: int


class NullPart(Struct, frozen=True):
    """Nothing: how a message is withdrawn."""

    disposition: int = RENDER
    language: str = ""


class SinglePart(Struct, frozen=True):
    """Content that travels in the message itself."""

    content_type: str
    content: bytes
    disposition: int = RENDER
    language: str = ""


class ExternalPart(Struct, frozen=True):
    """Content that lies elsewhere, usually encrypted; 0 and empty mean: not said."""

    content_type: str
    url: str
    expires: int
    size: int
    enc_alg: int
    key: bytes
    nonce: bytes
    aad: bytes
    hash_alg: int
    content_hash: bytes
    description: str
    filename: str
    disposition: int = ATTACHMENT
    language: str = ""

    def __repr__(self) -> str:
        return f"<ExternalPart {self.content_type} of {self.size} bytes>"


class MultiPart(Struct, frozen=True):
    """Several parts; ``semantics`` says how they belong together."""

    semantics: int
    parts: tuple["Part", ...]
    disposition: int = RENDER
    language: str = ""


class UnknownPart(Struct, frozen=True):
    """A part of a kind this version does not know: ``fields`` are kept as their encodings."""

    cardinality: int
    fields: tuple[bytes, ...]
    disposition: int = RENDER
    language: str = ""


Part = NullPart | SinglePart | ExternalPart | MultiPart | UnknownPart
Extensions = tuple[tuple[int | str, bytes], ...]


class MimiContent(Struct, frozen=True):
    """One message. ``extensions`` are (key, encoded value), in the order of their encoded keys."""

    salt: bytes
    part: Part
    replaces: bytes | None = None
    topic_id: bytes = b""
    expires: Expiration | None = None
    in_reply_to: bytes | None = None
    extensions: Extensions = ()

    def uri(self, key: int) -> str | None:
        """Return what the sender says of itself (`SENDER_URI`) or of the room (`ROOM_URI`)."""
        for found, value in self.extensions:
            if found == key:
                return read_text(value)
        return None


def message_id(content: bytes, *, sender_uri: str, room_uri: str) -> bytes:
    """Return the 32-byte id of an encoded message (section "Message ID").

    Both URIs are what MLS proves, not what the message says.
    """
    if content[:2] != b"\x87\x50":
        raise ContentError("The content does not begin with a salt.")
    sender, room = sender_uri.encode(), room_uri.encode()
    hashed = hashlib.sha256(
        len(sender).to_bytes(2, "big")
        + sender
        + len(room).to_bytes(2, "big")
        + room
        + content
        + content[2:18]
    )
    return bytes([_SHA_256]) + hashed.digest()[:31]


def encode(content: MimiContent) -> bytes:
    """Return the deterministic encoding; ContentError if a field is outside its limits."""
    try:
        encoded = _encode(content)
    except (ValueError, cbor2.CBOREncodeError) as error:
        raise ContentError("The content has a field that cannot be encoded.") from error
    decode(encoded)
    return encoded


def decode(data: bytes) -> MimiContent:
    """Read one message; ContentError, and nothing else, if it is not one."""
    if len(data) > MAX_CONTENT:
        raise ContentError(f"The content is longer than {MAX_CONTENT} bytes.")
    if end_of(data, 0, _DEPTH) != len(data):
        raise ContentError("Something follows the content.")
    fields = children(data, 0, _DEPTH)
    if data[0] >> 5 != ARRAY or len(fields) != 7:
        raise ContentError("A message is a list of seven fields.")
    salt, replaces, topic_id, expires, in_reply_to, extensions, part = fields
    content = MimiContent(
        salt=read_bytes(salt),
        replaces=_message_id_or_none(replaces),
        topic_id=read_bytes(topic_id),
        expires=_expiration(expires),
        in_reply_to=_message_id_or_none(in_reply_to),
        extensions=_extensions(extensions),
        part=_PartReader().read(part, MAX_PART_DEPTH),
    )
    if len(content.salt) != 16:
        raise ContentError("A message's salt has 16 bytes.")
    if len(content.topic_id) > MAX_TOPIC:
        raise ContentError(f"A topic id has at most {MAX_TOPIC} bytes.")
    return content


def _encode(content: MimiContent) -> bytes:
    pairs = sorted((cbor2.dumps(key), value) for key, value in content.extensions)
    expires = content.expires and [content.expires.relative, content.expires.time]
    return b"".join(
        [
            encode_head(ARRAY, 7),
            *map(
                cbor2.dumps, (content.salt, content.replaces, content.topic_id, expires, content.in_reply_to)
            ),
            encode_head(MAP, len(pairs)),
            *(key + value for key, value in pairs),
            _encode_part(content.part),
        ]
    )


def _encode_part(part: Part) -> bytes:
    start = [part.disposition, part.language]
    match part:
        case NullPart():
            return cbor2.dumps([*start, _NULL])
        case SinglePart():
            return cbor2.dumps([*start, _SINGLE, part.content_type, part.content])
        case ExternalPart():
            fields = [getattr(part, name) for name in ExternalPart.__struct_fields__[:12]]
            return cbor2.dumps([*start, _EXTERNAL, *fields])
        case MultiPart():
            parts = b"".join(map(_encode_part, part.parts))
            head = [encode_head(ARRAY, 5), *map(cbor2.dumps, (*start, _MULTI, part.semantics))]
            return b"".join([*head, encode_head(ARRAY, len(part.parts)), parts])
        case UnknownPart():
            head = [encode_head(ARRAY, 3 + len(part.fields)), *map(cbor2.dumps, (*start, part.cardinality))]
            return b"".join([*head, *part.fields])


class _PartReader:
    """Reads a part and those inside it, counting them."""

    def __init__(self) -> None:
        self._count = 0

    def read(self, data: bytes, depth: int) -> Part:
        self._count += 1
        if self._count > MAX_PARTS:
            raise ContentError(f"A message has at most {MAX_PARTS} parts.")
        if depth == 0:
            raise ContentError(f"Parts are nested at most {MAX_PART_DEPTH} deep.")
        fields = children(data, 0, _DEPTH)
        if data[0] >> 5 != ARRAY or len(fields) < 3:
            raise ContentError("A part is a list of at least three fields.")
        disposition, language = read_uint(fields[0], 8), _short(fields[1], MAX_LANGUAGE)
        cardinality, rest = read_uint(fields[2], 64), fields[3:]
        if cardinality > _MULTI:
            return UnknownPart(cardinality, tuple(rest), disposition, language)
        if len(rest) != _FIELDS[cardinality]:
            raise ContentError("A part does not have the fields of its kind.")
        if cardinality == _SINGLE:
            return SinglePart(_short(rest[0], MAX_CONTENT_TYPE), read_bytes(rest[1]), disposition, language)
        if cardinality == _EXTERNAL:
            return _external(rest, disposition, language)
        if cardinality == _MULTI:
            semantics, parts = read_uint(rest[0], 8), self._several(rest[1], depth - 1)
            if semantics > PROCESS_ALL:
                raise ContentError("Several parts belong together in a way the draft does not know.")
            return MultiPart(semantics, parts, disposition, language)
        return NullPart(disposition, language)

    def _several(self, data: bytes, depth: int) -> tuple[Part, ...]:
        inner = children(data, 0, _DEPTH)
        if data[0] >> 5 != ARRAY or len(inner) < 2:
            raise ContentError("A part of several has at least two.")
        return tuple(self.read(one, depth) for one in inner)


def _external(rest: list[bytes], disposition: int, language: str) -> ExternalPart:
    return ExternalPart(
        content_type=_short(rest[0], MAX_CONTENT_TYPE),
        url=_short(rest[1], MAX_URL),
        expires=read_uint(rest[2], 32),
        size=read_uint(rest[3], 64),
        enc_alg=read_uint(rest[4], 16),
        key=read_bytes(rest[5]),
        nonce=read_bytes(rest[6]),
        aad=read_bytes(rest[7]),
        hash_alg=read_uint(rest[8], 8),
        content_hash=read_bytes(rest[9]),
        description=_short(rest[10], MAX_DESCRIPTION),
        filename=_short(rest[11], MAX_FILE_NAME),
        disposition=disposition,
        language=language,
    )


def _short(data: bytes, most: int) -> str:
    """Read a text that is looked at whole, often more than once: its length is what that costs (M-01)."""
    text = read_text(data)
    if len(text.encode()) > most:
        raise ContentError(f"A field of the message is longer than {most} bytes.")
    return text


def _extensions(data: bytes) -> Extensions:
    """Section "Data model restrictions". Order and uniqueness of keys were checked with the outline."""
    end_of(data, 0, MAX_EXTENSION_DEPTH)
    items = children(data, 0, MAX_EXTENSION_DEPTH)
    if data[0] >> 5 != MAP or len(items) > 2 * MAX_EXTENSIONS:
        raise ContentError(f"A message's extensions are a map of at most {MAX_EXTENSIONS}.")
    found: Extensions = tuple(zip(map(_key, items[::2]), items[1::2], strict=True))
    for key, value in found:
        if key in (SENDER_URI, ROOM_URI):
            read_text(value)
    return found


def _key(data: bytes) -> int | str:
    key = read_plain(data)
    if isinstance(key, str) and 1 <= len(key.encode()) <= MAX_KEY_TEXT:
        return key
    if isinstance(key, int) and not isinstance(key, bool) and -MAX_KEY <= key <= MAX_KEY:
        return key
    raise ContentError("An extension's key is a small number or a short text.")


def _message_id_or_none(data: bytes) -> bytes | None:
    value = read_plain(data)
    if value is None:
        return None
    # Section "General handling": an id made with a hash that nobody knows is nonsense.
    if not isinstance(value, bytes) or len(value) != 32 or value[0] != _SHA_256:
        raise ContentError("A message id has 32 bytes and begins with 1.")
    return value


def _expiration(data: bytes) -> Expiration | None:
    if data == cbor2.dumps(None):
        return None
    fields = children(data, 0, 1)
    if data[0] >> 5 != ARRAY or len(fields) != 2:
        raise ContentError("An expiration has two fields.")
    return Expiration(read_truth(fields[0]), read_uint(fields[1], 32))
