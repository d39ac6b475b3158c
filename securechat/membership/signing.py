"""Signatures outside MLS: Ed25519 over a labelled content, so that none fits another place.

``SignContent { opaque label<V>; opaque content<V> }`` has the shape of RFC 9420 section 5.1.2;
the label begins with "securechat/1 ", so that no MLS signature can be taken for one of these.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from securechat.mls.codec import encode_opaque
from securechat.mls.randomness import random_bytes

PRIME: Final = 2**255 - 19
"""Of the field that the coordinates of a public key are in (RFC 8032 section 5.1)."""

_ORDER_EIGHT: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826

SMALL: Final = frozenset({0, 1, PRIME - 1, _ORDER_EIGHT, PRIME - _ORDER_EIGHT})
"""What y is of the points whose order divides eight: anybody signs for them, nothing is sealed to them."""


def height_of(public: bytes) -> int | None:
    """Return y of a public key; None if it is none that only one private key belongs to."""
    y = int.from_bytes(public, "little") & ((1 << 255) - 1)
    return y if len(public) == 32 and y < PRIME and y not in SMALL else None


def sign_content(label: str, content: bytes) -> bytes:
    """Return the bytes that a signature with this label covers."""
    return encode_opaque(b"securechat/1 " + label.encode()) + encode_opaque(content)


def new_key() -> Ed25519PrivateKey:
    """Draw a signature key: of an account, or of a server."""
    return Ed25519PrivateKey.from_private_bytes(random_bytes(32))


def load_key(private: bytes) -> Ed25519PrivateKey:
    """Return the key with these 32 private bytes."""
    return Ed25519PrivateKey.from_private_bytes(private)


def public_of(key: Ed25519PrivateKey) -> bytes:
    """Return the 32 public bytes of a key."""
    return key.public_key().public_bytes_raw()


def sign(key: Ed25519PrivateKey, label: str, content: bytes) -> bytes:
    """Sign a content under a label."""
    return key.sign(sign_content(label, content))


def verify(public: bytes, label: str, content: bytes, *, signature: bytes) -> bool:
    """Whether ``signature`` is one of the content under the label by ``public``."""
    return verify_signed(public, sign_content(label, content), signature=signature)


def verify_signed(public: bytes, to_sign: bytes, *, signature: bytes) -> bool:
    """Whether ``signature`` is one of these bytes by ``public``; a malformed key signs nothing."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, to_sign)
    except (InvalidSignature, ValueError):
        return False
    return True
