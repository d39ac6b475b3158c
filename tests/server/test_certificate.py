"""A certificate is made once, for its owner alone (L-01), and is one that strict clients take (T-04)."""

import os
import stat
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from securechat.server.certificate import (
    DAYS,
    RENEW_DAYS,
    make_certificate,
    make_if_missing,
    read_certificate,
    renew_own,
)
from securechat.server.errors import ConfigError


def test_it_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "certs" / "server.pem"
    assert make_if_missing(path)
    first = path.read_bytes()
    assert not make_if_missing(path)
    assert path.read_bytes() == first


def test_l_01_it_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_certificate(tmp_path / "server.pem")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "server.pem").stat().st_mode) == 0o600


def test_l_01_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "server.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError):
        make_certificate(tmp_path / "server.pem")
    assert not (tmp_path / "elsewhere").exists()


def test_t_04_it_is_a_leaf_for_servers_with_its_names(tmp_path: Path) -> None:
    make_certificate(tmp_path / "server.pem", ("chat.example.org", "192.0.2.1"))
    found = x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes())
    extensions = found.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints).value
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = extensions.get_extension_for_oid(ExtensionOID.EXTENDED_KEY_USAGE).value
    assert not constraints.ca
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]  # type: ignore[call-overload]
    assert names.get_values_for_type(x509.DNSName) == ["chat.example.org"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1"]


def test_t_01_it_is_what_the_modern_profile_takes(tmp_path: Path) -> None:
    """Mozilla's: ECDSA on P-256 or P-384, SHA-256 or better, 90 days at most."""
    make_certificate(tmp_path / "server.pem")
    found = x509.load_pem_x509_certificate((tmp_path / "server.pem").read_bytes())
    key = found.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"
    assert isinstance(found.signature_hash_algorithm, hashes.SHA256)
    assert (found.not_valid_after_utc - found.not_valid_before_utc).days <= 90


def test_what_is_no_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "server.pem").write_text("nothing of the kind")
    (tmp_path / "server.pem").chmod(0o600)
    with pytest.raises(ConfigError, match=r"server\.pem"):
        read_certificate(tmp_path / "server.pem")


def test_a_key_that_anyone_can_read_is_refused(tmp_path: Path) -> None:
    """L-01: an administrator's group may read it, the rest of the machine may not."""
    path = tmp_path / "server.pem"
    make_certificate(path)
    path.chmod(0o640)
    assert read_certificate(path).path == path

    path.chmod(0o644)
    with pytest.raises(ConfigError, match="private key"):
        read_certificate(path)


def test_a_certificate_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(ConfigError, match="No space"):
        make_certificate(tmp_path / "server.pem")

    assert list(tmp_path.iterdir()) == []


def test_our_own_is_signed_anew_in_time_with_its_key_and_names(tmp_path: Path) -> None:
    path = tmp_path / "server.pem"
    make_certificate(path, ("chat.example.org", "192.0.2.1"))
    first = read_certificate(path)
    names = x509.load_pem_x509_certificate(path.read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert first.is_own
    assert not renew_own(first, first.not_after - RENEW_DAYS * 24 * 3600 - 1)
    assert read_certificate(path) == first

    assert renew_own(first, first.not_after - RENEW_DAYS * 24 * 3600)

    second = read_certificate(path)
    assert (second.spki, second.digest != first.digest) == (first.spki, True)
    assert second.not_after - second.not_before == DAYS * 24 * 3600
    found = x509.load_pem_x509_certificate(path.read_bytes())
    assert found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value == names.value
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_anothers_certificate_is_anothers_to_renew(tmp_path: Path) -> None:
    authority = trustme.CA()
    path = tmp_path / "server.pem"
    authority.issue_cert("chat.example.org").private_key_and_cert_chain_pem.write_to_path(path)
    path.chmod(0o600)
    found = read_certificate(path)
    assert not found.is_own
    assert not renew_own(found, found.not_after)


def test_a_renewal_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "server.pem"
    make_certificate(path)
    before = path.read_bytes()

    def fail(_descriptor: int) -> None:
        raise OSError(5, "input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(ConfigError, match="renew"):
        renew_own(read_certificate(path), read_certificate(path).not_after)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
