"""The log is applied entry by entry; three verdicts about a commit are kept apart (rules.md D)."""

from pathlib import Path
from typing import cast

import pytest

from securechat.client import history, intents, records, staged
from securechat.client.compose import queue_text
from securechat.client.events import (
    Held,
    Kind,
    MembersChanged,
    MessageReceived,
    MessageState,
    Notice,
    NotShown,
    Removed,
    Standing,
    Undecryptable,
)
from securechat.client.holds import start_over
from securechat.client.intents import Step, What
from securechat.client.outbox import Outbox
from securechat.client.people import leaves_of, users_in
from securechat.client.planner import Planner
from securechat.client.session import Session
from securechat.client.tasks import Tasks
from securechat.mls.codec import encode
from securechat.mls.proposals import ReInit
from securechat.mls.staging import CommitPlan, StagedCommit
from tests.client.members import GROUP, MemberOf, entry, message
from tests.client.parts import NOW

Trio = tuple[MemberOf, MemberOf, MemberOf]


@pytest.fixture
def trio(tmp_path: Path) -> Trio:
    """alice, bob and carol in one room, epoch 1, entry 1 read."""
    alice, bob, carol = (MemberOf(tmp_path, user) for user in ("alice", "bob", "carol"))
    alice.founds(bob, carol)
    for member in (alice, bob, carol):
        member.events.clear()
    return alice, bob, carol


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def texts(member: MemberOf) -> list[str]:
    return [event.message.text for event in member.events if isinstance(event, MessageReceived)]


def test_a_message_is_told_stored_and_acknowledged(trio: Trio) -> None:
    alice, bob, _ = trio

    bob.reads(message(2, alice.seals("hello")))

    assert texts(bob) == ["hello"]
    assert bob.acknowledged[GROUP] == 2
    assert bob.record.cursor == 2


def test_what_is_delivered_again_is_not_told_again(trio: Trio) -> None:
    """Q-03."""
    alice, bob, _ = trio
    first = message(2, alice.seals("hello"))

    bob.reads(first, first)
    bob.reads(first)
    bob.forget_memory()
    bob.reads(first)

    assert texts(bob) == ["hello"]


def test_m_11_with_a_message_the_store_has_lost_its_key(trio: Trio) -> None:
    alice, bob, _ = trio
    before = bob.group.secrets_bytes()
    bob.reads(message(2, alice.seals("hello")), message(3, alice.seals("and again")))
    after = bob.group.secrets_bytes()

    bob.forget_memory()
    assert bob.group.secrets_bytes() == after != before


def test_reading_stops_before_a_hole(trio: Trio) -> None:
    alice, bob, _ = trio
    first, second, third = (message(n, alice.seals(f"message {n}")) for n in (2, 3, 4))

    bob.reads(first, third)
    assert bob.record.cursor == 2
    bob.reads(second, third)

    assert texts(bob) == ["message 2", "message 3", "message 4"]


def test_what_cannot_be_opened_keeps_its_place_and_reading_goes_on(trio: Trio) -> None:
    """Q-06."""
    alice, bob, _ = trio
    broken = message(2, flipped(alice.seals("broken")))

    bob.reads(broken, message(3, alice.seals("whole")))

    assert texts(bob) == ["whole"]
    assert [kept.state for kept in bob.heard()] == [MessageState.UNREADABLE, MessageState.RECEIVED]
    assert any(isinstance(event, Undecryptable) for event in bob.events)


def test_a_doctored_log_is_named_by_the_next_message_that_knows_better(trio: Trio) -> None:
    """M-10: alice read carol's message, bob was never given it."""
    alice, bob, carol = trio
    first = message(2, carol.seals("withheld"))
    alice.reads(first)

    bob.reads(message(2, alice.seals("did you read that?")))

    (held,) = [event for event in bob.events if isinstance(event, Held)]
    assert held.code == "log_altered"
    assert texts(bob) == ["did you read that?"]
    assert not bob.record.may_send


def test_a_message_of_another_log_holds_as_a_false_claim_does(trio: Trio) -> None:
    """M-10: in a fork nothing of the other half can be opened, so that no claim would ever tell."""
    alice, bob, _ = trio

    bob.reads(message(2, flipped(alice.seals("of the other half"))))

    assert bob.record.held_code == "log_altered"
    assert "alice" in bob.record.held_text or "?" in bob.record.held_text
    assert not bob.record.may_send


