"""TLS 1.3 with our protocol, or nothing (T-01, T-02, T-03); a port that strangers cannot hold (O-01)."""

import asyncio
import ssl
import warnings
from pathlib import Path

import pytest

from securechat.server import listener, lobby
from securechat.server.app import App
from securechat.server.certificate import make_certificate, read_certificate
from securechat.server.tls import make_context
from tests.server.peer import Peer, client_context
from tests.server.running import running_server
from tests.server.test_listener import complaints_of_ours


async def handshake(app: App, context: ssl.SSLContext) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", app.port, ssl=context)


async def everything(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(10):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_1])
async def test_t_02_older_versions_are_refused(tmp_path: Path, version: ssl.TLSVersion) -> None:
    async with running_server(tmp_path) as app:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = context.maximum_version = version
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await handshake(app, context)


def test_t_02_no_compression_no_tickets_no_early_data_one_curve(tmp_path: Path) -> None:
    make_certificate(tmp_path / "server.pem")
    context = make_context(read_certificate(tmp_path / "server.pem"))
    assert context.minimum_version is context.maximum_version is ssl.TLSVersion.TLSv1_3
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.options & ssl.OP_NO_TICKET
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.num_tickets == 0  # without a ticket nobody has a key for early data


async def test_t_02_another_curve_finds_no_partner(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        context = client_context()
        context.set_ecdh_curve("prime256v1")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await handshake(app, context)


async def test_t_02_nothing_is_given_to_resume_a_session_with(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        peer = await Peer.connect(app.port)
        tls = peer._writer.get_extra_info("ssl_object")
        assert tls.version() == "TLSv1.3"
        assert tls.compression() is None
        assert tls.session is None or not tls.session.has_ticket
        await peer.close()


@pytest.mark.parametrize("protocols", [["h2"], [], ["http/1.1", "h2"], ["securechat/2"]], ids=str)
async def test_t_03_without_our_protocol_the_connection_ends_unread(
    tmp_path: Path, protocols: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async with running_server(tmp_path) as app:
        context = client_context()
        context.set_alpn_protocols(protocols)
        reader, writer = await handshake(app, context)
        writer.write(b"\x00\x00\x00\x01\x80")
        assert await everything(reader) == b""
        assert app.connections == 0
        writer.close()
    assert complaints_of_ours(caplog) == []


@pytest.mark.parametrize(
    "chatter", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"220 mail ESMTP\r\n", b"\x00" * 100]
)
@pytest.mark.parametrize("inside", ["in TLS", "in the clear"])
async def test_t_03_other_protocols_are_closed_and_logged_quietly(
    tmp_path: Path, chatter: bytes, inside: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_server(tmp_path) as app:
        context = client_context() if inside == "in TLS" else None
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port, ssl=context)
        writer.write(chatter)
        await everything(reader)
        writer.close()
        assert app.connections == 0
    assert complaints_of_ours(caplog) == []


async def test_o_01_silence_before_the_handshake_is_ended_and_costs_no_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lobby, "HANDSHAKE_SECONDS", 0.05)
    async with running_server(tmp_path) as app:
        monkeypatch.delattr(ssl.SSLContext, "wrap_bio")  # whoever makes a TLS object fails
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
        assert await everything(reader) == b""
        writer.close()


async def test_o_01_half_a_handshake_is_ended_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lobby, "HANDSHAKE_SECONDS", 0.05)
    async with running_server(tmp_path) as app:
        reader, writer = await asyncio.open_connection("127.0.0.1", app.port)
        writer.write(b"\x16\x03\x01\x02\x00\x01")
        assert await everything(reader) == b""
        writer.close()


async def test_q_04_a_connection_on_which_nothing_comes_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "SILENCE_LIMIT", 0)
    monkeypatch.setattr(listener, "SWEEP_SECONDS", 0.05)
    async with running_server(tmp_path) as app:
        peer = await Peer.connect(app.port)
        await peer.until(lambda: peer.closed is not None)
        assert peer.closed is not None
        assert peer.closed.code == "silent"
