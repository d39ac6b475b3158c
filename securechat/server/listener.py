"""Opens the port, lets connections in as the budget allows, and ends what stays silent.

It accepts by its own hand: a loop's server would answer a want of file descriptors with a line in the
log per attempt, or by closing the port, and would make a transport before anybody could say no.
"""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
import time
from collections import deque
from dataclasses import dataclass
from typing import Final

import msgspec

from securechat.protocol.limits import SILENCE_LIMIT
from securechat.server.budget import Budget, Stage, source_of
from securechat.server.certificate import Certificate
from securechat.server.config import Connections
from securechat.server.descriptors import connections_that_fit
from securechat.server.desk import Desk
from securechat.server.errors import ConfigError
from securechat.server.faults import survived
from securechat.server.lobby import Lobby, Visitor
from securechat.server.memory import Crowd, give_back
from securechat.server.session import Session
from securechat.server.tls import READ_BUFFER, Shown, TlsPump

BACKLOG: Final = 1_024
SWEEP_SECONDS: Final = 5

ACCEPTED_AT_ONCE: Final = 64
"""Connections taken in one go, before others get their turn."""

HANDSHAKES_AT_ONCE: Final = 8
"""Handshakes in one turn of the loop, half a millisecond each: who has logged in waits no longer."""

HANDSHAKES_WAITING: Final = 128
"""While more wait for their turn, newcomers wait in the kernel: the oldest shall not go for the newest."""

WITHOUT_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
PAUSE_SECONDS: Final = 0.1
"""Until the next attempt to accept, where the system has no room."""

QUIET_SECONDS: Final = 60
"""Between two lines in the log about the same want."""

UNSENT_BYTES: Final = 128 * 1024
"""What the kernel takes for a peer beyond what is under way; the rest waits here, counted (O-03)."""

log = logging.getLogger("securechat.server.listener")


@dataclass(frozen=True, slots=True)
class ListenerStatus:
    """Numbers for people and metrics."""

    open: int
    before_login: int
    sources: int
    """Addresses that strangers come from."""
    handshakes_waiting: int
    most: int
    """The cap on all connections, as the system's limits leave it."""