def test_a_message_of_an_epoch_that_is_over_holds_too(trio: Trio) -> None:
    """M-10: an honest log has no message after the commit that ended its epoch."""
    alice, bob, carol = trio
    late = alice.seals("too late")
    commit = carol.stages(CommitPlan(force_path=True))

    bob.reads(entry(2, "commit", commit.message, epoch=1), message(3, late))

    assert bob.record.held_code == "log_altered"
    assert [kept.code for kept in bob.heard()] == ["wrong_epoch"]


def test_a_message_that_is_there_twice_holds_nothing(trio: Trio) -> None:
    """M-11: its key was used; whether the log was doctored, the next claim says."""
    alice, bob, _ = trio
    sealed = alice.seals("once")

    bob.reads(message(2, sealed), message(3, sealed))

    assert texts(bob) == ["once"]
    assert not bob.record.held


def test_a_commit_of_another_is_applied_and_told(trio: Trio) -> None:
    alice, bob, carol = trio
    commit = alice.group.stage_commit(CommitPlan(remove=(carol.group.own_leaf,)))

    bob.reads(entry(2, "commit", commit.message, epoch=1))

    assert bob.group.epoch == 2
    assert bob.events == [MembersChanged("#team", "alice", (), ("carol",))]
    assert (bob.record.epoch, bob.record.handshake_head) == (2, 2)


def test_who_is_removed_keeps_the_history_and_loses_the_secrets(trio: Trio) -> None:
    alice, _, carol = trio
    carol.reads(message(2, alice.seals("remember me")))
    commit = alice.group.stage_commit(CommitPlan(remove=(carol.group.own_leaf,)))

    carol.reads(entry(3, "commit", commit.message, epoch=1), message(4, b"later", epoch=2))

    assert carol.record.state is Standing.REMOVED
    assert carol.groups.public(carol.store.db, carol.record.id) is None
    assert carol.store.rows("SELECT * FROM group_secrets") == []
    assert [kept.text for kept in carol.heard()] == ["remember me"]
    assert Removed("#team", "alice") in carol.events


def test_of_an_ended_stay_only_what_was_said_is_left(trio: Trio) -> None:
    alice, bob, carol = trio
    steps = [entry(2, "commit", alice.stages(CommitPlan(force_path=True)).message, epoch=1)]
    for member in trio:
        member.reads(*steps)
    commit = alice.group.stage_commit(CommitPlan(remove=(carol.group.own_leaf,)))
    last = entry(3, "commit", commit.message, epoch=2)

    for member in (bob, carol):
        member.reads(last)

    for table in ("group_state", "group_secrets", "staged", "pending_proposal", "kept_commit", "chain"):
        rows = carol.store.rows(f"SELECT * FROM {table}")  # noqa: S608 - our own tables
        assert rows == [], table
    assert len(bob.store.rows("SELECT * FROM kept_commit")) == 2


def test_an_answer_that_comes_after_the_end_of_a_stay_is_taken_and_nothing_read(trio: Trio) -> None:
    """M-10: a server may say that we spoke behind the commit that removed us."""
    alice, _, carol = trio
    with carol.changes.change() as change:
        said = queue_text(change, carol.device, carol.record, "late", now=NOW, key=None)
        history.mark_sealed(change.db, said.local_id, sealed=bytes(32), epoch=1)
    commit = alice.group.stage_commit(CommitPlan(remove=(carol.group.own_leaf,)))
    carol.reads(entry(2, "commit", commit.message, epoch=1))
    with carol.changes.change() as change:
        change.db.execute("UPDATE message SET state = 'queued', sealed = ? WHERE own", (bytes(32),))

    with carol.changes.change() as change:
        carol.reader.place_own(change, records.by_id(change.db, carol.record.id), said.local_id, 3)

    assert carol.record.cursor == 2
    assert history.message(carol.store.db, said.local_id).sequence == 3


