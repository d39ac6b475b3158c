"""TLS 1.3 over a plain transport: a pump between a socket and ``ssl.MemoryBIO``.

asyncio's own TLS holds hundreds of KiB per connection; this holds what OpenSSL needs. The
``SSLObject`` is made when the first byte comes, so a socket that says nothing costs next to
nothing (O-01). One read buffer serves all connections of a loop: what is in it is taken at once.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Callable
from typing import Final, Protocol, cast

from securechat.protocol.limits import ALPN
from securechat.server.certificate import Certificate
from securechat.server.errors import ConfigError

RECORD: Final = 16 * 1024
"""A TLS record. OpenSSL's memory buffers never shrink, so no more than this is put in at once."""

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


class Stream(Protocol):
    """What stands on a pump: told when the line is secured, what comes, and when it ends."""

    def secured(self) -> None: ...

    def received(self, data: bytes) -> None: ...

    def writable(self) -> None:
        """What was queued for the peer has mostly gone."""

    def ended(self) -> None: ...


class TlsPump(asyncio.BufferedProtocol):
    """One connection. Plain bytes on one side, a socket on the other."""

    __slots__ = (
        "_buffer",
        "_context",
        "_deadline",
        "_ended",
        "_incoming",
        "_make_stream",
        "_outgoing",
        "_secured",
        "_ssl",
        "_stream",
        "_transport",
    )

    def __init__(
        self,
        context: ssl.SSLContext,
        buffer: memoryview,
        make_stream: Callable[["TlsPump"], Stream],
        ended: Callable[["TlsPump"], None],
    ) -> None:
        """``buffer`` is shared by all pumps of a loop; ``ended`` is told once, at the very end."""
        self._context = context
        self._ended = ended
        self._buffer = buffer
        self._make_stream = make_stream
        self._transport: asyncio.Transport | None = None
        self._ssl: ssl.SSLObject | None = None
        self._stream: Stream | None = None
        self._secured = False
        self._deadline: asyncio.TimerHandle | None = None

    # What the owner of the stream calls.

    @property
    def queued(self) -> int:
        """Bytes that wait for the peer to read."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def deadline(self, seconds: float | None) -> None:
        """End the connection unless a later call comes first; None lifts it."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None:
            self._deadline = asyncio.get_running_loop().call_later(seconds, self.abort)

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
            self.deadline(CLOSE_SECONDS)

    def abort(self) -> None:
        """End at once; what waits is dropped."""
        if self._transport is not None:
            self._transport.abort()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports have all of asyncio.Transport but its name.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        self.deadline(None)
        self._transport = None
        self._ssl = None
        if self._stream is not None:
            self._stream.ended()
            self._stream = None
        self._ended(self)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._ssl is None:
            self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._ssl = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        for start in range(0, nbytes, RECORD):
            self._incoming.write(self._buffer[start : min(start + RECORD, nbytes)])
            if not self._turn(self._ssl):
                return

    def eof_received(self) -> None:
        """The peer's end without a close_notify is an end too: every frame has its length."""

    def resume_writing(self) -> None:
        if self._stream is not None:
            self._stream.writable()

    # Inside.

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
        self._flush()  # an answer to a key update
        if data and self._stream is not None:
            self._stream.received(data)
        return self.is_open

    def _handshake_done(self) -> None:
        self._secured = True
        self._flush()
        self._stream = self._make_stream(self)
        self._stream.secured()

    def _read(self, tls: ssl.SSLObject) -> bytes:
        parts: list[bytes] = []
        try:
            while part := tls.read(RECORD):
                parts.append(part)
            self.close()  # the peer's close_notify
        except ssl.SSLWantReadError:
            pass
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _flush(self) -> None:
        if self._ssl is not None and self._outgoing.pending and self.is_open and self._transport is not None:
            self._transport.write(self._outgoing.read())
