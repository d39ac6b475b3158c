"""A certificate is renewed while the server runs: all stay, each with the certificate it saw (T-06)."""

import asyncio
import hashlib
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from securechat.client.config import ServerAddress
from securechat.client.tls import Certificate
from securechat.client.trust import check_proof
from securechat.protocol import messages as m
from securechat.server import certificate, tls
from securechat.server.certificate import Certificate as ServerCertificate
from securechat.server.certificate import make_certificate, read_certificate
from securechat.server.config import Rate
from securechat.server.errors import ConfigError
from securechat.server.tls import load_certificate
from tests.server.peer import Peer, registered
from tests.server.running import running_server

LIVE = 50


def renew(path: Path) -> None:
    """Put a new certificate in the place of the old, as an administrator does."""
    fresh = path.with_name("fresh.pem")
    make_certificate(fresh)
    fresh.replace(path)


def shown(peer: Peer) -> bytes:
    return hashlib.sha256(der_of(peer)).digest()


def der_of(peer: Peer) -> bytes:
    found: ssl.SSLObject = peer._writer.get_extra_info("ssl_object")
    return found.getpeercert(binary_form=True) or b""


async def test_t_06_fifty_connections_outlive_a_renewal_and_newcomers_see_the_new_one(tmp_path: Path) -> None:
    rates = {"registrations_by_address": Rate(burst=1_000, per_second=1_000)}
    async with running_server(tmp_path, rates=rates) as app:
        names = [f"user{number}" for number in range(LIVE)]
        async with registered(app, *names) as people:
            before = shown(people[0][1])
            renew(tmp_path / "server.pem")
            app.reload()
            answers = await asyncio.gather(*(peer.ask(m.Ping()) for _, peer in people))
            assert answers == [m.Done()] * LIVE
            assert [peer.closed for _, peer in people] == [None] * LIVE
            newcomer = await Peer.connect(app.port)
            assert shown(newcomer) != before
            assert shown(newcomer) == app.certificate.digest
            await newcomer.log_in(people[0][0])
            await newcomer.close()


async def test_t_06_who_saw_the_old_certificate_logs_in_with_it(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:
        early = await Peer.connect(app.port)
        renew(tmp_path / "server.pem")
        app.reload()
        await early.log_in(alice)
        assert await early.ask(m.Ping()) == m.Done()
        await early.close()


async def test_t_06_a_renewal_in_the_middle_of_a_handshake_changes_nothing_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection_made = tls.TlsPump.connection_made

    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:

        def renewed_after(pump: tls.TlsPump, transport: asyncio.BaseTransport) -> None:
            connection_made(pump, transport)
            renew(tmp_path / "server.pem")
            app.reload()

        old = app.certificate.digest
        monkeypatch.setattr(tls.TlsPump, "connection_made", renewed_after)
        peer = await Peer.connect(app.port)
        assert shown(peer) == old != app.certificate.digest
        await peer.log_in(alice)
        await peer.close()


async def test_t_06_the_identity_signs_the_key_that_is_shown(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app:
        for _ in range(2):
            peer = await Peer.connect(app.port)
            assert peer.hello is not None
            seen = Certificate(der_of(peer))
            assert seen.spki == app.certificate.spki
            check_proof(ServerAddress("localhost", app.port), peer.hello, seen)
            await peer.close()
            renew(tmp_path / "server.pem")
            app.reload()


async def test_t_06_a_broken_file_keeps_the_old_certificate(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, peer)]:
        old = app.certificate
        for breaks in BROKEN.values():
            breaks(tmp_path / "server.pem")
            app.reload()
            assert app.certificate == old
            newcomer = await Peer.connect(app.port)
            assert shown(newcomer) == old.digest
            await newcomer.close()
        assert await peer.ask(m.Ping()) == m.Done()


def write(path: Path, data: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    path.chmod(0o600)


def with_another_key(path: Path) -> None:
    make_certificate(other := path.with_name("other.pem"))
    private = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    data = other.read_bytes()
    other.unlink()
    write(path, private + data[data.index(b"-----BEGIN CERTIFICATE") :])


def without_its_key(path: Path) -> None:
    make_certificate(other := path.with_name("other.pem"))
    data = other.read_bytes()
    other.unlink()
    write(path, data[data.index(b"-----BEGIN CERTIFICATE") :])


def cut_off(path: Path) -> None:
    make_certificate(other := path.with_name("other.pem"))
    write(path, other.read_bytes()[:-100])
    other.unlink()


def open_to_all(path: Path) -> None:
    make_certificate(other := path.with_name("other.pem"))
    write(path, other.read_bytes())
    other.unlink()
    path.chmod(0o644)


BROKEN: dict[str, Callable[[Path], None]] = {
    "nothing there": lambda path: path.unlink(missing_ok=True),
    "empty": lambda path: write(path, b""),
    "no PEM": lambda path: write(path, b"\x00\xff" * 100),
    "cut off": cut_off,
    "another key": with_another_key,
    "no key": without_its_key,
    "open to all": open_to_all,
}


@pytest.mark.parametrize("breaks", BROKEN.values(), ids=BROKEN.keys())
def test_t_06_a_broken_file_is_named(tmp_path: Path, breaks: Callable[[Path], None]) -> None:
    breaks(tmp_path / "server.pem")
    with pytest.raises(ConfigError, match=r"server\.pem"):
        load_certificate(tmp_path / "server.pem")


def test_t_06_a_file_that_changes_while_it_is_read_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "server.pem"
    make_certificate(path)
    make_context = tls.make_context

    def renewed_first(certificate: ServerCertificate) -> ssl.SSLContext:
        renew(path)
        return make_context(certificate)

    monkeypatch.setattr(tls, "make_context", renewed_first)
    with pytest.raises(ConfigError, match="changed"):
        load_certificate(path)


async def test_our_own_certificate_is_renewed_by_itself_and_drops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, peer)]:
        before = app.certificate
        app._renew()
        assert app.certificate == before
        monkeypatch.setattr("securechat.server.app.now", lambda: before.not_after)
        app._renew()
        assert (app.certificate.spki, app.certificate.digest != before.digest) == (before.spki, True)
        assert await peer.ask(m.Ping()) == m.Done()
        newcomer = await Peer.connect(app.port)
        assert shown(newcomer) == app.certificate.digest
        await newcomer.log_in(alice)
        await newcomer.close()


async def test_a_renewal_that_cannot_be_written_leaves_the_server_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_certificate(tmp_path / "server.pem")
    ends = read_certificate(tmp_path / "server.pem").not_after
    monkeypatch.setattr("securechat.server.app.now", lambda: ends)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "permission denied")

    monkeypatch.setattr(certificate, "replace_file", refuse)
    async with running_server(tmp_path) as app:
        peer = await Peer.connect(app.port)
        assert shown(peer) == app.certificate.digest
        await peer.close()
