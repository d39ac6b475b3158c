"""From a password to keys, on the client (rules.md B).

The server never sees the password nor anything that opens the vault: it learns the public half of
a login key that is stretched out of the password.
"""

import hashlib
import unicodedata
from dataclasses import dataclass, field
from typing import Final

from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.errors import SecureChatError
from securechat.membership.signing import load_key
from securechat.mls.codec import encode_opaque
from securechat.mls.kdf import HKDF_SHA256
from securechat.mls.randomness import random_bytes

MIN_CHARACTERS: Final = 15
"""A single factor that the server can guess at offline, at 64 MiB a try (NIST SP 800-63B-4)."""

MAX_BYTES: Final = 1024
"""Before hashing, after NFKC: nobody types more, and hashing more is work for nothing."""

MIN_DISTINCT: Final = 5
"""Different characters left when the names of user, host and product are taken out."""

MIN_TO_GUESS: Final = 11
"""Characters left to guess when also runs and repeats count for what they are: where they begin and
which way they go. `password1234567` has ten; nobody's own sentence of 15 has so few."""

MIN_NAME: Final = 3
"""A shorter name is in any word."""

MIN_RUN: Final = 3
MIN_REPEAT: Final = 4
RUN_COSTS: Final = 2

KEYBOARD: Final = (
    *("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"),
    *("qwertzuiop", "yxcvbnm", "azertyuiop", "qsdfghjklm", "wxcvbn"),
    *("1qaz", "2wsx", "3edc", "4rfv", "5tgb", "6yhn", "7ujm"),
)
"""Neighbours on keyboards, besides those of the alphabet and of the digits."""

PRODUCT: Final = "securechat"

SALT_BYTES: Final = 16
_CONSONANTS: Final = "bdfghjklmnprstvz"
_VOWELS: Final = "aiou"
_WORDS: Final = 7


class PasswordRefused(SecureChatError):
    """A password, or what it should be stretched with, is refused; the text never repeats it."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Argon2id's cost: passes, memory in KiB, lanes."""

    passes: int
    memory_kib: int
    lanes: int


PARAMETERS: Final = Parameters(passes=3, memory_kib=64 * 1024, lanes=4)
"""What the client uses, and the least it takes from a server."""

MOST: Final = Parameters(passes=16, memory_kib=1024 * 1024, lanes=16)
"""The most: a server must not be able to exhaust a client."""


@dataclass(frozen=True, slots=True)
class PasswordKeys:
    """What a password opens: the vault here, the account at the server."""

    vault_key: bytes = field(repr=False)
    login_key: Ed25519PrivateKey = field(repr=False)


def check_password(password: str, *, user: str = "", host: str = "") -> None:
    """Refuse a new password that is too short, too long or too simple (A-03, A-04).

    :param host: the server's, as it was typed
    :raises PasswordRefused: with one sentence that says why and does not repeat it
    """
    normal = normalise(password)
    if len(normal) < MIN_CHARACTERS:
        raise PasswordRefused(f"A password has at least {MIN_CHARACTERS} characters.")
    nameless = _without_names(normal.casefold(), user, host)
    if len(nameless) < MIN_TO_GUESS and len(nameless) < len(normal):
        raise PasswordRefused("This password is too easy to guess: it is mostly a name that goes with it.")
    if len(set(nameless)) < MIN_DISTINCT:
        raise PasswordRefused("This password is too easy to guess: it repeats itself or a name.")
    shorter = _without_runs(nameless)
    if len(shorter) < MIN_TO_GUESS:
        raise PasswordRefused("This password is too easy to guess: it has runs like 1234, abcd or qwer.")
    if _without_repeats(shorter) < MIN_TO_GUESS:
        raise PasswordRefused("This password is too easy to guess: it repeats itself.")


def _without_names(folded: str, user: str, host: str) -> str:
    """Take out what everybody knows: the names of user, host (whole, and each part) and product."""
    host = host.casefold()
    names = {user.casefold(), host, PRODUCT, *host.split(".")}
    for name in sorted(names, key=len, reverse=True):
        if len(name) >= MIN_NAME:
            folded = folded.replace(name, "")
    return folded


