"""Pins: a contact's account key is the one we first met (D-04)."""

from pathlib import Path

import msgspec
import pytest

from securechat.client.change import Changes
from securechat.client.contacts import Seen, accept_change, changed_users, contact, meet, meet_all
from securechat.membership.identity import ClientCredential, read_identity
from securechat.mls.credential import BasicCredential
from tests.client.parts import NOW, a_device, a_store, changes_of


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    return changes_of(a_store(tmp_path))


def credential_of(user: str) -> ClientCredential:
    credential = a_device(user).identity.credential
    assert isinstance(credential, BasicCredential)
    return read_identity(credential.identity)


def test_the_first_key_is_pinned_and_known_from_then_on(changes: Changes) -> None:
    bob = credential_of("bob")
    with changes.change() as change:
        assert meet(change.db, bob, now=NOW) is Seen.NEW
        assert meet(change.db, bob, now=NOW) is Seen.KNOWN


def test_another_key_is_a_change_and_does_not_replace_the_pin(changes: Changes) -> None:
    first, second = credential_of("bob"), credential_of("bob")
    with changes.change() as change:
        meet(change.db, first, now=NOW)
        assert meet_all(change.db, [second, second], now=NOW) == ["bob"]

    kept = contact(changes.db, "bob")
    assert kept is not None
    assert (kept.account_key, kept.changed_to) == (first.account_key, second.account_key)
    assert changed_users(changes.db) == {"bob"}


def test_a_change_is_the_users_to_accept(changes: Changes) -> None:
    first, second = credential_of("bob"), credential_of("bob")
    with changes.change() as change:
        meet_all(change.db, [first, second], now=NOW)
        assert not accept_change(change.db, "bob", bytes(32)), "another key than the one seen last"
        assert accept_change(change.db, "bob", second.account_key)
        assert meet(change.db, second, now=NOW) is Seen.KNOWN
        assert meet(change.db, first, now=NOW) is Seen.CHANGED
        assert not accept_change(change.db, "carol", second.account_key)


def test_the_highest_generation_is_remembered(changes: Changes) -> None:
    bob = credential_of("bob")
    newer = msgspec.structs.replace(bob, generation=4)
    with changes.change() as change:
        meet_all(change.db, [bob, newer, bob], now=NOW)

    kept = contact(changes.db, "bob")
    assert kept is not None
    assert kept.generation == 4
