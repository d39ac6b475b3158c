"""TLS 1.3 over a plain transport: a pump between a socket and ``ssl.MemoryBIO``.

asyncio's own TLS holds hundreds of KiB per connection; this holds what OpenSSL needs, from a whole
ClientHello on (before it, see ``lobby``). One read buffer serves all connections of a loop: what is
in it is taken at once.
"""

import asyncio
import contextlib
import hashlib
import hmac
import logging
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, cast

from securechat.protocol.limits import (
    ALPN,
    HANDSHAKE_SECONDS,
    LOGIN_SECONDS,
    STRANGER_SECONDS,
)
from securechat.server.certificate import Certificate, read_certificate
from securechat.server.errors import ConfigError
from securechat.server.lobby import Visitor

RECORD: Final = 16 * 1024
"""A TLS record. OpenSSL's memory buffers never shrink, so no more than this is put in at once."""

STRANGERS_PIECE: Final = 1024
"""What OpenSSL is given of a stranger's bytes at a time."""

STRANGERS_READ: Final = 4 * 1024
"""What a stranger has of one turn of the loop, a frame's worth: 64 KiB in records of one byte are 7 ms."""

MAX_BARE: Final = 8 * STRANGERS_PIECE
"""Bytes of a stranger beyond those that say something to us. Both flights of a client are under 3 KiB."""

MAX_BARE_ADMITTED: Final = RECORD + 8 * 1024
"""The same of somebody who has logged in: a whole record may be under way."""

WORTH: Final = 2
"""Bytes that each byte which says something makes up for: a record that holds a Ping is 60 with 38 in it."""

MAX_OWN: Final = 8 * 1024
"""Bytes that OpenSSL sends of its own accord after the handshake: it answers who asks for new keys, 27 bytes
and 20 µs each time. Who means well asks once in gigabytes, if ever."""

READ_BUFFER: Final = 64 * 1024
CLOSE_SECONDS: Final = 5
"""How long a last word may take to reach a slow peer."""

log = logging.getLogger("securechat.server.tls")


def make_context(certificate: Certificate) -> ssl.SSLContext:
    """TLS 1.3 only, X25519 only; no compression, no tickets and so no early data (T-02)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION
    context.num_tickets = 0
    context.set_ecdh_curve("X25519")
    context.set_alpn_protocols([ALPN])
    try:
        context.load_cert_chain(certificate.path)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"{certificate.path} does not hold a certificate and its key: {error}") from None
    return context


def load_certificate(path: Path) -> tuple[Certificate, ssl.SSLContext]:
    """Read a certificate and its key and see a client get through with them, before anybody depends on it.

    :raises ConfigError: says what is wrong with the file
    """
    certificate = read_certificate(path)
    context = make_context(certificate)
    # OpenSSL reads the file a second time: what a login signs must be what peers are shown (T-06).
    if not hmac.compare_digest(hashlib.sha256(_rehearse(path, context)).digest(), certificate.digest):
        raise ConfigError(f"{path} changed while it was read")
    return certificate, context


def _rehearse(path: Path, context: ssl.SSLContext) -> bytes:
    """Shake hands in memory; return the certificate's DER as a client sees it."""
    looks = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    looks.check_hostname = False
    looks.verify_mode = ssl.CERT_NONE  # who trusts it is for the real clients to say
    looks.set_alpn_protocols([ALPN])
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = looks.wrap_bio(to_client, to_server)
    server = context.wrap_bio(to_server, to_client, server_side=True)
    try:
        for side in (client, server, client):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
        return client.getpeercert(binary_form=True) or b""
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"nobody can connect with the certificate in {path}: {error}") from None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a connection is shown, from its first byte to its end, whatever is reloaded meanwhile."""

    certificate: Certificate
    context: ssl.SSLContext = field(repr=False)
    signature: bytes = field(repr=False)
    """By the server's identity key, over the certificate's key."""


class Stream(Protocol):
    """What stands on a pump: told when the line is secured, what comes, and when it ends."""

    def secured(self) -> None: ...

    def received(self, data: bytes) -> None: ...

    def writable(self) -> None:
        """What was queued for the peer has mostly gone."""

    def ended(self) -> None: ...


class Keeper(Protocol):
    """Who let a pump in: counts it, and puts a stream on it."""

    def secured(self, pump: "TlsPump") -> Stream: ...

    def admitted(self, pump: "TlsPump") -> None:
        """It is no stranger's any more."""

    def expired(self) -> None:
        """A deadline has passed; that pump ends at once."""

    def ended(self, pump: "TlsPump") -> None:
        """Once, at the very end."""


