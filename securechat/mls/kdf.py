"""HKDF (RFC 5869) over the hash of a cipher suite: both halves, one HMAC call per block."""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

from securechat.mls.errors import UsageError


@dataclass(frozen=True, slots=True)
class Kdf:
    """HKDF with one hash function, with its number in the HPKE registry (RFC 9180 section 7.2)."""

    kdf_id: int
    hash_name: str
    length: int
    """Nh: the size of a hash and of an extracted key, in bytes."""

    def hash(self, data: bytes) -> bytes:
        return hashlib.new(self.hash_name, data, usedforsecurity=True).digest()

    def mac(self, key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, self.hash_name)

    def extract(self, salt: bytes, key_material: bytes) -> bytes:
        return hmac.digest(salt or bytes(self.length), key_material, self.hash_name)

    def expand(self, key: bytes, info: bytes, length: int) -> bytes:
        if length <= self.length:
            return hmac.digest(key, info + b"\x01", self.hash_name)[:length]
        if length > 255 * self.length:  # RFC 5869 section 2.3
            raise UsageError(f"HKDF cannot expand to {length} bytes")
        blocks = [b""]
        for counter in range(1, -(-length // self.length) + 1):
            blocks.append(self.mac(key, blocks[-1] + info + bytes([counter])))
        return b"".join(blocks)[:length]


HKDF_SHA256: Final = Kdf(1, "sha256", 32)
HKDF_SHA384: Final = Kdf(2, "sha384", 48)
HKDF_SHA512: Final = Kdf(3, "sha512", 64)
