"""A group's leaves beside the devices that an account lists (D-02, D-03)."""

import msgspec
import pytest

from securechat.membership.devices import compare, offer_refusal, revokes
from securechat.membership.statement import AccountStatement, Revoked, make_statement, verify_statement
from securechat.membership.statement import Device as Listed
from securechat.mls.credential import BasicCredential
from securechat.mls.nodes import LeafIndex, LeafNode
from tests.membership.scenes import second_device
from tests.membership.world import NOW, Device, make_device

ALICE = make_device("alice")
PHONE = second_device(ALICE)
TABLET = second_device(ALICE)


def leaf_of(device: Device) -> LeafNode:
    return device.key_package().leaf_node


def listing(*devices: Device, revoked: tuple[Device, ...] = ()) -> AccountStatement:
    """Alice's statement; one that revokes is of the second generation."""
    listed = tuple(Listed(each.credential.client, each.identity.signature_key.public) for each in devices)
    first = make_statement(ALICE.account_key, user=ALICE.uri, devices=listed, issued_at=NOW)
    if not revoked:
        return verify_statement(first)
    gone = tuple(Revoked(each.credential.client, 2) for each in revoked)
    following = make_statement(
        ALICE.account_key, user=ALICE.uri, devices=listed, issued_at=NOW, previous=first, revoked=gone
    )
    return verify_statement(following, first)


def leaves(*devices: Device) -> list[tuple[LeafIndex, LeafNode]]:
    return [(LeafIndex(place), leaf_of(each)) for place, each in enumerate(devices)]


def test_what_is_listed_and_has_no_leaf_is_missing() -> None:
    found = compare(leaves(ALICE), listing(ALICE, PHONE))

    assert (found.here, found.missing, found.revoked, found.unknown) == (1, (PHONE.client,), (), ())


def test_d_02_a_leaf_that_the_statement_revokes_has_to_go() -> None:
    found = compare(leaves(ALICE, PHONE), listing(ALICE, revoked=(PHONE,)))

    assert (found.here, found.missing, found.revoked, found.unknown) == (1, (), (LeafIndex(1),), ())


def test_d_03_a_leaf_that_the_statement_does_not_know_is_nobodys() -> None:
    found = compare(leaves(ALICE, PHONE), listing(ALICE))

    assert (found.here, found.unknown) == (1, (LeafIndex(1),))


def test_d_03_a_certificate_that_is_newer_than_the_statement_shows_that_there_is_a_newer_one() -> None:
    renewed = second_device(ALICE, generation=2)

    found = compare(leaves(renewed), listing(renewed))

    assert (found.here, found.missing, found.unknown) == (0, (), (LeafIndex(0),))


def test_a_certificate_of_before_counts_until_it_is_replaced() -> None:
    found = compare(leaves(ALICE), listing(ALICE, revoked=(PHONE,)))

    assert (found.here, found.missing) == (1, ())


def test_leaves_of_others_and_of_other_keys_are_passed_over() -> None:
    others = make_device("alice"), make_device("bob")

    assert compare(leaves(*others), listing(ALICE)).missing == (ALICE.client,)
    assert not compare(leaves(*others), listing(ALICE)).unknown


@pytest.mark.parametrize(
    ("device", "statement", "refused"),
    [
        (ALICE, listing(ALICE, PHONE), None),
        (TABLET, listing(ALICE, PHONE), "its account does not list it"),
        (PHONE, listing(ALICE, revoked=(PHONE,)), "its account does not list it"),
        (
            ALICE,
            listing(ALICE, revoked=(PHONE,)),
            "its certificate is not of the account's present generation",
        ),
        (make_device("alice"), listing(ALICE), "it is of another account than the list of devices"),
    ],
)
def test_d_03_only_a_device_that_the_newest_statement_lists_may_be_added(
    device: Device, statement: AccountStatement, refused: str | None
) -> None:
    assert offer_refusal(leaf_of(device), statement) == refused


def test_d_03_a_listed_name_with_another_key_is_no_device_of_the_account() -> None:
    impostor = second_device(ALICE)
    listed = listing(ALICE)
    (own,) = listed.devices
    renamed = msgspec.structs.replace(
        listed, devices=(Listed(impostor.credential.client, own.signature_key),)
    )

    assert offer_refusal(leaf_of(impostor), renamed) == "its account does not list it"


def test_a_leaf_whose_credential_does_not_decode_is_refused() -> None:
    leaf = msgspec.structs.replace(leaf_of(ALICE), credential=BasicCredential(b"nobody"))

    assert offer_refusal(leaf, listing(ALICE)) == "The leaf's credential does not decode."


def test_a_revocation_is_of_one_account_and_of_certificates_before_it() -> None:
    statement = listing(ALICE, revoked=(PHONE,))

    assert revokes(statement, PHONE.credential)
    assert not revokes(statement, ALICE.credential)
    assert not revokes(statement, msgspec.structs.replace(PHONE.credential, generation=2))
    assert not revokes(statement, msgspec.structs.replace(PHONE.credential, account_key=bytes(32)))
