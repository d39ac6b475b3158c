"""X.509 credentials: the certificate is for the key that the leaf signs with (RFC 9420 section 5.3)."""

import warnings
from typing import Literal

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from securechat.mls.certificates import MAX_CERTIFICATE, check_certificate_key
from securechat.mls.cipher_suite import SUITE_3, SUITES
from securechat.mls.codec import encode
from securechat.mls.credential import Certificate, X509Credential
from securechat.mls.group import Group
from securechat.mls.key_package import Identity
from securechat.mls.nodes import Capabilities
from securechat.mls.proposals import Add
from tests.mls.certified import certificate, certified
from tests.mls.people import LIFETIME, add, bundle_of, group_of, hear_each_other, identity
from tests.mls.public_stage import key_package, stage_of
from tests.mls.refusals import refused

READS_BOTH = Capabilities(credentials=(1, 2))


def test_a_member_may_show_a_certificate() -> None:
    key = SUITE_3.signature.generate()
    who = Identity(certified(key.public), key, READS_BOTH)
    alice = Group.create(identity("alice", capabilities=READS_BOTH), suite=SUITE_3, group_id=b"tea")
    hear_each_other([alice, *add(alice, [who])])


def test_a_certificate_may_be_for_a_key_on_a_curve() -> None:
    key = SUITES[2].signature.generate()
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key.public)
    check_certificate_key(X509Credential((Certificate(certificate(public)),)), key.public)


def test_a_curve_of_no_suite_is_no_key_of_ours() -> None:
    """A point of another curve is as long as one of P-256."""
    public = ec.generate_private_key(ec.SECP256K1()).public_key()
    point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    with refused("certificate-key"):
        check_certificate_key(X509Credential((Certificate(certificate(public)),)), point)


HEAD = bytes.fromhex("a0030201 02 0201 01")
"""Where a certificate says its version, counted from 0, and its serial number."""


def misnumbered(der: bytes, *, version: int = 2, serial: int = 1) -> bytes:
    """A certificate with another version or serial number; its signature is nobody's to check here."""
    assert der.count(HEAD) == 1
    return der.replace(HEAD, HEAD[:4] + bytes([version]) + HEAD[5:7] + bytes([serial]))


OTHER = ed25519.Ed25519PrivateKey.generate().public_key()
BAD_CHAINS = {
    "another key": (certificate(OTHER),),
    "no version that there is": (misnumbered(certificate(OTHER), version=4),),
    "a key that signs nothing": (certificate(x25519.X25519PrivateKey.generate().public_key()),),
    "no certificate": (),
    "no DER": (b"rubbish",),
    "empty": (b"",),
    "too long": (bytes(MAX_CERTIFICATE + 1),),
}


@pytest.mark.parametrize("chain", BAD_CHAINS.values(), ids=BAD_CHAINS)
def test_a_certificate_for_another_key_is_refused(chain: tuple[bytes, ...]) -> None:
    stage = stage_of(2)
    before = encode(stage.group.context), stage.group.tree.to_bytes()
    key = SUITE_3.signature.generate()
    who = Identity(X509Credential(tuple(map(Certificate, chain))), key, Capabilities(credentials=(2,)))
    add_ = Add(key_package(who=who).key_package)
    with refused("certificate-key"):
        stage.group.verify_commit(stage.forged(stage.actors[0], [add_], None), [])
    assert (encode(stage.group.context), stage.group.tree.to_bytes()) == before


@pytest.mark.parametrize("serial", [0, 0xFF], ids=["nought", "negative"])
@pytest.mark.parametrize("treated_as", ["ignore", "error"])
def test_a_serial_number_is_positive_however_warnings_are_treated(
    serial: int, treated_as: Literal["ignore", "error"]
) -> None:
    key = SUITE_3.signature.generate()
    der = certified(key.public).certificates[0].cert_data
    check_certificate_key(X509Credential((Certificate(misnumbered(der)),)), key.public)
    with warnings.catch_warnings(), refused("certificate-key"):
        warnings.simplefilter(treated_as)
        check_certificate_key(X509Credential((Certificate(misnumbered(der, serial=serial)),)), key.public)


def test_only_the_first_certificate_is_the_members_own() -> None:
    key = SUITE_3.signature.generate()
    own, other = certified(key.public).certificates[0], certified(OTHER.public_bytes_raw()).certificates[0]
    check_certificate_key(X509Credential((own, other)), key.public)
    with refused("certificate-key"):
        check_certificate_key(X509Credential((other, own)), key.public)


def test_a_group_with_bare_identities_is_not_asked() -> None:
    assert bundle_of(group_of("alice")[0].identity).key_package.leaf_node.lifetime == LIFETIME
