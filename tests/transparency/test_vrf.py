"""ECVRF-EDWARDS25519-SHA512-TAI (RFC 9381), by the RFC's examples and by what must be refused (S-03)."""

import hashlib

import pytest

from securechat.transparency import vrf
from securechat.transparency.edwards25519 import (
    BASE,
    ORDER,
    add,
    decode,
    encode,
    negative,
    sum_of_multiples,
)
from securechat.transparency.errors import MisusedTree, VrfRefused
from securechat.transparency.vrf import (
    MAX_INPUT,
    PROOF,
    VrfKey,
    check_public_key,
    encode_to_curve,
    proof_to_hash,
    verify,
)
from tests.transparency.points import LOW_ORDER, NOT_CANONICAL, NOT_ON_THE_CURVE
from tests.transparency.vrf_vectors import VECTORS, VrfVector

KEY = VrfKey(bytes(range(32)))
ALPHA = b"mimi://chat.example/u/alice"
PI = KEY.prove(ALPHA)
S = int.from_bytes(PI[48:], "little")


@pytest.mark.parametrize("vector", VECTORS)
def test_the_examples_of_the_rfc_come_out_byte_for_byte(vector: VrfVector) -> None:
    """S-03: RFC 9381 appendix B.3."""
    key, alpha = VrfKey(bytes.fromhex(vector.sk)), bytes.fromhex(vector.alpha)

    assert key.public.hex() == vector.pk
    assert encode(encode_to_curve(key.public, alpha)).hex() == vector.h
    assert key.prove(alpha).hex() == vector.pi
    assert verify(key.public, alpha, bytes.fromhex(vector.pi)).hex() == vector.beta
    assert proof_to_hash(bytes.fromhex(vector.pi)).hex() == vector.beta


@pytest.mark.parametrize("vector", VECTORS)
def test_the_points_under_the_challenge_are_those_of_the_rfc(vector: VrfVector) -> None:
    key, pi = decode(bytes.fromhex(vector.pk)), bytes.fromhex(vector.pi)
    c, s = int.from_bytes(pi[32:48], "little"), int.from_bytes(pi[48:], "little")

    assert encode(sum_of_multiples((s, BASE), (c, negative(key)))).hex() == vector.u
    h, gamma = decode(bytes.fromhex(vector.h)), decode(pi[:32])
    assert encode(sum_of_multiples((s, h), (c, negative(gamma)))).hex() == vector.v


def test_a_proof_proves_its_own_input_under_its_own_key_only() -> None:
    assert verify(KEY.public, ALPHA, PI) == proof_to_hash(PI)
    with pytest.raises(VrfRefused):
        verify(KEY.public, ALPHA + b"a", PI)
    with pytest.raises(VrfRefused):
        verify(VrfKey(bytes(32)).public, ALPHA, PI)


@pytest.mark.parametrize("place", range(PROOF))
def test_a_proof_with_any_bit_flipped_is_refused(place: int) -> None:
    for bit in range(8):
        flipped = bytearray(PI)
        flipped[place] ^= 1 << bit
        with pytest.raises(VrfRefused):
            verify(KEY.public, ALPHA, bytes(flipped))


def test_a_key_with_a_flipped_bit_verifies_nothing() -> None:
    for bit in range(0, 256, 5):
        other = (int.from_bytes(KEY.public, "little") ^ 1 << bit).to_bytes(32, "little")
        with pytest.raises(VrfRefused):
            verify(other, ALPHA, PI)


