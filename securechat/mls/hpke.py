"""HPKE in base mode (RFC 9180), single shot and exporter, over the KEMs of the cipher suites.

Opening is pyca's own HPKE. What it does not have is here and in :mod:`securechat.mls.kem`:
DeriveKeyPair, the exporter (RFC 9420 section 8.3 needs it), and sealing with an ephemeral key that
comes from :mod:`securechat.mls.randomness`, so that a test can repeat it. Tests hold the two against
each other.
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke

from securechat.mls.aead import Aead
from securechat.mls.codec import Opaque, WireStruct
from securechat.mls.errors import SecretError
from securechat.mls.kdf import Kdf
from securechat.mls.kem import Kem


class HPKECiphertext(WireStruct, frozen=True):
    """What is encrypted to a public key (RFC 9420 section 7.6)."""

    kem_output: Opaque
    ciphertext: Opaque


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
        if len(sealed.kem_output) != self._kem.output_length:
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


_PYCA_KDF: Final = {1: hpke.KDF.HKDF_SHA256, 2: hpke.KDF.HKDF_SHA384, 3: hpke.KDF.HKDF_SHA512}
