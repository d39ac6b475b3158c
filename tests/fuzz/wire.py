"""Targets: the frames between client and server, and the sockets and pages beside them."""

from typing import Any, Final

from securechat import local_rpc
from securechat.client import calls
from securechat.local_rpc import NoCall
from securechat.protocol.client_connection import ClientConnection
from securechat.protocol.connection import State
from securechat.protocol.errors import RemoteProtocolError
from securechat.protocol.frames import (
    FrameReader,
    decode_answer,
    decode_client_frame,
    decode_request,
    decode_server_frame,
    encode_frame,
    encode_value,
)
from securechat.protocol.limits import MAX_FRAME_BEFORE_LOGIN
from securechat.protocol.messages import ClientFrame, Request, Response, ServerFrame
from securechat.protocol.server_connection import ServerConnection
from securechat.server import admin, http
from tests.fuzz.judge import Fault, NotCraftable, Target
from tests.protocol.examples import ANSWERS, CLIENT_FRAMES, REQUESTS, SERVER_FRAMES, SERVER_HELLO

REMOTE: Final = (RemoteProtocolError,)
PAGES: Final = frozenset({"/metrics", "/healthz"})


def _client_frame(data: bytes) -> ClientFrame:
    frame = decode_client_frame(data)
    if isinstance(frame, Request):
        decode_request(frame.body)
    return frame


def _server_frame(data: bytes) -> ServerFrame:
    frame = decode_server_frame(data)
    if isinstance(frame, Response):
        decode_answer(frame.body)
    return frame


def _encoded(values: tuple[Any, ...]) -> tuple[bytes, ...]:
    return tuple(map(encode_value, values))


def _slices(data: bytes) -> tuple[int, bytes]:
    """The first byte says how long the slices are, the others are what comes over the line."""
    if not data:
        raise NotCraftable
    return data[0] or 1, data[1:]


def _sliced(length: int, stream: bytes) -> list[bytes]:
    return [stream[start : start + length] for start in range(0, len(stream), length)]


def _read(given: tuple[int, bytes]) -> list[bytes]:
    """However a stream is cut, the frames are the same, and so is the end."""
    length, stream = given
    whole, end = FrameReader(MAX_FRAME_BEFORE_LOGIN).receive(stream)
    reader, found, refused = FrameReader(MAX_FRAME_BEFORE_LOGIN), list[bytes](), None
    for piece in _sliced(length, stream):
        payloads, refused = reader.receive(piece)
        found += payloads
        if refused is not None:
            break
    if found != whole or (refused is None) != (end is None):
        raise Fault("frames depend on how the stream is cut")
    return found


def _served(given: tuple[int, bytes]) -> list[object]:
    """What a server's end makes of a client's bytes: events, and nothing raised."""
    length, stream = given
    connection = ServerConnection()
    events: list[object] = []
    for piece in _sliced(max(length, 8), stream):
        events += connection.receive_data(piece)
        if connection.state is State.STRANGER:
            connection.greet(SERVER_HELLO)
            connection.logged_in()
    events += connection.receive_eof()
    connection.data_to_send()
    return events


def _client_end(given: tuple[int, bytes]) -> list[object]:
    length, stream = given
    connection = ClientConnection()
    events: list[object] = []
    for piece in _sliced(max(length, 8), stream):
        events += connection.receive_data(piece)
    events += connection.receive_eof()
    connection.data_to_send()
    return events


def _streams(frames: tuple[Any, ...]) -> tuple[bytes, ...]:
    encoded = [encode_frame(frame) for frame in frames]
    return (b"\x08" + b"".join(encoded), *(b"\xff" + encoded[0] + each for each in encoded[1:8]))


def _call(data: bytes) -> list[object]:
    """As the server's administration and a profile's holder read one."""
    call = local_rpc.decode_call(data)
    found: list[object] = []
    for methods in (admin.METHODS, calls.PARAMETERS):
        try:
            found.append(local_rpc.decode_params(call, methods))
        except NoCall:
            continue
    return found


def _calls() -> tuple[bytes, ...]:
    return (
        b'{"jsonrpc":"2.0","method":"send","params":{"to":"bob","text":"hi"},"id":1}',
        b'{"jsonrpc":"2.0","method":"quota","params":{"user":"bob","bytes":5},"id":"a"}',
        b'{"jsonrpc":"2.0","method":"invite","params":{"uses":2,"days":3,"note":"x"}}',
        b'{"jsonrpc":"2.0","method":"unprinted","params":{"limit":5},"id":2}',
    )


def _page(data: bytes) -> object:
    return http.judge(data, PAGES)


def _heads() -> tuple[bytes, ...]:
    return (b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9000\r\nAccept: */*\r\n\r\n",)


TARGETS: Final = (
    Target(
        "client-frame",
        _client_frame,
        REMOTE,
        lambda: _encoded(CLIENT_FRAMES),
        encode_value,
        canonical=False,
        packed=True,
    ),
    Target(
        "server-frame",
        _server_frame,
        REMOTE,
        lambda: _encoded(SERVER_FRAMES),
        encode_value,
        canonical=False,
        packed=True,
    ),
    Target(
        "request",
        decode_request,
        REMOTE,
        lambda: _encoded(REQUESTS),
        encode_value,
        canonical=False,
        packed=True,
    ),
    Target(
        "answer", decode_answer, REMOTE, lambda: _encoded(ANSWERS), encode_value, canonical=False, packed=True
    ),
    Target("frame-reader", _read, (), lambda: _streams(CLIENT_FRAMES), craft=_slices),
    Target("server-end", _served, (), lambda: _streams(CLIENT_FRAMES), craft=_slices),
    Target("client-end", _client_end, (), lambda: _streams(SERVER_FRAMES), craft=_slices),
    Target("local-call", _call, (NoCall,), _calls),
    Target("http-head", _page, (), _heads),
)
