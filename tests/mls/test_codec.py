"""Annotations are the encoding, and nothing else decodes (M-01)."""

from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from securechat.mls.codec import (
    MAX_ENCODED,
    MAX_VARINT,
    Bytes32,
    Enum8,
    Enum16,
    FixedBytes,
    KeptStruct,
    Opaque,
    PresentIf,
    Shape,
    Tagged,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    WireStruct,
    decode,
    encode,
    encode_before,
    encode_opaque,
    encode_varint,
    read_varint,
)
from securechat.mls.errors import DecodeError, UsageError


class Colour(Enum8):
    RED = 1
    GREEN = 2


class Kind(Enum16):
    NAME = 1
    NUMBER = 0x0102


class Number(WireStruct, frozen=True):
    value: Uint32


class Kept(KeptStruct, frozen=True):
    value: Uint32


class Empty(WireStruct, frozen=True):
    pass


class Everything(WireStruct, frozen=True):
    small: Uint8
    large: Uint64
    colour: Colour
    data: Opaque
    three: Annotated[bytes, FixedBytes(3)]
    numbers: tuple[Uint16, ...]
    maybe: Number | None
    choice: Annotated[bytes | Number, Tagged(Kind, {Kind.NAME: Opaque, Kind.NUMBER: Number})]
    nothing: Empty


class Conditional(WireStruct, frozen=True):
    colour: Colour
    extra: Annotated[bytes | None, PresentIf("colour", lambda colour: colour is Colour.GREEN)] = None


EVERYTHING = Everything(1, 2, Colour.GREEN, b"ab", b"xyz", (7, 8), Number(9), Number(10), Empty())
ENCODED = bytes.fromhex("01 0000000000000002 02 026162 78797a 04 00070008 01 00000009 0102 0000000a")


def test_annotations_are_the_encoding() -> None:
    assert encode(EVERYTHING) == ENCODED
    assert decode(Everything, ENCODED) == EVERYTHING


def test_a_signature_covers_the_fields_before_it() -> None:
    assert encode_before(EVERYTHING, "colour") == ENCODED[:9]


@given(
    st.builds(
        Everything,
        st.integers(0, 255),
        st.integers(0, 2**64 - 1),
        st.sampled_from(Colour),
        st.binary(max_size=100),
        st.binary(min_size=3, max_size=3),
        st.lists(st.integers(0, 65535), max_size=40).map(tuple),
        st.none() | st.builds(Number, st.integers(0, 2**32 - 1)),
        st.binary(max_size=70) | st.builds(Number, st.integers(0, 2**32 - 1)),
        st.just(Empty()),
    )
)
def test_what_is_encoded_decodes_to_itself(value: Everything) -> None:
    assert decode(Everything, encode(value)) == value


@given(st.binary(max_size=60))
def test_bytes_decode_to_what_encodes_to_them_or_not_at_all(data: bytes) -> None:
    """There is one encoding of everything, so two messages never mean the same."""
    try:
        value = decode(Everything, data)
    except DecodeError:
        return
    assert encode(value) == data


def test_every_truncation_and_every_surplus_is_refused() -> None:
    for cut in range(len(ENCODED)):
        with pytest.raises(DecodeError):
            decode(Everything, ENCODED[:cut])
    with pytest.raises(DecodeError):
        decode(Everything, ENCODED + b"\x00")


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (0x3F, "3f"),
        (0x40, "4040"),
        (0x3FFF, "7fff"),
        (0x4000, "80004000"),
        (0x3FFFFFFF, "bfffffff"),
    ],
)
def test_lengths_at_the_edges(value: int, encoded: str) -> None:
    data = bytes.fromhex(encoded)
    assert encode_varint(value) == data
    assert read_varint(data, 0, len(data)) == (value, len(data))


@pytest.mark.parametrize(
    "encoded", ["", "40", "4000", "403f", "80", "800000", "80000000", "80003fff", "c0", "ffffffff"]
)
def test_lengths_that_are_not_minimal_or_cut_are_refused(encoded: str) -> None:
    data = bytes.fromhex(encoded)
    with pytest.raises(DecodeError):
        read_varint(data, 0, len(data))


