"""An invite token: what opens a server that admits invited people only.

Seven groups of four letters, like ``7k3q-...``: 130 random bits and 10 that check the spelling, so
that a slip of the hand is told at once and costs no try. Letters that look alike are one.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Final

from securechat.errors import SecureChatError
from securechat.mls.randomness import random_bytes

LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's: without i, l, o and u, which are read as 1, 1, 0 and v."""

_READ_AS: Final = str.maketrans({"i": "1", "l": "1", "o": "0", "u": "v", "-": None, " ": None})

RANDOM_LETTERS: Final = 26
CHECK_LETTERS: Final = 2
GROUP: Final = 4

MAX_TYPED: Final = 64
"""Characters that are looked at; a token with its hyphens has 34."""


class InviteRefused(SecureChatError):
    """What was typed is no token; the text never repeats it."""


@dataclass(frozen=True, slots=True)
class Invite:
    """A token that is spelled right; whether a server knows it, the server knows."""

    token: str = field(repr=False)

    @property
    def digest(self) -> bytes:
        """What the server keeps: SHA-256 of a label and the token. 130 random bits need no salt."""
        return hashlib.sha256(b"securechat/1 invite\0" + self.token.encode()).digest()


def new_invite() -> Invite:
    """Draw a token."""
    drawn = int.from_bytes(random_bytes(17))
    letters = "".join(LETTERS[drawn >> 5 * place & 31] for place in range(RANDOM_LETTERS))
    return Invite(_grouped(letters + _check(letters)))


def read_invite(typed: str) -> Invite:
    """Read a token as somebody typed it: capitals, spaces and missing hyphens are no mistake.

    :raises InviteRefused: it is not spelled like one
    """
    letters = typed[: MAX_TYPED + 1].strip().lower().translate(_READ_AS)
    right = (
        len(typed) <= MAX_TYPED
        and len(letters) == RANDOM_LETTERS + CHECK_LETTERS
        and all(letter in LETTERS for letter in letters)
        and letters[RANDOM_LETTERS:] == _check(letters[:RANDOM_LETTERS])
    )
    if not right:
        raise InviteRefused("This is not an invite token: a letter is missing or mistyped.")
    return Invite(_grouped(letters))


def _check(letters: str) -> str:
    """Two letters of the hash: of 1,024 slips one is not seen here, and then the server says no."""
    seen = int.from_bytes(hashlib.sha256(b"securechat/1 invite check\0" + letters.encode()).digest()[:2])
    return LETTERS[seen & 31] + LETTERS[seen >> 5 & 31]


def _grouped(letters: str) -> str:
    return "-".join(letters[start : start + GROUP] for start in range(0, len(letters), GROUP))
