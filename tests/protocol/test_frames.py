import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.protocol.errors import RemoteProtocolError
from securechat.protocol.frames import (
    MAX_ENVELOPE,
    FrameReader,
    decode_answer,
    decode_client_frame,
    decode_request,
    decode_server_frame,
    encode_frame,
    encode_value,
)
from securechat.protocol.limits import MAX_FRAME, MAX_FRAME_BEFORE_LOGIN
from securechat.protocol.messages import Acknowledge, Acknowledged, Goodbye
from tests.protocol.examples import ANSWERS, CLIENT_FRAMES, REQUESTS, SERVER_FRAMES


def test_every_frame_comes_back_as_it_went() -> None:
    for client_frame in CLIENT_FRAMES:
        assert decode_client_frame(encode_value(client_frame)) == client_frame
    for server_frame in SERVER_FRAMES:
        assert decode_server_frame(encode_value(server_frame)) == server_frame
    for body in REQUESTS:
        assert decode_request(encode_value(body)) == body
    for answer in ANSWERS:
        assert decode_answer(encode_value(answer)) == answer


@given(st.lists(st.binary(max_size=200)), st.integers(1, 50))
def test_however_the_stream_is_cut_the_payloads_are_the_same(payloads: list[bytes], step: int) -> None:
    stream = b"".join(len(payload).to_bytes(4, "big") + payload for payload in payloads)
    reader = FrameReader(200)
    taken: list[bytes] = []
    for start in range(0, len(stream), step):
        found, error = reader.receive(stream[start : start + step])
        assert error is None
        taken += found
    assert taken == payloads


@pytest.mark.parametrize("limit", [MAX_FRAME_BEFORE_LOGIN, MAX_FRAME])
@pytest.mark.parametrize("length", [2**32 - 1, 2**30, MAX_FRAME + 1])
def test_o_02_a_length_above_the_limit_is_refused_before_anything_is_kept(limit: int, length: int) -> None:
    reader = FrameReader(limit)
    tracemalloc.start()
    payloads, error = reader.receive(length.to_bytes(4, "big") + b"x" * 100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert payloads == []
    assert isinstance(error, RemoteProtocolError)
    assert peak < 16 * 1024


def test_o_02_a_frame_of_exactly_the_limit_passes() -> None:
    payload = b"x" * MAX_FRAME_BEFORE_LOGIN
    assert FrameReader(MAX_FRAME_BEFORE_LOGIN).receive(len(payload).to_bytes(4, "big") + payload) == (
        [payload],
        None,
    )


@given(st.binary(max_size=300))
def test_m_01_any_bytes_are_a_frame_or_one_error(data: bytes) -> None:
    for decode in (decode_client_frame, decode_server_frame, decode_request, decode_answer):
        try:
            decode(data)
        except RemoteProtocolError:
            continue


@given(st.sampled_from([*CLIENT_FRAMES, *SERVER_FRAMES]), st.data())
def test_m_01_a_frame_cut_anywhere_is_one_error(frame: Goodbye, data: st.DataObject) -> None:
    payload = encode_value(frame)
    cut = payload[: data.draw(st.integers(0, len(payload) - 1))]
    for decode in (decode_client_frame, decode_server_frame):
        with pytest.raises(RemoteProtocolError):
            decode(cut)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\x91" * 4000 + b"\x00",
        msgspec.msgpack.encode({"type": "goodbye", "code": "x" * 65}),
        msgspec.msgpack.encode({"type": "no such frame"}),
        msgspec.msgpack.encode({"code": "bye"}),
        msgspec.msgpack.encode({"type": "goodbye", "code": 5}),
        b"\x82\xa4type\xa7goodbye\xa4code\xa2\xff\xfe",
        encode_value(Goodbye("bye")) + b"\x00",
        b"\x82\xa4type\xabacknowledge\xa4acks\xdd\xff\xff\xff\xff",
    ],
)
def test_m_01_hostile_payloads_are_one_error(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        decode_client_frame(payload)


def test_unknown_fields_are_ignored() -> None:
    payload = msgspec.msgpack.encode({"type": "goodbye", "code": "bye", "mood": {"deep": [1, 2, 3]}})
    assert decode_client_frame(payload) == Goodbye("bye")


def test_an_encoded_frame_starts_with_its_length() -> None:
    frame = encode_frame(Goodbye("bye"))
    assert int.from_bytes(frame[:4], "big") == len(frame) - 4


def test_o_05_fields_that_nobody_knows_are_ignored_but_few() -> None:
    for frame in CLIENT_FRAMES:
        fields = msgspec.msgpack.decode(encode_value(frame))
        assert decode_client_frame(msgspec.msgpack.encode(fields | {"later": b"x" * 1_000})) == frame
        with pytest.raises(RemoteProtocolError, match="says little"):
            decode_client_frame(msgspec.msgpack.encode(fields | {"later": [None] * 200_000}))


def test_as_many_cursors_as_one_frame_may_have_pass() -> None:
    frame = Acknowledge([Acknowledged(bytes(64), 2**63 - 1)] * 1024)
    assert len(encode_value(frame)) > MAX_ENVELOPE
    assert decode_client_frame(encode_value(frame)) == frame
