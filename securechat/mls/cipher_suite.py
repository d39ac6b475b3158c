"""Cipher suites (RFC 9420 section 5.1): a table of rows, and what MLS derives from them.

The product uses 0x0003 and the hybrid. The others are rows like them and prove the code with more
vectors; 0x0004 and 0x0006 need an X448 KEM that pyca's HPKE does not have.
"""

import hmac
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from securechat.mls import signature
from securechat.mls.aead import AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305, Aead
from securechat.mls.codec import encode_opaque
from securechat.mls.errors import ValidationError
from securechat.mls.hpke import Hpke, HPKECiphertext
from securechat.mls.kdf import HKDF_SHA256, HKDF_SHA384, HKDF_SHA512, Kdf
from securechat.mls.kem import P256, P384, P521, X25519, XWING, Kem, KeyPair
from securechat.mls.signature import ECDSA_P256, ECDSA_P384, ECDSA_P521, ED25519, SignatureScheme


@dataclass(frozen=True, slots=True)
class CipherSuite:
    """One row of the registry (section 17.1) and the functions of sections 5 and 8 over it."""

    number: int
    name: str
    kem: Kem
    kdf: Kdf
    aead: Aead
    signature: SignatureScheme
    hpke: Hpke = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hpke", Hpke(self.kem, self.kdf, self.aead))

    @property
    def hash_length(self) -> int:
        """KDF.Nh in bytes."""
        return self.kdf.length

    def hash(self, data: bytes) -> bytes:
        return self.kdf.hash(data)

    def reference(self, label: str, value: bytes) -> bytes:
        """RefHash of section 5.2."""
        return self.kdf.hash(encode_opaque(label.encode()) + encode_opaque(value))

    def key_package_reference(self, key_package: bytes) -> bytes:
        """MakeKeyPackageRef of section 5.2, of an encoded KeyPackage."""
        return self.reference("MLS 1.0 KeyPackage Reference", key_package)

    def proposal_reference(self, authenticated_content: bytes) -> bytes:
        """MakeProposalRef of section 5.2, of an encoded AuthenticatedContent."""
        return self.reference("MLS 1.0 Proposal Reference", authenticated_content)

    def mac(self, key: bytes, data: bytes) -> bytes:
        return self.kdf.mac(key, data)

    def mac_matches(self, key: bytes, data: bytes, *, tag: bytes) -> bool:
        """Whether ``tag`` is the whole MAC of ``data``, in constant time."""
        return hmac.compare_digest(self.kdf.mac(key, data), tag)

    def extract(self, salt: bytes, key_material: bytes) -> bytes:
        """KDF.Extract of section 8."""
        return self.kdf.extract(salt, key_material)

    def expand_with_label(self, secret: bytes, label: str, context: bytes, length: int) -> bytes:
        """ExpandWithLabel of section 8."""
        return self.kdf.expand(secret, _kdf_label(label, length) + encode_opaque(context), length)

    def derive_secret(self, secret: bytes, label: str) -> bytes:
        """DeriveSecret of section 8."""
        return self.kdf.expand(secret, _kdf_label(label, self.kdf.length) + b"\x00", self.kdf.length)

    def derive_tree_secret(self, secret: bytes, label: str, generation: int, length: int) -> bytes:
        """DeriveTreeSecret of section 9.1."""
        return self.kdf.expand(
            secret, _kdf_label(label, length) + b"\x04" + generation.to_bytes(4, "big"), length
        )

    def derive_key_pair(self, seed: bytes) -> KeyPair:
        """KEM.DeriveKeyPair of RFC 9180 section 4."""
        return self.kem.derive_key_pair(seed)

    def encrypt_with_label(
        self, public: bytes, label: str, context: bytes, plaintext: bytes
    ) -> HPKECiphertext:
        """EncryptWithLabel of section 5.1.3."""
        return self.hpke.seal(public, _encrypt_context(label, context), plaintext)

    def decrypt_with_label(self, private: bytes, label: str, context: bytes, sealed: HPKECiphertext) -> bytes:
        """DecryptWithLabel of section 5.1.3; SecretError ``hpke-open`` if it does not open."""
        return self.hpke.open(private, _encrypt_context(label, context), sealed)

    def verify_with_label(self, public: bytes, label: str, content: bytes, *, signature: bytes) -> bool:
        """VerifyWithLabel of section 5.1.2."""
        return _verify(self.signature, public, label, content, signature=signature)


_verify = signature.verify_with_label


@cache
def _kdf_label(label: str, length: int) -> bytes:
    """Return KDFLabel of section 8 without its context. Labels are few: the protocol's and the exporters'."""
    return length.to_bytes(2, "big") + encode_opaque(b"MLS 1.0 " + label.encode())


def _encrypt_context(label: str, context: bytes) -> bytes:
    return encode_opaque(b"MLS 1.0 " + label.encode()) + encode_opaque(context)


PRIVATE_HYBRID_NUMBER: Final = 0xF00E
"""The hybrid suite's number, of the range for private use (section 17.1), as npm's ts-mls 2.x has it.

Groups leave it by ReInit once draft-ietf-mls-pq-ciphersuites has numbers.
"""

SUITES: Final = {
    suite.number: suite
    for suite in (
        CipherSuite(
            1, "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519", X25519, HKDF_SHA256, AES_128_GCM, ED25519
        ),
        CipherSuite(2, "MLS_128_DHKEMP256_AES128GCM_SHA256_P256", P256, HKDF_SHA256, AES_128_GCM, ECDSA_P256),
        CipherSuite(
            3,
            "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519",
            X25519,
            HKDF_SHA256,
            CHACHA20_POLY1305,
            ED25519,
        ),
        CipherSuite(5, "MLS_256_DHKEMP521_AES256GCM_SHA512_P521", P521, HKDF_SHA512, AES_256_GCM, ECDSA_P521),
        CipherSuite(7, "MLS_256_DHKEMP384_AES256GCM_SHA384_P384", P384, HKDF_SHA384, AES_256_GCM, ECDSA_P384),
        CipherSuite(
            PRIVATE_HYBRID_NUMBER,
            "MLS_256_XWING_CHACHA20POLY1305_SHA512_Ed25519",
            XWING,
            HKDF_SHA512,
            CHACHA20_POLY1305,
            ED25519,
        ),
    )
}
"""Every suite we offer, by its number."""

SUITE_3: Final = SUITES[3]
"""MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519: the product's where a device has no hybrid suite."""

SUITE_HYBRID: Final = SUITES[PRIVATE_HYBRID_NUMBER]
"""X25519 beside ML-KEM-768: the product's. What is sealed stays secret while one of the two holds."""


def cipher_suite(number: int) -> CipherSuite:
    """Return the suite with this number; ValidationError ``cipher-suite`` if we don't offer it."""
    suite = SUITES.get(number)
    if suite is None:
        raise ValidationError("cipher-suite", "5.1", f"suite 0x{number:04x} is not offered")
    return suite
