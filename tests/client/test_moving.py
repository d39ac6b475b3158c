"""A conversation moves into the group that its old one goes on as, and into no other (M-06, D-03)."""

from pathlib import Path

import pytest

from securechat.client import history, intents, records, successors
from securechat.client.compose import queue_text
from securechat.client.errors import KeysMissing
from securechat.client.events import Notice, Standing
from securechat.client.intents import Step, What
from securechat.client.moving import Mover, Place
from securechat.client.people import client_identity
from securechat.client.planner import ready
from securechat.client.records import ConversationRecord
from securechat.client.successors import MAX_WAITING, WaitingWelcome
from securechat.client.upgrading import check_brought, first_lacking
from securechat.mls.cipher_suite import SUITE_3, SUITE_HYBRID
from securechat.mls.continuing import Continuation, reinitialise
from securechat.mls.group import Group
from securechat.mls.key_package import KeyPackage
from securechat.mls.proposals import ReInit
from securechat.mls.psk import ResumptionPsk, ResumptionPSKUsage
from securechat.mls.staging import CommitPlan, StagedCommit
from securechat.protocol.messages import Carried, InboxEntry
from tests.client.members import GROUP, MemberOf, entry
from tests.client.parts import NOW
from tests.client.test_work import Worker

NEXT = b"n" * 32

Trio = tuple[MemberOf, MemberOf, MemberOf]


@pytest.fixture
def trio(tmp_path: Path) -> Trio:
    alice, bob, carol = (MemberOf(tmp_path, name) for name in ("alice", "bob", "carol"))
    alice.founds(bob, carol)
    return alice, bob, carol


def close(by: MemberOf, *readers: MemberOf) -> StagedCommit:
    """Alice closes the group; those who are named have read it."""
    context = by.group.public.context
    reinit = ReInit(NEXT, context.version, context.cipher_suite, context.extensions)
    commit = by.stages(CommitPlan(reinit=reinit, force_path=True))
    for reader in readers:
        read_on(reader, commit)
    return commit


def read_on(reader: MemberOf, commit: StagedCommit) -> None:
    reader.reads(entry(2, "commit", commit.message, epoch=1))


def going_on(by: MemberOf, *others: MemberOf) -> Continuation:
    return reinitialise(by.group, tuple(other.key_package() for other in others), client_of=client_identity)


def welcome(member: MemberOf, commit: StagedCommit, *, sequence: int = 2, group: bytes = NEXT) -> None:
    told = InboxEntry(sequence, group, 1, 2, "x" * 26, Carried(), NOW)
    assert commit.welcome is not None
    with member.changes.change() as change:
        member.joiner.take(change, told, commit.welcome, commit.state.public.tree.to_bytes())


def acts(member: MemberOf) -> None:
    Worker(member).acts()


def refusals(member: MemberOf) -> list[str]:
    return [
        each.text for each in member.events if isinstance(each, Notice) and each.code == "welcome_refused"
    ]


def types(member: MemberOf, text: str) -> None:
    with member.changes.change() as change:
        queue_text(change, member.device, member.record, text, now=NOW, key=None)


def wants(member: MemberOf, what: What, step: Step = Step.WANTED, subject: str = "") -> None:
    with member.changes.change() as change:
        intent = intents.add(change.db, member.record.id, what, subject=subject)
        intents.step_to(change.db, intent, step, packages=b"\x90")


def test_a_welcome_waits_until_the_old_log_is_read(trio: Trio) -> None:
    alice, bob, carol = trio
    commit = close(alice, alice)
    before = bob.record
    first = going_on(alice, bob, carol)

    welcome(bob, first.staged)
    acts(bob)
    assert bob.record.group_id == GROUP
    bob.forget_memory()
    read_on(bob, commit)
    acts(bob)

    after = bob.record
    assert (after.id, after.name, after.room, after.title) == (
        before.id,
        before.name,
        before.room,
        before.title,
    )
    assert (after.group_id, after.predecessor, after.closed) == (NEXT, GROUP, False)
    assert (after.cursor, after.handshake_head, after.epoch) == (1, 1, 1)
    assert refusals(bob) == []
    known = bob.store.rows("SELECT group_id, epoch FROM epoch_code")
    assert [tuple(each) for each in known] == [(NEXT, 1)], (
        "its epochs begin anew, and so does who is let pass"
    )
    assert after.last_resort  # it was let in by such a key, and renews its leaf at once
    assert bob.wants == [What.UPDATE]


