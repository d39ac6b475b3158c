"""Numbers that two people compare outside the chat."""

import hashlib
from typing import Final

from securechat.mls.codec import encode_opaque

_GROUP_BYTES: Final = 5
_DIGITS: Final = 5

MIN_DIGITS: Final = 5
"""One group: enough to say which of two numbers is meant; comparing is the person's part."""


def safety_number(a: tuple[str, bytes], b: tuple[str, bytes]) -> str:
    """Return 12 groups of 5 digits for two (user's URI, account key): the same for both sides.

    SHA-512 over a label and the two pairs, sorted, each field as opaque<V> (rules.md, Also).
    """
    pairs = sorted((user.encode(), key) for user, key in (a, b))
    content = b"".join(encode_opaque(user) + encode_opaque(key) for user, key in pairs)
    return _digits(b"securechat/1 safety number" + content, groups=12)


def epoch_code(epoch_authenticator: bytes) -> str:
    """Return 6 groups of 5 digits: equal exactly for those who are in the same epoch of a group."""
    return _digits(b"securechat/1 epoch code" + encode_opaque(epoch_authenticator), groups=6)


def begins_with(number: str, digits: str) -> bool:
    """Whether what a person typed is the beginning of a number, in groups or not."""
    typed = "".join(digits.split())
    return len(typed) >= MIN_DIGITS and "".join(number.split()).startswith(typed)


def _digits(content: bytes, *, groups: int) -> str:
    digest = hashlib.sha512(content).digest()
    parts = (digest[i * _GROUP_BYTES : (i + 1) * _GROUP_BYTES] for i in range(groups))
    return " ".join(f"{int.from_bytes(part, 'big') % 10**_DIGITS:0{_DIGITS}}" for part in parts)
