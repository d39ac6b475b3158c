"""Certificates of every kind that a client must tell apart (T-04)."""

import datetime as dt
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = dt.timedelta(days=1)
NOW = dt.datetime.now(dt.UTC)
SERVER = [ExtendedKeyUsageOID.SERVER_AUTH]
CLIENT = [ExtendedKeyUsageOID.CLIENT_AUTH]


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    ca: bool,
    valid: tuple[dt.datetime, dt.datetime],
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(valid[0])
        .not_valid_after(valid[1])
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(path: Path, key: ec.EllipticCurvePrivateKey, *chain: x509.Certificate) -> Path:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem + b"".join(certificate.public_bytes(Encoding.PEM) for certificate in chain))
    return path


class Authority:
    """An authority of a test, with its own file of trust."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(name, self._key, ca=True, valid=(NOW - DAY, NOW + DAY))
        self._certificate = (
            builder.issuer_name(_named(name))
            .add_extension(_usage(ca=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.cafile = folder / f"{name}.pem"
        self.cafile.write_bytes(self._certificate.public_bytes(Encoding.PEM))

    def leaf(
        self,
        *names: str,
        ca: bool = False,
        purposes: Sequence[x509.ObjectIdentifier] = SERVER,
        valid: tuple[dt.datetime, dt.datetime] = (NOW - DAY, NOW + DAY),
    ) -> Path:
        """Issue a certificate; returns a file with its key and chain."""
        key = ec.generate_private_key(ec.SECP256R1())
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            _builder("leaf", key, ca=ca, valid=valid)
            .issuer_name(self._certificate.subject)
            .add_extension(identifier, critical=False)
            .add_extension(_usage(ca=ca), critical=True)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False
            )
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        number = len(list(self._folder.iterdir()))
        leaf = builder.sign(self._key, hashes.SHA256())
        return _write(self._folder / f"{self._name}-leaf-{number}.pem", key, leaf)


def self_signed(folder: Path, *names: str) -> Path:
    """Make a certificate that vouches for itself only."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder("self", key, ca=False, valid=(NOW - DAY, NOW + DAY)).issuer_name(_named("self"))
    names_extension = x509.SubjectAlternativeName([_alternative(name) for name in names or ("localhost",)])
    certificate = builder.add_extension(names_extension, critical=False).sign(key, hashes.SHA256())
    return _write(folder / f"self-signed-{len(list(folder.iterdir()))}.pem", key, certificate)
