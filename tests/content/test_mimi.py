"""MIMI content: the draft's examples, our own golden bytes, and everything that is refused."""

import os
from pathlib import Path

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.content import mimi
from securechat.content.deterministic import UINT, encode_head, head
from securechat.content.errors import ContentError
from securechat.content.message import text_message
from securechat.content.mimi import (
    Expiration,
    ExternalPart,
    MimiContent,
    MultiPart,
    NullPart,
    Part,
    SinglePart,
    UnknownPart,
)
from tests.content.examples import expected_id, find_examples

EXAMPLES = find_examples()
SALT = bytes(range(16))
ALICE = "mimi://chat.example/u/alice"
ROOM = "mimi://chat.example/r/0123456789abcdef"
ID = b"\x01" + bytes(31)

GOLDEN = bytes.fromhex(
    "87"
    "50000102030405060708090a0b0c0d0e0f"
    "f640f6f6"
    "a2"
    "01781b6d696d693a2f2f636861742e6578616d706c652f752f616c696365"
    "0278266d696d693a2f2f636861742e6578616d706c652f722f30313233343536373839616263646566"
    "85016001"
    "7818746578742f706c61696e3b636861727365743d7574662d38"
    "4568656c6c6f"
)


@pytest.mark.skipif(
    not (EXAMPLES or os.environ.get("CI")), reason="the draft's examples must be there in the gate only"
)
def test_the_gate_has_every_example_of_the_draft() -> None:
    """A skip of the tests below would hide a gap there."""
    assert len(EXAMPLES) == 14


@pytest.mark.skipif(not EXAMPLES, reason="the draft's examples are not beside the project: golden bytes only")
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_the_draft_is_read_and_written_and_has_its_id(example: Path) -> None:
    data = example.read_bytes()
    content = mimi.decode(data)
    sender, room = content.uri(mimi.SENDER_URI), content.uri(mimi.ROOM_URI)

    assert mimi.encode(content) == data
    assert sender is not None
    assert room is not None
    assert mimi.message_id(data, sender_uri=sender, room_uri=room) == expected_id(example)


def test_a_text_message_has_these_bytes_and_this_id() -> None:
    encoded = mimi.encode(text_message("hello", SALT, sender_uri=ALICE, room_uri=ROOM))

    assert encoded == GOLDEN
    assert mimi.message_id(encoded, sender_uri=ALICE, room_uri=ROOM).hex() == (
        "01486b571738c957c86a855306a3d67bc98a7c70be9747732b1bc455a54b4dfe"
    )


@pytest.mark.parametrize("number", [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**64 - 1])
def test_a_head_is_as_short_as_the_librarys(number: int) -> None:
    assert encode_head(UINT, number) == cbor2.dumps(number)
    assert head(cbor2.dumps(number), 0) == (UINT, number, len(cbor2.dumps(number)))


def test_the_id_is_of_the_sender_that_mls_proves() -> None:
    others = mimi.message_id(GOLDEN, sender_uri="mimi://chat.example/u/bob", room_uri=ROOM)
    assert others != mimi.message_id(GOLDEN, sender_uri=ALICE, room_uri=ROOM)


def test_an_id_needs_a_salt() -> None:
    with pytest.raises(ContentError):
        mimi.message_id(b"\x80", sender_uri=ALICE, room_uri=ROOM)


names = st.text(max_size=8)
small = st.binary(max_size=8)
leaves: st.SearchStrategy[Part] = st.one_of(
    st.builds(NullPart, st.integers(0, 255), names),
    st.builds(SinglePart, names, small, st.integers(0, 255), names),
    st.builds(
        ExternalPart,
        names,
        names,
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**16 - 1),
        small,
        small,
        small,
        st.integers(0, 255),
        small,
        names,
        names,
    ),
    st.builds(
        UnknownPart,
        st.integers(4, 2**64 - 1),
        st.lists(st.sampled_from([b"\x00", b"\x41x", b"\x81\xf6", b"\xd8\x20\x61x"]), max_size=3).map(tuple),
    ),
)


def several(inside: st.SearchStrategy[Part]) -> st.SearchStrategy[Part]:
    parts = st.lists(inside, min_size=2, max_size=3).map(tuple)
    return st.builds(MultiPart, st.integers(0, 2), parts)


