"""The curve's arithmetic, checked by the library that has none to offer and by its own laws."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.transparency.edwards25519 import (
    BASE,
    IDENTITY,
    ORDER,
    P,
    add,
    decode,
    double,
    encode,
    is_identity,
    negative,
    sum_of_multiples,
    times_cofactor,
)
from securechat.transparency.errors import VrfRefused
from securechat.transparency.vrf import VrfKey
from tests.transparency.points import LOW_ORDER, NOT_CANONICAL, NOT_ON_THE_CURVE

SCALARS = st.integers(0, 2**256)


@settings(max_examples=20)
@given(st.binary(min_size=32, max_size=32))
def test_a_public_key_is_the_one_that_the_library_makes(seed: bytes) -> None:
    assert VrfKey(seed).public == Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


@settings(max_examples=20)
@given(SCALARS, SCALARS)
def test_sums_of_multiples_keep_the_laws_of_a_group(a: int, b: int) -> None:
    one, other = sum_of_multiples((a, BASE)), sum_of_multiples((b, BASE))
    both = encode(add(one, other))

    assert encode(sum_of_multiples((a, BASE), (b, BASE))) == both
    assert encode(sum_of_multiples(((a + b) % ORDER, BASE))) == both
    assert encode(double(one)) == encode(add(one, one))
    assert is_identity(add(one, negative(one)))
    assert encode(decode(both)) == both


def test_the_base_point_has_the_order_that_the_rfc_gives() -> None:
    assert encode(BASE).hex() == "58" + "66" * 31
    assert is_identity(sum_of_multiples((ORDER, BASE)))
    assert not is_identity(times_cofactor(BASE))


def test_nothing_summed_is_the_identity() -> None:
    assert is_identity(sum_of_multiples())
    assert is_identity(sum_of_multiples((0, BASE)))
    assert encode(IDENTITY).hex() == LOW_ORDER[0]


@pytest.mark.parametrize("encoded", LOW_ORDER)
def test_a_point_of_low_order_decodes_and_is_nothing_times_eight(encoded: str) -> None:
    point = decode(bytes.fromhex(encoded))
    assert encode(point).hex() == encoded
    assert is_identity(times_cofactor(point))


@pytest.mark.parametrize("encoded", [*NOT_CANONICAL, *NOT_ON_THE_CURVE, "", "00" * 31, "00" * 33])
def test_what_encodes_no_point_is_refused(encoded: str) -> None:
    with pytest.raises(VrfRefused):
        decode(bytes.fromhex(encoded))


@given(st.integers(0, 2**256 - 1))
def test_what_decodes_has_one_encoding_only(number: int) -> None:
    data = number.to_bytes(32, "little")
    try:
        x, y, z, t = decode(data)
    except VrfRefused:
        return
    assert encode((x, y, z, t)) == data
    assert (y * y - x * x - 1 - -121665 * pow(121666, -1, P) * x * x * y * y) % P == 0
    assert (x * y - t) % P == 0
    assert z == 1