def test_what_waits_goes_along_and_is_begun_anew(trio: Trio) -> None:
    alice, bob, carol = trio
    types(bob, "typed before")
    wants(bob, What.ADD, Step.CLAIMED, subject="dave")
    wants(bob, What.UPGRADE, Step.SENT)
    close(alice, alice, bob)
    types(bob, "typed while nothing could be sent")
    acts(bob)
    assert Worker(bob).asked() == []

    welcome(bob, going_on(alice, bob, carol).staged)
    acts(bob)

    waiting = history.to_seal(bob.store.db, bob.record.id, limit=9)
    assert [each.text for each in waiting] == ["typed before", "typed while nothing could be sent"]
    (left,) = intents.of(bob.store.db, bob.record.id)
    assert (left.what, left.step, left.packages) == (What.ADD, Step.WANTED, b"")


def test_nobody_moves_while_the_server_has_something_to_decide(trio: Trio) -> None:
    """Q-05: an answer about the old log that came later would give a message a place in the new one."""
    alice, bob, carol = trio
    types(bob, "on its way")
    with bob.changes.change() as change:
        records.update(change.db, bob.record.id, epoch_since=NOW, last_resort=0)
    acts(bob)
    assert [type(each).__name__ for each in Worker(bob).asked()] == ["SendMessage"]
    close(alice, alice, bob)
    welcome(bob, going_on(alice, bob, carol).staged)
    acts(bob)
    assert bob.record.group_id == GROUP

    with bob.changes.change() as change:
        for message in history.latest(change.db, bob.record.id, 9):
            history.unseal(change.db, message.local_id)  # it was refused: too late
    acts(bob)

    assert bob.record.group_id == NEXT
    assert [each.text for each in history.to_seal(bob.store.db, bob.record.id, limit=9)] == ["on its way"]


def test_who_is_invited_is_still_asked_and_who_left_asks_again(trio: Trio) -> None:
    alice, bob, carol = trio
    for member, state in ((bob, Standing.INVITED), (carol, Standing.LEFT)):
        with member.changes.change() as change:
            records.update(change.db, member.record.id, state=state)
    close(alice, alice, bob, carol)
    first = going_on(alice, bob, carol)
    for member in (bob, carol):
        welcome(member, first.staged)
        acts(member)

    assert (bob.record.state, bob.record.group_id) == (Standing.INVITED, NEXT)
    assert (carol.record.state, carol.record.group_id) == (Standing.LEFT, NEXT)
    assert carol.wants == [What.LEAVE]


def test_who_may_not_close_the_group_leads_nobody_on(trio: Trio) -> None:
    alice, bob, carol = trio
    close(alice, alice, bob, carol)

    welcome(carol, going_on(bob, alice, carol).staged)
    acts(carol)

    assert carol.record.closed
    assert ["@bob may not" in text for text in refusals(carol)] == [True]
    welcome(carol, going_on(alice, bob, carol).staged, sequence=3)
    acts(carol)
    assert carol.record.group_id == NEXT


def without(by: MemberOf, *others: MemberOf, group_id: bytes = NEXT) -> StagedCommit:
    """A group that goes on from the old one with whom ``by`` likes, whatever the library would say."""
    old = by.group
    reinit = old.state.reinit
    extensions = old.public.context.extensions if reinit is None else reinit.extensions
    group = Group.create(by.device.identity, suite=SUITE_HYBRID, group_id=group_id, extensions=extensions)
    psk = ResumptionPsk(ResumptionPSKUsage.REINIT, old.group_id, old.epoch)
    adds = tuple(other.key_package() for other in others)
    return group.stage_commit(CommitPlan(add=adds, psks=(psk,), force_path=True), psks=old.psk_source())


def test_where_a_member_is_left_out_nobody_goes(trio: Trio) -> None:
    alice, bob, _ = trio
    close(alice, alice, bob)

    welcome(bob, without(alice, bob))
    acts(bob)

    assert bob.record.closed
    assert ["reinit-members" in text for text in refusals(bob)] == [True]


