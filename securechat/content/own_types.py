"""Media types of our own, for what the draft has none.

They are polls, votes, the end of a poll, typing, and the timer of a conversation. Each is a CBOR list that
begins with a version. Where somebody else should read something, a text stands beside it (a choice of one:
section "Use of proprietary media types").
"""

from typing import Final

import cbor2
from msgspec import Struct

from securechat.content.deterministic import ARRAY, children, end_of
from securechat.content.errors import ContentError
from securechat.content.values import read_bytes, read_text, read_truth, read_uint
from securechat.names import NameRefused, parse_user_uri

POLL_TYPE: Final = "application/vnd.securechat.poll+cbor"
VOTE_TYPE: Final = "application/vnd.securechat.vote+cbor"
CLOSE_TYPE: Final = "application/vnd.securechat.poll-close+cbor"
TYPING_TYPE: Final = "application/vnd.securechat.typing+cbor"
TIMER_TYPE: Final = "application/vnd.securechat.timer+cbor"
SHARED_TYPE: Final = "application/vnd.securechat.history+cbor"

VERSION: Final = 1

MIN_OPTIONS: Final = 2
MAX_OPTIONS: Final = 20
"""What still fits a screen of 24 lines."""

MAX_QUESTION: Final = 500
MAX_OPTION: Final = 200
"""Characters: what still reads as a question and its answers."""

MAX_TIMER: Final = 365 * 86_400
"""Seconds. The draft takes what expires later than in a year for nonsense (section "General handling")."""

LEAST_TIMER: Final = 5
"""Seconds: less cannot be read."""

MAX_SHARED: Final = 5_000
"""Messages of a room's history that are handed to somebody who comes: what "all" means."""

MAX_SHARED_BYTES: Final = 8 * 1024 * 1024

_DEPTH: Final = 2


class PollAsked(Struct, frozen=True):
    question: str
    options: tuple[str, ...]


def encode_poll(poll: PollAsked) -> bytes:
    encoded = cbor2.dumps([VERSION, poll.question, list(poll.options)])
    decode_poll(encoded)
    return encoded


def decode_poll(data: bytes) -> PollAsked:
    """Read a poll; ContentError if it is none, or larger than a person would ask."""
    question, options = _fields(data, 2)
    texts = tuple(map(read_text, _items(options, MAX_OPTIONS)))
    poll = PollAsked(read_text(question), texts)
    if len(texts) < MIN_OPTIONS:
        raise ContentError(f"A poll has {MIN_OPTIONS} to {MAX_OPTIONS} options.")
    if not 1 <= len(poll.question) <= MAX_QUESTION:
        raise ContentError(f"A poll's question has 1 to {MAX_QUESTION} characters.")
    if not all(1 <= len(text) <= MAX_OPTION for text in texts):
        raise ContentError(f"A poll's option has 1 to {MAX_OPTION} characters.")
    return poll


def encode_vote(numbers: tuple[int, ...]) -> bytes:
    """Return a vote for these options, counted from 1; none takes an earlier vote back."""
    encoded = cbor2.dumps([VERSION, list(numbers)])
    decode_vote(encoded)
    return encoded


def decode_vote(data: bytes) -> tuple[int, ...]:
    (items,) = _fields(data, 1)
    numbers = tuple(read_uint(item, 8) for item in _items(items, MAX_OPTIONS))
    if len(set(numbers)) != len(numbers) or not all(1 <= number <= MAX_OPTIONS for number in numbers):
        raise ContentError("A vote names options, each once.")
    return tuple(sorted(numbers))


def encode_close() -> bytes:
    """Return the end of a poll: nothing but the version, what it closes is what it answers."""
    return cbor2.dumps([VERSION])


def decode_close(data: bytes) -> None:
    """Read one; ContentError if it is none."""
    _fields(data, 0)


def encode_typing(*, on: bool) -> bytes:
    return cbor2.dumps([VERSION, on])


def decode_typing(data: bytes) -> bool:
    (on,) = _fields(data, 1)
    return read_truth(on)


def encode_timer(seconds: int) -> bytes:
    encoded = cbor2.dumps([VERSION, seconds])
    decode_timer(encoded)
    return encoded


def decode_timer(data: bytes) -> int:
    """Read how long messages stay, in seconds after they are read; 0 for ever."""
    (item,) = _fields(data, 1)
    seconds = read_uint(item, 32)
    if seconds > MAX_TIMER:
        raise ContentError("A conversation's timer is at most a year.")
    return seconds


class SharedHistory(Struct, frozen=True, kw_only=True):
    """The last messages of a room for a user (by URI) who came into it: a sealed file, and its key."""

    user: str
    count: int
    id: bytes
    key: bytes
    prefix: bytes
    size: int
    digest: bytes

    def __repr__(self) -> str:
        return f"<SharedHistory of {self.count} messages for {self.user}>"


def encode_shared(shared: SharedHistory) -> bytes:
    fields = [getattr(shared, name) for name in SharedHistory.__struct_fields__]
    encoded = cbor2.dumps([VERSION, *fields])
    decode_shared(encoded)
    return encoded


def decode_shared(data: bytes) -> SharedHistory:
    """Read where a room's history lies; ContentError if it is more than anybody may hand over."""
    user, count, name, key, prefix, size, digest = _fields(data, len(SharedHistory.__struct_fields__))
    shared = SharedHistory(
        user=read_text(user),
        count=read_uint(count, 32),
        id=read_bytes(name),
        key=read_bytes(key),
        prefix=read_bytes(prefix),
        size=read_uint(size, 32),
        digest=read_bytes(digest),
    )
    try:
        parse_user_uri(shared.user)
    except NameRefused as problem:
        raise ContentError(str(problem)) from None
    sizes = (len(shared.id), len(shared.key), len(shared.prefix), len(shared.digest))
    if sizes != (32, 32, 7, 32) or not 1 <= shared.count <= MAX_SHARED:
        raise ContentError(f"A room's history is handed over as at most {MAX_SHARED} messages.")
    if not 1 <= shared.size <= MAX_SHARED_BYTES:
        raise ContentError(f"A room's history has at most {MAX_SHARED_BYTES} bytes.")
    return shared


def _fields(data: bytes, count: int) -> list[bytes]:
    """Return the fields after the version."""
    if end_of(data, 0, _DEPTH) != len(data):
        raise ContentError("Something follows the list.")
    version, *fields = _items(data, count + 1) or [b"\x00"]
    if read_uint(version, 16) != VERSION or len(fields) != count:
        raise ContentError("The part is of a version that is not known here.")
    return fields


def _items(data: bytes, most: int) -> list[bytes]:
    items = children(data, 0, _DEPTH)
    if data[0] >> 5 != ARRAY or len(items) > most:
        raise ContentError(f"The part has no list of at most {most} items where one was expected.")
    return items
