"""Opens the port and hands each connection to a pump; ends what stays silent."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from typing import Final

from securechat.protocol.limits import HANDSHAKE_SECONDS, SILENCE_LIMIT
from securechat.server.certificate import Certificate
from securechat.server.errors import ConfigError
from securechat.server.session import Desk, Session
from securechat.server.tls import READ_BUFFER, TlsPump

BACKLOG: Final = 1_024
SWEEP_SECONDS: Final = 5

log = logging.getLogger("securechat.server.listener")


class Listener:
    """One port on one or two addresses (localhost is IPv4 and IPv6)."""

    def __init__(self, desk: Desk, certificate: Certificate, context: ssl.SSLContext) -> None:
        self._desk = desk
        self._certificate = certificate
        self._context = context
        self._signature = desk.identity.sign_certificate(certificate)
        self._buffer = memoryview(bytearray(READ_BUFFER))
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._pumps: set[TlsPump] = set()
        self._empty = asyncio.Event()
        self.port = 0

    async def open(self, host: str, port: int) -> None:
        """Listen; ``port`` 0 takes a free one.

        :raises ConfigError: the address can't be used
        """
        loop = asyncio.get_running_loop()
        try:
            for opened in _sockets(host, port):
                self._servers.append(await loop.create_server(self._pump, sock=opened, backlog=BACKLOG))
                self.port = opened.getsockname()[1]
        except OSError as error:
            raise ConfigError(f"cannot listen on {host} port {port}: {error.strerror}") from None
        self._sweep()

    def stop_listening(self) -> None:
        for server in self._servers:
            server.close()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def emptied(self) -> None:
        """Wait until no connection is left."""
        while self._pumps:
            self._empty.clear()
            await self._empty.wait()

    def abort(self) -> None:
        for pump in list(self._pumps):
            pump.abort()

    def _pump(self) -> TlsPump:
        pump = TlsPump(self._context, self._buffer, self._session, self._ended)
        self._pumps.add(pump)
        pump.deadline(HANDSHAKE_SECONDS)
        return pump

    def _ended(self, pump: TlsPump) -> None:
        self._pumps.discard(pump)
        if not self._pumps:
            self._empty.set()

    def _session(self, pump: TlsPump) -> Session:
        return Session(self._desk, pump, self._certificate, self._signature)

    def _sweep(self) -> None:
        """Let go of connections on which nothing has come for too long (Q-04)."""
        loop = asyncio.get_running_loop()
        silent = [session for session in self._desk.sessions if loop.time() - session.heard > SILENCE_LIMIT]
        for session in silent:
            session.bid_farewell("silent")
        self._sweeper = loop.call_later(SWEEP_SECONDS, self._sweep)


def _sockets(host: str, port: int) -> list[socket.socket]:
    """Bound sockets for all addresses of a host, on one port."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    opened: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in found:
            bound = opened[0].getsockname()[1] if opened else port
            listening = socket.socket(family, kind, protocol)
            try:
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
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
