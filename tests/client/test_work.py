"""What a conversation does once it has read its log."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from securechat.client import history, intents, key_log, records, staged
from securechat.client.change import Change
from securechat.client.compose import queue_text
from securechat.client.events import Kind, MessageRefused, Standing
from securechat.client.intents import Step, What
from securechat.client.outbox import Outbox
from securechat.client.planner import Planner
from securechat.client.reconciling import Reconciler
from securechat.client.records import ConversationRecord
from securechat.client.session import Session
from securechat.client.tasks import Tasks
from securechat.client.work import MAX_SEALED, UPDATE_AFTER, UPDATE_BEFORE_GENERATION, Outcome, Work
from securechat.mls.staging import CommitPlan
from securechat.protocol.frames import decode_request
from securechat.protocol.messages import (
    ClaimKeyPackages,
    CommitGroup,
    OfferCommit,
    Propose,
    RequestBody,
    SendMessage,
)
from tests.client.members import MemberOf, entry, message
from tests.client.parts import NOW, NotingSession


class AllIsWell(Reconciler):
    """Everybody's devices are as their accounts say: that is `test_reconciling.py`'s."""

    def __init__(self) -> None:
        pass

    def look(self, _change: Change, record: ConversationRecord) -> tuple[ConversationRecord, frozenset[str]]:
        return record, frozenset()


class Worker:
    """A member whose conversation acts; what it asks of the server is only stored."""

    def __init__(self, member: MemberOf) -> None:
        self.member = member
        self.now = float(NOW)
        session = cast(Session, NotingSession())
        tasks = Tasks(lambda _: None)
        outbox = Outbox(member.changes, session, tasks, lambda *_: None)
        planner = Planner(member.device, member.groups, outbox, self._clock)
        self.work = Work(member.device, member.groups, planner, outbox, self._clock, AllIsWell())

    def _clock(self) -> float:
        return self.now

    def acts(self) -> Outcome:
        with self.member.changes.change() as change:
            return self.work.act(change, self.member.record)

    def wants(self, what: What, subject: str = "") -> None:
        with self.member.changes.change() as change:
            intents.add(change.db, self.member.record.id, what, subject=subject)

    def types(self, text: str) -> None:
        with self.member.changes.change() as change:
            queue_text(change, self.member.device, self.member.record, text, now=NOW, key=None)

    def changes(self, **values: str | int) -> None:
        with self.member.changes.change() as change:
            records.update(change.db, self.member.record.id, **values)

    def asked(self) -> list[RequestBody]:
        rows = self.member.store.rows("SELECT body FROM request ORDER BY name")
        return [decode_request(body) for (body,) in rows]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Worker, MemberOf]:
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    alice.founds(bob)
    worker = Worker(alice)
    worker.changes(epoch_since=NOW)
    return worker, bob


def test_what_is_queued_is_sealed_for_the_present_epoch(pair: tuple[Worker, MemberOf]) -> None:
    alice, bob = pair
    alice.types("hello")

    alice.acts()

    (sent,) = alice.asked()
    assert isinstance(sent, SendMessage)
    assert sent.epoch == 1
    bob.reads(message(2, sent.message))
    assert [kept.text for kept in bob.heard()] == ["hello"]


def test_m_11_with_a_sealed_message_the_store_has_the_key_used(pair: tuple[Worker, MemberOf]) -> None:
    """Or after a crash the next one would be sealed with it."""
    alice, _ = pair
    alice.types("hello")
    alice.acts()
    alice.types("and again")
    alice.acts()

    used = alice.member.group
    alice.member.forget_memory()
    assert used.own_generation == alice.member.group.own_generation == 2


def test_what_was_sealed_is_not_sealed_again(pair: tuple[Worker, MemberOf]) -> None:
    """Q-05."""
    alice, _ = pair
    alice.types("hello")

    for _ in range(3):
        alice.acts()

    assert len(alice.asked()) == 1


def test_after_a_refusal_the_same_content_is_sealed_anew(pair: tuple[Worker, MemberOf]) -> None:
    """The receiver drops the double by its MIMI id (rules.md A)."""
    alice, bob = pair
    alice.types("hello")
    alice.acts()
    with alice.member.changes.change() as change:
        history.unseal_all(change.db, alice.member.record.id)
    alice.acts()

    first, second = (sent for sent in alice.asked() if isinstance(sent, SendMessage))
    bob.reads(message(2, first.message), message(3, second.message))

    assert first.message != second.message
    assert [kept.text for kept in bob.heard()] == ["hello"]


def test_only_so_many_are_in_flight(pair: tuple[Worker, MemberOf]) -> None:
    alice, _ = pair
    for number in range(MAX_SEALED + 5):
        alice.types(f"message {number}")

    alice.acts()
    alice.acts()

    assert len(alice.asked()) == MAX_SEALED


@pytest.mark.parametrize("change", [{"state": "invited"}, {"state": "left"}, {"held_code": "log_altered"}])
def test_nothing_is_sealed_where_one_may_not_send(
    pair: tuple[Worker, MemberOf], change: dict[str, str]
) -> None:
    alice, _ = pair
    alice.types("hello")
    alice.changes(**change)

    alice.acts()

    assert alice.asked() == []


def test_nothing_is_sealed_while_our_own_commit_is_under_way(pair: tuple[Worker, MemberOf]) -> None:
    alice, _ = pair
    alice.types("hello")
    alice.member.stages(CommitPlan(force_path=True))
    with alice.member.changes.change() as change:
        staged.place(change.db, alice.member.record.id, 2)

    alice.acts()

    assert alice.asked() == []


def test_a_commit_of_ours_that_a_restored_server_lost_is_sent_again(pair: tuple[Worker, MemberOf]) -> None:
    """N-03: the same bytes, since others may have applied it."""
    alice, _ = pair
    commit = alice.member.stages(CommitPlan(force_path=True))

    alice.acts()
    alice.acts()

    (offer,) = alice.asked()
    assert isinstance(offer, OfferCommit)
    assert offer.commit.body == commit.message


def test_what_is_in_flight_from_an_earlier_epoch_goes_first(pair: tuple[Worker, MemberOf]) -> None:
    """Q-03: a sender's order survives a lost epoch."""
    alice, bob = pair
    alice.types("first")
    alice.acts()
    commit = bob.group.stage_commit(CommitPlan(force_path=True))
    alice.member.reads(entry(2, "commit", commit.message, epoch=1))
    alice.types("second")

    alice.acts()

    assert len(alice.asked()) == 1


