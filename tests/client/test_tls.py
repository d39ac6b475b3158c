"""T-04 at its smallest: the judgement of a certificate's bytes."""

import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from securechat.client.errors import ServerUntrusted, UnsafeFile
from securechat.client.tls import Certificate, authority_context, key_context
from tests.client.certificates import CLIENT, Authority, self_signed


def certificate_of(path: Path) -> Certificate:
    return Certificate(x509.load_pem_x509_certificate(path.read_bytes()).public_bytes(Encoding.DER))


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("host", ["chat.example.org", "CHAT.example.org", "chat.example.org.", "127.0.0.1"])
def test_the_very_name_is_accepted(authority: Authority, host: str) -> None:
    leaf = certificate_of(authority.leaf("chat.example.org", "127.0.0.1"))

    assert leaf.authority_refusal(host) is None


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("*.example.org",), "very name"),
        (("other.example.org",), "very name"),
        ((), "very name"),
        (("chat.example.org\0.evil.example", "chat.example.org"), "very name"),
        (("example.org",), "very name"),
    ],
)
def test_any_other_name_is_refused(authority: Authority, names: tuple[str, ...], reason: str) -> None:
    """T-04: wildcard, NUL, none, a parent."""
    refusal = certificate_of(authority.leaf(*names)).authority_refusal("chat.example.org")

    assert refusal is not None
    assert reason in refusal


def test_a_leaf_that_is_an_authority_or_not_for_servers_is_refused(authority: Authority) -> None:
    """T-04."""
    authoritative = certificate_of(authority.leaf("localhost", ca=True)).authority_refusal("localhost")
    for_clients = certificate_of(authority.leaf("localhost", purposes=CLIENT)).authority_refusal("localhost")

    assert authoritative is not None
    assert "authority" in authoritative
    assert for_clients is not None
    assert "not meant for a server" in for_clients


def test_an_address_is_not_a_name(authority: Authority) -> None:
    leaf = certificate_of(authority.leaf("localhost"))

    assert leaf.authority_refusal(str(ip_address("127.0.0.1"))) is not None


def test_what_is_no_certificate_is_refused(tmp_path: Path) -> None:
    broken = Certificate(b"not a certificate")

    assert broken.authority_refusal("localhost") is not None
    with pytest.raises(ServerUntrusted, match="cannot be read"):
        _ = broken.spki
    whole = certificate_of(self_signed(tmp_path)).der
    assert Certificate(whole[:-1]).authority_refusal("localhost") is not None


def test_a_file_without_certificates_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")

    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(UnsafeFile, match="no certificates"):
            authority_context(tmp_path / name)


def test_both_ways_speak_tls_1_3_only(tmp_path: Path) -> None:
    """T-02."""
    for context in (key_context(), authority_context(None)):
        assert context.minimum_version == context.maximum_version == ssl.TLSVersion.TLSv1_3
        assert context.options & ssl.OP_NO_COMPRESSION
    assert authority_context(None).verify_mode == ssl.CERT_REQUIRED
    assert authority_context(None).check_hostname
