"""Sits in a client's line and says what an honest server would not.

TLS is no obstacle: it is the server itself that lies. Whatever the server behind it would say passes
by here, frame by frame, and each rule may change it, swallow it or add to it; what the client asks
passes by too, so that an answer is known by its question.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Raw

from securechat.protocol.frames import (
    FrameReader,
    decode_answer,
    decode_client_frame,
    decode_request,
    decode_server_frame,
    encode_frame,
    encode_value,
)
from securechat.protocol.limits import MAX_FRAME
from securechat.protocol.messages import (
    ClientFrame,
    Goodbye,
    Refused,
    Request,
    RequestBody,
    Response,
    ServerFrame,
    ServerHello,
)
from tests.scenarios.simulation.wire import Line

Retort = Callable[[Any, Any], Any]
"""What is answered: from the question and the true answer (or refusal). The same: no lie; None: silence."""

Rumour = Callable[[Any], Iterable[Any]]
"""What is pushed in the place of a push."""

Deafness = Callable[[Any], bool]
"""Which questions never reach the server."""

LOUDEST: Final = 64
"""Frames that one push may become."""


class Liar:
    """In the line of one client, whichever connection it is. Without rules it hands everything on."""

    def __init__(self) -> None:
        self.retorts: list[tuple[type, Retort]] = []
        self.rumours: list[Rumour] = []
        self.deaf: list[Deafness] = []
        self.own: list[tuple[type, Any]] = []
        self.lies = 0
        self._line: Line | None = None

    def sit_in(self, line: Line) -> None:
        self._line = line
        line.between = _Ear(self)

    def retort(self, question: type[RequestBody], retort: Retort) -> None:
        """Answer questions of a kind in one's own way."""
        self.retorts.append((question, retort))

    def rumour(self, rumour: Rumour) -> None:
        self.rumours.append(rumour)

    def ignore(self, deafness: Deafness) -> None:
        self.deaf.append(deafness)

    def answer(self, question: type[RequestBody], answer: Any) -> None:
        """Answer questions of a kind without a word of them to the server."""
        self.own.append((question, answer))

    def say(self, *frames: ServerFrame) -> None:
        """Say something that nobody asked for."""
        self.say_bytes(b"".join(encode_frame(frame) for frame in frames))

    def say_bytes(self, data: bytes) -> None:
        assert self._line is not None
        if not self._line.is_cut:
            self.lies += 1
            self._line.say(data)

    def cut(self) -> None:
        """Have the client connect anew."""
        assert self._line is not None
        self._line.cut()

    def repent(self) -> None:
        """Be honest from here on."""
        self.retorts.clear()
        self.rumours.clear()
        self.deaf.clear()
        self.own.clear()

    def answered(self, asked: RequestBody, answer: Any) -> Any:
        """Return what is answered to a question; None: nothing."""
        for question, retort in list(self.retorts):
            if isinstance(asked, question) and answer is not None:
                true, answer = answer, retort(asked, answer)
                self.lies += answer is not true
        return answer

    def pushed(self, push: Any) -> list[Any]:
        pushes = [push]
        for rumour in list(self.rumours):
            told = [each for one in pushes for each in rumour(one)]
            self.lies += told != pushes
            pushes = told[:LOUDEST]
        return pushes

    def hears(self, number: int, asked: RequestBody) -> bool:
        """Whether a question reaches the server; it may be answered here."""
        for question, answer in list(self.own):
            if isinstance(asked, question):
                self.say_bytes(_framed(number, answer))
                return False
        deaf = any(each(asked) for each in list(self.deaf))
        self.lies += deaf
        return not deaf


class _Ear:
    """One connection: frames in both directions, and which question an answer belongs to."""

    def __init__(self, liar: Liar) -> None:
        self._liar = liar
        self._up, self._down = FrameReader(MAX_FRAME), FrameReader(MAX_FRAME)
        self._asked: dict[int, RequestBody] = {}

    def to_server(self, piece: bytes) -> bytes:
        payloads, wrong = self._up.receive(piece)
        assert wrong is None
        return b"".join(
            len(each).to_bytes(4, "big") + each
            for each in payloads
            if self._passes(decode_client_frame(each))
        )

    def to_client(self, piece: bytes) -> bytes:
        payloads, wrong = self._down.receive(piece)
        assert wrong is None
        said = [frame for each in payloads for frame in self._told(each)]
        return b"".join(said)

    def _passes(self, frame: ClientFrame) -> bool:
        if not isinstance(frame, Request):
            return True
        asked = decode_request(frame.body)
        self._asked[frame.id] = asked
        return self._liar.hears(frame.id, asked)

    def _told(self, payload: bytes) -> list[bytes]:
        frame = decode_server_frame(payload)
        as_it_is = [len(payload).to_bytes(4, "big") + payload]
        match frame:
            case Response() | Refused() if frame.id in self._asked:
                true = decode_answer(frame.body) if isinstance(frame, Response) else frame
                answer = self._liar.answered(self._asked[frame.id], true)
                if answer is true:
                    return as_it_is
                return [] if answer is None else [_framed(frame.id, answer)]
            case ServerHello() | Goodbye() | Response() | Refused():
                return as_it_is
            case _:
                return [encode_frame(each) for each in self._liar.pushed(frame)]


def _framed(number: int, answer: Any) -> bytes:
    if isinstance(answer, Refused):
        return encode_frame(
            Refused(number, answer.code, answer.text, answer.head, answer.detail, answer.retry_after)
        )
    return encode_frame(Response(number, Raw(encode_value(answer))))
