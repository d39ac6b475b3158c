"""HPKE in base mode (RFC 9180), single shot and exporter, for the KEMs of the cipher suites.

Opening is pyca's own HPKE. What it does not have is here, over its curves: DeriveKeyPair, the
exporter (RFC 9420 section 8.3 needs it), and sealing with an ephemeral key that comes from
:mod:`securechat.mls.randomness`, so that a test can repeat it. Tests hold the two against
each other.
"""

import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from securechat.mls.aead import Aead
from securechat.mls.codec import Opaque, WireStruct
from securechat.mls.errors import SecretError, UsageError, ValidationError
from securechat.mls.kdf import HKDF_SHA256, HKDF_SHA384, HKDF_SHA512, Kdf
from securechat.mls.randomness import random_bytes

PrivateKey = x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey
PublicKey = x25519.X25519PublicKey | ec.EllipticCurvePublicKey


class HPKECiphertext(WireStruct, frozen=True):
    """What is encrypted to a public key (RFC 9420 section 7.6)."""

    kem_output: Opaque
    ciphertext: Opaque


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An HPKE key pair in its encoded form."""

    private: bytes = field(repr=False)
    public: bytes


@dataclass(frozen=True, slots=True)
class Curve:
    """A NIST curve and what DeriveKeyPair needs of it (RFC 9180 section 7.1.3)."""

    curve: ec.EllipticCurve
    order: int
    bitmask: int


@dataclass(frozen=True, slots=True)
class Kem:
    """A DHKEM: X25519 where ``curve`` is None, else a NIST curve."""

    kem_id: int
    kdf: Kdf
    private_length: int
    public_length: int
    in_hpke: hpke.KEM
    curve: Curve | None = None

    def generate(self) -> KeyPair:
        return self.derive_key_pair(random_bytes(self.private_length))

    def derive_key_pair(self, seed: bytes) -> KeyPair:
        """RFC 9180 section 7.1.3: the key pair that ``seed`` stands for."""
        extracted = self._labeled_extract(b"", b"dkp_prk", seed)
        if self.curve is None:
            private = self._labeled_expand(extracted, b"sk", b"", self.private_length)
            return KeyPair(private, self.public_key(private))
        for counter in range(256):
            candidate = bytearray(
                self._labeled_expand(extracted, b"candidate", bytes([counter]), self.private_length)
            )
            candidate[0] &= self.curve.bitmask
            if 0 < int.from_bytes(candidate, "big") < self.curve.order:
                return KeyPair(bytes(candidate), self.public_key(bytes(candidate)))
        raise UsageError("no key pair can be derived from this seed")  # probability 2**-256 and less

    def public_key(self, private: bytes) -> bytes:
        """Return the public key that belongs to ``private``."""
        return _encoded(self.load_private(private))

    def load_private(self, private: bytes) -> PrivateKey:
        if self.curve is None:
            if len(private) != self.private_length:
                raise UsageError(f"an HPKE private key has {self.private_length} bytes, not {len(private)}")
            return x25519.X25519PrivateKey.from_private_bytes(private)
        scalar = int.from_bytes(private, "big")
        if not 0 < scalar < self.curve.order:
            raise UsageError("an HPKE private key is out of range")
        return ec.derive_private_key(scalar, self.curve.curve)

    def load_public(self, public: bytes) -> PublicKey:
        """Return the key; ValidationError ``hpke-public-key`` if it is none of this KEM."""
        try:
            if len(public) != self.public_length:
                raise ValueError  # noqa: TRY301 - a wrong length is the same fault as a wrong point
            if self.curve is None:
                return x25519.X25519PublicKey.from_public_bytes(public)
            return ec.EllipticCurvePublicKey.from_encoded_point(self.curve.curve, public)
        except ValueError:
            raise ValidationError("hpke-public-key", "5.1.1", "no public key of this suite") from None

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Return (shared secret, KEM output) for a fresh ephemeral key."""
        recipient = self.load_public(public)
        ephemeral = self.load_private(self._fresh_private())
        output = _encoded(ephemeral)
        return self._shared_secret(_exchange(ephemeral, recipient), output + public), output

    def decapsulate(self, output: bytes, private: bytes) -> bytes:
        """Return the shared secret that ``output`` carries to the owner of ``private``."""
        own = self.load_private(private)
        return self._shared_secret(_exchange(own, self.load_public(output)), output + _encoded(own))

    def _fresh_private(self) -> bytes:
        if self.curve is None:
            return random_bytes(self.private_length)
        return self.generate().private

    def _shared_secret(self, exchanged: bytes, context: bytes) -> bytes:
        extracted = self._labeled_extract(b"", b"eae_prk", exchanged)
        return self._labeled_expand(extracted, b"shared_secret", context, self.kdf.length)

    def _labeled_extract(self, salt: bytes, label: bytes, key_material: bytes) -> bytes:
        return self.kdf.extract(salt, _KEM_PREFIX[self.kem_id] + label + key_material)

    def _labeled_expand(self, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
        return self.kdf.expand(
            key, length.to_bytes(2, "big") + _KEM_PREFIX[self.kem_id] + label + info, length
        )


@dataclass(frozen=True, slots=True)
class _Context:
    """The key schedule's results (RFC 9180 section 5.1)."""

    key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    exporter_secret: bytes = field(repr=False)


class Hpke:
    """HPKE for one triple of algorithms, base mode."""

    def __init__(self, kem: Kem, kdf: Kdf, aead: Aead) -> None:
        self._kem, self._kdf, self._aead = kem, kdf, aead
        numbers = (kem.kem_id, kdf.kdf_id, aead.aead_id)
        self._prefix = b"HPKE-v1HPKE" + b"".join(number.to_bytes(2, "big") for number in numbers)
        self._psk_id_hash = self._labeled_extract(b"", b"psk_id_hash", b"")
        self._pyca = hpke.Suite(kem.in_hpke, _PYCA_KDF[kdf.kdf_id], aead.in_hpke)

    def seal(self, public: bytes, info: bytes, plaintext: bytes) -> HPKECiphertext:
        """Encrypt ``plaintext`` to ``public``, without associated data (RFC 9420 section 5.1.3)."""
        shared_secret, output = self._kem.encapsulate(public)
        context = self._context(shared_secret, info)
        return HPKECiphertext(output, self._aead.seal(context.key, context.nonce, plaintext, aad=b""))

    def open(self, private: bytes, info: bytes, sealed: HPKECiphertext) -> bytes:
        """Return the plaintext; SecretError ``hpke-open`` if it was not meant for this key."""
        if len(sealed.kem_output) != self._kem.public_length:
            raise SecretError("hpke-open", "5.1.3", "the KEM output has a wrong size")
        key = self._kem.load_private(private)
        try:
            return self._pyca.decrypt(sealed.kem_output + sealed.ciphertext, key, info)
        except (InvalidTag, ValueError):  # ValueError: a bad point, an all-zero shared secret
            raise SecretError("hpke-open", "5.1.3", "the ciphertext does not open") from None

    def export_to(self, public: bytes, label: bytes, length: int) -> tuple[bytes, bytes]:
        """SetupBaseS with empty info, then export: return (KEM output, exported secret)."""
        shared_secret, output = self._kem.encapsulate(public)
        return output, self._export(self._context(shared_secret, b""), label, length)

    def export_from(self, output: bytes, private: bytes, label: bytes, length: int) -> bytes:
        """SetupBaseR with empty info, then export."""
        return self._export(self._context(self._kem.decapsulate(output, private), b""), label, length)

    def _context(self, shared_secret: bytes, info: bytes) -> _Context:
        context = b"\x00" + self._psk_id_hash + self._labeled_extract(b"", b"info_hash", info)
        secret = self._labeled_extract(shared_secret, b"secret", b"")
        return _Context(
            key=self._labeled_expand(secret, b"key", context, self._aead.key_length),
            nonce=self._labeled_expand(secret, b"base_nonce", context, self._aead.nonce_length),
            exporter_secret=self._labeled_expand(secret, b"exp", context, self._kdf.length),
        )

    def _export(self, context: _Context, label: bytes, length: int) -> bytes:
        return self._labeled_expand(context.exporter_secret, b"sec", label, length)

    def _labeled_extract(self, salt: bytes, label: bytes, key_material: bytes) -> bytes:
        return self._kdf.extract(salt, self._prefix + label + key_material)

    def _labeled_expand(self, key: bytes, label: bytes, info: bytes, length: int) -> bytes:
        return self._kdf.expand(key, length.to_bytes(2, "big") + self._prefix + label + info, length)


def exchange_x25519(private: bytes, public: bytes) -> bytes:
    """Return the X25519 shared secret; ValidationError ``zero-shared-secret`` for small-order keys."""
    return _exchange(X25519.load_private(private), X25519.load_public(public))


def _exchange(own: PrivateKey, other: PublicKey) -> bytes:
    try:
        match own, other:
            case x25519.X25519PrivateKey(), x25519.X25519PublicKey():
                shared = own.exchange(other)
            case ec.EllipticCurvePrivateKey(), ec.EllipticCurvePublicKey():
                return own.exchange(ec.ECDH(), other)
            case _:
                raise UsageError("the keys are of different curves")
    except ValueError:  # OpenSSL refuses small-order points itself; we don't rely on it
        shared = bytes(32)
    if hmac.compare_digest(shared, bytes(32)):  # RFC 9180 section 7.1.4
        raise ValidationError("zero-shared-secret", "5.1.3", "the public key has small order")
    return shared


def _encoded(private: PrivateKey) -> bytes:
    public = private.public_key()
    if isinstance(public, x25519.X25519PublicKey):
        return public.public_bytes_raw()
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P384_ORDER: Final = (
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
)
_P521_ORDER: Final = int(
    "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
    "FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409",
    16,
)

X25519: Final = Kem(0x20, HKDF_SHA256, 32, 32, hpke.KEM.X25519)
P256: Final = Kem(0x10, HKDF_SHA256, 32, 65, hpke.KEM.P256, Curve(ec.SECP256R1(), _P256_ORDER, 0xFF))
P384: Final = Kem(0x11, HKDF_SHA384, 48, 97, hpke.KEM.P384, Curve(ec.SECP384R1(), _P384_ORDER, 0xFF))
P521: Final = Kem(0x12, HKDF_SHA512, 66, 133, hpke.KEM.P521, Curve(ec.SECP521R1(), _P521_ORDER, 0x01))

_KEM_PREFIX: Final = {
    number: b"HPKE-v1KEM" + number.to_bytes(2, "big") for number in (0x10, 0x11, 0x12, 0x20)
}
_PYCA_KDF: Final = {1: hpke.KDF.HKDF_SHA256, 2: hpke.KDF.HKDF_SHA384, 3: hpke.KDF.HKDF_SHA512}
