"""What the archive of an account is made of (docs/decisions/0019): segments of records, and the list of them.

A record is a message as it stands, with what was said of it; a segment is up to ``FULL`` bytes of them,
sealed as one file under a key of its own. The list is the box "archive". Of an id that stands in several
segments the one that was written last counts. Everything here is values and bytes; who is not a device of
the account can make none of it, for every key comes of the account's secret (D-07).
"""

import secrets
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import Meta, Struct

from securechat.client.errors import ClientError
from securechat.content.errors import ContentError
from securechat.content.sealed_file import ID_SIZE, KEY_SIZE, PIECE, PREFIX_SIZE, SEALED_PIECE, PieceCipher
from securechat.mls.kdf import HKDF_SHA256

VERSION: Final = 1

FULL: Final = 1024 * 1024
"""Bytes of content at which a segment is closed: some 6,000 messages, read in a second."""

MAX_SEGMENT: Final = 4 * FULL
"""Bytes that are read as one: a closed segment, and the one large message that closed it."""

MAX_SEGMENTS: Final = 1000
"""Of one archive: 5,000,000 messages, and a list of less than a box of 128 KiB."""

MAX_RECORDS: Final = 100_000

MAX_ASKERS: Final = 64
"""New devices that one hand-over is for: an account has ten."""

LAST_SECOND: Final = 1 << 40

LONGEST_NAME: Final = 512

_LABEL: Final = b"securechat/1 archive segment"

T = TypeVar("T")

Seconds = Annotated[int, Meta(ge=0, le=LAST_SECOND)]
Number = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Id = Annotated[bytes, Meta(min_length=32, max_length=32)]
Key = Annotated[bytes, Meta(max_length=32)]
Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
Words = Annotated[str, Meta(max_length=256 * 1024)]
Content = Annotated[bytes, Meta(max_length=1024 * 1024)]


class ArchiveDamaged(ClientError):
    """What the server has of the archive is not what a device of ours wrote; nothing of it was taken."""


class Place(Struct, frozen=True, array_like=True):
    """A conversation: what one that is not here yet is made of. ``groups``: those it was, the last first."""

    kind: Annotated[str, Meta(pattern="^(direct|room|announcement)$")]
    name: Name
    room: Name
    peer: Name = ""
    title: Name = ""
    topic: Name = ""
    groups: Annotated[tuple[Annotated[bytes, Meta(max_length=64)], ...], Meta(max_length=8)] = ()


class Voice(Struct, frozen=True, array_like=True):
    """Who said something: the name, and the account key that it stood under; empty if that is not known."""

    user: Name
    key: Key = b""


class Mark(Struct, frozen=True, array_like=True):
    """A reaction (``text``), or a vote (``numbers``): by whom, and a reaction's id."""

    by: Voice
    text: Name = ""
    numbers: Annotated[bytes, Meta(max_length=32)] = b""
    id: Annotated[bytes, Meta(max_length=32)] = b""


class Receipt(Struct, frozen=True, array_like=True):
    user: Name
    status: Annotated[int, Meta(ge=0, le=2)]


class Record(Struct, frozen=True, array_like=True):
    """A message as it stands. ``place`` and ``voice`` number what its segment lists.

    ``sequence`` is its place in its group's log, 0 if it has none. ``source`` is empty for what came through
    the server, ``file`` for what was imported, ``@user`` for what somebody shared.
    """

    place: Number
    id: Id
    voice: Number
    time: Seconds
    text: Words
    sequence: Number = 0
    kind: Annotated[str, Meta(pattern="^(text|poll|file|timer)$")] = "text"
    content: Content = b""
    about: Annotated[bytes, Meta(max_length=32)] = b""
    thread: Name = ""
    topic: Annotated[bytes, Meta(max_length=4096)] = b""
    version: Annotated[bytes, Meta(max_length=32)] = b""
    edited: Seconds = 0
    deleted: bool = False
    mentions_me: bool = False
    closed: bool = False
    verified: Annotated[str, Meta(pattern="^(known|changed)$")] = "known"
    source: Name = ""
    marks: Annotated[tuple[Mark, ...], Meta(max_length=20_000)] = ()
    receipts: Annotated[tuple[Receipt, ...], Meta(max_length=2_000)] = ()