def test_who_left_reads_up_to_being_let_go_and_no_further(trio: Trio) -> None:
    alice, _, carol = trio
    proposal = entry(2, "proposal", carol.group.propose_self_remove(), epoch=1)
    for member in (alice, carol):
        member.reads(proposal)
    with carol.changes.change() as change:
        records.update(change.db, carol.record.id, state=Standing.LEFT)
    said = message(3, alice.seals("after carol left"))
    commit = entry(4, "commit", alice.group.stage_commit(CommitPlan()).message, epoch=1)
    carol.events.clear()

    carol.reads(said, commit, message(5, b"not hers to read", epoch=2))

    assert (carol.record.state, carol.record.cursor) == (Standing.LEFT, 4)
    assert carol.events == []
    assert carol.heard() == []


def test_our_own_commit_is_merged_only_when_the_log_brings_it(trio: Trio) -> None:
    """M-09: also after a restart in between."""
    alice, _, _ = trio
    commit = alice.stages(CommitPlan(force_path=True))
    assert alice.group.epoch == 1

    alice.forget_memory()
    alice.reads(entry(2, "commit", commit.message, epoch=1))

    assert alice.group.epoch == 2
    assert alice.wants == []
    assert alice.store.rows("SELECT * FROM staged") == []


def test_our_own_commit_is_known_by_what_it_comes_to_not_by_its_bytes(trio: Trio) -> None:
    alice, _, _ = trio
    commit = alice.stages(CommitPlan(force_path=True))

    alice.reads(entry(2, "commit", flipped(commit.message), epoch=1))

    assert alice.group.epoch == 2
    assert not alice.groups.follows(alice.store.db, alice.record.id)


def test_a_commit_that_lost_its_race_stays_staged_until_it_is_answered(trio: Trio) -> None:
    alice, bob, _ = trio
    alice.stages(CommitPlan(force_path=True))
    winner = bob.group.stage_commit(CommitPlan(force_path=True))

    alice.reads(entry(2, "commit", winner.message, epoch=1))

    assert alice.group.epoch == 2
    assert alice.group.epoch_authenticator == winner.state.secrets.epoch_authenticator
    assert alice.wants == [What.UPDATE]


def test_a_commit_refused_in_secret_is_followed_in_public(trio: Trio) -> None:
    """M-15, rules.md D row 2."""
    alice, bob, carol = trio
    commit = alice.stages(CommitPlan(force_path=True))
    alice.reads(entry(2, "commit", commit.message, epoch=1))

    bob.reads(entry(2, "commit", flipped(commit.message), epoch=1))
    bob.reads(message(3, alice.seals("who can read this?"), epoch=2))

    public = bob.groups.public(bob.store.db, bob.record.id)
    assert public == alice.group.public
    assert bob.groups.follows(bob.store.db, bob.record.id)
    assert bob.store.rows("SELECT * FROM group_secrets") == []
    assert bob.wants == [What.RESYNC]
    assert [event.code for event in bob.events if isinstance(event, Notice)] == ["refused_commit"]
    assert [kept.code for kept in bob.heard()] == ["no_secrets"]
    assert carol.group.epoch == 1


def test_following_goes_on_over_further_commits_and_a_restart(trio: Trio) -> None:
    alice, bob, carol = trio
    first = alice.stages(CommitPlan(force_path=True))
    alice.reads(entry(2, "commit", first.message, epoch=1))
    carol.reads(entry(2, "commit", first.message, epoch=1))
    second = carol.stages(CommitPlan(force_path=True))
    carol.reads(entry(3, "commit", second.message, epoch=2))

    bob.reads(entry(2, "commit", flipped(first.message), epoch=1))
    bob.forget_memory()
    bob.reads(entry(3, "commit", second.message, epoch=2))

    assert bob.groups.public(bob.store.db, bob.record.id) == carol.group.public


@pytest.mark.parametrize("body", [b"", b"no commit at all", bytes(64)])
def test_what_no_honest_server_lets_through_stops_the_reading(trio: Trio, body: bytes) -> None:
    alice, bob, _ = trio
    before = bob.group.epoch_bytes()

    bob.reads(entry(2, "commit", body, epoch=1), message(3, alice.seals("never read")))

    (held,) = bob.events
    assert isinstance(held, Held)
    assert held.code == "invalid_entry"
    assert bob.record.cursor == 1
    assert bob.group.epoch_bytes() == before


