"""X.509 credentials (RFC 9420 section 5.3): the one rule about them that needs no authentication service.

Whether a chain is to be trusted is the application's to judge.
"""

from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from securechat.mls.credential import Credential, X509Credential
from securechat.mls.errors import ValidationError

MAX_CERTIFICATE: Final = 1 << 16
"""Bytes of DER that we parse; nobody's own certificate is longer."""


def check_certificate_key(credential: Credential, signature_key: bytes) -> None:
    """5.3: the first certificate of a chain is the leaf's own, with its signature key."""
    if not isinstance(credential, X509Credential):
        return
    if not credential.certificates or _key_of(credential.certificates[0].cert_data) != signature_key:
        raise ValidationError("certificate-key", "5.3", "the certificate is not for the leaf's key")


def _key_of(der: bytes) -> bytes | None:
    """Return a certificate's key as a leaf has it; None if there is none of our schemes.

    One that pyca only warns of is none either: a warning is a failure where somebody asks for that,
    and what everybody judges must not depend on it.
    """
    if len(der) > MAX_CERTIFICATE:
        return None
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, Warning):
        return None
    if certificate.serial_number <= 0:  # RFC 5280 section 4.1.2.2
        return None
    match key:
        case ed25519.Ed25519PublicKey():
            return key.public_bytes_raw()
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1() | ec.SECP384R1() | ec.SECP521R1()):
            return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        case _:
            return None
