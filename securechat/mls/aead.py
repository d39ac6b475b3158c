"""The AEADs of the cipher suites, with fresh keys for every message."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from securechat.mls.errors import SecretError, UsageError

TAG_LENGTH: Final = 16
NONCE_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class Aead:
    """One AEAD, with its number in the HPKE registry (RFC 9180 section 7.3)."""

    aead_id: int
    key_length: int
    cipher: Callable[[bytes], AESGCM | ChaCha20Poly1305]
    in_hpke: hpke.AEAD
    nonce_length: int = NONCE_LENGTH

    def seal(self, key: bytes, nonce: bytes, plaintext: bytes, *, aad: bytes) -> bytes:
        self._check_sizes(key, nonce)
        return self.cipher(key).encrypt(nonce, plaintext, aad)

    def open(self, key: bytes, nonce: bytes, ciphertext: bytes, *, aad: bytes) -> bytes:
        """Return the plaintext; SecretError ``aead`` if the ciphertext is not authentic."""
        self._check_sizes(key, nonce)
        try:
            return self.cipher(key).decrypt(nonce, ciphertext, aad)
        except InvalidTag:
            raise SecretError("aead", "6.3", "the ciphertext is not authentic") from None

    def _check_sizes(self, key: bytes, nonce: bytes) -> None:
        if len(key) != self.key_length or len(nonce) != self.nonce_length:
            raise UsageError(f"{len(key)} bytes of key and {len(nonce)} of nonce don't fit this AEAD")


AES_128_GCM: Final = Aead(1, 16, AESGCM, hpke.AEAD.AES_128_GCM)
AES_256_GCM: Final = Aead(2, 32, AESGCM, hpke.AEAD.AES_256_GCM)
CHACHA20_POLY1305: Final = Aead(3, 32, ChaCha20Poly1305, hpke.AEAD.CHACHA20_POLY1305)