class Segment(Struct, frozen=True, array_like=True):
    """What one file holds, in the order it was written."""

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)]
    places: tuple[Place, ...]
    voices: tuple[Voice, ...]
    records: Annotated[tuple[Record, ...], Meta(max_length=MAX_RECORDS)]


class Entry(Struct, frozen=True, array_like=True):
    """A segment in the list: its file, the bytes of its content, its records, and the times they span."""

    file: Id
    size: Annotated[int, Meta(ge=1, le=MAX_SEGMENT)]
    count: Annotated[int, Meta(ge=0, le=MAX_RECORDS)]
    oldest: Seconds
    newest: Seconds


class Asker(Struct, frozen=True, array_like=True):
    """A new device that a hand-over is for, by its client's id, let in at that time.

    ``ready``: who let it in has written all.
    """

    device: Name
    since: Seconds
    ready: bool = False


class Manifest(Struct, frozen=True, array_like=True):
    """The list, what was written last at its end; ``on``: whether the account keeps an archive.

    ``askers``: of a hand-over, whose box this is then.
    """

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)] = VERSION
    on: bool = True
    segments: Annotated[tuple[Entry, ...], Meta(max_length=MAX_SEGMENTS)] = ()
    askers: Annotated[tuple[Asker, ...], Meta(max_length=MAX_ASKERS)] = ()

    @property
    def count(self) -> int:
        return sum(each.count for each in self.segments)

    @property
    def size(self) -> int:
        return sum(each.size for each in self.segments)

    @property
    def files(self) -> frozenset[bytes]:
        return frozenset(each.file for each in self.segments)


def encode_manifest(manifest: Manifest) -> bytes:
    return msgspec.msgpack.encode(manifest)


def decode_manifest(data: bytes) -> Manifest:
    """Read the list.

    :raises ArchiveDamaged: it is none, or of a later version
    """
    manifest = _decoded(data, Manifest)
    if len(manifest.files) != len(manifest.segments):
        raise ArchiveDamaged("the archive's list names a segment twice")
    return manifest


def encode_segment(segment: Segment) -> bytes:
    return msgspec.msgpack.encode(segment)


def decode_segment(data: bytes) -> Segment:
    """Read a segment; raises as `decode_manifest`."""
    segment = _decoded(data, Segment)
    places, voices = len(segment.places), len(segment.voices)
    if any(each.place >= places or each.voice >= voices for each in segment.records):
        raise ArchiveDamaged("a segment of the archive names what it does not have")
    return segment


def entry_of(segment: Segment, size: int) -> Entry:
    """Return how a segment stands in the list, under a new id."""
    times = [each.time for each in segment.records] or [0]
    return Entry(secrets.token_bytes(ID_SIZE), size, len(segment.records), min(times), max(times))


def seal_segment(secret: bytes, entry: Entry, content: bytes) -> list[bytes]:
    """Return a segment's sealed pieces. An entry is for one content only: its id is drawn for it.

    :param secret: the account's
    """
    cipher = _cipher(secret, entry)
    pieces = range(0, max(len(content), 1), PIECE)
    return [cipher.seal(number, content[at : at + PIECE]) for number, at in enumerate(pieces)]


def open_segment(secret: bytes, entry: Entry, sealed: bytes) -> bytes:
    """Return a segment's content.

    :raises ArchiveDamaged: no device of the account sealed this under that id
    """
    cipher = _cipher(secret, entry)
    try:
        pieces = range(0, max(len(sealed), 1), SEALED_PIECE)
        content = b"".join(
            cipher.open(number, sealed[at : at + SEALED_PIECE]) for number, at in enumerate(pieces)
        )
    except ContentError:
        content = b""
    if len(content) != entry.size:
        raise ArchiveDamaged("a segment of the archive is not what was put there")
    return content


def _cipher(secret: bytes, entry: Entry) -> PieceCipher:
    """A key and a nonce's prefix for each segment, of the account's secret."""
    made = HKDF_SHA256.expand(HKDF_SHA256.extract(b"", secret), _LABEL + entry.file, KEY_SIZE + PREFIX_SIZE)
    return PieceCipher(made[:KEY_SIZE], made[KEY_SIZE:], entry.size)


def _decoded(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ArchiveDamaged("the archive is damaged, or of a later version of securechat") from None
