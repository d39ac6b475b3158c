"""The KEMs of the cipher suites (RFC 9180 section 4): Diffie-Hellman on a curve, and X-Wing.

X-Wing is ML-KEM-768 and X25519 side by side: its secret stays secret while one of the two does.
Keys and outputs are bytes here and wherever they are stored; pyca's key objects live for one call.
Loading an X-Wing key from its seed is dear (0.1 ms) and still not remembered: a commit opens one
ciphertext with one key, and what is not kept cannot leak.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final, Protocol

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from securechat.mls.errors import UsageError, ValidationError
from securechat.mls.kdf import HKDF_SHA256, HKDF_SHA384, HKDF_SHA512, Kdf
from securechat.mls.randomness import random_bytes

CurvePrivateKey = x25519.X25519PrivateKey | ec.EllipticCurvePrivateKey
CurvePublicKey = x25519.X25519PublicKey | ec.EllipticCurvePublicKey
PrivateKey = CurvePrivateKey | hpke.MLKEM768X25519PrivateKey
PublicKey = CurvePublicKey | hpke.MLKEM768X25519PublicKey


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An HPKE key pair in its encoded form."""

    private: bytes = field(repr=False)
    public: bytes


class Kem(Protocol):
    """What HPKE and MLS ask of a key encapsulation mechanism. Lengths are in bytes."""

    @property
    def kem_id(self) -> int:
        """Its number in the HPKE registry."""

    @property
    def private_length(self) -> int: ...

    @property
    def public_length(self) -> int: ...

    @property
    def output_length(self) -> int:
        """Nenc: what encapsulation adds to a ciphertext."""

    @property
    def in_hpke(self) -> hpke.KEM: ...

    def generate(self) -> KeyPair: ...

    def derive_key_pair(self, seed: bytes) -> KeyPair:
        """Return the key pair that ``seed``, a secret of any length, stands for."""

    def public_key(self, private: bytes) -> bytes:
        """Return the public key that belongs to ``private``."""

    def load_private(self, private: bytes) -> PrivateKey:
        """Return the key as pyca's HPKE takes it; UsageError if it is none of this KEM."""

    def load_public(self, public: bytes) -> PublicKey:
        """Return the key; ValidationError ``hpke-public-key`` if it is none of this KEM."""

    def check_output(self, output: bytes) -> None:
        """Raise ValidationError ``hpke-public-key`` if ``output`` is none of this KEM."""

    def has_small_order(self, key: bytes) -> bool:
        """Whether a well-formed public key, or the one in an output, gives a zero secret with every other."""

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        """Return (shared secret, KEM output) for a fresh ephemeral key."""

    def decapsulate(self, output: bytes, private: bytes) -> bytes:
        """Return the shared secret that ``output`` carries to the owner of ``private``.

        ValidationError if ``output`` is none of this KEM or gives an all-zero secret. From X-Wing
        one that was changed gives a secret that nobody else has (FIPS 203, implicit rejection).
        """


@dataclass(frozen=True, slots=True)
class Curve:
    """A NIST curve and what DeriveKeyPair needs of it (RFC 9180 section 7.1.3)."""

    curve: ec.EllipticCurve
    order: int
    bitmask: int


