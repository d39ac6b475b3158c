"""The recovery key: what brings an account back when every device and the password are gone.

Eight groups of four letters, as `7k3q-...`: 140 random bits and 20 that check the spelling, so that a slip
of the hand is told before anything is sent. The server never sees it: of what is derived from it, it has the
public half of a login key, and the vault that is sealed under the other.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.errors import SecureChatError
from securechat.membership.invite import LETTERS
from securechat.membership.signing import load_key
from securechat.mls.codec import encode_opaque
from securechat.mls.kdf import HKDF_SHA256
from securechat.mls.randomness import random_bytes

RANDOM_LETTERS: Final = 28
CHECK_LETTERS: Final = 4
GROUP: Final = 4

MAX_TYPED: Final = 128
"""Characters that are looked at; a key with its hyphens has 39."""

_BITS: Final = 5
_DASHES: Final = "-\u00ad\u2010\u2011\u2012\u2013\u2014\u2212_"
"""What programs make of a hyphen between a screen and a piece of paper."""

_READ_AS: Final = str.maketrans({"i": "1", "l": "1", "o": "0", "u": "v", **dict.fromkeys(_DASHES, "")})
"""Letters that look alike are one, as in an invite."""


class RecoveryKeyRefused(SecureChatError):
    """What was typed is no recovery key; the text never repeats it."""


@dataclass(frozen=True, slots=True)
class RecoveryKey:
    """A key that is spelled right; whether it is an account's, the account's vault knows."""

    text: str = field(repr=False)
    """As it is shown: groups of small letters and digits."""


@dataclass(frozen=True, slots=True)
class RecoveryKeys:
    """What a recovery key opens with, for one account."""

    vault_key: bytes = field(repr=False)
    login_key: Ed25519PrivateKey = field(repr=False)


def new_recovery_key() -> RecoveryKey:
    """Draw a key."""
    drawn = int.from_bytes(random_bytes(-(-RANDOM_LETTERS * _BITS // 8)))
    letters = "".join(LETTERS[drawn >> _BITS * place & 31] for place in range(RANDOM_LETTERS))
    return RecoveryKey(_grouped(letters + _check(letters)))


def read_recovery_key(typed: str) -> RecoveryKey:
    """Read a key as somebody typed it: capitals, spaces, any dash or none are no mistake.

    :raises RecoveryKeyRefused: it is not spelled like one; says what is wrong
    """
    letters = "".join(typed[: MAX_TYPED + 1].lower().translate(_READ_AS).split())
    length = RANDOM_LETTERS + CHECK_LETTERS
    if len(typed) > MAX_TYPED or len(letters) != length:
        raise RecoveryKeyRefused(f"A recovery key has {length} letters and digits.")
    if any(letter not in LETTERS for letter in letters):
        raise RecoveryKeyRefused("A recovery key has the digits and the letters a to z, and nothing else.")
    if letters[RANDOM_LETTERS:] != _check(letters[:RANDOM_LETTERS]):
        raise RecoveryKeyRefused("This is not a recovery key: a letter of it is mistyped.")
    return RecoveryKey(_grouped(letters))


def derive(key: RecoveryKey, *, domain: str, user: str) -> RecoveryKeys:
    """Derive what a key opens with: for this user at this server, and for nobody elsewhere.

    :param user: the folded user name
    """
    drawn = key.text.replace("-", "")[:RANDOM_LETTERS].encode()
    whose = encode_opaque(domain.encode()) + encode_opaque(user.encode())
    extracted = HKDF_SHA256.extract(b"securechat/1 recovery key", drawn)
    return RecoveryKeys(
        vault_key=HKDF_SHA256.expand(extracted, b"securechat/1 recovery vault key" + whose, 32),
        login_key=load_key(HKDF_SHA256.expand(extracted, b"securechat/1 recovery login key" + whose, 32)),
    )


def _check(letters: str) -> str:
    """Four letters of the hash: of a million slips one is not seen here, and then the server says no."""
    seen = int.from_bytes(hashlib.sha256(b"securechat/1 recovery check\0" + letters.encode()).digest()[:4])
    return "".join(LETTERS[seen >> _BITS * place & 31] for place in range(CHECK_LETTERS))


def _grouped(letters: str) -> str:
    return "-".join(letters[start : start + GROUP] for start in range(0, len(letters), GROUP))
