"""A server is judged over real TLS before it is told anything but Hello (T-03, T-04, T-05)."""

import asyncio
import datetime as dt
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from securechat.client.config import Home, ServerAddress
from securechat.client.connect import open_trusted
from securechat.client.errors import ServerChanged, ServerUntrusted, Unreachable
from securechat.client.link import Link
from securechat.client.trust import Pin, Pins, Trust
from securechat.membership.signing import new_key, public_of
from securechat.protocol.limits import ALPN
from tests.client.certificates import CLIENT, DAY, NOW, Authority, self_signed
from tests.client.rogue import Rogue, running


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "certificates").mkdir()
    return tmp_path / "certificates"


@pytest.fixture
def authority(folder: Path) -> Authority:
    return Authority(folder)


@asynccontextmanager
async def self_signed_server(folder: Path) -> AsyncIterator[Rogue]:
    async with running(Rogue(self_signed(folder))) as rogue:
        yield rogue


async def opened(rogue: Rogue, home: Home, trust: Trust, *, pin: Pin | None = None) -> Link:
    link = await open_trusted(rogue.address, home, trust, account_pin=pin)
    await link.close()
    return link


def told(rogue: Rogue) -> bool:
    """Whether the server heard anything beyond Hello."""
    return bool(rogue.asked)


async def test_a_server_an_authority_vouches_for_needs_no_question_and_is_pinned(
    home: Home, authority: Authority
) -> None:
    async with running(Rogue(authority.leaf("localhost"))) as rogue:
        link = await opened(rogue, home, Trust(cafile=authority.cafile))

        assert link.hello.domain == rogue.own_domain
        assert link.certificate.hash == rogue.certificate_hash
        assert Pins(home).get(rogue.address) == Pin(public_of(rogue.identity), rogue.own_domain)


BAD_CERTIFICATES: dict[str, tuple[Callable[[Authority], Path], str]] = {
    "wrong name": (lambda ca: ca.leaf("elsewhere.example"), "another host"),
    "expired": (lambda ca: ca.leaf("localhost", valid=(NOW - 2 * DAY, NOW - DAY)), "expired"),
    "not yet valid": (lambda ca: ca.leaf("localhost", valid=(NOW + DAY, NOW + 2 * DAY)), "not valid yet"),
    "for clients": (lambda ca: ca.leaf("localhost", purposes=CLIENT), "not meant for a server"),
    "an authority": (lambda ca: ca.leaf("localhost", ca=True), "of an authority"),
    "nul": (lambda ca: ca.leaf("localhost\0.evil.example"), "another host"),
    "nul beside the name": (lambda ca: ca.leaf("localhost\0.evil.example", "localhost"), "very name"),
    "no name": (lambda ca: ca.leaf(), "another host"),
}


@pytest.mark.parametrize("kind", BAD_CERTIFICATES)
async def test_a_certificate_that_is_not_this_servers_ends_it(
    home: Home, authority: Authority, kind: str
) -> None:
    """T-04: with an authority asked for, each is refused and no byte of a credential is sent."""
    leaf, reason = BAD_CERTIFICATES[kind]
    async with running(Rogue(leaf(authority))) as rogue:
        with pytest.raises(ServerUntrusted, match=reason) as refused:
            await opened(rogue, home, Trust(cafile=authority.cafile, accept_new=True))

        assert refused.value.exit_code == 4
        assert not told(rogue)
        assert Pins(home).get(rogue.address) is None