@dataclass(frozen=True, slots=True)
class DhKem:
    """DHKEM of RFC 9180 section 4.1: X25519 where ``curve`` is None, else a NIST curve."""

    kem_id: int
    kdf: Kdf
    private_length: int
    public_length: int
    in_hpke: hpke.KEM
    curve: Curve | None = None

    @property
    def output_length(self) -> int:
        return self.public_length

    def generate(self) -> KeyPair:
        return self.derive_key_pair(random_bytes(self.private_length))

    def derive_key_pair(self, seed: bytes) -> KeyPair:
        """RFC 9180 section 7.1.3."""
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
        return _encoded(self.load_private(private))

    def load_private(self, private: bytes) -> CurvePrivateKey:
        if self.curve is None:
            if len(private) != self.private_length:
                raise UsageError(f"an HPKE private key has {self.private_length} bytes, not {len(private)}")
            return x25519.X25519PrivateKey.from_private_bytes(private)
        scalar = int.from_bytes(private, "big")
        if not 0 < scalar < self.curve.order:
            raise UsageError("an HPKE private key is out of range")
        return ec.derive_private_key(scalar, self.curve.curve)

    def load_public(self, public: bytes) -> CurvePublicKey:
        try:
            if len(public) != self.public_length:
                raise ValueError  # noqa: TRY301 - a wrong length is the same fault as a wrong point
            if self.curve is None:
                return x25519.X25519PublicKey.from_public_bytes(public)
            return ec.EllipticCurvePublicKey.from_encoded_point(self.curve.curve, public)
        except ValueError:
            raise ValidationError("hpke-public-key", "5.1.1", "no public key of this suite") from None

    def check_output(self, output: bytes) -> None:
        self.load_public(output)

    def has_small_order(self, key: bytes) -> bool:
        return self.curve is None and _small_x25519(key)

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        recipient = self.load_public(public)
        ephemeral = self.load_private(self._fresh_private())
        output = _encoded(ephemeral)
        return self._shared_secret(_exchange(ephemeral, recipient), output + public), output

    def decapsulate(self, output: bytes, private: bytes) -> bytes:
        own = self.load_private(private)
        return self._shared_secret(_exchange(own, self.load_public(output)), output + _encoded(own))

    def exchange(self, private: bytes, public: bytes) -> bytes:
        """Return the Diffie-Hellman secret alone; ValidationError ``zero-shared-secret`` for small order."""
        return _exchange(self.load_private(private), self.load_public(public))

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
class XWing:
    """X-Wing of draft-connolly-cfrg-xwing-kem: ML-KEM-768 (FIPS 203) and X25519.

    A private key is the seed of both halves; a public key and an output are ML-KEM's bytes, then
    X25519's. What encapsulates is not repeatable in a test: pyca draws ML-KEM's part itself.
    """

    kem_id: int = 0x647A
    private_length: int = 32
    public_length: int = 1184 + 32
    output_length: int = 1088 + 32
    in_hpke: hpke.KEM = hpke.KEM.MLKEM768_X25519

    def generate(self) -> KeyPair:
        seed = random_bytes(self.private_length)
        return KeyPair(seed, self.public_key(seed))

    def derive_key_pair(self, seed: bytes) -> KeyPair:
        """DeriveKeyPair of the draft's section 5.6, where it makes X-Wing a KEM of HPKE."""
        private = hashlib.shake_256(seed).digest(self.private_length)
        return KeyPair(private, self.public_key(private))

    def public_key(self, private: bytes) -> bytes:
        lattice, curve = self._private_halves(private)
        return lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()

    def load_private(self, private: bytes) -> hpke.MLKEM768X25519PrivateKey:
        return hpke.MLKEM768X25519PrivateKey(*self._private_halves(private))

    def load_public(self, public: bytes) -> hpke.MLKEM768X25519PublicKey:
        return hpke.MLKEM768X25519PublicKey(*self._public_halves(public))

    def check_output(self, output: bytes) -> None:
        if len(output) != self.output_length:
            raise ValidationError("hpke-public-key", "5.1.1", "no KEM output of this suite")

    def has_small_order(self, key: bytes) -> bool:
        return _small_x25519(key[-32:])

    def encapsulate(self, public: bytes) -> tuple[bytes, bytes]:
        lattice, curve = self._public_halves(public)
        ephemeral = x25519.X25519PrivateKey.from_private_bytes(random_bytes(32))
        lattice_secret, lattice_output = lattice.encapsulate()
        curve_output = ephemeral.public_key().public_bytes_raw()
        secret = _combined(lattice_secret, _exchange(ephemeral, curve), curve_output, public[-32:])
        return secret, lattice_output + curve_output

    def decapsulate(self, output: bytes, private: bytes) -> bytes:
        return self.decapsulated(output, *self._private_halves(private))

    def decapsulated(
        self, output: bytes, lattice: mlkem.MLKEM768PrivateKey, curve: x25519.X25519PrivateKey
    ) -> bytes:
        """Return the shared secret for the owner of these two halves."""
        self.check_output(output)
        theirs = x25519.X25519PublicKey.from_public_bytes(output[-32:])
        return _combined(
            lattice.decapsulate(output[:-32]),
            _exchange(curve, theirs),
            output[-32:],
            curve.public_key().public_bytes_raw(),
        )

    def _private_halves(self, seed: bytes) -> tuple[mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey]:
        if len(seed) != self.private_length:
            raise UsageError(f"an HPKE private key has {self.private_length} bytes, not {len(seed)}")
        expanded = hashlib.shake_256(seed).digest(96)
        return load_lattice(expanded[:64]), x25519.X25519PrivateKey.from_private_bytes(expanded[64:])

    def _public_halves(self, public: bytes) -> tuple[mlkem.MLKEM768PublicKey, x25519.X25519PublicKey]:
        try:
            return (  # a length that is wrong as a whole is wrong for one of the two
                mlkem.MLKEM768PublicKey.from_public_bytes(public[:-32]),
                x25519.X25519PublicKey.from_public_bytes(public[-32:]),
            )
        except ValueError:
            raise ValidationError("hpke-public-key", "5.1.1", "no public key of this suite") from None


