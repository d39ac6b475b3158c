"""Credentials: their bytes, who may sign them, and what a key package must be."""

from dataclasses import replace
from itertools import pairwise

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from securechat.membership import signing
from securechat.membership.identity import (
    CLOCK_TOLERANCE,
    ClientCredential,
    LeafRefused,
    Rotation,
    certificate_holds,
    certify,
    key_package_refusal,
    leaf_refusal,
    make_client_credential,
    make_rotation,
    new_local_id,
    read_client_credential,
    read_identity,
    succession_problem,
)
from securechat.mls.codec import encode
from securechat.mls.credential import Certificate, X509Credential
from securechat.mls.key_package import KeyPackage
from securechat.mls.nodes import Capabilities, FromUpdate, Lifetime
from securechat.names import client_uri
from tests.membership.accepted import rotated
from tests.membership.world import DOMAIN, LIFETIME, NOW, Device, make_device

ACCOUNT = signing.load_key(bytes(range(32)))
CLIENT = "0123456789abcdef"

GOLDEN = (
    "0001"
    "1b6d696d693a2f2f636861742e6578616d706c652f752f616c696365"
    "266d696d693a2f2f636861742e6578616d706c652f642f30313233343536373839616263646566"
    "2003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
    "00000001"
    "020003"
    "00"
    "4040"
)
SIGNATURE = (
    "621dcb3ba8c162918ff2435e019c4309d5de5f373c76b717665db37c34176491"
    "ee5ead97059965f5ea0112c1d1e5d0c32c9999c2b51b63607df54819e8801205"
)


def refusal(package: KeyPackage, **changes: int) -> str | None:
    asked = {"suite": 3, "now": NOW} | changes
    return key_package_refusal(package, domain=DOMAIN, suite=asked["suite"], now=asked["now"])


def test_a_credential_has_these_bytes() -> None:
    encoded = make_client_credential(
        domain=DOMAIN,
        user="alice",
        client=CLIENT,
        account_key=ACCOUNT,
        signature_key_public=bytes(32),
        suites=(3,),
    )

    assert encoded[:-64].hex() == GOLDEN
    assert encoded[-64:].hex() == SIGNATURE
    credential = read_identity(encoded)
    assert (credential.user_name, credential.client_id) == ("alice", CLIENT)
    assert certificate_holds(credential, bytes(32))


def test_d_03_a_certificate_holds_for_its_own_key_and_fields_only() -> None:
    device = make_device("alice")
    key = device.identity.signature_key.public
    assert certificate_holds(device.credential, key)
    assert not certificate_holds(device.credential, bytes(32))
    for change in ({"generation": 2}, {"user": b"mimi://chat.example/u/bob"}, {"suites": (1,)}):
        assert not certificate_holds(msgspec.structs.replace(device.credential, **change), key)


def test_a_rotated_key_follows_the_old_one() -> None:
    device = make_device("alice")
    after = read_client_credential(device.key_package().leaf_node)
    rotated_credential = replace(device, identity=rotated(device)).credential

    assert certificate_holds(rotated_credential, device.identity.signature_key.public)
    assert rotated_credential.descends_from(device.credential.account_key)
    assert succession_problem(after, rotated_credential) is None
    assert succession_problem(rotated_credential, after) is not None


def turned(device: Device, *pairs: tuple[Ed25519PrivateKey, Ed25519PrivateKey]) -> ClientCredential:
    """Return the device's credential with these rotations, signed by the last new key."""
    steps = tuple(
        make_rotation(user=device.uri, old_key=old, new_key=signing.public_of(new)) for old, new in pairs
    )
    last = pairs[-1][1]
    unsigned = msgspec.structs.replace(
        device.credential, account_key=signing.public_of(last), rotations=steps
    )
    return read_identity(certify(unsigned, last, device.identity.signature_key.public))


def test_rotations_are_one_chain() -> None:
    device = make_device("alice")
    signature_key = device.identity.signature_key.public
    a, b, c, d = (signing.new_key() for _ in range(4))

    assert certificate_holds(turned(device, (a, b), (b, c)), signature_key)
    assert not certificate_holds(turned(device, (a, b), (c, d)), signature_key)
    assert not certificate_holds(turned(device, (b, c), (a, b), (c, d)), signature_key)


