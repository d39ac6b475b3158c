"""What one device shows another as a picture, so that a machine compares what people compare by a number.

A code says of two people, as who shows it has them, who they are and which account keys they have. So a
scan has a definite answer; and it cannot be of use to anybody else, for it has hashes only.

    "SECURECHAT-VERIFY-1:" base32(person of who shows it || person of who is to scan it)
    person = first 4 bytes of SHA-256("securechat/1 verified user" || opaque user<V>)
          || first 21 bytes of SHA-256("securechat/1 verified key" || opaque user<V> || opaque account_key<V>)

Letters of base32 and the label are those that a QR code has a short form for, and there are as many as make
one that is whole on a screen of 24 rows. 21 bytes: nobody finds another key for them (168 bits).
"""

import base64
import binascii
import hashlib
import hmac
from enum import Enum, auto
from typing import Final, NamedTuple

from securechat.errors import SecureChatError
from securechat.mls.codec import encode_opaque

LABEL: Final = "SECURECHAT-VERIFY-"
VERSION: Final = "1"

_USER_BYTES: Final = 4
"""Of a user: to say whose code it is, nothing is proved by it."""

_KEY_BYTES: Final = 21
_PERSON_BYTES: Final = _USER_BYTES + _KEY_BYTES
_LETTERS: Final = 2 * _PERSON_BYTES * 8 // 5

MAX_TEXT: Final = 4096
"""Characters of a text that are looked at; a code has 100."""


class NoCode(SecureChatError):
    """What was scanned or pasted is no code that this release reads."""


class Person(NamedTuple):
    user: bytes
    key: bytes


class Code(NamedTuple):
    """Who shows it and who is to scan it, as who shows it has them."""

    shown_by: Person
    shown_to: Person


class Match(Enum):
    """What a code means to who scans it."""

    SAME = auto()
    OTHER_KEY_OF_THEIRS = auto()
    """They have another account key than the one that is known here."""
    OTHER_KEY_OF_OURS = auto()
    """They have another account key of ours than the one that we have."""
    OWN = auto()
    """It is what we show ourselves."""
    OF_OTHERS = auto()


def verification_code(shown_by: tuple[str, bytes], shown_to: tuple[str, bytes]) -> str:
    """Return what somebody shows to somebody, each (user's URI, account key)."""
    people = b"".join(part for each in (shown_by, shown_to) for part in _person(*each))
    return f"{LABEL}{VERSION}:{base64.b32encode(people).decode()}"


def read_code(text: str) -> Code:
    """Read a code, however its lines were broken.

    :raises NoCode: it is none, or one of a later release
    """
    label, colon, letters = "".join(text[:MAX_TEXT].split()).upper().partition(":")
    if not (colon and label.startswith(LABEL)):
        raise NoCode("that is no code to verify somebody by")
    if label != LABEL + VERSION:
        raise NoCode("that code is of a later securechat than this one")
    try:
        people = base64.b32decode(letters) if len(letters) == _LETTERS else b""
    except (binascii.Error, ValueError):
        people = b""
    if len(people) != 2 * _PERSON_BYTES:
        raise NoCode("that code is damaged, or not all of it is there")
    return Code(_read(people[:_PERSON_BYTES]), _read(people[_PERSON_BYTES:]))


def compare(code: Code, *, ours: tuple[str, bytes], theirs: tuple[str, bytes]) -> Match:
    """Say what a code means to us who scan it, given the two people as they are known here."""
    us, them = _person(*ours), _person(*theirs)
    if (code.shown_by.user, code.shown_to.user) == (us.user, them.user) and us.user != them.user:
        return Match.OWN
    if (code.shown_by.user, code.shown_to.user) != (them.user, us.user):
        return Match.OF_OTHERS
    if not hmac.compare_digest(code.shown_by.key, them.key):
        return Match.OTHER_KEY_OF_THEIRS
    if not hmac.compare_digest(code.shown_to.key, us.key):
        return Match.OTHER_KEY_OF_OURS
    return Match.SAME


def _person(user: str, account_key: bytes) -> Person:
    name = encode_opaque(user.encode())
    key = hashlib.sha256(b"securechat/1 verified key" + name + encode_opaque(account_key)).digest()[
        :_KEY_BYTES
    ]
    return Person(hashlib.sha256(b"securechat/1 verified user" + name).digest()[:_USER_BYTES], key)


def _read(person: bytes) -> Person:
    return Person(person[:_USER_BYTES], person[_USER_BYTES:])
