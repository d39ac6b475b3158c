import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.protocol import messages as m
from securechat.protocol.connection import Closed, State
from securechat.protocol.errors import LocalProtocolError
from securechat.protocol.frames import FrameReader, decode_server_frame, encode_frame
from securechat.protocol.limits import MAX_FRAME, MAX_FRAME_BEFORE_LOGIN, MAX_IN_FLIGHT, MAX_MISPLACED
from securechat.protocol.server_connection import (
    NEXT_STATE,
    Acked,
    Event,
    Greeted,
    Requested,
    ServerConnection,
)
from tests.protocol.examples import CLIENT_FRAMES, GROUP, REQUESTS, SERVER_HELLO, request


def connection_in(state: State) -> ServerConnection:
    server = ServerConnection()
    if state is State.CLOSED:
        server.close("bye")
    elif state is not State.GREETING:
        server.receive_data(encode_frame(m.ClientHello([1])))
        server.greet(SERVER_HELLO)
        if state is State.LOGGED_IN:
            server.logged_in()
    server.data_to_send()
    return server


def sent(server: ServerConnection) -> list[m.ServerFrame]:
    payloads, error = FrameReader(2**32).receive(server.data_to_send())
    assert error is None
    return [decode_server_frame(payload) for payload in payloads]


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("frame", CLIENT_FRAMES, ids=lambda frame: type(frame).__name__)
def test_every_frame_in_every_state(state: State, frame: m.ClientFrame) -> None:
    server = connection_in(state)
    events = server.receive_data(encode_frame(frame))
    if state is State.CLOSED:
        assert events == []
        assert sent(server) == []
    elif (state, type(frame)) not in NEXT_STATE:
        (event,) = events
        assert isinstance(event, Closed)
        assert event.code == "protocol_error"
        (goodbye,) = sent(server)
        assert isinstance(goodbye, m.Goodbye)
    else:
        assert server.state is NEXT_STATE[state, type(frame)]


@pytest.mark.parametrize("body", REQUESTS, ids=lambda body: type(body).__name__)
def test_a_stranger_may_only_introduce_himself(body: m.RequestBody) -> None:
    server = connection_in(State.STRANGER)
    name = int(type(body) in m.CHANGING)
    events = server.receive_data(encode_frame(request(body, name=name)))
    if type(body) in m.BEFORE:
        assert events == [Requested(1, 0, body, request(body).body)]
    else:
        assert events == []
        assert sent(server) == [m.Refused(1, "not_logged_in")]


def test_one_login_per_connection() -> None:
    server = connection_in(State.LOGGED_IN)
    assert server.receive_data(encode_frame(request(REQUESTS[3]))) == []
    (refusal,) = sent(server)
    assert isinstance(refusal, m.Refused)
    assert refusal.code == "bad_request"


@pytest.mark.parametrize(("state", "body"), [(State.STRANGER, m.Ping()), (State.LOGGED_IN, REQUESTS[3])])
def test_o_05_requests_out_of_their_place_end_the_connection_after_a_few(
    state: State, body: m.RequestBody
) -> None:
    """They are refused here, past every rate: thirty strangers who send nothing else stop the server."""
    server = connection_in(state)
    flood = b"".join(encode_frame(request(body, number)) for number in range(1, 1_000))
    (event,) = server.receive_data(flood)
    assert isinstance(event, Closed)
    *refusals, goodbye = sent(server)
    assert [type(each) for each in refusals] == [m.Refused] * MAX_MISPLACED
    assert isinstance(goodbye, m.Goodbye)
    assert goodbye.code == "protocol_error"


@pytest.mark.parametrize("number", [0, 2, 2**40])
def test_requests_are_numbered_without_a_hole(number: int) -> None:
    server = connection_in(State.LOGGED_IN)
    (event,) = server.receive_data(encode_frame(request(m.Ping(), number)))
    assert isinstance(event, Closed)


@pytest.mark.parametrize(("body", "name"), [(m.Ping(), 1), (m.SendMessage(GROUP, 0, b"x"), 0)])
def test_names_are_for_what_changes_something(body: m.RequestBody, name: int) -> None:
    server = connection_in(State.LOGGED_IN)
    (event,) = server.receive_data(encode_frame(request(body, name=name)))
    assert isinstance(event, Closed)


def test_too_many_requests_at_once_end_the_connection() -> None:
    server = connection_in(State.LOGGED_IN)
    flood = b"".join(encode_frame(request(m.Ping(), number)) for number in range(1, MAX_IN_FLIGHT + 3))
    events = server.receive_data(flood)
    assert len(events) == MAX_IN_FLIGHT + 1
    assert isinstance(events[-1], Closed)


def test_a_request_is_answered_once() -> None:
    server = connection_in(State.LOGGED_IN)
    server.receive_data(encode_frame(request(m.Ping())))
    server.respond(1, m.Done())
    with pytest.raises(LocalProtocolError):
        server.respond(1, m.Done())
    with pytest.raises(LocalProtocolError):
        server.refuse(m.Refused(2, "busy"))


def test_o_02_frames_are_small_until_login_and_larger_after() -> None:
    large = (MAX_FRAME_BEFORE_LOGIN + 1).to_bytes(4, "big")
    (event,) = connection_in(State.STRANGER).receive_data(large)
    assert isinstance(event, Closed)
    assert connection_in(State.LOGGED_IN).receive_data(large) == []
    (event,) = connection_in(State.LOGGED_IN).receive_data((MAX_FRAME + 1).to_bytes(4, "big"))
    assert isinstance(event, Closed)


def test_what_came_before_a_broken_frame_counts() -> None:
    server = connection_in(State.LOGGED_IN)
    events = server.receive_data(encode_frame(m.Acknowledge([m.Acknowledged(GROUP, 3)])) + b"\xff" * 4)
    assert events[0] == Acked([m.Acknowledged(GROUP, 3)])
    assert isinstance(events[1], Closed)


def test_a_version_that_is_not_ours_ends_it() -> None:
    (event,) = ServerConnection().receive_data(encode_frame(m.ClientHello([2, 3])))
    assert isinstance(event, Closed)


def test_nothing_is_pushed_to_a_stranger() -> None:
    with pytest.raises(LocalProtocolError):
        connection_in(State.STRANGER).deliver(b"frame")


def test_the_greeting_is_told() -> None:
    assert ServerConnection().receive_data(encode_frame(m.ClientHello([1], agent="a"))) == [
        Greeted(m.ClientHello([1], agent="a"))
    ]


EXAMPLES = [encode_frame(frame) for frame in CLIENT_FRAMES]


@given(
    st.sampled_from(State),
    st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(EXAMPLES)), max_size=12),
)
def test_whatever_comes_closed_is_said_once_and_last(state: State, chunks: list[bytes]) -> None:
    server = connection_in(state)
    events: list[Event] = []
    for chunk in chunks:
        events += server.receive_data(chunk)
    events += server.receive_eof()
    closed = [isinstance(event, Closed) for event in events]
    assert closed == [False] * (len(events) - 1) + [True] if state is not State.CLOSED else events == []
    assert server.state is State.CLOSED