def test_who_may_only_read_is_told_so(tmp_path: Path) -> None:
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    alice.founds(bob, kind=Kind.ANNOUNCEMENT)
    reader = Worker(bob)
    reader.changes(epoch_since=NOW, last_resort=0)
    reader.types("may I?")

    reader.acts()

    assert reader.asked() == []
    assert isinstance(bob.events[-1], MessageRefused)


def say_much(alice: Worker) -> None:
    for _ in range(UPDATE_BEFORE_GENERATION):
        alice.member.group.encrypt(b"x")


OVERDUE: dict[str, Callable[[Worker], None]] = {
    "last resort": lambda alice: alice.changes(last_resort=1),
    "seven days": lambda alice: alice.changes(epoch_since=NOW - UPDATE_AFTER - 1),
    "a date that is to come (C-06)": lambda alice: alice.changes(epoch_since=NOW + UPDATE_AFTER + 1),
    "many messages": say_much,
}


@pytest.mark.parametrize("why", OVERDUE)
def test_our_leaf_gets_fresh_keys_in_time(pair: tuple[Worker, MemberOf], why: str) -> None:
    """M-17, M-14: and nothing is sealed before."""
    alice, bob = pair
    alice.types("hello")
    OVERDUE[why](alice)

    alice.acts()
    alice.acts()

    (commit,) = alice.asked()
    assert isinstance(commit, CommitGroup)
    bob.reads(entry(2, "commit", commit.commit.body, epoch=1))
    assert bob.group.epoch == 2


