"""M-07: the suite that devices are added in is decided by certificates, not by what a directory hands out."""

import pytest

from securechat.client.errors import ExitCode, SuiteForbidden, SuiteWithheld
from securechat.client.suites import first_claim, next_claim
from securechat.membership.room import PRODUCT_SUITES
from securechat.mls.cipher_suite import SUITE_3, SUITE_HYBRID, cipher_suite
from securechat.mls.key_package import KeyPackage, make_key_package
from securechat.mls.nodes import Lifetime
from securechat.protocol.messages import ClaimKeyPackages
from tests.client.parts import NOW, a_device

HYBRID, OLDER = PRODUCT_SUITES
NEW_DEVICE, OLD_DEVICE = (HYBRID, OLDER), (OLDER,)
BOTH = ClaimKeyPackages("bob", HYBRID, [OLDER])


def package(certified: tuple[int, ...], given: int) -> KeyPackage:
    """A key package of a device whose certificate lists these suites."""
    device = a_device("bob", certified)
    return make_key_package(
        device.identity, cipher_suite(given), lifetime=Lifetime(NOW, NOW + 60)
    ).key_package


def looked_at(
    *packages: KeyPackage, asked: ClaimKeyPackages = BOTH, of_group: int | None = None
) -> ClaimKeyPackages | None:
    return next_claim(asked, packages, PRODUCT_SUITES, of_group)


def test_the_hybrid_is_what_new_devices_have_first() -> None:
    assert (SUITE_HYBRID.number, SUITE_3.number) == PRODUCT_SUITES


@pytest.mark.parametrize(
    ("own", "of_group", "asks"),
    [
        (NEW_DEVICE, None, BOTH),
        (OLD_DEVICE, None, ClaimKeyPackages("bob", OLDER)),
        (NEW_DEVICE, HYBRID, BOTH),
        (NEW_DEVICE, OLDER, ClaimKeyPackages("bob", OLDER, [HYBRID])),
    ],
)
def test_what_is_asked_for(own: tuple[int, ...], of_group: int | None, asks: ClaimKeyPackages) -> None:
    assert first_claim("bob", own, of_group) == asks


def test_devices_that_all_have_the_hybrid_are_added_in_it() -> None:
    assert looked_at(package(NEW_DEVICE, HYBRID), package(NEW_DEVICE, HYBRID)) is None
    assert looked_at(package(NEW_DEVICE, HYBRID), of_group=HYBRID) is None


def test_one_older_device_gets_all_asked_for_in_the_older_suite_once() -> None:
    assert looked_at(package(OLD_DEVICE, OLDER)) is None
    again = looked_at(package(NEW_DEVICE, HYBRID), package(OLD_DEVICE, OLDER))
    assert again == ClaimKeyPackages("bob", OLDER)
    assert looked_at(package(NEW_DEVICE, OLDER), package(OLD_DEVICE, OLDER), asked=again) is None


def test_a_directory_that_hands_out_only_older_keys_is_refused() -> None:
    with pytest.raises(SuiteWithheld) as refused:
        looked_at(package(NEW_DEVICE, OLDER))
    assert (refused.value.code, refused.value.exit_code) == ("suite_withheld", ExitCode.UNTRUSTED)
    assert SUITE_HYBRID.name in str(refused.value)
    with pytest.raises(SuiteWithheld):
        looked_at(package(NEW_DEVICE, HYBRID), package(NEW_DEVICE, OLDER))
    with pytest.raises(SuiteWithheld):
        looked_at(package(NEW_DEVICE, OLDER), of_group=HYBRID)


def test_an_older_device_that_is_gone_the_second_time_was_a_pretext() -> None:
    with pytest.raises(SuiteWithheld):
        looked_at(package(NEW_DEVICE, OLDER), asked=ClaimKeyPackages("bob", OLDER))


def test_who_lacks_the_suite_of_a_group_is_named_with_the_device() -> None:
    lacking = package(OLD_DEVICE, OLDER)
    with pytest.raises(SuiteForbidden) as refused:
        looked_at(package(NEW_DEVICE, HYBRID), lacking, of_group=HYBRID)
    assert (refused.value.code, refused.value.exit_code) == ("suite_forbidden", ExitCode.FORBIDDEN)
    assert "bob" in str(refused.value)
    assert SUITE_HYBRID.name in str(refused.value)


def test_an_older_group_goes_on_in_its_suite() -> None:
    asked = ClaimKeyPackages("bob", OLDER, [HYBRID])
    assert looked_at(package(NEW_DEVICE, OLDER), asked=asked, of_group=OLDER) is None
    with pytest.raises(SuiteForbidden):
        looked_at(package((HYBRID,), HYBRID), asked=asked, of_group=OLDER)


def test_an_older_device_of_ours_opens_conversations_in_its_suite() -> None:
    asked = ClaimKeyPackages("bob", OLDER)
    assert next_claim(asked, [package(NEW_DEVICE, OLDER)], OLD_DEVICE, None) is None
    with pytest.raises(SuiteForbidden):
        next_claim(asked, [package((HYBRID,), HYBRID)], OLD_DEVICE, None)
