"""A server that does exactly what a test says, and remembers every byte it was told."""

import asyncio
import contextlib
import hashlib
import secrets
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from securechat.client.config import ServerAddress
from securechat.membership.login import domain_of, fingerprint, server_identity_to_sign
from securechat.membership.signing import new_key, public_of
from securechat.protocol.limits import ALPN
from securechat.protocol.messages import (
    Answer,
    Done,
    LoggedIn,
    LogIn,
    Refused,
    Register,
    RequestBody,
    ServerHello,
)
from securechat.protocol.server_connection import Greeted, Requested, ServerConnection
from tests.held_port import HeldPort

DROP = "drop"
SILENCE = "silence"
Reply = Answer | Refused | str
Script = Callable[[RequestBody], Reply]


def welcome(body: RequestBody) -> Reply:
    """Say yes to everything, as a server without memory would."""
    if isinstance(body, Register | LogIn):
        return LoggedIn(body.user, body.client, 0, 1, 0, 0, 0)
    return Done()


@dataclass
class Rogue:
    """Its knobs may be turned while it runs; each new connection takes them as they are then."""

    certificate: Path
    identity: Ed25519PrivateKey = field(default_factory=new_key)
    domain: str | None = None
    signed_spki: bytes | None = None
    alpn: tuple[str, ...] = (ALPN,)
    script: Script = welcome
    greets: bool = True
    first_bytes: bytes = b""
    with_login: bytes = b""
    nonces: list[bytes] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)
    asked: list[RequestBody] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    held: HeldPort = field(default_factory=HeldPort)
    """Its own, and that of who takes its place."""

    @property
    def port(self) -> int:
        return self.held.number

    @property
    def address(self) -> ServerAddress:
        return ServerAddress("localhost", self.port)

    @property
    def fingerprint(self) -> str:
        return fingerprint(public_of(self.identity))

    @property
    def own_domain(self) -> str:
        return self.domain or domain_of(public_of(self.identity))

    @property
    def certificate_hash(self) -> bytes:
        return hashlib.sha256(self._parsed.public_bytes(Encoding.DER)).digest()

    @property
    def spki(self) -> bytes:
        return self._parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def _parsed(self) -> x509.Certificate:
        return x509.load_pem_x509_certificate(self.certificate.read_bytes())

    def hello(self) -> ServerHello:
        to_sign = server_identity_to_sign(spki=self.signed_spki or self.spki, domain=self.own_domain)
        self.nonces.append(secrets.token_bytes(32))
        proof = self.identity.sign(to_sign)
        return ServerHello(1, self.own_domain, public_of(self.identity), proof, self.nonces[-1])

    def hang_up(self, code: str) -> None:
        """Say goodbye on the newest connection."""
        self.connections[-1].close(code)
        self.writers[-1].write(self.connections[-1].data_to_send())
        self.writers[-1].close()

    def push(self, frame: bytes) -> None:
        """Push an encoded frame on the newest connection."""
        self.connections[-1].deliver(frame)
        self.writers[-1].write(self.connections[-1].data_to_send())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = ServerConnection()
        self.connections.append(connection)
        self.writers.append(writer)
        writer.write(self.first_bytes)
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(65536):
                self.received += data
                for event in connection.receive_data(data) if self.greets else ():
                    if isinstance(event, Greeted):
                        connection.greet(self.hello())
                    elif isinstance(event, Requested) and not self._answer(connection, event):
                        writer.transport.abort()
                        return
                writer.write(connection.data_to_send())
        writer.close()

    def _answer(self, connection: ServerConnection, request: Requested) -> bool:
        self.asked.append(request.body)
        match self.script(request.body):
            case "drop":
                return False
            case "silence":
                return True
            case Refused() as no:
                connection.refuse(Refused(request.id, no.code, no.text, no.head, no.detail, no.retry_after))
            case str():
                raise AssertionError
            case answer:
                connection.respond(request.id, answer)
                if isinstance(answer, LoggedIn):
                    connection.logged_in()
                    if self.with_login:
                        connection.deliver(self.with_login)
        return True


@contextlib.asynccontextmanager
async def running(rogue: Rogue) -> AsyncIterator[Rogue]:
    """Run a rogue on its port of localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(rogue.certificate)
    if rogue.alpn:
        context.set_alpn_protocols(list(rogue.alpn))
    # What a refusing client does to a handshake is not this server's concern.
    asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)
    server = await asyncio.start_server(rogue.serve, "127.0.0.1", rogue.port, ssl=context)
    try:
        yield rogue
    finally:
        server.close()
        for writer in rogue.writers:
            writer.transport.abort()