def test_nothing_is_renewed_before_its_time(pair: tuple[Worker, MemberOf]) -> None:
    alice, _ = pair
    alice.now += UPDATE_AFTER - 60

    alice.acts()

    assert alice.member.wants == []


def test_an_invitation_claims_key_packages_once(pair: tuple[Worker, MemberOf]) -> None:
    alice, _ = pair
    with alice.member.changes.change() as change:
        key_log.set_mode(change.db, key_log.NONE)
    alice.wants(What.ADD, "carol")

    alice.acts()
    alice.acts()

    assert alice.asked() == [ClaimKeyPackages("carol", 0xF00E, [3])]


def test_d_03_no_keys_are_asked_for_before_the_key_log_was(pair: tuple[Worker, MemberOf]) -> None:
    alice, _ = pair
    alice.wants(What.ADD, "carol")

    alice.acts()

    assert alice.asked() == []
    assert "carol" in key_log.wanted(alice.member.changes.db)
    with alice.member.changes.change() as change:
        key_log.note_absent(change.db, "carol", now=int(alice.now))
        assert intents.look_again(change.db, "carol") == [alice.member.record.id]
    alice.acts()
    assert alice.asked() == [ClaimKeyPackages("carol", 0xF00E, [3])]


def test_who_is_there_already_is_not_added_again(pair: tuple[Worker, MemberOf]) -> None:
    alice, _ = pair
    alice.wants(What.ADD, "bob")

    alice.acts()

    assert alice.asked() == []
    assert alice.member.wants == []


def test_an_intent_waits_for_its_time_and_says_when(pair: tuple[Worker, MemberOf]) -> None:
    alice, bob = pair
    with alice.member.changes.change() as change:
        intents.add(change.db, alice.member.record.id, What.UPDATE, not_before=(NOW + 3) * 1000)

    assert alice.acts() == Outcome(again_in=3.0)
    alice.now += 3
    alice.acts()

    assert [type(each) for each in alice.asked()] == [CommitGroup]
    del bob


def test_leaving_is_a_proposal_that_others_commit(pair: tuple[Worker, MemberOf]) -> None:
    alice, bob = pair
    alice.wants(What.LEAVE)

    alice.acts()

    (proposal,) = alice.asked()
    assert isinstance(proposal, Propose)
    bob.reads(entry(2, "proposal", proposal.proposal, epoch=1))
    assert bob.wants == [What.SWEEP]


def test_the_last_one_needs_nobody_to_leave(tmp_path: Path) -> None:
    alice = MemberOf(tmp_path, "alice")
    alice.founds()
    worker = Worker(alice)
    worker.changes(epoch_since=NOW)
    worker.wants(What.LEAVE)

    worker.acts()

    assert worker.asked() == []
    assert alice.record.state is Standing.LEFT
    assert alice.wants == []


def test_who_follows_only_joins_anew(pair: tuple[Worker, MemberOf]) -> None:
    alice, _ = pair
    with alice.member.changes.change() as change:
        alice.member.groups.follow(change, alice.member.record.id, alice.member.group.public)
    alice.types("hello")
    alice.wants(What.ADD, "carol")
    alice.wants(What.RESYNC)

    outcome = alice.acts()

    assert outcome.resync is not None
    assert (outcome.resync.what, outcome.resync.step) == (What.RESYNC, Step.WANTED)
    assert alice.asked() == []


def test_the_bytes_that_are_stored_are_those_whose_hash_is_kept(pair: tuple[Worker, MemberOf]) -> None:
    alice, _ = pair
    alice.types("hello")
    alice.acts()

    (sent,) = alice.asked()
    assert isinstance(sent, SendMessage)
    digest = hashlib.sha256(sent.message).digest()
    assert history.own_sealed(alice.member.store.db, alice.member.record.id, digest) is not None