@pytest.mark.parametrize("encoded", LOW_ORDER)
def test_a_key_of_low_order_is_refused_although_a_proof_fits_it(
    encoded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Section 5.4.5: who may choose such a key proves any Gamma, once 8 divides the challenge."""
    public = bytes.fromhex(encoded)
    forged = forged_under_low_order(public)
    with pytest.raises(VrfRefused, match="low order"):
        check_public_key(public)
    with pytest.raises(VrfRefused, match="low order"):
        verify(public, ALPHA, forged)

    monkeypatch.setattr(vrf, "_validated", decode)  # validate_key = FALSE
    assert verify(public, ALPHA, forged) == proof_to_hash(forged)


def forged_under_low_order(public: bytes) -> bytes:
    """A proof that a verifier without validate_key takes: Gamma = 0 and c a multiple of 8."""
    h = encode_to_curve(public, ALPHA)
    gamma = encode(sum_of_multiples((0, BASE)))
    for nonce in range(1, 200):
        u, v = sum_of_multiples((nonce, BASE)), sum_of_multiples((nonce, h))
        c = vrf._challenge(public, encode(h), gamma, encode(u), encode(v))
        if c[0] % 8 == 0:
            return gamma + c + nonce.to_bytes(32, "little")
    raise AssertionError("no multiple of 8 among 199 challenges")


@pytest.mark.parametrize("encoded", [*NOT_CANONICAL, *NOT_ON_THE_CURVE, "", "00" * 31, "58" * 33])
def test_a_key_or_gamma_that_is_no_canonical_point_is_refused(encoded: str) -> None:
    point = bytes.fromhex(encoded)
    with pytest.raises(VrfRefused):
        verify(point, ALPHA, PI)
    with pytest.raises(VrfRefused):
        verify(KEY.public, ALPHA, point + PI[32:])
    with pytest.raises(VrfRefused):
        proof_to_hash(point + PI[32:])


@pytest.mark.parametrize("s", [S + ORDER, ORDER, ORDER + 1, 2**256 - 1, 2**255])
def test_a_scalar_that_is_not_reduced_is_refused(s: int) -> None:
    """Section 5.4.4: s and s + q prove the same, so one of them is INVALID."""
    with pytest.raises(VrfRefused, match="order"):
        verify(KEY.public, ALPHA, PI[:48] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("torsion", LOW_ORDER[1:])
def test_a_gamma_moved_by_a_point_of_low_order_is_refused(torsion: str) -> None:
    """It has the same output, so only the challenge, which covers Gamma's bytes, can tell."""
    moved = encode(add(decode(PI[:32]), decode(bytes.fromhex(torsion)))) + PI[32:]
    assert proof_to_hash(moved) == proof_to_hash(PI)
    with pytest.raises(VrfRefused):
        verify(KEY.public, ALPHA, moved)


@pytest.mark.parametrize("proof", [b"", PI[:-1], PI + b"\x00", PI[:48], PI * 2])
def test_a_proof_of_another_length_is_refused(proof: bytes) -> None:
    with pytest.raises(VrfRefused, match="80 bytes"):
        verify(KEY.public, ALPHA, proof)
    with pytest.raises(VrfRefused, match="80 bytes"):
        proof_to_hash(proof)


def test_an_input_has_a_limit_on_both_sides() -> None:
    longest = bytes(MAX_INPUT)
    assert verify(KEY.public, longest, KEY.prove(longest))
    with pytest.raises(MisusedTree):
        KEY.prove(longest + b"\x00")
    with pytest.raises(VrfRefused):
        verify(KEY.public, longest + b"\x00", PI)


def test_a_seed_has_32_bytes() -> None:
    for seed in (b"", bytes(31), bytes(33)):
        with pytest.raises(MisusedTree):
            VrfKey(seed)


def test_a_key_hides_its_seed() -> None:
    seed = hashlib.sha256(b"seed").digest()
    shown = repr(VrfKey(seed))
    assert seed.hex()[:8] not in shown
    assert not hasattr(VrfKey(seed), "__dict__")


def test_more_than_one_try_is_made_for_some_inputs() -> None:
    """Section 5.4.1.1: the counter goes on until a hash is a point; half of all inputs need it to."""

    def tries(alpha: bytes) -> int:
        for counter in range(256):
            hashed = hashlib.sha512(b"\x03\x01" + KEY.public + alpha + bytes([counter, 0])).digest()
            try:
                decode(hashed[:32])
            except VrfRefused:
                continue
            return counter + 1
        raise AssertionError

    alpha = next(bytes([number]) for number in range(64) if tries(bytes([number])) > 2)
    assert verify(KEY.public, alpha, KEY.prove(alpha)) == proof_to_hash(KEY.prove(alpha))