def test_eight_rotations_fit() -> None:
    keys = [signing.new_key() for _ in range(9)]
    credential = turned(make_device("alice"), *pairwise(keys))
    assert credential.descends_from(signing.public_of(keys[0]))
    assert len(encode(credential)) < 2048


def test_more_rotations_than_fit_are_refused() -> None:
    step = Rotation(bytes(32), bytes(32), bytes(64))
    many = msgspec.structs.replace(make_device("alice").credential, rotations=(step,) * 9)
    with pytest.raises(LeafRefused, match="rotations"):
        read_identity(encode(many))


@given(st.binary(max_size=200))
def test_reading_a_credential_fails_in_one_way_only(data: bytes) -> None:
    for candidate in (data, bytes.fromhex(GOLDEN)[: len(data)] + data):
        try:
            read = read_identity(candidate)
        except LeafRefused:
            continue
        assert encode(read) == candidate


def test_a_leaf_of_certificates_is_refused() -> None:
    leaf = make_device("alice").key_package().leaf_node
    foreign = msgspec.structs.replace(leaf, credential=X509Credential((Certificate(b"x"),)))
    assert leaf_refusal(foreign, domain=DOMAIN, suite=3, from_key_package=True) is not None


def test_a_leaf_without_a_lifetime_did_not_come_by_key_package() -> None:
    leaf = msgspec.structs.replace(make_device("alice").key_package().leaf_node, origin=FromUpdate())
    assert leaf_refusal(leaf, domain=DOMAIN, suite=3, from_key_package=False) is None
    assert leaf_refusal(leaf, domain=DOMAIN, suite=3, from_key_package=True) is not None


def test_a_lifetime_that_ends_before_it_begins_is_refused() -> None:
    leaf = make_device("alice").key_package(Lifetime(NOW, NOW - 1)).leaf_node
    assert leaf_refusal(leaf, domain=DOMAIN, suite=3, from_key_package=True) is not None


@pytest.mark.parametrize("lacking", ["extensions", "proposals", "credentials"])
def test_a_leaf_that_lacks_what_rooms_need_is_refused(lacking: str) -> None:
    leaf = make_device("alice").key_package().leaf_node
    poorer = msgspec.structs.replace(leaf.capabilities, **{lacking: ()})
    assert isinstance(poorer, Capabilities)
    refused = leaf_refusal(
        msgspec.structs.replace(leaf, capabilities=poorer), domain=DOMAIN, suite=3, from_key_package=True
    )
    assert refused is not None


def test_a_key_package_may_be_published_at_its_time_give_or_take_a_day() -> None:
    package = make_device("alice").key_package()

    assert refusal(package) is None
    assert refusal(package, now=LIFETIME.not_after + CLOCK_TOLERANCE) is None
    assert refusal(package, now=LIFETIME.not_after + CLOCK_TOLERANCE + 1) is not None
    assert refusal(package, now=LIFETIME.not_before - CLOCK_TOLERANCE) is None
    assert refusal(package, now=LIFETIME.not_before - CLOCK_TOLERANCE - 1) is not None


def test_a_key_package_of_another_suite_or_domain_is_refused() -> None:
    package = make_device("alice").key_package()
    assert refusal(package, suite=1) is not None
    assert refusal(package, suite=0xFFFF) is not None
    assert refusal(make_device("alice", domain="other.example").key_package()) is not None


@pytest.mark.parametrize("field", ["signature", "init_key"])
def test_a_key_package_with_a_changed_field_is_refused(field: str) -> None:
    package = make_device("alice").key_package()
    value = bytearray(getattr(package, field))
    value[0] ^= 1
    assert refusal(msgspec.structs.replace(package, **{field: bytes(value)})) is not None


def test_local_ids_are_long_enough_for_uris_and_never_the_same() -> None:
    assert len({new_local_id() for _ in range(100)}) == 100
    assert client_uri(DOMAIN, new_local_id())


def test_a_credential_does_not_hold_another_version() -> None:
    later = msgspec.structs.replace(make_device("alice").credential, version=2)
    assert isinstance(later, ClientCredential)
    with pytest.raises(LeafRefused, match="version 2"):
        read_identity(encode(later))
