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
"""Different characters left when the user's and the product's names are taken out."""

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


def check_password(password: str, *, user: str = "") -> None:
    """Refuse a new password that is too short, too long or too simple (A-03, A-04).

    :raises PasswordRefused: with one sentence that says why and does not repeat it
    """
    normal = normalise(password)
    if len(normal) < MIN_CHARACTERS:
        raise PasswordRefused(f"A password has at least {MIN_CHARACTERS} characters.")
    folded = normal.casefold()
    for name in filter(None, (user.casefold(), "securechat")):
        folded = folded.replace(name, "")
    if len(set(folded)) < MIN_DISTINCT:
        raise PasswordRefused("This password is too easy to guess: it repeats itself or the user's name.")


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
