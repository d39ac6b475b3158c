"""Signatures with labels (RFC 9420 section 5.1.2)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from securechat.mls.codec import encode_opaque
from securechat.mls.errors import UsageError
from securechat.mls.randomness import random_bytes

_Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
_Public = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey


@dataclass(frozen=True, slots=True, eq=False)  # each is one of a kind, and asked for with every key
class SignatureScheme:
    """Ed25519 where ``curve`` is None, else ECDSA on that curve with that hash."""

    name: str
    private_length: int
    public_length: int
    curve: ec.EllipticCurve | None = None
    digest: Callable[[], hashes.HashAlgorithm] = hashes.SHA256

    def generate(self) -> "SigningKey":
        if self.curve is None:
            return self.load(random_bytes(self.private_length))
        # As many surplus bytes as FIPS 186-5 A.2.1 asks for, so that the remainder is not biased.
        surplus = int.from_bytes(random_bytes(self.private_length + 8), "big")
        order = self.curve.group_order
        return self.load((surplus % (order - 1) + 1).to_bytes(self.private_length, "big"))

    def load(self, private: bytes) -> "SigningKey":
        """Return the signing key encoded as ``private``; UsageError if it is none."""
        return SigningKey(self, private)


class SigningKey:
    """A private signature key. Its encoding is the caller's to protect; ``repr`` hides it."""

    __slots__ = ("_key", "private", "public", "scheme")

    def __init__(self, scheme: SignatureScheme, private: bytes) -> None:
        self.scheme = scheme
        self._key = _load_private(scheme, private)
        self.private = private
        self.public = _encoded(self._key)

    def __repr__(self) -> str:
        return f"<SigningKey {self.scheme.name} of {self.public.hex()[:16]}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SigningKey) and (self.scheme, self.public) == (other.scheme, other.public)

    def __hash__(self) -> int:
        return hash(self.public)

    def sign_with_label(self, label: str, content: bytes) -> bytes:
        """SignWithLabel of section 5.1.2."""
        message = sign_content(label, content)
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(message)
        return self._key.sign(message, ec.ECDSA(self.scheme.digest()))


def verify_with_label(
    scheme: SignatureScheme, public: bytes, label: str, content: bytes, *, signature: bytes
) -> bool:
    """VerifyWithLabel of section 5.1.2: whether ``signature`` is one by ``public``."""
    return verify(scheme, public, sign_content(label, content), signature=signature)


def verify(scheme: SignatureScheme, public: bytes, message: bytes, *, signature: bytes) -> bool:
    """Whether ``signature`` is one of ``message`` by ``public``; a malformed key signs nothing."""
    try:
        key = _load_public(scheme, public)
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            key.verify(signature, message, ec.ECDSA(scheme.digest()))
    except (InvalidSignature, ValueError):
        return False
    return True


def is_public_key(scheme: SignatureScheme, public: bytes) -> bool:
    """Whether ``public`` is a well-formed public key of this scheme."""
    try:
        _load_public(scheme, public)
    except ValueError:
        return False
    return True


def sign_content(label: str, content: bytes) -> bytes:
    """Return the encoded SignContent of section 5.1.2."""
    return encode_opaque(b"MLS 1.0 " + label.encode()) + encode_opaque(content)


@lru_cache(maxsize=4096)  # four groups of 1,000: members are verified again and again
def _load_public(scheme: SignatureScheme, public: bytes) -> _Public:
    if len(public) != scheme.public_length:
        raise ValueError("a signature key has a wrong size")
    if scheme.curve is None:
        return ed25519.Ed25519PublicKey.from_public_bytes(public)
    return ec.EllipticCurvePublicKey.from_encoded_point(scheme.curve, public)


def _load_private(scheme: SignatureScheme, private: bytes) -> _Private:
    try:
        if scheme.curve is None:
            return ed25519.Ed25519PrivateKey.from_private_bytes(private)
        return ec.derive_private_key(int.from_bytes(private, "big"), scheme.curve)
    except ValueError:
        raise UsageError(f"this is no private key of {scheme.name}") from None


def _encoded(private: _Private) -> bytes:
    public = private.public_key()
    if isinstance(public, ed25519.Ed25519PublicKey):
        return public.public_bytes_raw()
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


ED25519: Final = SignatureScheme("Ed25519", 32, 32)
ECDSA_P256: Final = SignatureScheme("ECDSA P-256", 32, 65, ec.SECP256R1(), hashes.SHA256)
ECDSA_P384: Final = SignatureScheme("ECDSA P-384", 48, 97, ec.SECP384R1(), hashes.SHA384)
ECDSA_P521: Final = SignatureScheme("ECDSA P-521", 66, 133, ec.SECP521R1(), hashes.SHA512)
