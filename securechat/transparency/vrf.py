"""ECVRF-EDWARDS25519-SHA512-TAI: a hash that one key alone can make and everybody can check (RFC 9381).

The directory names an account by the VRF's output for its user, so that who reads the log learns no
names and cannot try any out, while who asks for a name gets a proof that this is its one label.

Why this suite: it is the one of draft-ietf-keytrans-protocol's KT_128_SHA256_Ed25519, and the shorter to
write down. Try-and-increment takes as many tries as the *input* makes it take; anybody who knows the input
can count them from the public key, and who doesn't is not served by a proof that is made once and stored.

NOT CONSTANT TIME. Python's integers take longer for some numbers than for others, and a proof is made with
the secret scalar. Who can time many of the server's proofs may learn that scalar in the end. Then names can
be tried out against the log by themselves; nothing else: that an input has only one output holds against
whoever knows the key (section 3.1, full uniqueness: keys are validated), and no signature hangs on this key.
So a proof is made once for each label and stored, never at a stranger's pace.

No library offers it (``cryptography`` 48 has no VRF); it is checked by the vectors of RFC 9381 B.3.
"""

import hashlib
import hmac
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from securechat.transparency.edwards25519 import (
    BASE,
    LENGTH,
    ORDER,
    Point,
    decode,
    encode,
    is_identity,
    negative,
    sum_of_multiples,
    times_cofactor,
)
from securechat.transparency.errors import MisusedTree, VrfRefused

SEED: Final = 32
PUBLIC: Final = LENGTH
CHALLENGE: Final = 16
PROOF: Final = LENGTH + CHALLENGE + LENGTH
OUTPUT: Final = 64
"""Bytes of a private and a public key, of c, of a proof (Gamma, c, s) and of a hash (section 5.5)."""

MAX_INPUT: Final = 1024
"""Bytes of an input: a user's URI has at most a fifth of them. Who verifies hashes it up to 256 times."""

_SUITE: Final = b"\x03"
_ENCODE_TO_CURVE: Final = b"\x01"
_CHALLENGE: Final = b"\x02"
_PROOF_TO_HASH: Final = b"\x03"
_BACK: Final = b"\x00"
"""The separators in front of and behind what is hashed (sections 5.2, 5.4.1.1, 5.4.3)."""


class VrfKey:
    """A private VRF key: the seed's 32 bytes are the caller's to protect; ``repr`` hides them."""

    __slots__ = ("_nonce_secret", "_scalar", "public")

    def __init__(self, seed: bytes) -> None:
        """Expand a seed as RFC 8032 section 5.1.5 does; MisusedTree if it has not 32 bytes."""
        if len(seed) != SEED:
            raise MisusedTree(f"A VRF key's seed has {SEED} bytes, not {len(seed)}.")
        expanded = hashlib.sha512(seed).digest()
        clamped = int.from_bytes(expanded[:32], "little")
        self._scalar = clamped & (1 << 254) - 8 | 1 << 254
        self._nonce_secret = expanded[32:]
        self.public = encode(sum_of_multiples((self._scalar, BASE)))

    def __repr__(self) -> str:
        return f"<VrfKey of {self.public.hex()[:16]}>"

    def prove(self, alpha: bytes) -> bytes:
        """Return the proof (80 bytes) of this key's output for ``alpha``: ECVRF_prove (section 5.1).

        The same input gives the same proof. Takes some milliseconds, and not always as many (see above).

        :raises MisusedTree: the input is longer than ``MAX_INPUT``
        """
        if len(alpha) > MAX_INPUT:
            raise MisusedTree(f"An input of the VRF has at most {MAX_INPUT} bytes.")
        point = encode_to_curve(self.public, alpha)
        encoded = encode(point)
        gamma = encode(sum_of_multiples((self._scalar, point)))
        # ECVRF_nonce_generation_RFC8032, section 5.4.2.2
        nonce = int.from_bytes(hashlib.sha512(self._nonce_secret + encoded).digest(), "little") % ORDER
        u, v = sum_of_multiples((nonce, BASE)), sum_of_multiples((nonce, point))
        c = _challenge(self.public, encoded, gamma, encode(u), encode(v))
        s = (nonce + int.from_bytes(c, "little") * self._scalar) % ORDER
        return gamma + c + s.to_bytes(LENGTH, "little")


