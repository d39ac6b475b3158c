"""The client of this account on this machine, as its groups see it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from securechat.client.keystore import Keys
from securechat.membership.identity import ClientCredential, read_identity
from securechat.membership.room import PRODUCT_SUITES, capabilities
from securechat.mls.cipher_suite import SUITE_HYBRID
from securechat.mls.codec import encode_opaque
from securechat.mls.credential import BasicCredential
from securechat.mls.key_package import Identity
from securechat.names import client_uri, room_uri, user_uri

SIGNATURE: Final = SUITE_HYBRID.signature
"""One device key signs in every suite of the product."""

Clock = Callable[[], float]
"""Seconds since 1970; an argument, so that a test can hold it."""

_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(slots=True, eq=False)
class Device:
    """Who we are: names, and the identity that signs for us.

    One value for all rooms of the client: only `renew` changes it, where the account certifies us anew.
    """

    user: str
    client: str
    domain: str
    identity: Identity
    suites: tuple[int, ...] = PRODUCT_SUITES
    """Those that our certificate lists, the best first."""

    @property
    def user_uri(self) -> str:
        return user_uri(self.domain, self.user)

    @property
    def account_keys(self) -> tuple[bytes, ...]:
        """The key that certifies us, as every member sees it; behind it those that it was rotated from."""
        return self._certificate.account_keys

    @property
    def generation(self) -> int:
        """That of our certificate: it rises whenever the account revokes a device."""
        return self._certificate.generation

    @property
    def credential(self) -> bytes:
        """Our certificate, encoded."""
        credential = self.identity.credential
        if not isinstance(credential, BasicCredential):
            raise TypeError("a device of ours is certified by an account")
        return credential.identity

    @property
    def _certificate(self) -> ClientCredential:
        return read_identity(self.credential)

    @property
    def client_uri(self) -> str:
        return client_uri(self.domain, self.client)

    def uri_of(self, user: str) -> str:
        return user_uri(self.domain, user)

    def renew(self, credential: bytes) -> None:
        """Take a certificate that the account has issued for us anew."""
        suites = _suites_of(credential)
        self.identity = replace(
            self.identity, credential=BasicCredential(credential), capabilities=capabilities(suites)
        )
        self.suites = suites

    def direct_room(self, peer: str) -> str:
        """Return the room URI of the conversation of two users: both know it without asking.

        So a message has its id before the group exists, and both sides that open at once mean
        the same room.
        """
        pair = sorted([self.user_uri.encode(), self.uri_of(peer).encode()])
        digest = hashlib.sha256(
            b"securechat/1 direct" + b"".join(encode_opaque(uri) for uri in pair)
        ).digest()
        return room_uri(self.domain, spell(digest[:16]))


def device_of(keys: Keys) -> Device:
    suites = _suites_of(keys.credential)
    signer = SIGNATURE.load(keys.device_key.private_bytes_raw())
    identity = Identity(BasicCredential(keys.credential), signer, capabilities(suites))
    return Device(keys.user, keys.client, keys.domain, identity, suites)


def _suites_of(credential: bytes) -> tuple[int, ...]:
    listed = read_identity(credential).suites
    return tuple(suite for suite in PRODUCT_SUITES if suite in listed)


def spell(data: bytes) -> str:
    """Write bytes in the letters of identifiers (names.py), five bits each."""
    number, count = int.from_bytes(data, "big"), -(-len(data) * 8 // 5)
    return "".join(_ALPHABET[number >> 5 * i & 31] for i in range(count))