contents = st.builds(
    MimiContent,
    salt=st.binary(min_size=16, max_size=16),
    part=st.one_of(leaves, several(leaves), several(several(leaves))),
    replaces=st.sampled_from([None, ID]),
    topic_id=small,
    expires=st.one_of(st.none(), st.builds(Expiration, st.booleans(), st.integers(0, 2**32 - 1))),
    in_reply_to=st.sampled_from([None, ID]),
    extensions=st.sampled_from(
        [
            (),
            ((1, b"\x61x"), (-1, b"\xf6")),
            ((300, b"\x82\x81\xd8\x20\x61x\xf9\x7e\x00"), ("x", b"\xa1\x00\x00")),
        ]
    ),
)


@given(contents)
def test_what_is_written_is_read_again_with_every_field(content: MimiContent) -> None:
    assert mimi.decode(mimi.encode(content)) == content


@given(st.binary(max_size=60))
def test_reading_fails_in_one_way_only(data: bytes) -> None:
    for candidate in (data, GOLDEN[:20] + data, b"\x87\x50" + SALT + data):
        try:
            content = mimi.decode(candidate)
        except ContentError:
            continue
        assert mimi.encode(content) == candidate


@given(st.integers(0, len(GOLDEN) - 1), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read_exactly(place: int, byte: int) -> None:
    changed = GOLDEN[:place] + bytes([byte]) + GOLDEN[place + 1 :]
    try:
        content = mimi.decode(changed)
    except ContentError:
        return
    assert mimi.encode(content) == changed


def message(part: object, *, extensions: bytes = b"\xa0") -> bytes:
    return b"\x87\x50" + SALT + b"\xf6\x40\xf6\xf6" + extensions + cbor2.dumps(part)


def nested(depth: int) -> object:
    return [1, "", 0] if depth == 1 else [1, "", 3, 2, [nested(depth - 1), [1, "", 0]]]


REFUSED = {
    "nothing": b"",
    "trailing bytes": GOLDEN + b"\x00",
    "cut": GOLDEN[:-1],
    "another shape": cbor2.dumps({}),
    "six fields": cbor2.dumps([SALT, None, b"", None, None, {}]),
    "a short salt": cbor2.dumps([SALT[:15], None, b"", None, None, {}, [1, "", 0]]),
    "an id of an unknown hash": cbor2.dumps([SALT, b"\x02" + bytes(31), b"", None, None, {}, [1, "", 0]]),
    "a short id": cbor2.dumps([SALT, None, b"", None, ID[:31], {}, [1, "", 0]]),
    "a long topic": cbor2.dumps([SALT, None, bytes(4097), None, None, {}, [1, "", 0]]),
    "a late expiration": cbor2.dumps([SALT, None, b"", [True, 2**32], None, {}, [1, "", 0]]),
    "an expiration without a time": cbor2.dumps([SALT, None, b"", [True], None, {}, [1, "", 0]]),
    "an expiration with more": cbor2.dumps([SALT, None, b"", [True, 1, 1], None, {}, [1, "", 0]]),
    "an expiration in a map": cbor2.dumps([SALT, None, b"", {True: 1}, None, {}, [1, "", 0]]),
    "an id that is a number": cbor2.dumps([SALT, 5, b"", None, None, {}, [1, "", 0]]),
    "a key that is a truth": message([1, "", 0], extensions=b"\xa1\xf5\x00"),
    "parts in a map": message([1, "", 3, 2])[:-5] + b"\x85\x01\x60\x03\x02\xa1" + 2 * b"\x83\x01\x60\x00",
    "a part in a map": message({1: "", 0: 0}),
    "a part of two fields": message([1, ""]),
    "a number in text": message(["1", "", 0]),
    "a number in a tag": message([cbor2.CBORTag(2, b"\1"), "", 0]),
    "an expiration of numbers": cbor2.dumps([SALT, None, b"", [1, 1], None, {}, [1, "", 0]]),
    "extensions in a list": cbor2.dumps([SALT, None, b"", None, None, [], [1, "", 0]]),
    "a key twice": message([1, "", 0], extensions=b"\xa2\x03\x00\x03\x01"),
    "keys out of order": message([1, "", 0], extensions=b"\xa2\x04\x00\x03\x01"),
    "a key of bytes": message([1, "", 0], extensions=b"\xa1\x41\x00\x00"),
    "a huge key": message([1, "", 0], extensions=cbor2.dumps({2**53: 0})),
    "an empty key": message([1, "", 0], extensions=b"\xa1\x60\x00"),
    "deep extensions": message([1, "", 0], extensions=cbor2.dumps({3: [[[[]]]]})),
    "a sender that is no text": message([1, "", 0], extensions=b"\xa1\x01\x00"),
    "many extensions": message([1, "", 0], extensions=cbor2.dumps(dict.fromkeys(range(3, 70), 0))),
    "deep parts": message(nested(5)),
    "many parts": message([1, "", 3, 2, [[1, "", 0]] * 1025]),
    "one part of several": message([1, "", 3, 2, [[1, "", 0]]]),
    "an unknown relation": message([1, "", 3, 3, [[1, "", 0], [1, "", 0]]]),
    "a disposition beyond its range": message([256, "", 0]),
    "a truth for a number": message([True, "", 0]),
    "a null part with content": message([1, "", 0, 0]),
    "a single part without content": message([1, "", 1, "text/plain"]),
    "text for content": message([1, "", 1, "text/plain", "x"]),
    "text that is no UTF-8": message([1, "", 0]).replace(b"\x83\x01\x60", b"\x83\x01\x61\xff"),
    "a tag where a value is expected": message([1, "", 1, "text/plain", cbor2.CBORTag(24, b"x")]),
    "a long form": message([1, "", 0]).replace(b"\x83\x01", b"\x83\x18\x01"),
    "an indefinite list": b"\x9f" + GOLDEN[1:] + b"\xff",
    "a length beyond the end": b"\x9b" + b"\xff" * 8 + GOLDEN[1:],
    "a thousand lists": b"\x81" * 1000,
    "too long": message([1, "", 1, "text/plain", bytes(mimi.MAX_CONTENT)]),
}


def test_what_is_exactly_as_much_as_may_be_is_read() -> None:
    around = len(message([1, "", 1, "text/plain", bytes(mimi.MAX_CONTENT - 1000)])) - (
        mimi.MAX_CONTENT - 1000
    )
    largest = message([1, "", 1, "text/plain", bytes(mimi.MAX_CONTENT - around)])
    assert len(largest) == mimi.MAX_CONTENT
    assert mimi.encode(mimi.decode(largest)) == largest

    topic = cbor2.dumps([SALT, None, bytes(mimi.MAX_TOPIC), None, None, {}, [1, "", 0]])
    assert len(mimi.decode(topic).topic_id) == mimi.MAX_TOPIC

    most = message([1, "", 0], extensions=cbor2.dumps(dict.fromkeys(range(3, 67), 0)))
    assert len(mimi.decode(most).extensions) == mimi.MAX_EXTENSIONS

    parts = mimi.decode(message([1, "", 3, 2, [[1, "", 0]] * (mimi.MAX_PARTS - 1)])).part
    assert isinstance(parts, MultiPart)
    assert len(parts.parts) == mimi.MAX_PARTS - 1


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_not_mimi_content_is_refused(data: bytes) -> None:
    with pytest.raises(ContentError):
        mimi.decode(data)


def test_four_levels_of_parts_are_read() -> None:
    assert isinstance(mimi.decode(message(nested(4))).part, MultiPart)


def test_what_cannot_be_written_is_our_own_content_error() -> None:
    with pytest.raises(ContentError):
        mimi.encode(MimiContent(SALT, NullPart(language="\ud800")))
    with pytest.raises(ContentError):
        mimi.encode(MimiContent(SALT[:3], NullPart()))


def test_an_attachments_key_is_not_in_its_repr() -> None:
    part = ExternalPart("video/mp4", "https://h", 0, 9, 1, b"sixteen byte key", b"", b"", 1, b"", "", "")
    assert "sixteen" not in repr(MimiContent(SALT, part))


def test_m_01_fields_that_are_looked_at_whole_are_short() -> None:
    """A media type, a name: what costs more than its length is bounded where it is decoded."""
    too_long: list[Part] = [
        SinglePart("x" * (mimi.MAX_CONTENT_TYPE + 1), b""),
        SinglePart("text/plain", b"", language="x" * (mimi.MAX_LANGUAGE + 1)),
        an_external(content_type="é" * 128),
        an_external(url="x" * (mimi.MAX_URL + 1)),
        an_external(filename="é" * (mimi.MAX_FILE_NAME // 2 + 1)),
        an_external(description="x" * (mimi.MAX_DESCRIPTION + 1)),
    ]
    for part in too_long:
        with pytest.raises(ContentError, match="longer than"):
            mimi.encode(MimiContent(SALT, part))
    mimi.encode(MimiContent(SALT, an_external(content_type="x" * 255, filename="é" * 512)))


def an_external(**fields: str) -> ExternalPart:
    whole = ExternalPart("video/mp4", "https://h", 0, 9, 1, b"", b"", b"", 1, b"", "", "big.mp4")
    return msgspec.structs.replace(whole, **fields)
