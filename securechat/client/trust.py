"""Is this the server we mean? Judged before a byte of any credential is sent (rules.md B, T-04, T-05).

A server proves itself by its identity key: in Hello it signs the key of the TLS connection that
Hello came over. Whose identity key it is, is known

- from the pin: the key seen at the first use of this address, shared by the accounts of a home;
- from the account, which remembers the server it was made at;
- from ``--fingerprint``;
- from an authority: the certificate's chain and the host name, checked by OpenSSL and `tls`;
- from the user, who is shown the fingerprint (or who said beforehand to accept what is new).

A known key that changes is a hard stop. There is no "continue anyway": only the new fingerprint,
given on purpose, replaces a pin.
"""

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Final

import msgspec

from securechat.client.config import Home, ServerAddress
from securechat.client.errors import ServerChanged, ServerUntrusted, StoreDamaged
from securechat.client.lock import FileLock
from securechat.client.private_files import read_file, replace_file
from securechat.client.tls import Certificate
from securechat.membership.login import (
    domain_of,
    fingerprint,
    parse_fingerprint,
    verify_server_identity,
)
from securechat.names import NameRefused, fold_domain
from securechat.protocol.messages import ServerHello

DERIVED_DOMAIN: Final = ".securechat.invalid"
"""A domain of this ending is made of the identity key, so it must be made of this one."""

Confirm = Callable[[str], Awaitable[bool]]
"""Shows a fingerprint to the user and returns whether the answer was yes."""


@dataclass(frozen=True, slots=True)
class Trust:
    """How far the user trusts a server beforehand; ``confirm`` is None where nobody can be asked."""

    cafile: Path | None = None
    fingerprint: str | None = None
    accept_new: bool = False
    confirm: Confirm | None = None

    def __post_init__(self) -> None:
        """Refuse at once what is no fingerprint, before anything is connected."""
        if self.fingerprint is not None:
            parse_fingerprint(self.fingerprint)


class Pin(msgspec.Struct, frozen=True):
    """What is known of a server: its identity key and the domain it had then."""

    identity_key: bytes
    domain: str


class Verdict(Enum):
    """What to do with a server that proved its identity key."""

    KNOWN = auto()
    NEW = auto()
    """Vouched for: pin it, then go on."""
    ASK = auto()
    """Only the user can tell."""


class _PinFile(msgspec.Struct, frozen=True):
    version: int
    pins: dict[str, Pin]


class Pins:
    """The pins of a home, by address. Several processes may read and write them."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def get(self, address: ServerAddress) -> Pin | None:
        """Return what is pinned for an address.

        :raises StoreDamaged: the file is broken; it is not taken for an empty one
        """
        return self._read().get(str(address))

    def put(self, address: ServerAddress, pin: Pin, *, instead_of: Pin | None) -> None:
        """Pin a server.

        :raises ServerChanged: another process pinned something else meanwhile
        """
        with FileLock(self._home.pins_lock):
            pins = self._read()
            there = pins.get(str(address))
            if there not in (None, instead_of, pin):
                raise changed(address, old=there, new=pin.identity_key, pins=self._home.pins)
            file = _PinFile(1, pins | {str(address): pin})
            replace_file(self._home.pins, msgspec.json.format(msgspec.json.encode(file)) + b"\n")

    def _read(self) -> dict[str, Pin]:
        try:
            return msgspec.json.decode(read_file(self._home.pins), type=_PinFile).pins
        except FileNotFoundError:
            return {}
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
            raise StoreDamaged(
                f"{self._home.pins} is damaged; restore it, or remove it and compare fingerprints anew"
            ) from problem


def check_proof(address: ServerAddress, hello: ServerHello, certificate: Certificate) -> None:
    """Check that the identity key signed the key of this very connection.

    :raises ServerUntrusted: it did not
    """
    if not _proves(hello, certificate):
        raise ServerUntrusted(
            f"the server at {address} does not prove the key it shows; somebody may be in between",
            fingerprint=fingerprint(hello.identity_key),
        )


def check_domain(address: ServerAddress, hello: ServerHello) -> None:
    """Check that the domain is one, and if it was made of an identity key, of this one.

    :raises ServerUntrusted: it is not
    """
    derived = hello.domain.endswith(DERIVED_DOMAIN)
    if not _is_domain(hello.domain) or (derived and hello.domain != domain_of(hello.identity_key)):
        raise ServerUntrusted(
            f"the server at {address} has a domain that is not its own",
            fingerprint=fingerprint(hello.identity_key),
        )


def judge(
    address: ServerAddress,
    hello: ServerHello,
    *,
    trust: Trust,
    pin: Pin | None,
    vouched: bool,
    pins: Path,
) -> Verdict:
    """Decide about a server that proved its identity key.

    :param pin: what is known of this address or of the account's server
    :param vouched: an authority vouches for the certificate
    :param pins: the file to name when a pin is in the way
    :raises ServerChanged: the known key is another
    :raises ServerUntrusted: the fingerprint that was given is another
    """
    shown = fingerprint(hello.identity_key)
    named = trust.fingerprint is not None and _is_fingerprint(trust.fingerprint, hello.identity_key)
    if trust.fingerprint is not None and not named:
        raise ServerUntrusted(
            f"the server at {address} has the fingerprint {shown}, not the one you gave", fingerprint=shown
        )
    if pin is None:
        return Verdict.NEW if named or vouched or trust.accept_new else Verdict.ASK
    if hmac.compare_digest(pin.identity_key, hello.identity_key) and pin.domain == hello.domain:
        return Verdict.KNOWN
    if named:
        return Verdict.NEW
    raise changed(address, old=pin, new=hello.identity_key, pins=pins)


def changed(address: ServerAddress, *, old: Pin | None, new: bytes, pins: Path) -> ServerChanged:
    """Return the hard stop, with both fingerprints and the only way on."""
    before = fingerprint(old.identity_key) if old else ""
    after = fingerprint(new)
    if before == after:
        text = f"the server at {address} has its old key but another domain; nothing was sent to it"
    else:
        text = (
            f"the key of the server at {address} has changed from {before} to {after}; nothing was sent "
            f"to it; if its operator confirms the new one, give --fingerprint {after} once "
            f"(the old one is in {pins})"
        )
    return ServerChanged(text, old=before, new=after)


def unknown(address: ServerAddress, hello: ServerHello) -> ServerUntrusted:
    """Return the refusal of a server that nobody vouches for, with the way to trust it."""
    shown = fingerprint(hello.identity_key)
    return ServerUntrusted(
        f"the server at {address} is new here and its fingerprint is {shown}; "
        f"compare it with what the server printed, then give --fingerprint {shown}",
        fingerprint=shown,
    )


def pin_of(hello: ServerHello) -> Pin:
    return Pin(hello.identity_key, hello.domain)


def _is_fingerprint(text: str, identity_key: bytes) -> bool:
    return parse_fingerprint(text) == fingerprint(identity_key)


def _proves(hello: ServerHello, certificate: Certificate) -> bool:
    return verify_server_identity(
        hello.identity_key, signature=hello.identity_signature, spki=certificate.spki, domain=hello.domain
    )


def _is_domain(domain: str) -> bool:
    try:
        return fold_domain(domain) == domain
    except NameRefused:
        return False