class Listener:
    """One port on one or two addresses (localhost is IPv4 and IPv6)."""

    def __init__(
        self,
        desk: Desk,
        certificate: Certificate,
        context: ssl.SSLContext,
        caps: Connections,
    ) -> None:
        self._desk = desk
        self._caps = msgspec.structs.replace(caps, total=connections_that_fit(caps.total))
        self._budget: Budget[Visitor] = Budget(self._caps)
        self._lobby = Lobby(speaks=self._speaks, left=self._left)
        self._buffer = memoryview(bytearray(READ_BUFFER))
        self._listening: list[socket.socket] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._opening: set[asyncio.Task[object]] = set()
        self._waiting: deque[Visitor] = deque()
        self._has_turn: asyncio.Handle | None = None
        self._calm = asyncio.Event()
        self._calm.set()
        self._sweeper: asyncio.TimerHandle | None = None
        self._pumps: dict[Visitor, TlsPump] = {}
        self._crowd = Crowd()
        self._empty = asyncio.Event()
        self._complained = float("-inf")
        self.port = 0
        self.reload(certificate, context)

    def reload(self, certificate: Certificate, context: ssl.SSLContext) -> None:
        """Show newcomers this certificate; connections that are there keep what they were shown (T-06)."""
        self._shown = Shown(certificate, context, self._desk.identity.sign_certificate(certificate))

    def status(self) -> ListenerStatus:
        return ListenerStatus(
            open=self._open_sockets,
            before_login=self._budget.strangers,
            sources=self._budget.sources,
            handshakes_waiting=len(self._waiting),
            most=self._caps.total,
        )

    @property
    def _open_sockets(self) -> int:
        return len(self._lobby) + len(self._waiting) + len(self._pumps)

    async def open(self, host: str, port: int) -> None:
        """Listen; ``port`` 0 takes a free one.

        :raises ConfigError: the address can't be used
        """
        try:
            for opened in _sockets(host, port):
                self._listening.append(opened)
                opened.listen(BACKLOG)
                self.port = opened.getsockname()[1]
        except OSError as error:
            self.stop_listening()
            raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}") from None
        self._lobby.open()
        self._tasks = [asyncio.create_task(self._accept(opened)) for opened in self._listening]
        self._sweep()

    def stop_listening(self) -> None:
        for task in self._tasks:
            task.cancel()
        for opened in self._listening:
            opened.close()
        self._listening.clear()
        self._lobby.close()
        while self._waiting:
            self._lobby.drop(self._waiting.popleft())
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def emptied(self) -> None:
        """Wait until no connection is left."""
        while self._pumps:
            self._empty.clear()
            await self._empty.wait()

    def abort(self) -> None:
        for pump in list(self._pumps.values()):
            pump.abort()

    # Letting in.

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            await self._calm.wait()
            try:
                await self._accept_some(listening)
            except Exception as error:  # noqa: BLE001 - a task's root: a mistake of ours does not shut the port
                survived(self._desk.counters, log, "letting in", error)
                await asyncio.sleep(PAUSE_SECONDS)

    async def _accept_some(self, listening: socket.socket) -> None:
        try:
            self._let_in(*await asyncio.get_running_loop().sock_accept(listening))
            for _ in range(ACCEPTED_AT_ONCE):
                self._let_in(*listening.accept())
        except BlockingIOError:
            pass  # that was all
        except OSError as error:
            if error.errno in WITHOUT_DESCRIPTORS:
                await self._without_descriptors(error)
            # Anything else is the end of a connection that was not one yet (accept(2)).

    def _let_in(self, accepted: socket.socket, address: tuple[str, int]) -> None:
        counters = self._desk.counters
        try:
            source = source_of(address[0])
            room = self._budget.judge(source)
        except BaseException:
            accepted.close()
            raise
        if room.reason:
            counters.connections_refused[room.reason] += 1
        if room.refused:
            accepted.close()
            return
        if room.leaves is not None:
            self._send_away(room.leaves)
        counters.connections_accepted += 1
        self._budget.enter(source, self._lobby.take(accepted))
        self._crowd.grew(self._open_sockets)

    def _send_away(self, visitor: Visitor) -> None:
        self._budget.leave(visitor)
        pump = self._pumps.get(visitor)
        if pump is not None:
            pump.abort()
        else:
            self._lobby.drop(visitor)

    async def _without_descriptors(self, error: OSError) -> None:
        """Make room among strangers and try again in a moment; say so once a minute."""
        self._desk.counters.connections_refused["descriptors"] += 1
        if time.monotonic() - self._complained > QUIET_SECONDS:
            self._complained = time.monotonic()
            log.warning("cannot accept connections: %s (%d are open)", error.strerror, self._open_sockets)
        expendable = self._budget.expendable()
        if expendable is not None:
            self._send_away(expendable)
        await asyncio.sleep(PAUSE_SECONDS)

    # What the lobby says.

    def _left(self, visitor: Visitor, slow: bool) -> None:  # noqa: FBT001 - a callback's
        self._budget.leave(visitor)
        if slow:
            self.expired()

    def _speaks(self, visitor: Visitor) -> None:
        """A whole ClientHello is here: the handshake begins when it is its turn."""
        self._budget.advance(visitor, Stage.SPEAKING)
        self._waiting.append(visitor)
        if len(self._waiting) > HANDSHAKES_WAITING:
            self._calm.clear()
        self._take_turns()

    def _take_turns(self) -> None:
        if self._has_turn is None and self._waiting:
            self._has_turn = asyncio.get_running_loop().call_soon(self._begin_handshakes)

    def _begin_handshakes(self) -> None:
        self._has_turn = None
        for _ in range(min(HANDSHAKES_AT_ONCE, len(self._waiting))):
            visitor = self._waiting.popleft()
            if not visitor.gone:
                self._begin(visitor)
        if len(self._waiting) <= HANDSHAKES_WAITING:
            self._calm.set()
        self._take_turns()

    def _begin(self, visitor: Visitor) -> None:
        pump = self._pumps[visitor] = TlsPump(self._shown, visitor, self._buffer, self)
        opening = asyncio.create_task(self._open(pump))
        self._opening.add(opening)
        opening.add_done_callback(self._opening.discard)

    async def _open(self, pump: TlsPump) -> None:
        accepted = pump.visitor.socket
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: pump, accepted)
        except OSError as error:  # it ended before its transport was made
            log.debug("a connection could not be taken up: %s", error)
            accepted.close()
            pump.connection_lost(error)
        except Exception as error:  # noqa: BLE001 - a task's root: nobody else would take it off the budget
            survived(self._desk.counters, log, "letting in", error)
            accepted.close()
            pump.connection_lost(error)

    # What pumps tell their keeper.

    def secured(self, pump: TlsPump) -> Session:
        self._desk.counters.handshakes += 1
        self._budget.advance(pump.visitor, Stage.SECURED)
        return Session(self._desk, pump, pump.shown.certificate, pump.shown.signature)

    def admitted(self, pump: TlsPump) -> None:
        self._budget.admit(pump.visitor)

    def expired(self) -> None:
        self._desk.counters.connections_refused["slow"] += 1

    def ended(self, pump: TlsPump) -> None:
        self._budget.leave(pump.visitor)
        self._pumps.pop(pump.visitor, None)
        if not self._pumps:
            self._empty.set()

    def _sweep(self) -> None:
        """Let go of connections on which nothing has come for too long (Q-04)."""
        loop = asyncio.get_running_loop()
        self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep)
        # Looked at every few seconds, so a little earlier: the limit is when it has ended.
        since = loop.time() - (SILENCE_LIMIT - SWEEP_SECONDS)
        silent = [session for session in self._desk.sessions if session.heard < since]
        for session in silent:
            try:
                session.bid_farewell("silent")
            except Exception as error:  # noqa: BLE001 - a timer's root: the others are let go of too
                survived(self._desk.counters, log, "letting go", error)
        if self._crowd.has_gone(self._open_sockets):
            loop.run_in_executor(None, give_back)


def _sockets(host: str, port: int) -> list[socket.socket]:
    """Bound sockets for all addresses of a host, on one port."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in found:
            bound = opened[0].getsockname()[1] if opened else port
            listening = socket.socket(family, kind, protocol)
            try:
                listening.settimeout(0)
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # connections inherit it
                    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)
                if family == socket.AF_INET6:
                    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listening.bind((address[0], bound, *address[2:]))
            except OSError as error:
                listening.close()
                # Where a machine has no IPv6, localhost is the other address alone.
                if opened and error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                    continue
                raise
            opened.append(listening)
    except OSError:
        for listening in opened:
            with contextlib.suppress(OSError):
                listening.close()
        raise
    return opened