def test_a_signed_commit_that_breaks_a_rule_stops_the_reading_too(trio: Trio) -> None:
    """M-13: bob is no admin; whatever his client and the server say, carol judges."""
    alice, bob, carol = trio
    commit = bob.group.stage_commit(CommitPlan(remove=(alice.group.own_leaf,)))

    carol.reads(entry(2, "commit", commit.message, epoch=1))

    assert [event.code for event in carol.events if isinstance(event, Held)] == ["invalid_entry"]
    assert carol.group.epoch == 1


def test_a_later_commit_without_the_one_before_it_is_a_gap(trio: Trio) -> None:
    alice, bob, _ = trio
    first = alice.stages(CommitPlan(force_path=True))
    alice.reads(entry(2, "commit", first.message, epoch=1))
    second = alice.group.stage_commit(CommitPlan(force_path=True))

    bob.reads(entry(2, "commit", second.message, epoch=2))

    assert [event.code for event in bob.events if isinstance(event, Held)] == ["missing_commit"]


def test_an_entry_of_an_unknown_kind_stops_the_reading(trio: Trio) -> None:
    _, bob, _ = trio

    bob.reads(entry(2, "poem", b"roses are red", epoch=1))

    assert [event.code for event in bob.events if isinstance(event, Held)] == ["invalid_entry"]


def test_who_asks_to_leave_is_swept_by_those_who_stay(trio: Trio) -> None:
    alice, bob, carol = trio
    proposal = entry(2, "proposal", carol.group.propose_self_remove(), epoch=1)
    for member in (alice, bob, carol):
        member.reads(proposal)

    assert (alice.wants, bob.wants, carol.wants) == ([What.SWEEP], [What.SWEEP], [])
    commit = bob.group.stage_commit(CommitPlan())
    alice.reads(entry(3, "commit", commit.message, epoch=1))

    assert alice.wants == []
    assert alice.events == [MembersChanged("#team", "carol", (), ("carol",))]


def test_while_invited_nothing_is_told_and_nothing_is_wanted(trio: Trio) -> None:
    alice, bob, carol = trio
    with bob.changes.change() as change:
        records.update(change.db, bob.record.id, state=Standing.INVITED)

    bob.reads(
        message(2, alice.seals("are you there?")),
        entry(3, "proposal", carol.group.propose_self_remove(), epoch=1),
    )

    assert bob.events == []
    assert bob.wants == []
    assert [kept.text for kept in bob.heard()] == ["are you there?"]


def test_what_someone_without_the_right_says_is_kept_and_not_shown(tmp_path: Path) -> None:
    alice, bob, carol = (MemberOf(tmp_path, user) for user in ("alice", "bob", "carol"))

    alice.founds(bob, carol, kind=Kind.ANNOUNCEMENT)

    carol.events.clear()
    carol.reads(message(2, bob.seals("I am only a reader")), message(3, alice.seals("but I am not")))

    assert texts(carol) == ["but I am not"]
    assert carol.store.value("SELECT code FROM message WHERE state = 'not_shown'") == "may_not_speak"
    assert [event for event in carol.events if isinstance(event, NotShown)] == [
        NotShown("#team", "bob", 1, "may_not_speak")
    ]


def test_a_failed_change_leaves_the_group_as_the_store_has_it(trio: Trio) -> None:
    alice, bob, _ = trio
    first = message(2, alice.seals("hello"))

    with pytest.raises(ZeroDivisionError):
        read_and_fail(bob, first)
    bob.reads(first)

    assert texts(bob) == ["hello"]


def read_and_fail(member: MemberOf, *entries: object) -> None:
    with member.changes.change() as change:
        member.reader.read(change, member.record, entries)  # type: ignore[arg-type]
        raise ZeroDivisionError


def test_who_only_follows_hears_of_the_own_removal_too(trio: Trio) -> None:
    """Else one would stay a member of nothing for good, and no new Welcome would be taken."""
    alice, bob, _ = trio
    with bob.changes.change() as change:
        bob.groups.follow(change, bob.record.id, bob.group.public)
    leaf = leaves_of(alice.group.public.tree, "bob")

    bob.reads(entry(2, "commit", alice.stages(CommitPlan(remove=leaf)).message, epoch=1))

    assert bob.events == [Removed("#team", "alice")]
    assert bob.record.state is Standing.REMOVED
    assert bob.wants == []
    assert bob.groups.public(bob.store.db, bob.record.id) is None