def _without_runs(text: str) -> str:
    """Leave of each run its first characters: aaaa, abcd, 4321, qwerty, and the same backwards."""
    kept, start = "", 0
    while start < len(text):
        end = max(_run_end(text, start, row) for row in (None, *KEYBOARD, *(row[::-1] for row in KEYBOARD)))
        length = end - start
        if length < MIN_RUN:
            kept, start = kept + text[start], start + 1
        else:
            kept, start = kept + text[start : start + RUN_COSTS], end
    return kept


def _run_end(text: str, start: int, row: str | None) -> int:
    """Where a run from ``start`` ends: along a row of keys, or (None) in steps of one code point."""
    end = start + 1
    if row is None:
        step = ord(text[end]) - ord(text[start]) if end < len(text) else 2
        while -1 <= step <= 1 and end < len(text) and ord(text[end]) - ord(text[end - 1]) == step:
            end += 1
        return end
    place = row.find(text[start])
    while place >= 0 and end < len(text) and row[place + end - start : place + end - start + 1] == text[end]:
        end += 1
    return end


def _without_repeats(text: str) -> int:
    """Count characters, where whatever stood there before counts as one."""
    count = start = 0
    while start < len(text):
        length = MIN_REPEAT
        if text[start : start + length] in text[:start] and start + length <= len(text):
            while start + length < len(text) and text[start : start + length + 1] in text[:start]:
                length += 1
            start += length
        else:
            start += 1
        count += 1
    return count


def normalise(password: str) -> str:
    """Return a password in NFKC: the same on every keyboard (A-03).

    Code points that this Python does not know are refused first: a later one may normalise them
    otherwise, and the account would be lost.
    """
    if len(password) > MAX_BYTES:
        raise PasswordRefused(f"A password has at most {MAX_BYTES} bytes.")
    if any(unicodedata.category(c) in {"Cn", "Cs"} for c in password):
        raise PasswordRefused("The password has a character that is not known here.")
    normal = unicodedata.normalize("NFKC", password)
    if len(normal.encode()) > MAX_BYTES:
        raise PasswordRefused(f"A password has at most {MAX_BYTES} bytes.")
    return normal


def stretch(
    password: str, *, domain: str, user: str, salt: bytes, parameters: Parameters = PARAMETERS
) -> PasswordKeys:
    """Derive the keys of an account from its password. Takes about 0.15 s and 64 MiB.

    :param domain: the server's domain as pinned, so that no other server's salt leads to the same keys
    :param user: the folded user name
    :param salt: the account's 16 random bytes, kept by the server
    :raises PasswordRefused: also when the server asks for a weaker stretching
    """
    if len(salt) != SALT_BYTES or not _acceptable(parameters):
        raise PasswordRefused("The server asks for a weaker password stretching than this version takes.")
    mixed = _mixed_salt("securechat/1 password", domain.encode(), user.encode(), salt)
    stretched = _argon2id(password, mixed, parameters)
    return PasswordKeys(
        vault_key=HKDF_SHA256.expand(stretched, b"securechat/1 vault key", 32),
        login_key=load_key(HKDF_SHA256.expand(stretched, b"securechat/1 login key", 32)),
    )


def stretch_local(password: str, *, salt: bytes) -> bytes:
    """Derive the 32 bytes that wrap the local store's key; ``salt`` is 16 bytes kept beside it."""
    return _argon2id(password, _mixed_salt("securechat/1 local store", salt), PARAMETERS)


def generate_passphrase() -> str:
    """Draw seven words of two syllables: 84 bits, easy to read out and to type."""
    syllables = [_CONSONANTS[byte & 15] + _VOWELS[byte >> 4 & 3] for byte in random_bytes(2 * _WORDS)]
    return "-".join(a + b for a, b in zip(syllables[::2], syllables[1::2], strict=True))


def _acceptable(asked: Parameters) -> bool:
    names = ("passes", "memory_kib", "lanes")
    return all(getattr(PARAMETERS, n) <= getattr(asked, n) <= getattr(MOST, n) for n in names)


def _mixed_salt(label: str, *parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(map(encode_opaque, (label.encode(), *parts)))).digest()


def _argon2id(password: str, salt: bytes, parameters: Parameters) -> bytes:
    return hash_secret_raw(
        normalise(password).encode(),
        salt,
        time_cost=parameters.passes,
        memory_cost=parameters.memory_kib,
        parallelism=parameters.lanes,
        hash_len=32,
        type=Type.ID,
    )
