"""Names of users, rooms and domains, and the MIMI URIs they stand for (rules.md B).

On screen people are ``alice`` and ``@bob``, rooms ``#team``; inside a group they are
``mimi://DOMAIN/u/alice``, ``mimi://DOMAIN/d/<client>`` and ``mimi://DOMAIN/r/<room>``.
A URI has exactly one spelling: what parses is what the makers below write. User names are
ASCII on purpose (U-04): no two of them look alike by Unicode's doing.
"""

import re
import unicodedata
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from securechat.errors import SecureChatError

MAX_USER: Final = 32
MAX_ALIAS: Final = 64
MAX_DOMAIN: Final = 253
"""A domain name's text form is at most this long (RFC 1035, section 2.3.4, without the root)."""

_USER: Final = re.compile(rf"[a-z][a-z0-9._-]{{0,{MAX_USER - 1}}}")
_ID: Final = re.compile(r"[a-z0-9]{16,32}")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_URI: Final = re.compile(r"mimi://([^/]+)/([udr])/([^/]+)")
_ALIAS_EXTRA: Final = frozenset("-_.")
_ALIAS_CATEGORIES: Final = frozenset({"Ll", "Lo", "Lm", "Mn", "Mc", "Nd"})
"""Letters, their marks and digits; no symbol, space, control, joiner or unassigned code point."""


class NameRefused(SecureChatError):
    """A name is outside its grammar; the text is one sentence that says how."""


class UriKind(StrEnum):
    """What a MIMI URI names, by the letter in its path."""

    USER = "u"
    CLIENT = "d"
    ROOM = "r"


class MimiUri(NamedTuple):
    """A parsed ``mimi://DOMAIN/<kind>/<name>``."""

    domain: str
    kind: UriKind
    name: str

    def __str__(self) -> str:
        return f"mimi://{self.domain}/{self.kind.value}/{self.name}"


def fold_user(text: str) -> str:
    """Fold a user name as typed (a leading ``@`` may stay) to the form that is compared and kept.

    Only ASCII is folded: ``str.lower`` would turn the Kelvin sign into a ``k``.
    """
    name = text.removeprefix("@")
    if name.isascii():
        name = name.lower()
    if _USER.fullmatch(name) is None:
        raise NameRefused(
            f"A user name is 1 to {MAX_USER} of the letters a-z, digits, '.', '_' and '-', "
            "and begins with a letter."
        )
    return name


def fold_room_alias(text: str) -> str:
    """Fold a room alias as typed (a leading ``#`` may stay).

    An alias is the user's own name for a room, so letters of every script are welcome. It is
    compared in NFKC after case folding.
    """
    # Normalising once more after folding makes the folding idempotent (Unicode, section 3.13, D146).
    folded = unicodedata.normalize("NFKC", text.removeprefix("#").casefold())
    name = unicodedata.normalize("NFKC", folded.casefold())
    if not 1 <= len(name) <= MAX_ALIAS:
        raise NameRefused(f"A room name has 1 to {MAX_ALIAS} characters.")
    if not all(c in _ALIAS_EXTRA or unicodedata.category(c) in _ALIAS_CATEGORIES for c in name):
        raise NameRefused("A room name is made of letters, digits, '.', '_' and '-'.")
    if not name[0].isalnum():
        raise NameRefused("A room name begins with a letter or a digit.")
    return name


def fold_domain(text: str) -> str:
    """Fold a server's domain to lower case and check that it is a host name (RFC 1123, section 2.1)."""
    domain = text.lower() if text.isascii() else text
    labels = domain.split(".")
    if len(domain) > MAX_DOMAIN or not all(_LABEL.fullmatch(label) for label in labels):
        raise NameRefused("A domain is made of labels of a-z, 0-9 and '-', joined by dots.")
    return domain


def check_id(text: str) -> str:
    """Return the local part of a client's or room's URI if it is 16 to 32 of ``[a-z0-9]``."""
    if _ID.fullmatch(text) is None:
        raise NameRefused("An identifier is 16 to 32 of the letters a-z and digits.")
    return text


def user_uri(domain: str, user: str) -> str:
    return _made(domain, UriKind.USER, user)


def client_uri(domain: str, client: str) -> str:
    return _made(domain, UriKind.CLIENT, client)


def room_uri(domain: str, room: str) -> str:
    return _made(domain, UriKind.ROOM, room)


def parse_uri(uri: str | bytes) -> MimiUri:
    """Read a MIMI URI in its one spelling.

    :raises NameRefused: it is not one, or not spelled as the makers above spell it
    """
    try:
        text = uri if isinstance(uri, str) else uri.decode("ascii")
    except UnicodeDecodeError:
        raise NameRefused("A MIMI URI is ASCII.") from None
    return _read(text)


@lru_cache(maxsize=8_192)  # the users and devices of some rooms of 1,000: each commit looks at every one
def _read(text: str) -> MimiUri:
    found = _URI.fullmatch(text)
    if found is None:
        raise NameRefused("A MIMI URI has the form mimi://DOMAIN/u|d|r/NAME.")
    parsed = MimiUri(found[1], UriKind(found[2]), found[3])
    if _made(*parsed) != text:
        raise NameRefused("A MIMI URI is written in lower case.")
    return parsed


def parse_user_uri(uri: str | bytes) -> MimiUri:
    return _parsed(uri, UriKind.USER)


def parse_client_uri(uri: str | bytes) -> MimiUri:
    return _parsed(uri, UriKind.CLIENT)


def parse_room_uri(uri: str | bytes) -> MimiUri:
    return _parsed(uri, UriKind.ROOM)


def _made(domain: str, kind: UriKind, name: str) -> str:
    name = fold_user(name) if kind is UriKind.USER else check_id(name)
    return str(MimiUri(fold_domain(domain), kind, name))


def _parsed(uri: str | bytes, kind: UriKind) -> MimiUri:
    parsed = parse_uri(uri)
    if parsed.kind is not kind:
        raise NameRefused(f"This MIMI URI does not name a {kind.name.lower()}.")
    return parsed
