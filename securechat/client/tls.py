"""TLS as the client wants it: 1.3 only, X25519, our ALPN, and what is read from the certificate.

OpenSSL builds and checks the chain. What the standard library lets pass and rules.md does not
(T-04) is checked here over the certificate's DER: a wildcard instead of the name, a leaf that is
itself an authority, a purpose that is not a server's.
"""

import hashlib
import ssl
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from securechat.client.errors import ServerUntrusted, UnsafeFile
from securechat.protocol.limits import ALPN

Extension = TypeVar("Extension", bound=x509.ExtensionType)

_SELF_SIGNED_LEAF: Final = 18
"""X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT: nobody vouches for it, and nobody denies it."""

_REASONS: Final[dict[int, str]] = {
    9: "its certificate is not valid yet",
    10: "its certificate has expired",
    _SELF_SIGNED_LEAF: "its certificate is signed by itself only",
    19: "its certificate comes from an authority this machine does not know",
    20: "its certificate comes from an authority this machine does not know",
    21: "its certificate comes from an authority this machine does not know",
    23: "its certificate was revoked",
    26: "its certificate is not meant for a server",
    62: "its certificate names another host",
    64: "its certificate names another address",
    79: "its certificate comes from something that is no authority",
}
"""OpenSSL's X509_V_ERR numbers, in our words."""


@dataclass(frozen=True)
class Certificate:
    """The certificate served on one connection."""

    der: bytes = field(repr=False)

    @cached_property
    def hash(self) -> bytes:
        """SHA-256 of the DER: what a login is bound to (RFC 5929 tls-server-end-point, T-06)."""
        return hashlib.sha256(self.der).digest()

    @cached_property
    def spki(self) -> bytes:
        """The DER of the SubjectPublicKeyInfo: what the server's identity key signs.

        :raises ServerUntrusted: there is no certificate that can be read
        """
        try:
            key = self._parsed.public_key()
        except (ValueError, UnsupportedAlgorithm) as problem:
            raise ServerUntrusted("the server's certificate cannot be read") from problem
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def authority_refusal(self, host: str) -> str | None:
        """Say why a certificate that OpenSSL accepted is still not this host's, or None."""
        try:
            names = self._extension(x509.SubjectAlternativeName)
            constraints = self._extension(x509.BasicConstraints)
            usage = self._extension(x509.ExtendedKeyUsage)
        except ValueError:
            return "its certificate cannot be read"
        if constraints is not None and constraints.ca:
            return "its certificate is that of an authority, not of a server"
        if usage is not None and ExtendedKeyUsageOID.SERVER_AUTH not in usage:
            return _REASONS[26]
        if names is None or not _is_named(host, names):
            return "its certificate does not carry this very name"
        return None

    @cached_property
    def _parsed(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.der)

    def _extension(self, kind: type[Extension]) -> Extension | None:
        try:
            return self._parsed.extensions.get_extension_for_class(kind).value
        except x509.ExtensionNotFound:
            return None


def key_context() -> ssl.SSLContext:
    """TLS to a server that proves itself by its identity key in Hello: any certificate will do.

    Nothing but ClientHello is sent on such a connection until that proof is checked.
    """
    context = _context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def authority_context(cafile: Path | None) -> ssl.SSLContext:
    """TLS to a server that an authority vouches for: of the system, or of the file.

    :raises UnsafeFile: the file is not one of certificates
    """
    context = _context()
    try:
        if cafile is None:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        else:
            context.load_verify_locations(cafile=str(cafile))
    except (OSError, ssl.SSLError) as problem:
        raise UnsafeFile(f"{cafile} holds no certificates that can be read") from problem
    return context


def is_self_signed(problem: ssl.SSLCertVerificationError) -> bool:
    """Whether the certificate vouches for itself, so that only a fingerprint can tell."""
    return problem.verify_code == _SELF_SIGNED_LEAF


def verification_reason(problem: ssl.SSLCertVerificationError) -> str:
    """Say in our words why OpenSSL refused a certificate."""
    return _REASONS.get(problem.verify_code, "its certificate is not valid for it")


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols([ALPN])
    # The hybrid needs a way to name several groups, which only newer Pythons have.
    set_groups = getattr(context, "set_groups", None)
    if set_groups is None or not _took(set_groups, "X25519MLKEM768:X25519"):
        context.set_ecdh_curve("X25519")
    return context


def _took(set_groups: object, groups: str) -> bool:
    try:
        return callable(set_groups) and set_groups(groups) is None
    except (ssl.SSLError, ValueError):
        return False


def _is_named(host: str, names: x509.SubjectAlternativeName) -> bool:
    """Whether the very name is there: no wildcard, and nothing with a NUL is a name at all."""
    hosts = names.get_values_for_type(x509.DNSName)
    if any("\0" in name for name in hosts):
        return False
    try:
        address = ip_address(host)
    except ValueError:
        return host.rstrip(".").lower() in {name.lower() for name in hosts}
    return address in names.get_values_for_type(x509.IPAddress)
