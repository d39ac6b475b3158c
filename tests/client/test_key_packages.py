"""Key packages: topped up, used once, renewed in time (M-14)."""

from pathlib import Path

import pytest

from securechat.client import key_packages
from securechat.client.change import Changes
from securechat.client.key_packages import DAY, OLDER_TARGET, TARGET, publication
from securechat.membership.identity import key_package_refusal
from securechat.mls.codec import decode
from securechat.mls.key_package import KeyPackage, is_last_resort, key_package_reference
from securechat.protocol.messages import PublishKeyPackages
from tests.client.parts import DOMAIN, NOW, a_device, a_store, changes_of

DEVICE = a_device("alice")
BEST, OLDER = DEVICE.suites


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    return changes_of(a_store(tmp_path))


def publish(
    changes: Changes, suite: int = BEST, *, fresh: int = 0, last_resort: bool = False, now: int = NOW
) -> PublishKeyPackages | None:
    with changes.change() as change:
        return publication(change.db, DEVICE, suite, fresh=fresh, has_last_resort=last_resort, now=now)


def count(changes: Changes) -> int:
    return int(changes.store.value("SELECT count(*) FROM key_package"))


def test_the_first_time_all_are_made_and_all_would_be_taken(changes: Changes) -> None:
    made = publish(changes)

    assert made is not None
    packages = [decode(KeyPackage, data) for data in (*made.packages, made.last_resort)]
    assert len(made.packages) == TARGET
    assert [is_last_resort(package) for package in packages] == [False] * TARGET + [True]
    assert not any(key_package_refusal(each, domain=DOMAIN, suite=BEST, now=NOW) for each in packages)
    assert len({package.init_key for package in packages}) == TARGET + 1


@pytest.mark.parametrize(("fresh", "made"), [(TARGET, 0), (4, 0), (3, 17), (0, 20)])
def test_it_is_topped_up_below_a_fifth(changes: Changes, fresh: int, made: int) -> None:
    publish(changes)
    published = publish(changes, fresh=fresh, last_resort=True)

    assert (len(published.packages) if published is not None else 0) == made


def test_of_an_older_suite_a_few_wait_beside_those_of_the_best(changes: Changes) -> None:
    best, older = publish(changes), publish(changes, OLDER)

    assert best is not None
    assert older is not None
    assert len(older.packages) == OLDER_TARGET
    assert {decode(KeyPackage, each).cipher_suite for each in best.packages} == {BEST}
    assert {decode(KeyPackage, each).cipher_suite for each in (*older.packages, older.last_resort)} == {OLDER}
    assert publish(changes, OLDER, fresh=1, last_resort=True) is None


def test_a_last_resort_is_renewed_for_its_own_suite(changes: Changes) -> None:
    publish(changes)
    publish(changes, OLDER, now=NOW + 15 * DAY)

    later = NOW + 21 * DAY
    assert publish(changes, OLDER, fresh=OLDER_TARGET, last_resort=True, now=later) is None
    renewed = publish(changes, BEST, fresh=TARGET, last_resort=True, now=later)
    assert renewed is not None
    assert decode(KeyPackage, renewed.last_resort).cipher_suite == BEST


def test_a_used_one_is_gone_and_a_used_last_resort_stays_until_it_is_replaced(changes: Changes) -> None:
    made = publish(changes)
    assert made is not None
    for data, last_resort in ((made.packages[0], False), (made.last_resort, True)):
        reference = key_package_reference(decode(KeyPackage, data))
        bundle = key_packages.find(changes.db, [b"another", reference])
        assert bundle is not None
        with changes.change() as change:
            key_packages.used(change.db, bundle, last_resort=last_resort)
        assert (key_packages.find(changes.db, [reference]) is not None) == last_resort

    again = publish(changes, fresh=TARGET - 1, last_resort=True)
    assert again is not None
    assert again.packages == []
    assert again.last_resort not in (b"", made.last_resort)
    assert publish(changes, fresh=TARGET - 1, last_resort=True) is None


def test_a_last_resort_is_renewed_before_it_lapses(changes: Changes) -> None:
    publish(changes)

    assert publish(changes, fresh=TARGET, last_resort=True, now=NOW + 19 * DAY) is None
    assert publish(changes, fresh=TARGET, last_resort=True, now=NOW + 21 * DAY) is not None


def test_private_keys_of_lapsed_ones_are_dropped(changes: Changes) -> None:
    publish(changes)
    for now, left in ((NOW + 31 * DAY, TARGET + 1), (NOW + 33 * DAY, 0)):
        with changes.change() as change:
            key_packages.drop_lapsed(change.db, now)
        assert count(changes) == left
