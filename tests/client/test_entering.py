"""A group that was entered without an anchor: whose word ends its hold (N-02, D-06)."""

from pathlib import Path

import pytest

from securechat.client import contact_box, contacts
from securechat.client.contact_box import VERSION, Contacts, Known
from securechat.client.entering import UNPROVEN
from securechat.client.holds import has, hold
from securechat.client.people import credential_of
from tests.client.members import MemberOf, message


def entered(folder: Path, *, known_before: bool) -> tuple[MemberOf, MemberOf]:
    """Bob, whose account was brought back, in a group of alice's that may be made up."""
    alice, bob = MemberOf(folder, "alice"), MemberOf(folder, "bob")
    key = alice.device.account_keys[0]
    if known_before:
        with bob.changes.change() as change:
            box = Contacts(VERSION, (Known("alice", key, 1, 5),))
            contact_box.take_in(change.db, box, incarnation=1)
    alice.founds(bob)
    with bob.changes.change() as change:
        there = [credential_of(leaf) for _, leaf in bob.group.public.tree.leaves()]
        contacts.meet_all(change.db, [each for each in there if each.user_name == "alice"], now=change.now)
        hold(change, bob.record, UNPROVEN)
    return alice, bob


@pytest.mark.parametrize("known_before", [True, False], ids=["known before", "made up"])
def test_n_02_only_a_key_that_the_account_knew_before_proves_a_group(
    tmp_path: Path, *, known_before: bool
) -> None:
    alice, bob = entered(tmp_path, known_before=known_before)

    bob.reads(message(2, alice.seals("it is us")))

    assert [each.text for each in bob.heard()] == ["it is us"]
    assert has(bob.store.db, bob.record, UNPROVEN) is not known_before


def test_n_02_a_key_that_was_accepted_since_is_none_of_before(tmp_path: Path) -> None:
    alice, bob = entered(tmp_path, known_before=True)
    key = alice.device.account_keys[0]
    with bob.changes.change() as change:
        for other in (b"x" * 32, key):
            assert contacts.meet_key(change.db, "alice", other)
            assert contacts.accept_change(change.db, "alice", other)

    bob.reads(message(2, alice.seals("it is us")))

    assert has(bob.store.db, bob.record, UNPROVEN)
