"""Pins: a contact's account key is the one we first met (D-04)."""

from pathlib import Path

import msgspec
import pytest

from securechat.client.change import Changes
from securechat.client.contacts import (
    Seen,
    accept_change,
    changed_users,
    confirm_pin,
    contact,
    identities,
    meet,
    meet_all,
    of_all,
    set_verified,
    verified_since,
)
from securechat.client.events import Identity
from securechat.client.verification import VerifiedMark, marks, take_marks
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


def test_d_04_somebody_is_one_of_three_things(changes: Changes) -> None:
    """Verified for one key, and no other: a change takes it away, and accepting does not bring it back."""
    first, second = credential_of("bob"), credential_of("bob")
    with changes.change() as change:
        assert identities(change.db) == {}
        meet(change.db, first, now=NOW)
        assert identities(change.db) == {"bob": Identity.KNOWN}
        set_verified(change.db, "bob", first.account_key, now=NOW + 5)
        assert (identities(change.db), verified_since(change.db)) == (
            {"bob": Identity.VERIFIED},
            {"bob": NOW + 5},
        )
        meet(change.db, second, now=NOW)
        assert (identities(change.db), verified_since(change.db)) == ({"bob": Identity.CHANGED}, {})
        accept_change(change.db, "bob", second.account_key)
        assert identities(change.db) == {"bob": Identity.KNOWN}


def test_d_04_keys_that_were_seen_and_are_not_theirs_are_forgotten(changes: Changes) -> None:
    first, second = credential_of("bob"), credential_of("bob")
    with changes.change() as change:
        meet_all(change.db, [first, second], now=NOW)
        confirm_pin(change.db, "bob")
        assert identities(change.db) == {"bob": Identity.KNOWN}
        assert meet(change.db, second, now=NOW) is Seen.CHANGED, "and are a change again when they come again"


@pytest.mark.parametrize(
    ("users", "together"),
    [
        ((), None),
        (("anna",), Identity.VERIFIED),
        (("anna", "bob"), Identity.KNOWN),
        (("anna", "bob", "carol"), Identity.CHANGED),
        (("anna", "nobody"), None),
    ],
)
def test_several_people_are_what_the_least_of_them_is(
    users: tuple[str, ...], together: Identity | None
) -> None:
    known = {"anna": Identity.VERIFIED, "bob": Identity.KNOWN, "carol": Identity.CHANGED}

    assert of_all(users, known) is together


def test_d_04_marks_are_rows_that_another_device_takes_over_for_the_keys_it_has_itself(
    changes: Changes,
) -> None:
    bob = credential_of("bob")
    mine = VerifiedMark("bob", bob.account_key, NOW)
    with changes.change() as change:
        assert take_marks(change.db, [mine]) == 0, "who was never met is nobody here"
        meet(change.db, bob, now=NOW)
        assert take_marks(change.db, [VerifiedMark("bob", bytes(32), 5), mine]) == 1
        assert take_marks(change.db, [VerifiedMark("bob", bob.account_key, 5)]) == 0
        assert marks(change.db) == [mine]
        assert identities(change.db) == {"bob": Identity.VERIFIED}
