"""What only we doubt stops our sending, never our reading (rules.md)."""

from pathlib import Path
from typing import cast

import pytest

from securechat.client import records
from securechat.client.anchor import Anchor
from securechat.client.contacts import accept_change, confirm_pin, meet
from securechat.client.errors import IdentityChanged, UntrustedKeys
from securechat.client.events import Held, Released, Standing
from securechat.client.holds import (
    hold,
    hold_for_keys,
    of,
    settle_if_known,
    settle_keys,
    settle_on_purpose,
    start_over,
)
from securechat.client.intents import What
from securechat.client.outbox import Outbox
from securechat.client.people import credential_of
from securechat.client.restored import meet as meet_server
from securechat.client.sentences import BY_WEIGHT, HOLDS, STOPPED
from securechat.client.session import Session
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import LoggedIn
from tests.client.members import MemberOf, entry, message
from tests.client.parts import NOW


@pytest.fixture
def pair(tmp_path: Path) -> tuple[MemberOf, MemberOf]:
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    alice.founds(bob)
    alice.events.clear()
    return alice, bob


def held(member: MemberOf, code: str) -> str:
    with member.changes.change() as change:
        hold(change, member.record, code, who="bob", why="it differs")
    return member.record.held_code


@pytest.mark.parametrize("code", HOLDS)
def test_every_hold_is_told_in_one_sentence(pair: tuple[MemberOf, MemberOf], code: str) -> None:
    alice, _ = pair
    assert held(alice, code) == code

    (told,) = alice.events
    assert isinstance(told, Held)
    assert told.text
    assert "{" not in told.text
    assert not alice.record.may_send


def test_a_held_conversation_is_still_read(pair: tuple[MemberOf, MemberOf]) -> None:
    alice, bob = pair
    held(alice, "identity_changed")

    alice.reads(message(2, bob.seals("can you read this?")))

    assert [kept.text for kept in alice.heard()] == ["can you read this?"]


def test_of_several_holds_the_most_serious_is_shown_and_each_is_told_once(
    pair: tuple[MemberOf, MemberOf],
) -> None:
    alice, _ = pair

    assert held(alice, "identity_changed") == "identity_changed"
    assert held(alice, "log_altered") == "log_altered"
    assert held(alice, "invalid_entry") == "invalid_entry"
    assert held(alice, "identity_changed") == "invalid_entry"

    told = [event.code for event in alice.events if isinstance(event, Held)]
    assert told == ["identity_changed", "log_altered", "invalid_entry"]
    assert [each.code for each in of(alice.store.db, alice.record.id)] == told[::-1]


def test_every_hold_has_its_weight_and_those_that_stop_reading_come_first() -> None:
    assert len(BY_WEIGHT) == len(HOLDS)
    assert set(BY_WEIGHT) == set(HOLDS)
    assert set(BY_WEIGHT[: len(STOPPED)]) == STOPPED


def test_m_10_a_log_that_was_altered_still_holds_when_changed_keys_are_accepted(
    pair: tuple[MemberOf, MemberOf],
) -> None:
    """D-04: each reason is settled by its own means; the other is said again."""
    alice, _ = pair
    held(alice, "log_altered")
    held(alice, "identity_changed")
    alice.events.clear()

    with alice.changes.change() as change:
        settle_if_known(change, alice.groups, alice.record)
    assert alice.record.held_code == "log_altered"
    alice.events.clear()

    held(alice, "identity_changed")
    with alice.changes.change() as change:
        settle_on_purpose(change, alice.groups, alice.record)
    assert alice.record.held_code == "identity_changed"
    assert [each.code for each in alice.events if isinstance(each, Held)] == ["identity_changed"] * 2
    assert not alice.record.may_send


def test_the_users_whose_keys_changed_are_all_named_until_the_last_is_accepted(
    tmp_path: Path,
) -> None:
    """D-04."""
    alice, bob, carol = (MemberOf(tmp_path, name) for name in ("alice", "bob", "carol"))
    alice.founds(bob, carol)
    with alice.changes.change() as change:
        change.db.execute("UPDATE contact SET changed_to = ?", (b"k" * 32,))
        hold_for_keys(change, alice.groups, alice.record, ["carol"])
    assert "bob, carol" in alice.record.held_text

    with alice.changes.change() as change:
        accept_change(change.db, "bob", b"k" * 32)
        settle_if_known(change, alice.groups, alice.record)
    assert "bob" not in alice.record.held_text
    assert "carol" in alice.record.held_text

    with alice.changes.change() as change:
        confirm_pin(change.db, "carol")
        settle_if_known(change, alice.groups, alice.record)
    assert (alice.record.held_code, "carol" in alice.record.held_text) == ("other_keys", False)

    with alice.changes.change() as change:
        key = credential_of(bob.group.public.tree.member(bob.group.own_leaf)).account_key
        change.db.execute("UPDATE contact SET account_key = ? WHERE user = 'bob'", (key,))
        settle_if_known(change, alice.groups, alice.record)
    assert alice.record.may_send


def test_who_is_removed_begins_anew_when_invited_again(pair: tuple[MemberOf, MemberOf]) -> None:
    """What held the stay before is over with it: being invited again is what `why` advises."""
    alice, bob = pair
    held(bob, "log_altered")
    bob.reads(entry(2, "commit", removal(alice, bob), epoch=1))

    assert bob.record.state is Standing.REMOVED
    assert not bob.record.held


def removal(by: MemberOf, of_whom: MemberOf) -> bytes:
    return by.stages(CommitPlan(remove=(of_whom.group.own_leaf,))).message


