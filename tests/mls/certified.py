"""Certificates for tests: X.509 credentials that are for the key they come with."""

from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from securechat.mls.credential import Certificate, X509Credential


def certificate(key: Any, signer: Any = None) -> bytes:
    """A certificate for a public key, signed by anybody."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    signer = signer or ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key)
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2027, 1, 1, tzinfo=UTC))
        .sign(signer, SHA256())
        .public_bytes(Encoding.DER)
    )


def certified(key: bytes) -> X509Credential:
    return X509Credential((Certificate(certificate(ed25519.Ed25519PublicKey.from_public_bytes(key))),))