def test_a_length_beyond_the_data_is_refused_before_anything_is_allocated() -> None:
    for head in ("bfffffff", "7fff", "3f"):
        with pytest.raises(DecodeError):
            Shape[bytes](Opaque).decode(bytes.fromhex(head) + b"ab")
        with pytest.raises(DecodeError):
            Shape[tuple[int, ...]](tuple[Uint16, ...]).decode(bytes.fromhex(head) + b"abcd")


def test_a_vector_ends_where_its_elements_end() -> None:
    with pytest.raises(DecodeError):
        Shape[tuple[int, ...]](tuple[Uint16, ...]).decode(b"\x03abc")


def test_an_element_does_not_reach_beyond_its_vector() -> None:
    """The inner length says four bytes, the vector has two left; what follows is another field's."""
    with pytest.raises(DecodeError):
        Shape[tuple[bytes, ...]](tuple[Opaque, ...]).decode_from(b"\x03\x04abXYZ", 0)


@pytest.mark.parametrize(
    ("at", "byte"),
    [(9, 0), (9, 3), (21, 2), (21, 0xFF), (27, 0x03)],
    ids=["enum", "enum", "opt", "opt", "tag"],
)
def test_values_outside_an_enum_are_refused(at: int, byte: int) -> None:
    data = bytearray(ENCODED)
    data[at] = byte
    with pytest.raises(DecodeError):
        decode(Everything, bytes(data))


def test_a_field_is_there_only_if_an_earlier_one_says_so() -> None:
    assert encode(Conditional(Colour.RED)) == b"\x01"
    assert encode(Conditional(Colour.GREEN, b"x")) == b"\x02\x01x"
    assert decode(Conditional, b"\x01") == Conditional(Colour.RED)
    assert decode(Conditional, b"\x02\x00") == Conditional(Colour.GREEN, b"")
    with pytest.raises(DecodeError):
        decode(Conditional, b"\x02")
    with pytest.raises(UsageError):
        encode(Conditional(Colour.RED, b"x"))
    with pytest.raises(UsageError):
        encode(Conditional(Colour.GREEN))


@pytest.mark.parametrize(
    "fields",
    [
        {"small": 256},
        {"small": -1},
        {"three": b"ab"},
        {"data": "text"},
        {"choice": 5},
        {"numbers": (2**16,)},
        {"maybe": 3},
    ],
    ids=str,
)
def test_a_value_that_does_not_fit_is_our_own_fault(fields: dict[str, object]) -> None:
    values = {name: getattr(EVERYTHING, name) for name in EVERYTHING.__struct_fields__}
    with pytest.raises(UsageError):
        encode(Everything(**(values | fields)))


def test_what_is_too_large_is_not_encoded_or_decoded() -> None:
    with pytest.raises(DecodeError):
        Shape[bytes](Opaque).decode(bytes(MAX_ENCODED + 1))
    with pytest.raises(UsageError):
        Shape[bytes](Opaque).encode(bytes(MAX_ENCODED))
    with pytest.raises(UsageError):
        encode_varint(MAX_VARINT + 1)
    assert len(encode_opaque(bytes(16_384))) == 16_388


def test_what_has_no_encoding_is_a_fault_of_the_program() -> None:
    class Wrong(WireStruct, frozen=True):
        number: int

    with pytest.raises(TypeError):
        decode(Wrong, b"")


def test_fixed_bytes_have_no_length_in_front() -> None:
    class Hash(WireStruct, frozen=True):
        value: Bytes32

    assert encode(Hash(bytes(32))) == bytes(32)
    with pytest.raises(DecodeError):
        decode(Hash, bytes(31))


def test_what_keeps_its_encoding_is_written_once_and_is_like_any_other() -> None:
    kept, other = Kept(1), Kept(1)
    first = encode(kept)
    assert encode(kept) is first
    assert (kept, hash(kept), repr(kept)) == (other, hash(other), repr(other))
    assert encode(replace(kept, value=2)) == b"\0\0\0\2"
    assert decode(Kept, first) == kept