async def test_a_wildcard_is_not_the_name(
    home: Home, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-04: the standard library takes a matching wildcard; we do not."""
    loop = asyncio.get_running_loop()
    create = loop.create_connection

    async def to_localhost(factory: Any, _host: str, port: int, **options: Any) -> Any:
        return await create(factory, "127.0.0.1", port, **options)

    async with running(Rogue(authority.leaf("*.example.org"))) as rogue:
        monkeypatch.setattr(loop, "create_connection", to_localhost)
        with pytest.raises(ServerUntrusted, match="very name"):
            await open_trusted(
                ServerAddress("chat.example.org", rogue.port), home, Trust(cafile=authority.cafile)
            )
        assert not told(rogue)


async def test_with_an_authority_a_self_signed_or_foreign_certificate_is_refused(
    home: Home, authority: Authority, folder: Path
) -> None:
    """T-04: no question, and no bytes at all."""
    other = Authority(folder, "other")
    for certificate in (self_signed(folder), other.leaf("localhost")):
        async with running(Rogue(certificate)) as rogue:
            with pytest.raises(ServerUntrusted, match="not trusted"):
                await opened(rogue, home, Trust(cafile=authority.cafile, accept_new=True, confirm=yes))
            assert not rogue.received


async def test_a_private_authoritys_server_is_not_asked_about(home: Home, authority: Authority) -> None:
    """Somebody vouches for it whom this machine does not know: name the authority, or the fingerprint."""
    async with running(Rogue(authority.leaf("localhost"))) as rogue:
        with pytest.raises(ServerUntrusted, match="authority this machine does not know"):
            await opened(rogue, home, Trust(confirm=yes))
        await opened(rogue, home, Trust(fingerprint=rogue.fingerprint))


asked: list[str] = []


async def yes(fingerprint: str) -> bool:
    asked.append(fingerprint)
    return True


async def no(fingerprint: str) -> bool:
    asked.append(fingerprint)
    return False


async def test_a_self_signed_server_is_asked_about_once_and_pinned(home: Home, folder: Path) -> None:
    """T-05."""
    asked.clear()
    async with self_signed_server(folder) as rogue:
        await opened(rogue, home, Trust(confirm=yes))
        await opened(rogue, home, Trust(confirm=no))
        await opened(rogue, home, Trust())

        assert asked == [rogue.fingerprint]


async def test_a_no_leaves_no_pin(home: Home, folder: Path) -> None:
    asked.clear()
    async with self_signed_server(folder) as rogue:
        for trust in (Trust(confirm=no), Trust()):
            with pytest.raises(ServerUntrusted, match="--fingerprint") as refused:
                await opened(rogue, home, trust)
            assert refused.value.fingerprint == rogue.fingerprint
        assert Pins(home).get(rogue.address) is None
        assert not told(rogue)


async def test_the_account_remembers_its_server_where_pins_are_lost(home: Home, folder: Path) -> None:
    async with self_signed_server(folder) as rogue:
        await opened(rogue, home, Trust(), pin=Pin(public_of(rogue.identity), rogue.own_domain))

        with pytest.raises(ServerChanged):
            await opened(
                rogue, Home(home.path / "other"), Trust(accept_new=True), pin=Pin(bytes(32), "x.org")
            )


async def test_a_changed_identity_is_a_hard_stop_and_a_new_certificate_is_none(
    home: Home, folder: Path
) -> None:
    """T-05."""
    async with self_signed_server(folder) as rogue:
        await opened(rogue, home, Trust(accept_new=True))
        before = rogue.fingerprint
        rogue.identity = new_key()

        with pytest.raises(ServerChanged) as stopped:
            await opened(rogue, home, Trust(accept_new=True, confirm=yes))

        assert (stopped.value.old, stopped.value.new) == (before, rogue.fingerprint)
        assert not told(rogue)
        await opened(rogue, home, Trust(fingerprint=rogue.fingerprint))
        await opened(rogue, home, Trust())
        identity, held = rogue.identity, rogue.held

    async with running(Rogue(self_signed(folder), identity, held=held)) as renewed:
        await opened(renewed, home, Trust())


async def test_a_proof_of_another_key_is_somebody_in_between(home: Home, folder: Path) -> None:
    """T-06: who relays another server's Hello can't sign its own TLS key."""
    async with self_signed_server(folder) as rogue:
        rogue.signed_spki = b"the real server's key"

        with pytest.raises(ServerUntrusted, match="in between"):
            await opened(rogue, home, Trust(fingerprint=rogue.fingerprint, accept_new=True))
        assert not told(rogue)


@pytest.mark.parametrize("domain", ["a" * 26 + ".securechat.invalid", "UPPER.example", "a..b", "x\x1b[2J"])
async def test_a_domain_that_can_not_be_its_own_is_refused(home: Home, folder: Path, domain: str) -> None:
    async with self_signed_server(folder) as rogue:
        rogue.domain = domain

        with pytest.raises(ServerUntrusted, match="domain"):
            await opened(rogue, home, Trust(accept_new=True))


@pytest.mark.parametrize("alpn", [(), ("h2",), ("http/1.1", "h2")])
async def test_a_server_without_our_protocol_is_told_nothing(
    home: Home, folder: Path, alpn: tuple[str, ...]
) -> None:
    """T-03: the handshake may succeed all the same."""
    async with running(Rogue(self_signed(folder), alpn=alpn)) as rogue:
        with pytest.raises(Unreachable) as refused:
            await opened(rogue, home, Trust(accept_new=True))

        assert refused.value.exit_code == 3
        assert not rogue.received


async def test_what_chooses_ours_among_several_is_fine(home: Home, folder: Path) -> None:
    async with running(Rogue(self_signed(folder), alpn=("h2", ALPN))) as rogue:
        await opened(rogue, home, Trust(accept_new=True))


async def test_nobody_there_is_said_in_one_sentence(home: Home) -> None:
    for address, reason in (
        (ServerAddress("localhost", 1), "nothing listens"),
        (ServerAddress("127.0.0.1", 1), "nothing listens"),
        (ServerAddress("no-such-host.invalid", 1), "no host"),
    ):
        with pytest.raises(Unreachable, match=reason):
            await open_trusted(address, home, Trust())


async def test_what_speaks_no_tls_is_said_in_one_sentence(home: Home) -> None:
    async def smtp(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(smtp, "127.0.0.1", 0)
    address = ServerAddress("127.0.0.1", server.sockets[0].getsockname()[1])
    with pytest.raises(Unreachable, match="cannot reach"):
        await open_trusted(address, home, Trust(accept_new=True))
    server.close()


async def test_a_server_that_never_greets_is_left(
    home: Home, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securechat.client.link.GREETING_SECONDS", 0.01)
    async with running(Rogue(self_signed(folder), greets=False)) as rogue:
        with pytest.raises(Unreachable, match="says nothing of ours"):
            await opened(rogue, home, Trust(accept_new=True))


def test_the_dates_of_these_tests_are_not_those_of_the_bad_certificates() -> None:
    assert NOW - DAY < dt.datetime.now(dt.UTC) < NOW + DAY


def test_any_event_loop_will_do(home: Home, folder: Path) -> None:
    """uvloop's transports and calls differ in details."""
    uvloop = pytest.importorskip("uvloop")

    async def there_and_not_there() -> None:
        async with self_signed_server(folder) as rogue:
            await opened(rogue, home, Trust(accept_new=True))
        with pytest.raises(Unreachable):
            await open_trusted(ServerAddress("localhost", 1), home, Trust())

    uvloop.run(there_and_not_there())
