import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.protocol import messages as m
from securechat.protocol.client_connection import (
    ANSWER_TO,
    NEXT_STATE,
    ClientConnection,
    DeliveredEvent,
    Event,
    Greeted,
    InboxEvent,
    RefusedEvent,
    Responded,
)
from securechat.protocol.connection import Closed, State
from securechat.protocol.errors import LocalProtocolError
from securechat.protocol.frames import FrameReader, decode_client_frame, encode_frame, encode_value
from securechat.protocol.limits import MAX_IN_FLIGHT
from tests.protocol.examples import (
    ANSWERS,
    ENTRY,
    GROUP,
    INBOX_ENTRY,
    REQUESTS,
    SERVER_FRAMES,
    SERVER_HELLO,
    response,
)

LOG_IN = next(body for body in REQUESTS if isinstance(body, m.LogIn))
LOGGED_IN = next(answer for answer in ANSWERS if isinstance(answer, m.LoggedIn))


def connection_in(state: State) -> ClientConnection:
    client = ClientConnection()
    if state is State.CLOSED:
        client.close()
    elif state is not State.GREETING:
        client.receive_data(encode_frame(SERVER_HELLO))
        if state is State.LOGGED_IN:
            client.request(LOG_IN)
            client.receive_data(encode_frame(response(LOGGED_IN)))
    client.data_to_send()
    return client


def sent(client: ClientConnection) -> list[m.ClientFrame]:
    payloads, error = FrameReader(2**32).receive(client.data_to_send())
    assert error is None
    return [decode_client_frame(payload) for payload in payloads]


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("frame", SERVER_FRAMES, ids=lambda frame: type(frame).__name__)
def test_every_frame_in_every_state(state: State, frame: m.ServerFrame) -> None:
    client = connection_in(state)
    events = client.receive_data(encode_frame(frame))
    if state is State.CLOSED:
        assert events == []
    elif (state, type(frame)) not in NEXT_STATE or isinstance(frame, m.Response | m.Refused):
        (event,) = events  # nothing was asked, so no answer belongs here
        assert isinstance(event, Closed)
        assert event.code == "protocol_error"
    else:
        assert len(events) == 1
        assert client.state is NEXT_STATE[state, type(frame)]


@pytest.mark.parametrize("body", REQUESTS, ids=lambda body: type(body).__name__)
def test_each_request_has_one_kind_of_answer(body: m.RequestBody) -> None:
    for answer in ANSWERS:
        client = connection_in(State.STRANGER if type(body) in m.BEFORE else State.LOGGED_IN)
        number = client.request(body, name=int(type(body) in m.CHANGING))
        (event,) = client.receive_data(encode_frame(response(answer, number)))
        if ANSWER_TO[type(body)] is type(answer):
            assert event == Responded(number, answer)
        else:
            assert isinstance(event, Closed)


def test_a_request_is_answered_once() -> None:
    client = connection_in(State.LOGGED_IN)
    number = client.ping()
    answer = encode_frame(response(m.Done(), number))
    assert client.receive_data(answer) == [Responded(number, m.Done())]
    (event,) = client.receive_data(answer)
    assert isinstance(event, Closed)


def test_a_refusal_is_an_answer() -> None:
    client = connection_in(State.LOGGED_IN)
    refusal = m.Refused(client.ping(), "busy", retry_after=3)
    assert client.receive_data(encode_frame(refusal)) == [RefusedEvent(refusal)]


def test_requests_beyond_the_servers_limit_wait_their_turn() -> None:
    client = connection_in(State.LOGGED_IN)
    numbers = [client.ping() for _ in range(MAX_IN_FLIGHT + 2)]
    assert [frame.id for frame in sent(client) if isinstance(frame, m.Request)] == numbers[:-2]
    client.receive_data(encode_frame(response(m.Done(), numbers[0])))
    assert [frame.id for frame in sent(client) if isinstance(frame, m.Request)] == [numbers[-2]]


def test_an_answer_to_a_request_that_has_not_gone_out_ends_it() -> None:
    client = connection_in(State.LOGGED_IN)
    numbers = [client.ping() for _ in range(MAX_IN_FLIGHT + 1)]
    (event,) = client.receive_data(encode_frame(response(m.Done(), numbers[-1])))
    assert isinstance(event, Closed)


def test_pushes_are_told() -> None:
    client = connection_in(State.LOGGED_IN)
    pushes = encode_frame(m.Delivered(GROUP, [ENTRY])) + encode_frame(m.InboxDelivered([INBOX_ENTRY]))
    assert client.receive_data(pushes) == [DeliveredEvent(GROUP, [ENTRY]), InboxEvent([INBOX_ENTRY])]


def test_stored_bytes_are_sent_as_they_are() -> None:
    client = connection_in(State.LOGGED_IN)
    body = encode_value(m.SendMessage(GROUP, 0, b"sealed"))
    client.request_encoded(body, 7)
    (frame,) = sent(client)
    assert isinstance(frame, m.Request)
    assert (frame.name, bytes(frame.body)) == (7, body)


@pytest.mark.parametrize("state", [State.GREETING, State.CLOSED, State.STRANGER])
def test_nothing_is_asked_out_of_order(state: State) -> None:
    client = connection_in(state)
    with pytest.raises(LocalProtocolError):
        client.ping()
    with pytest.raises(LocalProtocolError):
        client.acknowledge([])


def test_names_are_for_what_changes_something() -> None:
    client = connection_in(State.LOGGED_IN)
    with pytest.raises(LocalProtocolError):
        client.request(m.Ping(), name=1)
    with pytest.raises(LocalProtocolError):
        client.request(m.SendMessage(GROUP, 0, b"x"))


def test_a_version_that_was_not_offered_ends_it() -> None:
    hello = m.ServerHello(2, "example.org", b"k" * 32, b"s" * 64, b"n" * 32)
    (event,) = ClientConnection().receive_data(encode_frame(hello))
    assert isinstance(event, Closed)


def test_the_first_thing_said_is_hello() -> None:
    client = ClientConnection(m.ClientHello([1], agent="test"))
    assert sent(client) == [m.ClientHello([1], agent="test")]
    assert client.receive_data(encode_frame(SERVER_HELLO)) == [Greeted(SERVER_HELLO)]


EXAMPLES = [encode_frame(frame) for frame in SERVER_FRAMES]


@given(
    st.sampled_from(State),
    st.lists(st.one_of(st.binary(max_size=40), st.sampled_from(EXAMPLES)), max_size=12),
)
def test_whatever_comes_closed_is_said_once_and_last(state: State, chunks: list[bytes]) -> None:
    client = connection_in(state)
    events: list[Event] = []
    for chunk in chunks:
        events += client.receive_data(chunk)
    events += client.receive_eof()
    closed = [isinstance(event, Closed) for event in events]
    assert closed == [False] * (len(events) - 1) + [True] if state is not State.CLOSED else events == []
    assert client.state is State.CLOSED