class TlsPump(asyncio.BufferedProtocol):
    """One connection. Plain bytes on one side, a socket on the other.

    A stranger's time is short and no byte prolongs it: ``HANDSHAKE_SECONDS`` to the end of the
    handshake, ``STRANGER_SECONDS`` to a first whole request and from one to the next,
    ``LOGIN_SECONDS`` in all.
    """

    __slots__ = (
        "_aborted",
        "_admitted",
        "_bare",
        "_began",
        "_buffer",
        "_deadline",
        "_incoming",
        "_keeper",
        "_outgoing",
        "_own",
        "_secured",
        "_ssl",
        "_stream",
        "_transport",
        "shown",
        "visitor",
    )

    def __init__(self, shown: Shown, visitor: Visitor, buffer: memoryview, keeper: Keeper) -> None:
        """``visitor`` has said a whole ClientHello; ``buffer`` is shared by all pumps of a loop."""
        self.shown = shown
        self.visitor = visitor
        self._keeper = keeper
        self._buffer = buffer
        self._transport: asyncio.Transport | None = None
        self._ssl: ssl.SSLObject | None = None
        self._stream: Stream | None = None
        self._bare = 0
        self._own = 0
        self._secured = False
        self._admitted = False
        self._aborted = False
        self._deadline: asyncio.TimerHandle | None = None
        self._began = visitor.came
        self._end_by(self._began + HANDSHAKE_SECONDS)

    # What the owner of the stream calls.

    @property
    def queued(self) -> int:
        """Bytes that wait for the peer to read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def address(self) -> str:
        """The peer's, without its port; empty where it has gone."""
        known = None if self._transport is None else self._transport.get_extra_info("peername")
        return str(known[0]) if known else ""

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def asked(self) -> None:
        """A stranger has sent a whole request: the time to the next begins, the time in all goes on."""
        if self._admitted:
            return
        now = asyncio.get_running_loop().time()
        self._end_by(min(now + STRANGER_SECONDS, self._began + LOGIN_SECONDS))

    def admitted(self, *, seconds: float | None = None) -> None:
        """Somebody has logged in: no place among strangers, and no deadline but in ``seconds``, if at all."""
        first, self._admitted = not self._admitted, True
        self._end_by(None if seconds is None else asyncio.get_running_loop().time() + seconds)
        if first:
            self._keeper.admitted(self)

    def write(self, data: bytes) -> None:
        """Encrypt and send; record by record, because memory that OpenSSL has taken it keeps."""
        if self._ssl is None or self._transport is None or self._transport.is_closing():
            return
        sealed = []
        for start in range(0, len(data), RECORD):
            self._ssl.write(data[start : start + RECORD])
            sealed.append(self._outgoing.read())
        self._transport.write(sealed[0] if len(sealed) == 1 else b"".join(sealed))

    def pause(self) -> None:
        """Take nothing from the peer until ``resume``: its own socket fills up then."""
        if self.is_open and self._transport is not None and self._transport.is_reading():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self.is_open and self._transport is not None and not self._transport.is_reading():
            self._transport.resume_reading()

    def close(self) -> None:
        """Say that nothing more follows, send what waits, and end."""
        if self._transport is None or self._transport.is_closing():
            return
        if self._ssl is not None and self._secured:
            with contextlib.suppress(ssl.SSLError):
                self._ssl.unwrap()
        self._flush()
        self._transport.close()
        if self.queued:
            last = asyncio.get_running_loop().time() + CLOSE_SECONDS
            self._end_by(last if self._deadline is None else min(last, self._deadline.when()))

    def abort(self) -> None:
        """End at once; what waits is dropped."""
        self._aborted = True
        if self._transport is not None:
            self._transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have all of asyncio.Transport but its name.
        self._transport = cast("asyncio.Transport", transport)
        if self._aborted:  # in the moment before this call
            self._transport.abort()
            return
        hello, self.visitor.hello = self.visitor.hello, b""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = self.shown.context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._feed(self._ssl, memoryview(hello))

    def connection_lost(self, _exc: Exception | None) -> None:
        self._end_by(None)
        self._transport = None
        self._ssl = None
        if self._stream is not None:
            self._stream.ended()
            self._stream = None
        self._keeper.ended(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._buffer if self._admitted else self._buffer[:STRANGERS_READ]

    def buffer_updated(self, nbytes: int) -> None:
        if self._ssl is not None:
            self._feed(self._ssl, self._buffer[:nbytes])

    def eof_received(self) -> None:
        """The peer's end without a close_notify is an end too: every frame has its length."""

    def resume_writing(self) -> None:
        if self._stream is not None:
            self._stream.writable()

    # Inside.

    def _feed(self, tls: ssl.SSLObject, data: memoryview) -> None:
        piece, most = (RECORD, MAX_BARE_ADMITTED) if self._admitted else (STRANGERS_PIECE, MAX_BARE)
        for start in range(0, len(data), piece):
            self._bare += self._incoming.write(data[start : start + piece])
            if not self._turn(tls):
                return
            if self._bare > most:
                # Half a record where a few hundred bytes are due, or records with next to nothing in them.
                self.abort()
                return

    def _end_by(self, when: float | None) -> None:
        """Move the one deadline; None lifts it."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if when is not None:
            self._deadline = asyncio.get_running_loop().call_at(when, self._expire)

    def _expire(self) -> None:
        if not self._admitted:
            self._keeper.expired()
        self.abort()

    def _turn(self, tls: ssl.SSLObject) -> bool:
        """Let OpenSSL work on what came; say whether to go on."""
        try:
            if not self._secured:
                tls.do_handshake()
                if tls.selected_alpn_protocol() != ALPN:
                    # OpenSSL lets a client without a common protocol in; we don't (T-03).
                    log.debug("a peer speaks another protocol")
                    self.close()
                    return False
                self._handshake_done()
            data = self._read(tls)
        except ssl.SSLWantReadError:
            self._flush()
            return True
        except ssl.SSLError as error:
            log.debug("TLS failed: %s", error)
            self.close()  # an alert may wait to be sent
            return False
        bare = self._bare - WORTH * len(data)
        self._bare = bare if bare > 0 else 0  # noqa: FURB136 - with every read, and max() takes twice as long
        self._flush()  # an answer to a key update
        if data and self._stream is not None:
            self._stream.received(data)
        return self.is_open

    def _handshake_done(self) -> None:
        self._flush()
        self._secured = True
        self._bare = 0
        self._end_by(self._began + STRANGER_SECONDS)
        self._stream = self._keeper.secured(self)
        self._stream.secured()

    def _read(self, tls: ssl.SSLObject) -> bytes:
        parts: list[bytes] = []
        try:
            # As a rule there is one record: that nothing follows is seen, and not found out by an exception.
            while part := tls.read(RECORD):
                parts.append(part)
                if not self._incoming.pending and not tls.pending():
                    return parts[0] if len(parts) == 1 else b"".join(parts)
            self.close()  # the peer's close_notify
        except ssl.SSLWantReadError:
            pass
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _flush(self) -> None:
        if self._ssl is not None and self._outgoing.pending and self.is_open and self._transport is not None:
            if self._secured:
                self._own += self._outgoing.pending
            self._transport.write(self._outgoing.read())
            if self._own > MAX_OWN:
                self.abort()
