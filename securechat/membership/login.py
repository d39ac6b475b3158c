"""What is signed when a client and a server meet (rules.md B)."""

import base64
import binascii
import hashlib
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.errors import SecureChatError
from securechat.membership.signing import sign_content, verify_signed
from securechat.mls.codec import Bytes32, Enum8, Opaque, WireStruct, encode, encode_opaque

_FINGERPRINT: Final = "SHA256:"


class FingerprintRefused(SecureChatError):
    """A text is not a fingerprint in its one form."""


class Purpose(Enum8):
    """What a login signature is for: it opens nothing else."""

    REGISTER = 1
    PASSWORD = 2
    DEVICE = 3
    RECOVERY = 4


class LoginTBS(WireStruct, frozen=True):
    """The challenge of one connection. Both sides give a nonce: nobody signs bytes another chose alone."""

    purpose: Purpose
    domain: Opaque
    user: Opaque
    client: Opaque
    server_nonce: Bytes32
    client_nonce: Bytes32
    certificate_hash: Bytes32


def login_to_sign(
    *,
    purpose: Purpose,
    domain: str,
    user: str,
    client: str,
    server_nonce: bytes,
    client_nonce: bytes,
    certificate_hash: bytes,
) -> bytes:
    """Return the bytes that the login key or the device key signs.

    :param user: the folded user name
    :param client: the local part of the client's URI; empty where no client is named yet
    :param certificate_hash: SHA-256 of the certificate's DER as seen on this connection
    """
    challenge = LoginTBS(
        purpose,
        domain.encode(),
        user.encode(),
        client.encode(),
        server_nonce,
        client_nonce,
        certificate_hash,
    )
    return sign_content("login", encode(challenge))


def server_identity_to_sign(*, spki: bytes, domain: str) -> bytes:
    """Return the bytes by which a server's identity key vouches for its TLS key (DER of its SPKI)."""
    return sign_content("server identity", encode_opaque(domain.encode()) + encode_opaque(spki))


def sign_server_identity(identity_key: Ed25519PrivateKey, *, spki: bytes, domain: str) -> bytes:
    return identity_key.sign(server_identity_to_sign(spki=spki, domain=domain))


def verify_server_identity(identity_key: bytes, *, signature: bytes, spki: bytes, domain: str) -> bool:
    """Whether the server's identity key vouches for the TLS key seen on this connection."""
    return verify_signed(identity_key, server_identity_to_sign(spki=spki, domain=domain), signature=signature)


def domain_of(identity_key: bytes) -> str:
    """Return the domain of a server that was given no name: it follows from its identity key."""
    letters = base64.b32encode(hashlib.sha256(identity_key).digest()).decode().lower()
    return f"{letters[:26]}.securechat.invalid"


def fingerprint(identity_key: bytes) -> str:
    """Return SHA-256 of an identity key as it is shown, pinned and typed: ``SHA256:`` and base64."""
    digest = hashlib.sha256(identity_key).digest()
    return _FINGERPRINT + base64.b64encode(digest).decode().rstrip("=")


def parse_fingerprint(text: str) -> str:
    """Check a typed fingerprint and return it in its one form.

    :raises FingerprintRefused: it is not ``SHA256:`` and 43 letters of base64
    """
    letters = text.strip().removeprefix(_FINGERPRINT).rstrip("=")
    try:
        digest = base64.b64decode(letters + "=", validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 32:
        raise FingerprintRefused(f"A fingerprint is {_FINGERPRINT} and 43 letters of base64.")
    return _FINGERPRINT + base64.b64encode(digest).decode().rstrip("=")
