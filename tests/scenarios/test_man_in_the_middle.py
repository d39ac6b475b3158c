"""Somebody stands between client and server, with a certificate of their own (T-04, T-05, T-06)."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from securechat.client.config import Home, ServerAddress
from securechat.client.errors import RefusedByServer, ServerChanged, ServerUntrusted
from securechat.client.keystore import load_keys, unlock
from securechat.client.registration import register
from securechat.client.session import Credentials, Session, SessionLost, SessionReady
from securechat.client.store import ClientStore
from securechat.client.tls import key_context
from securechat.client.trust import Pin, Trust
from securechat.membership.login import fingerprint, server_identity_to_sign
from securechat.membership.signing import new_key, public_of
from securechat.protocol.frames import FrameReader, decode_server_frame, encode_frame
from securechat.protocol.limits import ALPN, MAX_FRAME
from securechat.protocol.messages import ServerFrame, ServerHello
from securechat.server.app import App, running
from securechat.server.certificate import make_certificate, read_certificate
from securechat.server.config import ServerConfig

PASSWORD = "somebody's quite long password"

Change = Callable[[ServerFrame], ServerFrame]


class Middle:
    """Relays both ways; what the server says may be changed. Remembers what the client said."""

    def __init__(self, folder: Path, target: int) -> None:
        self.path = folder / "middle.pem"
        make_certificate(self.path)
        self.certificate = read_certificate(self.path)
        self.identity = new_key()
        self.target = target
        self.change: Change = lambda frame: frame
        self.relayed = bytearray()
        self.port = 0

    def with_own_identity(self, frame: ServerFrame) -> ServerFrame:
        """Keep the real server's nonce and domain, and vouch for the middle's own TLS key."""
        if not isinstance(frame, ServerHello):
            return frame
        to_sign = server_identity_to_sign(spki=self.certificate.spki, domain=frame.domain)
        return msgspec.structs.replace(
            frame, identity_key=public_of(self.identity), identity_signature=self.identity.sign(to_sign)
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target, ssl=key_context())
        back = asyncio.create_task(self._back(far_reader, writer))
        while data := await reader.read(65536):
            self.relayed += data
            far_writer.write(data)
        far_writer.close()
        await back

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = FrameReader(MAX_FRAME)
        while data := await reader.read(65536):
            payloads, _ = frames.receive(data)
            for payload in payloads:
                writer.write(encode_frame(self.change(decode_server_frame(payload))))
        writer.close()


@asynccontextmanager
async def a_middle(folder: Path, target: int) -> AsyncIterator[Middle]:
    middle = Middle(folder, target)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(middle.path)
    context.set_alpn_protocols([ALPN])
    server = await asyncio.start_server(middle.serve, "127.0.0.1", 0, ssl=context)
    middle.port = server.sockets[0].getsockname()[1]
    yield middle
    server.close()


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    # A domain of its own name: one made of the identity key could not be claimed by another key at all.
    config = ServerConfig(data=tmp_path / "server", host="127.0.0.1", port=0, domain="chat.example.org")
    async with running(config) as app:
        yield app


def at(port: int) -> ServerAddress:
    return ServerAddress("127.0.0.1", port)


async def test_a_relayed_hello_proves_nothing(app: App, tmp_path: Path) -> None:
    """The identity key signed the real server's TLS key, and the client sees another."""
    home = Home(tmp_path / "home")
    async with a_middle(tmp_path, app.port) as middle:
        with pytest.raises(ServerUntrusted, match="in between"):
            await register(home, at(middle.port), "alice", PASSWORD, Trust(fingerprint=app.fingerprint))

        assert b"register" not in middle.relayed
        assert not home.profile("alice").exists


async def test_a_known_server_with_another_identity_is_a_hard_stop(app: App, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    await register(home, at(app.port), "alice", PASSWORD, Trust(accept_new=True))
    async with a_middle(tmp_path, app.port) as middle:
        middle.change = middle.with_own_identity
        session = Session(at(middle.port), Trust(accept_new=True), home, credentials_of(home, app))
        session.start()
        lost = await session.events.get()
        await session.close()

        assert isinstance(lost, SessionLost)
        assert isinstance(lost.error, ServerChanged)
        assert lost.error.old == app.fingerprint
        assert lost.error.new == fingerprint(public_of(middle.identity))
        assert b"log_in" not in middle.relayed


async def test_a_login_that_is_relayed_does_not_log_in(app: App, tmp_path: Path) -> None:
    """T-06: even who was talked into trusting the middle signs the middle's certificate, not the server's."""
    home = Home(tmp_path / "home")
    await register(home, at(app.port), "alice", PASSWORD, Trust(accept_new=True))
    async with a_middle(tmp_path, app.port) as middle:
        middle.change = middle.with_own_identity
        trusting = Trust(fingerprint=fingerprint(public_of(middle.identity)))
        session = Session(at(middle.port), trusting, home, credentials_of(home, app))
        session.start()
        lost = await session.events.get()
        await session.close()

        assert isinstance(lost, SessionLost)
        assert isinstance(lost.error, RefusedByServer)
        assert lost.error.code == "wrong_credentials"
        assert b"log_in" in middle.relayed

    session = Session(at(app.port), Trust(), home, credentials_of(home, app))
    session.start()
    assert isinstance(await session.events.get(), SessionReady)
    await session.close()


async def test_a_registration_that_is_relayed_makes_no_account(app: App, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    async with a_middle(tmp_path, app.port) as middle:
        middle.change = middle.with_own_identity
        trusting = Trust(fingerprint=fingerprint(public_of(middle.identity)))
        with pytest.raises(RefusedByServer):
            await register(home, at(middle.port), "alice", PASSWORD, trusting)

    await register(Home(tmp_path / "another"), at(app.port), "alice", PASSWORD, Trust(accept_new=True))


def credentials_of(home: Home, app: App) -> Credentials:
    profile = home.profile("alice")
    with ClientStore(profile.database, unlock(profile, PASSWORD)) as store:
        keys = load_keys(store)
    assert keys.server_key == app.identity.public_key
    return Credentials(
        user="alice",
        client=keys.client,
        server=Pin(keys.server_key, keys.domain),
        device_key=keys.device_key,
    )