def test_a_release_is_told(pair: tuple[MemberOf, MemberOf]) -> None:
    alice, _ = pair
    held(alice, "log_altered")
    with alice.changes.change() as change:
        settle_on_purpose(change, alice.groups, alice.record)

    assert alice.events[-1] == Released("#team")
    assert alice.record.may_send


def test_changed_keys_hold_until_they_are_accepted(pair: tuple[MemberOf, MemberOf], tmp_path: Path) -> None:
    """D-04."""
    alice, bob = pair
    (tmp_path / "elsewhere").mkdir()
    other = MemberOf(tmp_path / "elsewhere", "bob")
    leaf = other.key_package().leaf_node
    with alice.changes.change() as change:
        meet(change.db, credential_of(bob.group.public.tree.member(bob.group.own_leaf)), now=NOW)
        meet(change.db, credential_of(leaf), now=NOW)
    held(alice, "identity_changed")

    with alice.changes.change() as change:
        assert settle_if_known(change, alice.groups, alice.record).held_code == "identity_changed"
        accept_change(change.db, "bob", credential_of(leaf).account_key)
        settle_keys(change, alice.groups, "bob")
    assert alice.record.held_code == "other_keys", "what was accepted is not what is in the group"
    with pytest.raises(UntrustedKeys, match="bob is in here"), alice.changes.change() as change:
        settle_on_purpose(change, alice.groups, alice.record)

    alice.reads(entry(2, "commit", removal(alice, bob), epoch=1))
    assert alice.record.may_send


def test_d_04_keys_that_were_not_theirs_are_forgotten_when_the_first_ones_are_compared(
    pair: tuple[MemberOf, MemberOf],
) -> None:
    """A lie of the server's must not be the end of a conversation."""
    alice, _ = pair
    with alice.changes.change() as change:
        change.db.execute("UPDATE contact SET changed_to = ?", (b"k" * 32,))
        hold_for_keys(change, alice.groups, alice.record, ["bob"])
    alice.events.clear()

    with alice.changes.change() as change:
        confirm_pin(change.db, "bob")
        settle_keys(change, alice.groups, "bob")

    assert alice.record.may_send
    assert alice.events == [Released("#team")]


def test_d_04_who_is_accepted_stays_held_where_somebody_else_has_come_in_by_their_name(
    pair: tuple[MemberOf, MemberOf],
) -> None:
    """Each told once, the one in the place of the other."""
    alice, _ = pair
    with alice.changes.change() as change:
        change.db.execute("UPDATE contact SET changed_to = ?", (b"k" * 32,))
        hold_for_keys(change, alice.groups, alice.record, ["bob"])
        accept_change(change.db, "bob", b"k" * 32)
        settle_keys(change, alice.groups, "bob")
        settle_keys(change, alice.groups, "bob")

    assert [each.code for each in of(alice.store.db, alice.record.id)] == ["other_keys"]
    assert [each.code for each in alice.events if isinstance(each, Held)] == [
        "identity_changed",
        "other_keys",
    ]


def test_a_copied_profile_gives_up_every_secret(pair: tuple[MemberOf, MemberOf]) -> None:
    """D-06: so that no key seals two texts."""
    alice, _ = pair
    public = alice.group.public
    with alice.changes.change() as change:
        start_over(change, alice.groups)

    assert alice.store.rows("SELECT * FROM group_secrets") == []
    assert alice.groups.group(alice.store.db, alice.record.id) is None
    assert alice.groups.public(alice.store.db, alice.record.id) == public
    assert alice.wants == [What.RESYNC]
    assert records.by_id(alice.store.db, alice.record.id).may_send


def test_ending_one_hold_on_purpose_does_not_accept_keys_that_changed_behind_it(
    pair: tuple[MemberOf, MemberOf],
) -> None:
    """D-04: else a server would alter the log first, and show other keys then."""
    alice, bob = pair
    held(alice, "log_altered")
    with alice.changes.change() as change:
        change.db.execute("UPDATE contact SET account_key = ?", (b"k" * 32,))
    alice.reads(entry(2, "commit", bob.stages(CommitPlan(update=True)).message, epoch=1))
    assert alice.record.held_code == "log_altered"

    with alice.changes.change() as change:
        settle_on_purpose(change, alice.groups, alice.record)
    assert alice.record.held_code == "identity_changed"
    with pytest.raises(IdentityChanged, match="keys of bob"), alice.changes.change() as change:
        settle_on_purpose(change, alice.groups, alice.record)
    assert not alice.record.may_send


@pytest.mark.parametrize("said", [True, False])
def test_a_server_that_goes_back_and_comes_again_accepts_no_keys_that_changed(
    pair: tuple[MemberOf, MemberOf], *, said: bool
) -> None:
    """D-04: a server that is found older stops reading, and that hides why nothing was sent before."""
    alice, _ = pair
    with alice.changes.change() as change:
        change.db.execute("UPDATE contact SET changed_to = ?", (b"k" * 32,))
    assert held(alice, "identity_changed") == "identity_changed"
    assert held(alice, "server_older") == "server_older"

    with alice.changes.change() as change:
        if said:
            anchor = Anchor(
                alice.changes, cast(Session, None), cast(Outbox, None), alice.groups, lambda: float(NOW)
            )
            anchor._placed(change, alice.record)
        else:
            meet_server(
                change, LoggedIn("alice", "a" * 26, 0, 1, 0, 0, NOW), alice.groups, lambda: float(NOW)
            )

    assert alice.record.held_code == "identity_changed"
