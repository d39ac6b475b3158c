"""A group that was entered without an anchor: whose word ends its hold (N-02, D-06)."""

from pathlib import Path
from typing import cast

import pytest

from securechat.client import contact_box, contacts, intents, records
from securechat.client.contact_box import VERSION, Contacts, Known
from securechat.client.entering import LOOK_AGAIN, MOST_LOOKS, UNPROVEN, WELCOME_SECONDS, Entering, Offered
from securechat.client.errors import RefusedByServer
from securechat.client.events import Kind, Standing
from securechat.client.groups import Groups
from securechat.client.holds import has, hold
from securechat.client.intents import What
from securechat.client.people import credential_of
from securechat.client.planner import Planner
from securechat.client.session import Session
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import Carried, InboxEntry, StoredGroupInfo
from tests.client.members import GROUP, MemberOf, message
from tests.client.parts import NOW


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


@pytest.mark.parametrize("let_in", [True, False], ids=["let in", "not let in"])
def test_n_02_who_was_let_in_already_waits_for_the_welcome_and_not_for_long(
    tmp_path: Path, *, let_in: bool
) -> None:
    """The other one has taken the lost device out and the new one in; or the server says so."""
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    alice.founds(bob, kind=Kind.DIRECT, uri=alice.device.direct_room("bob"))
    now = float(NOW)
    entering = Entering(
        bob.changes, cast(Session, None), bob.groups, bob.device, cast(Planner, None), lambda: now
    )
    looks = 0
    with bob.changes.change() as change:
        wanted = intents.add(change.db, bob.record.id, What.ENTER)
        while (intent := intents.get(change.db, wanted)) is not None:
            looks += 1
            now += intent.waits(now)
            change.woken.clear()
            entering._unanchored(change, bob.record, intent, let_in=let_in)
            assert change.woken == {bob.record.id}, "or nobody would look again"

    assert looks == (MOST_LOOKS + 1 if let_in else 1)
    assert now - NOW == (MOST_LOOKS * WELCOME_SECONDS if let_in else 0)
    assert bob.record.state is Standing.OPENING


def test_a_group_that_cannot_be_entered_now_is_looked_at_again(tmp_path: Path) -> None:
    bob = MemberOf(tmp_path, "bob")
    MemberOf(tmp_path, "alice").founds(bob)
    stranger = Groups(bob.device)
    entering = Entering(
        bob.changes, cast(Session, None), stranger, bob.device, cast(Planner, None), lambda: float(NOW)
    )
    with bob.changes.change() as change:
        bob.groups.drop(change, bob.record.id)
        intent = intents.get(change.db, intents.add(change.db, bob.record.id, What.ENTER))
        assert intent is not None
        change.woken.clear()
        entering._refused(change, bob.record.id, intent, RefusedByServer("internal"))
        waiting = intents.get(change.db, intent.id)
        assert waiting is not None
        assert waiting.waits(NOW) == LOOK_AGAIN
        assert change.woken == {bob.record.id}


def test_who_was_let_into_a_room_waits_and_accuses_nobody(tmp_path: Path) -> None:
    """No leaf comes twice: a second one would be what no honest server lets through."""
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    alice.founds(bob, kind=Kind.ROOM)
    entering = Entering(
        bob.changes, cast(Session, None), bob.groups, bob.device, cast(Planner, None), lambda: float(NOW)
    )
    offered = Offered(cast(StoredGroupInfo, None), alice.group.group_info(), alice.group.tree_bytes())
    with bob.changes.change() as change:
        intent = intents.get(change.db, intents.add(change.db, bob.record.id, What.ENTER))
        assert intent is not None
        change.woken.clear()
        entering._stage(change, bob.record, intent, offered)
        waiting = intents.get(change.db, intent.id)
        assert waiting is not None
        assert (waiting.waits(NOW), change.woken) == (LOOK_AGAIN, {bob.record.id})
    assert bob.record.held_code == ""


def test_who_is_invited_has_nothing_to_enter_any_more(tmp_path: Path) -> None:
    """The account that comes back would wait for it, and say so."""
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    alice.founds(kind=Kind.ROOM)
    with bob.changes.change() as change:
        records.insert(
            change.db,
            name="#team",
            kind=Kind.ROOM,
            state=Standing.JOINED,
            room=alice.record.room,
            group_id=GROUP,
        )
        intents.add(change.db, bob.record.id, What.ENTER)
    commit = alice.stages(CommitPlan(add=(bob.key_package(),)))
    assert commit.welcome is not None
    told = InboxEntry(1, GROUP, 1, 2, alice.device.client, Carried(), NOW)

    with bob.changes.change() as change:
        bob.joiner.take(change, told, commit.welcome, commit.state.public.tree.to_bytes())

    assert bob.record.state is Standing.INVITED
    assert intents.of(bob.store.db, bob.record.id) == []
