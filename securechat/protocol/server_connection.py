"""The server's end of a connection: which frame may come when, without socket or clock.

A connection greets, serves a stranger (one request at a time, small frames), then a client that
has logged in, and ends with a Goodbye. ``NEXT_STATE`` is the whole order; the code looks up.
Requests are numbered from 1 without a hole, so that an answer can never meet the wrong question.
"""

from typing import Final, assert_never

from msgspec import Raw, Struct

from securechat.protocol.connection import Closed, Connection, State
from securechat.protocol.errors import LocalProtocolError, RemoteProtocolError
from securechat.protocol.frames import decode_client_frame, decode_request, encode_frame, encode_value
from securechat.protocol.limits import (
    MAX_FRAME,
    MAX_FRAME_BEFORE_LOGIN,
    MAX_IN_FLIGHT,
    MAX_IN_FLIGHT_BEFORE_LOGIN,
    MAX_MISPLACED,
    PROTOCOL_VERSION,
)
from securechat.protocol.messages import (
    BEFORE,
    CHANGING,
    PUBLIC,
    Acknowledge,
    Acknowledged,
    Answer,
    ClientFrame,
    ClientHello,
    Goodbye,
    Refused,
    Request,
    RequestBody,
    Response,
    ServerHello,
)

NEXT_STATE: Final[dict[tuple[State, type[ClientFrame]], State]] = {
    (State.GREETING, ClientHello): State.STRANGER,
    (State.GREETING, Goodbye): State.CLOSED,
    (State.STRANGER, Request): State.STRANGER,
    (State.STRANGER, Goodbye): State.CLOSED,
    (State.LOGGED_IN, Request): State.LOGGED_IN,
    (State.LOGGED_IN, Acknowledge): State.LOGGED_IN,
    (State.LOGGED_IN, Goodbye): State.CLOSED,
}
"""Every step a client may take. What is not here ends the connection."""

IN_FLIGHT: Final = {State.STRANGER: MAX_IN_FLIGHT_BEFORE_LOGIN, State.LOGGED_IN: MAX_IN_FLIGHT}
"""How many requests may wait for their answers. More ends the connection."""


class Greeted(Struct, frozen=True, gc=False):
    hello: ClientHello


class Requested(Struct, frozen=True, gc=False):
    """A request to decide. ``raw`` are the bytes its name stands for."""

    id: int
    name: int
    body: RequestBody
    raw: Raw


class Acked(Struct, frozen=True, gc=False):
    acks: list[Acknowledged]


Event = Greeted | Requested | Acked | Closed


class ServerConnection(Connection[ClientFrame, Event]):
    """Give it what the network gives, write what it asks, act on the events it returns."""

    __slots__ = ("_last_id", "_misplaced", "_unanswered")

    def __init__(self) -> None:
        super().__init__(decode=decode_client_frame, next_state=NEXT_STATE, max_frame=MAX_FRAME_BEFORE_LOGIN)
        self._last_id = 0
        self._misplaced = 0
        self._unanswered: set[int] = set()

    def greet(self, hello: ServerHello) -> None:
        """Answer the client's Hello; the first frame the server sends."""
        self._must_be(State.STRANGER)
        self._outgoing.append(encode_frame(hello))

    def logged_in(self) -> None:
        """From here on frames may be large, and pushes flow."""
        self._must_be(State.STRANGER)
        self.state = State.LOGGED_IN
        self._reader.limit = MAX_FRAME

    def respond(self, request_id: int, answer: Answer) -> None:
        self.respond_encoded(request_id, encode_value(answer))

    def respond_encoded(self, request_id: int, answer: bytes) -> None:
        """Answer with bytes that were kept: a repeated request gets the same answer."""
        self._take_out(request_id)
        self._outgoing.append(encode_frame(Response(request_id, Raw(answer))))

    def refuse(self, refusal: Refused) -> None:
        """Answer ``refusal.id`` with a no."""
        self._take_out(refusal.id)
        self._outgoing.append(encode_frame(refusal))

    def deliver(self, frame: bytes) -> None:
        """Push a frame that was encoded once for all who get it."""
        self._must_be(State.LOGGED_IN)
        self._outgoing.append(frame)

    def _take(self, frame: ClientFrame) -> Event | None:
        match frame:
            case Request():
                return self._take_request(frame)
            case Acknowledge():
                return Acked(frame.acks)
            case ClientHello():
                if PROTOCOL_VERSION not in frame.versions:
                    raise RemoteProtocolError(f"no common version; this server speaks {PROTOCOL_VERSION}")
                return Greeted(frame)
            case Goodbye():
                self._end()
                return Closed(frame.code, frame.text)
            case _:
                assert_never(frame)

    def _take_request(self, request: Request) -> Event | None:
        if request.id != self._last_id + 1:
            raise RemoteProtocolError(f"request {request.id} after {self._last_id}")
        if len(self._unanswered) >= IN_FLIGHT[self.state]:
            raise RemoteProtocolError(f"more than {IN_FLIGHT[self.state]} requests at once")
        body = decode_request(request.body)
        if (type(body) in CHANGING) != (request.name > 0):
            raise RemoteProtocolError(
                f"a name is for requests that change something, not {type(body).__name__}"
            )
        self._last_id = request.id
        self._unanswered.add(request.id)
        if type(body) in PUBLIC or (type(body) in BEFORE) is (self.state is State.STRANGER):
            return Requested(request.id, request.name, body, request.body)
        self._refuse_misplaced(request.id)
        return None

    def _refuse_misplaced(self, request_id: int) -> None:
        """Answered here and now, so nothing else holds up who goes on with it."""
        self._misplaced += 1
        if self._misplaced > MAX_MISPLACED:
            raise RemoteProtocolError("too many requests that belong before a login or after it")
        if self.state is State.STRANGER:
            self.refuse(Refused(request_id, "not_logged_in"))
        else:
            self.refuse(Refused(request_id, "bad_request", "this connection has logged in already"))

    def _take_out(self, request_id: int) -> None:
        if self.state is State.CLOSED or request_id not in self._unanswered:
            raise LocalProtocolError(f"request {request_id} does not wait for an answer")
        self._unanswered.discard(request_id)

    def _must_be(self, state: State) -> None:
        if self.state is not state:
            raise LocalProtocolError(f"that needs {state.name}, this is {self.state.name}")

    def _forget(self) -> None:
        self._unanswered.clear()