def enters_from_outside(member: MemberOf, info: bytes) -> StagedCommit:
    """Stage a commit that replaces the member's leaf, as for a group that is followed in public."""
    with member.changes.change() as change:
        outbox = Outbox(member.changes, cast(Session, None), cast(Tasks, None), lambda *_: None)
        planner = Planner(member.device, member.groups, outbox, lambda: NOW)
        intent = intents.get(change.db, intents.add_once(change.db, member.record.id, What.RESYNC))
        assert intent is not None
        planner.stage_external(change, member.record, intent, info)
    own = staged.get(member.store.db, member.record.id)
    assert own is not None
    return own.load(None)


def test_joining_anew_takes_up_who_leaves_and_leaves_the_rest(trio: Trio) -> None:
    """A pending Update of somebody must not keep others out."""
    alice, bob, carol = trio
    with bob.changes.change() as change:
        bob.groups.follow(change, bob.record.id, bob.group.public)
    update, leave = alice.group.propose_update(), carol.group.propose_self_remove()
    bob.reads(entry(2, "proposal", update, epoch=1), entry(3, "proposal", leave, epoch=1))
    info = alice.group.group_info()

    commit = enters_from_outside(bob, info)

    assert users_in(commit.state.public.tree) == {"alice": 1, "bob": 1}


def test_a_commit_of_ours_that_was_taken_they_say_gives_way_to_the_one_in_the_log(trio: Trio) -> None:
    """Its echo will not come: a server put back from a copy may have forgotten it."""
    alice, bob, _ = trio
    bob.stages(CommitPlan(update=True))
    with bob.changes.change() as change:
        staged.place(change.db, bob.record.id, 2)

    bob.reads(entry(2, "commit", alice.stages(CommitPlan(update=True)).message, epoch=1))

    assert not staged.exists(bob.store.db, bob.record.id)
    assert bob.wants == [What.UPDATE]


def test_secrets_given_up_while_a_commit_was_on_its_way_block_nothing(trio: Trio) -> None:
    _, bob, _ = trio
    commit = bob.stages(CommitPlan(update=True))
    with bob.changes.change() as change:
        staged.place(change.db, bob.record.id, 2)
        start_over(change, bob.groups)

    bob.reads(entry(2, "commit", commit.message, epoch=1))

    assert not staged.exists(bob.store.db, bob.record.id)
    assert What.RESYNC in bob.wants


def test_d_06_what_lets_a_copy_in_again_from_outside_is_given_up(trio: Trio) -> None:
    """Another life may have sent that commit, and spoken in the epoch that it began."""
    _, bob, _ = trio
    info = bob.group.group_info()
    with bob.changes.change() as change:
        start_over(change, bob.groups)
    commit = enters_from_outside(bob, info)

    with bob.changes.change() as change:
        start_over(change, bob.groups)
    bob.reads(entry(2, "commit", commit.message, epoch=1))

    assert bob.record.epoch == 2
    assert bob.groups.group(bob.store.db, bob.record.id) is None
    assert bob.store.rows("SELECT * FROM group_secrets") == []
    (intent,) = intents.of(bob.store.db, bob.record.id)
    assert (intent.what, intent.step) == (What.RESYNC, Step.WANTED)


def test_after_a_reinit_nothing_more_is_sent(trio: Trio) -> None:
    alice, bob, _ = trio
    context = alice.group.public.context
    reinit = ReInit(b"n" * 32, context.version, context.cipher_suite, context.extensions)

    bob.reads(entry(2, "commit", alice.stages(CommitPlan(reinit=reinit)).message, epoch=1))

    assert not bob.record.may_send
    assert bob.record.successor == encode(reinit)
    assert not bob.record.held

    bob.reads(entry(3, "message", b"one that no honest server lets through", epoch=2))

    assert bob.record.held_code == "invalid_entry"
    assert bob.record.cursor == 2