@dataclass(frozen=True, slots=True)
class _Proof:
    gamma: Point
    c: bytes
    s: int


def verify(public: bytes, alpha: bytes, proof: bytes) -> bytes:
    """Return the output (64 bytes) for ``alpha``: ECVRF_verify with validate_key = TRUE (section 5.3).

    :raises VrfRefused: the key, the proof or the input is INVALID, or the proof is not one of this output
    """
    if len(alpha) > MAX_INPUT:
        raise VrfRefused(f"An input of the VRF has at most {MAX_INPUT} bytes.")
    key = _validated(public)
    read = _read(proof)
    point = encode_to_curve(public, alpha)
    c = int.from_bytes(read.c, "little")
    u = sum_of_multiples((read.s, BASE), (c, negative(key)))
    v = sum_of_multiples((read.s, point), (c, negative(read.gamma)))
    found = _challenge(public, encode(point), proof[:LENGTH], encode(u), encode(v))
    if not hmac.compare_digest(found, read.c):
        raise VrfRefused("The proof is not one of this key and input.")
    return _output(read.gamma)


def proof_to_hash(proof: bytes) -> bytes:
    """Return the output (64 bytes) that a proof is of: ECVRF_proof_to_hash (section 5.2).

    Only for proofs of one's own or that ``verify`` has accepted: this alone proves nothing.

    :raises VrfRefused: the proof does not decode
    """
    return _output(_read(proof).gamma)


def check_public_key(public: bytes) -> None:
    """ECVRF_validate_key (section 5.4.5): a canonical point of the curve, not one of low order.

    :raises VrfRefused: it is none; with such a key an input could have more than one output
    """
    _validated(public)


def encode_to_curve(salt: bytes, alpha: bytes) -> Point:
    """Return H: ECVRF_encode_to_curve_try_and_increment (section 5.4.1.1), salted with the public key.

    :raises VrfRefused: none of 256 tries gave a point, which happens for one input in 2**256
    """
    front = _SUITE + _ENCODE_TO_CURVE + salt + alpha
    for counter in range(256):
        hashed = hashlib.sha512(front + bytes([counter]) + _BACK).digest()
        try:
            point = times_cofactor(decode(hashed[:LENGTH]))
        except VrfRefused:
            continue
        if not is_identity(point):
            return point
    raise VrfRefused("The input has no point on the curve.")


def _challenge(*points: bytes) -> bytes:
    """ECVRF_challenge_generation of Y, H, Gamma, U, V (section 5.4.3): the first 16 bytes."""
    return hashlib.sha512(_SUITE + _CHALLENGE + b"".join(points) + _BACK).digest()[:CHALLENGE]


def _output(gamma: Point) -> bytes:
    return hashlib.sha512(_SUITE + _PROOF_TO_HASH + encode(times_cofactor(gamma)) + _BACK).digest()


def _read(proof: bytes) -> _Proof:
    """ECVRF_decode_proof (section 5.4.4)."""
    if len(proof) != PROOF:
        raise VrfRefused(f"A VRF proof has {PROOF} bytes, not {len(proof)}.")
    s = int.from_bytes(proof[LENGTH + CHALLENGE :], "little")
    if s >= ORDER:
        raise VrfRefused("A VRF proof's scalar is not below the group's order.")
    return _Proof(decode(proof[:LENGTH]), proof[LENGTH : LENGTH + CHALLENGE], s)


@lru_cache(maxsize=64)  # a server has one key, and each proof is verified under it
def _validated(public: bytes) -> Point:
    key = decode(public)
    if is_identity(times_cofactor(key)):
        raise VrfRefused("A VRF key is a point of low order.")
    return key