def load_lattice(seed: bytes) -> mlkem.MLKEM768PrivateKey:
    """Return the ML-KEM key of a seed of 64 bytes (FIPS 203); UsageError for another length."""
    try:
        return mlkem.MLKEM768PrivateKey.from_seed_bytes(seed)
    except ValueError:
        raise UsageError(f"the seed of an ML-KEM key has 64 bytes, not {len(seed)}") from None


def _combined(lattice: bytes, curve: bytes, curve_output: bytes, curve_public: bytes) -> bytes:
    """Return the shared secret of the two halves (the draft's section 5.3)."""
    return hashlib.sha3_256(lattice + curve + curve_output + curve_public + b"\\.//^\\").digest()


def _exchange(own: CurvePrivateKey, other: CurvePublicKey) -> bytes:
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


def _encoded(private: CurvePrivateKey) -> bytes:
    public = private.public_key()
    if isinstance(public, x25519.X25519PublicKey):
        return public.public_bytes_raw()
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _small_x25519(public: bytes) -> bool:
    return public[:-1] + bytes([public[-1] & 0x7F]) in _SMALL_ORDER


_PRIME: Final = 2**255 - 19
_SMALL_ORDER: Final = frozenset(
    coordinate.to_bytes(32, "little")
    for coordinate in (
        0,
        1,
        0x00B8495F16056286FDB1329CEB8D09DA6AC49FF1FAE35616AEB8413B7C7AEBE0,
        0x57119FD0DD4E22D8868E1C58C45C44045BEF839C55B1D0B1248C50A3BC959C5F,
        _PRIME - 1,
        _PRIME,
        _PRIME + 1,
    )
)
"""The points of curve25519 whose order divides 8, in each encoding; the highest bit does not count."""

_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_P384_ORDER: Final = (
    0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
)
_P521_ORDER: Final = int(
    "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
    "FA51868783BF2F966B7FCC0148F709A5D03BB5C9B8899C47AEBB6FB71E91386409",
    16,
)

X25519: Final = DhKem(0x20, HKDF_SHA256, 32, 32, hpke.KEM.X25519)
P256: Final = DhKem(0x10, HKDF_SHA256, 32, 65, hpke.KEM.P256, Curve(ec.SECP256R1(), _P256_ORDER, 0xFF))
P384: Final = DhKem(0x11, HKDF_SHA384, 48, 97, hpke.KEM.P384, Curve(ec.SECP384R1(), _P384_ORDER, 0xFF))
P521: Final = DhKem(0x12, HKDF_SHA512, 66, 133, hpke.KEM.P521, Curve(ec.SECP521R1(), _P521_ORDER, 0x01))
XWING: Final = XWing()

_KEM_PREFIX: Final = {
    number: b"HPKE-v1KEM" + number.to_bytes(2, "big") for number in (0x10, 0x11, 0x12, 0x20)
}
