"""The server's TLS certificate: read from one PEM file with its key, made where there is none.

A self-signed certificate is enough because clients pin the server's identity key, which signs the
certificate's key (rules.md B); where a name is public, put an authority's certificate here instead.
"""

import datetime as dt
import hashlib
import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from securechat.private_files import create_file, replace_file
from securechat.server.errors import ConfigError
from securechat.server.private_files import is_open_to_all

LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")
DAYS: Final = 90
"""What Mozilla's "modern" profile accepts (T-01); who pins the identity key never asks for the date."""

RENEW_DAYS: Final = 30
"""Before its end a certificate of our own is signed anew, in time for several tries."""

_COMMON_NAME: Final = "securechat server"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as connections see it: its file, and what a login and the identity sign."""

    path: Path = field(repr=False)
    spki: bytes = field(repr=False)
    """DER of the public key info: what the identity key signs."""
    digest: bytes
    """SHA-256 of the certificate's DER: what a login signs (T-06)."""
    not_before: int
    not_after: int
    """Seconds since 1970."""
    is_own: bool = False
    """Made here, self-signed: nobody else will ever renew it."""


def make_if_missing(path: Path, hostnames: Sequence[str] = LOCAL_NAMES) -> bool:
    """Make a certificate unless the file is there already; say whether one was made."""
    if os.path.lexists(path):
        return False
    make_certificate(path, hostnames)
    return True


def make_certificate(path: Path, hostnames: Sequence[str] = LOCAL_NAMES) -> None:
    """Write a new self-signed P-256 certificate and its key to one PEM file, 0600.

    :raises ConfigError: there is a file already, or it can't be written
    """
    key = ec.generate_private_key(ec.SECP256R1())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        create_file(path, _pem(key, [_general_name(host) for host in hostnames]))
    except FileExistsError:
        raise ConfigError(f"{path} exists already; it is left alone") from None
    except OSError as error:
        raise ConfigError(f"cannot write the certificate {path}: {error.strerror}") from None


def renew_own(certificate: Certificate, now: int) -> bool:
    """Sign a certificate of our own anew when its end is near; say whether that was done.

    Key and names stay, so it is the same server also for whoever looks at the key. One that somebody
    else signed is somebody else's to renew.

    :raises ConfigError: the file can't be read or written
    """
    if not certificate.is_own or certificate.not_after - now > RENEW_DAYS * 24 * 3600:
        return False
    path = certificate.path
    try:
        pem = path.read_bytes()
        key = serialization.load_pem_private_key(pem, None)
        names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            return False  # not one that we make
        replace_file(path, _pem(key, list(names.value)))
    except (OSError, ValueError, TypeError, x509.ExtensionNotFound) as error:
        raise ConfigError(f"cannot renew the certificate {path}: {error}") from None
    return True


def read_certificate(path: Path) -> Certificate:
    """Read what connections need to know of a PEM file's first certificate."""
    try:
        if is_open_to_all(path):  # the key is in it; an administrator's group may read it
            raise ConfigError(f"anyone can open {path}, which holds a private key: chmod o= {path}")
        found = x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"no certificate can be read from {path}: {error}") from None
    spki = found.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    der = found.public_bytes(serialization.Encoding.DER)
    begins, ends = found.not_valid_before_utc, found.not_valid_after_utc
    return Certificate(
        path,
        spki,
        hashlib.sha256(der).digest(),
        not_before=int(begins.timestamp()),
        not_after=int(ends.timestamp()),
        is_own=found.subject == found.issuer == _own_name(),
    )


def _own_name() -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _COMMON_NAME)])


def _pem(key: ec.EllipticCurvePrivateKey, names: Sequence[x509.GeneralName]) -> bytes:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + _self_signed(key, names).public_bytes(serialization.Encoding.PEM)


def _self_signed(key: ec.EllipticCurvePrivateKey, names: Sequence[x509.GeneralName]) -> x509.Certificate:
    name = _own_name()
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=DAYS - 1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_signing_only(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _signing_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
