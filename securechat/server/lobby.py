"""Where connections wait until they have said a whole ClientHello: a socket and a few bytes each (O-01).

A loop's transport is two KiB of small objects with a timer of its own, and ten thousand of them leave holes
that no heap gives back. So newcomers wait in a selector that the loop watches as if it were one socket,
in the order in which they came, under one timer. No byte prolongs anything.
"""

import asyncio
import logging
import selectors
import socket
from collections.abc import Callable
from enum import Enum, auto
from typing import Final

from securechat.protocol.limits import HANDSHAKE_SECONDS

RECORD_HEADER: Final = 5
HANDSHAKE_RECORD: Final = 22
"""The first byte of a TLS connection (RFC 8446, section 5.1)."""

MAX_CLIENT_HELLO: Final = 4 * 1024
"""The first record. One with a post-quantum key share has 1.5 KiB."""

MOST: Final = RECORD_HEADER + MAX_CLIENT_HELLO

SWEEP_SECONDS: Final = 0.1
"""Those whose time is up go together."""

log = logging.getLogger("securechat.server.lobby")


class Opening(Enum):
    """What the first bytes of a connection are."""

    SHORT = auto()
    WHOLE = auto()
    WRONG = auto()


def judge_opening(data: bytes) -> Opening:
    """Whether these are the whole first record of TLS, a part of it, or something else."""
    if data[:1] and data[0] != HANDSHAKE_RECORD:
        return Opening.WRONG
    if len(data) < RECORD_HEADER:
        return Opening.SHORT
    ends = RECORD_HEADER + int.from_bytes(data[3:RECORD_HEADER], "big")
    if ends > MOST:
        return Opening.WRONG
    return Opening.WHOLE if len(data) >= ends else Opening.SHORT


class Visitor:
    """A connection from its arrival to its end; its budget's guest."""

    __slots__ = ("came", "gone", "hello", "socket")

    def __init__(self, accepted: socket.socket, came: float) -> None:
        self.socket = accepted
        self.came = came
        self.hello = b""
        self.gone = False


class Lobby:
    """Waits with visitors; hands over who ``speaks``, says who has ``left`` and whether for being slow."""

    def __init__(self, *, speaks: Callable[[Visitor], None], left: Callable[[Visitor, bool], None]) -> None:
        self._speaks = speaks
        self._left = left
        self._selector: selectors.DefaultSelector | None = None
        self._waiting: dict[Visitor, None] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def open(self) -> None:
        self._selector = selectors.DefaultSelector()
        asyncio.get_running_loop().add_reader(self._selector.fileno(), self._look)

    def close(self) -> None:
        """Let go of everybody; nobody has been promised anything."""
        if self._selector is None:
            return
        for visitor in list(self._waiting):
            self._end(visitor, slow=False)
        asyncio.get_running_loop().remove_reader(self._selector.fileno())
        self._selector.close()
        self._selector = None
        if self._sweeper is not None:
            self._sweeper.cancel()

    def take(self, accepted: socket.socket) -> Visitor:
        accepted.settimeout(0)
        visitor = Visitor(accepted, asyncio.get_running_loop().time())
        if self._selector is None:
            visitor.gone = True
            accepted.close()
            return visitor
        self._selector.register(accepted, selectors.EVENT_READ, visitor)
        self._waiting[visitor] = None
        self._sweep_later()
        return visitor

    def drop(self, visitor: Visitor) -> None:
        """End a visitor who is here, or was here and has no pump yet."""
        self._forget(visitor)
        visitor.gone = True
        visitor.socket.close()

    def _look(self) -> None:
        """Read from everybody who has said something."""
        if self._selector is None:
            return
        for key, _ in self._selector.select(0):
            visitor: Visitor = key.data
            if not visitor.gone:  # sent away by one before it
                self._read(visitor)

    def _read(self, visitor: Visitor) -> None:
        try:
            data = visitor.socket.recv(MOST - len(visitor.hello))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        visitor.hello += data
        opening = judge_opening(visitor.hello)
        if not data or opening is Opening.WRONG:
            log.debug("a peer has gone, or does not speak TLS")
            self._end(visitor, slow=False)
        elif opening is Opening.WHOLE:
            self._forget(visitor)
            self._speaks(visitor)

    def _sweep_later(self) -> None:
        if self._sweeper is None and self._waiting:
            first = next(iter(self._waiting))
            loop = asyncio.get_running_loop()
            due = max(first.came + HANDSHAKE_SECONDS, loop.time() + SWEEP_SECONDS)
            self._sweeper = loop.call_at(due, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        late = asyncio.get_running_loop().time() - HANDSHAKE_SECONDS
        slow = []
        for visitor in self._waiting:
            if visitor.came > late:
                break
            slow.append(visitor)
        try:
            for visitor in slow:
                self._end(visitor, slow=True)
        finally:
            self._sweep_later()

    def _end(self, visitor: Visitor, *, slow: bool) -> None:
        self.drop(visitor)
        self._left(visitor, slow)

    def _forget(self, visitor: Visitor) -> None:
        if visitor in self._waiting and self._selector is not None:
            del self._waiting[visitor]
            self._selector.unregister(visitor.socket)