def test_another_group_than_the_one_announced_is_not_entered(trio: Trio) -> None:
    alice, bob, carol = trio
    close(alice, alice, bob)

    welcome(bob, without(alice, bob, carol, group_id=b"o" * 32), group=b"o" * 32)
    acts(bob)
    welcome(bob, going_on(alice, bob, carol).staged, sequence=3, group=b"p" * 32)
    acts(bob)

    assert bob.record.closed
    assert len(refusals(bob)) == 2


def test_a_welcome_that_goes_on_from_a_group_that_is_not_here_is_refused(trio: Trio) -> None:
    alice, bob, carol = trio
    close(alice, alice)
    with bob.changes.change() as change:
        records.update(change.db, bob.record.id, group_id=b"another group".ljust(32))

    welcome(bob, going_on(alice, bob, carol).staged)

    assert ["goes on from a group that is not here" in text for text in refusals(bob)] == [True]


def test_whose_keys_are_lost_is_told_that_it_cannot_follow(trio: Trio) -> None:
    alice, bob, carol = trio
    with bob.changes.change() as change:
        bob.groups.follow(change, bob.record.id, bob.group.public)
    close(alice, alice, bob)
    welcome(bob, going_on(alice, bob, carol).staged)

    acts(bob)

    assert bob.record.group_id == GROUP
    assert Worker(bob).asked() == []


def test_who_made_the_next_group_moves_when_the_server_has_it(trio: Trio) -> None:
    alice, bob, carol = trio
    close(alice, alice)
    first = going_on(alice, bob, carol)
    first.group.merge(first.staged)
    with alice.changes.change() as change:
        successors.keep_group(change, alice.record.id, first.group)
    alice.forget_memory()

    kept = successors.group(alice.store.db, alice.record.id, alice.device.identity)
    assert kept is not None
    with alice.changes.change() as change:
        Mover(alice.device, alice.groups, lambda: NOW).move(change, alice.record, kept, Place(1))

    assert (alice.record.group_id, alice.record.cursor) == (NEXT, 1)
    assert successors.group(alice.store.db, alice.record.id, alice.device.identity) is None
    assert alice.group.epoch_authenticator == first.group.epoch_authenticator


def test_only_so_many_welcomes_wait(trio: Trio) -> None:
    _, bob, _ = trio
    with bob.changes.change() as change:
        for number in range(MAX_WAITING + 3):
            told = InboxEntry(number, NEXT, 1, 2, "x" * 26, Carried(), NOW)
            successors.keep_welcome(change.db, bob.record.id, WaitingWelcome(told, b"w", b"t"))
    with bob.changes.change() as change:
        waiting = successors.take_welcomes(change.db, bob.record.id)
        assert [each.entry.sequence for each in waiting] == list(range(3, MAX_WAITING + 3))
        assert successors.take_welcomes(change.db, bob.record.id) == []


def changed(record: ConversationRecord, **values: object) -> ConversationRecord:
    return ConversationRecord(**({name: getattr(record, name) for name in record.__struct_fields__} | values))


def test_in_a_closed_group_nothing_is_done_but_to_go_on(trio: Trio) -> None:
    alice, _, _ = trio
    for what in What:
        wants(alice, what, Step.CLAIMED if what is What.OPEN else Step.WANTED)
    close(alice, alice)

    may = {each.what for each in intents.of(alice.store.db, alice.record.id) if ready(alice.record, each)}

    assert may == {What.UPGRADE}
    held = changed(alice.record, held_code="identity_changed")
    assert not any(ready(held, each) for each in intents.of(alice.store.db, alice.record.id))


def test_whose_keys_are_still_to_be_had(trio: Trio) -> None:
    alice, bob, carol = trio
    public, own = alice.group.public, alice.device.client
    bobs, carols = bob.key_package(), carol.key_package()
    older: KeyPackage = carol.key_package(SUITE_3.number)
    suite = SUITE_HYBRID.number

    assert first_lacking(public, (), suite, own=own) == ("bob", bob.device.client)
    assert first_lacking(public, (bobs, older), suite, own=own) == ("carol", carol.device.client)
    assert first_lacking(public, (bobs, carols), suite, own=own) is None
    check_brought(public, (bobs, carols), "carol", suite, own=own)
    with pytest.raises(KeysMissing, match=rf"carol's device {carol.device.client[:8]}"):
        check_brought(public, (bobs, older), "carol", suite, own=own)
