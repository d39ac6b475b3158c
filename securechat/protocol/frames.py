"""Frames: four bytes of length, most significant first, then one msgpack value.

The length is judged as soon as its four bytes are here, before anything is kept for it (O-02).
Whatever msgspec can complain about becomes one ``RemoteProtocolError``.
"""

import struct
from typing import Final, TypeVar

import msgspec
from msgspec.msgpack import Decoder, Encoder

from securechat.protocol.errors import RemoteProtocolError
from securechat.protocol.messages import Acknowledge, Answer, ClientFrame, Request, RequestBody, ServerFrame

LENGTH_BYTES: Final = 4

MAX_ENVELOPE: Final = 4 * 1024
"""Bytes of a client's frame beside body or cursors: nobody pays for what is decoded and dropped."""

CURSOR_BYTES: Final = 128
"""What one cursor of an Acknowledge may take; the longest is 92."""

_LENGTH: Final = struct.Struct(">I")

T = TypeVar("T")

_ENCODER: Final = Encoder()
_CLIENT_FRAMES: Final[Decoder[ClientFrame]] = Decoder(ClientFrame)
_SERVER_FRAMES: Final[Decoder[ServerFrame]] = Decoder(ServerFrame)
_REQUEST_BODIES: Final[Decoder[RequestBody]] = Decoder(RequestBody)
_ANSWERS: Final[Decoder[Answer]] = Decoder(Answer)

encode_value = _ENCODER.encode
"""One msgpack value without its length: what a request's or an answer's ``body`` holds."""


def encode_frame(frame: ClientFrame | ServerFrame) -> bytes:
    """One frame as it goes over the wire."""
    payload = encode_value(frame)
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


def decode_client_frame(payload: bytes) -> ClientFrame:
    """Decode what a client said.

    :raises RemoteProtocolError: also where most of it says nothing: fields that nobody knows
    """
    frame = _decode(_CLIENT_FRAMES, payload)
    if len(payload) > MAX_ENVELOPE + _said(frame):
        raise RemoteProtocolError(f"a frame of {len(payload)} bytes that says little")
    return frame


def decode_server_frame(payload: bytes) -> ServerFrame:
    return _decode(_SERVER_FRAMES, payload)


def decode_request(body: bytes | msgspec.Raw) -> RequestBody:
    return _decode(_REQUEST_BODIES, body)


def decode_answer(body: bytes | msgspec.Raw) -> Answer:
    return _decode(_ANSWERS, body)


def _said(frame: ClientFrame) -> int:
    """Bytes that a frame may have beside its envelope."""
    if type(frame) is Request:
        return len(frame.body)
    return CURSOR_BYTES * len(frame.acks) if type(frame) is Acknowledge else 0


def _decode(decoder: Decoder[T], payload: bytes | msgspec.Raw) -> T:
    try:
        return decoder.decode(payload)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RemoteProtocolError(f"not a frame of this protocol: {error}") from None


class FrameReader:
    """Cuts a stream into payloads; ``limit`` may be raised between two reads."""

    __slots__ = ("_buffer", "_needed", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._needed = LENGTH_BYTES

    def receive(self, data: bytes) -> tuple[list[bytes], RemoteProtocolError | None]:
        """The payloads that are complete now, and what forbids to read on, if anything does.

        Frames before a forbidden one are still returned: what came in order counts. Bytes of an
        unfinished frame are appended in place and looked at once, however small the pieces.
        """
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return [], None
            data = bytes(self._buffer)
        payloads: list[bytes] = []
        position, end = 0, len(data)
        self._needed = LENGTH_BYTES
        while end - position >= LENGTH_BYTES:
            start = position + LENGTH_BYTES
            (length,) = _LENGTH.unpack_from(data, position)
            if length > self.limit:
                self._buffer = bytearray()
                return payloads, RemoteProtocolError(f"a frame of {length} bytes; the limit is {self.limit}")
            if end - start < length:
                self._needed = LENGTH_BYTES + length
                break
            position = start + length
            payloads.append(data[start:position])
        self._buffer = bytearray(data[position:])
        return payloads, None
