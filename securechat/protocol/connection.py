"""What both ends of a connection share: bytes in, events out, one goodbye; no socket, no clock.

Which frame may come when is a table at each end; what is not in it ends the connection.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from enum import IntEnum, auto
from typing import Final, Generic, TypeVar

from msgspec import Struct

from securechat.protocol.errors import RemoteProtocolError
from securechat.protocol.frames import FrameReader, encode_frame
from securechat.protocol.messages import Goodbye

F = TypeVar("F")
E = TypeVar("E")

MAX_GOODBYE: Final = 512
"""Characters of a reason that are told to the peer."""


class State(IntEnum):
    """Integers: a table is looked up by one with every frame."""

    GREETING = auto()
    STRANGER = auto()
    LOGGED_IN = auto()
    CLOSED = auto()


class Closed(Struct, frozen=True, gc=False):
    """The last event. ``code`` is the word of the Goodbye that was sent or came, or ``lost``.

    ``theirs``: code and text are the other side's own words.
    """

    code: str
    text: str = ""
    theirs: bool = False


class Connection(ABC, Generic[F, E]):
    """One end: takes the other's frames of type ``F`` and returns events of type ``E``."""

    __slots__ = ("_decode", "_next_state", "_outgoing", "_reader", "state")

    def __init__(
        self,
        *,
        decode: Callable[[bytes], F],
        next_state: Mapping[tuple[State, type[F]], State],
        max_frame: int,
    ) -> None:
        self.state = State.GREETING
        self._decode = decode
        self._next_state = next_state
        self._reader = FrameReader(max_frame)
        self._outgoing: list[bytes] = []

    def receive_data(self, data: bytes) -> list[E | Closed]:
        """Take bytes from the network; return what they mean, in order."""
        if self.state is State.CLOSED:
            return []
        events: list[E | Closed] = []
        payloads, error = self._reader.receive(data)
        try:
            for payload in payloads:
                frame = self._decode(payload)
                state = self._next_state.get((self.state, type(frame)))
                if state is None:
                    raise RemoteProtocolError(  # noqa: TRY301 - a call more for every frame
                        f"{type(frame).__name__} while {self.state.name}"
                    )
                self.state = state
                event = self._take(frame)
                if event is not None:
                    events.append(event)
                if type(event) is Closed:
                    return events
            if error is not None:
                raise error
        except RemoteProtocolError as broken:
            self.close("protocol_error", str(broken)[:MAX_GOODBYE])
            events.append(Closed("protocol_error", str(broken)))
        return events

    def receive_eof(self) -> list[E | Closed]:
        if self.state is State.CLOSED:
            return []
        self._end()
        return [Closed("lost", "the connection ended without a goodbye")]

    def close(self, code: str = "bye", text: str = "") -> None:
        """Say goodbye; nothing is sent or taken after it. Closing twice says it once."""
        if self.state is not State.CLOSED:
            self._outgoing.append(encode_frame(Goodbye(code, text)))
            self._end()

    @property
    def has_data_to_send(self) -> bool:
        return bool(self._outgoing)

    def data_to_send(self) -> bytes:
        """What has gathered since the last call, in one piece."""
        if not self._outgoing:
            return b""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        return data

    @abstractmethod
    def _take(self, frame: F) -> E | None:
        """Return what a frame means that may come now; None where nobody above has to know.

        :raises RemoteProtocolError: it should not have come after all
        """

    @abstractmethod
    def _forget(self) -> None:
        """Nothing is answered any more."""

    def _end(self) -> None:
        self.state = State.CLOSED
        self._forget()
