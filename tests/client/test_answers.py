"""Every leaf is checked before anything is encrypted to it (D-03)."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from securechat.client import history, intents, staged
from securechat.client.account_news import expect
from securechat.client.answers import Answers
from securechat.client.claims import Claims
from securechat.client.compose import queue_text
from securechat.client.errors import ClientError, IdentityChanged, UntrustedKeys, refusal
from securechat.client.events import MessageState, Notice
from securechat.client.holds import MOST_HELD, settle_on_purpose
from securechat.client.intents import Step, What
from securechat.client.key_packages import DAY, publication
from securechat.client.outbox import Purpose, StoredRequest, encoded
from securechat.client.planner import Planner
from securechat.mls.cipher_suite import SUITE_3, SUITE_HYBRID
from securechat.mls.codec import encode
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import Appended, Carried, ClaimKeyPackages, CommitGroup, SendMessage
from tests.client.account import AnAccount
from tests.client.members import MemberOf, entry
from tests.client.parts import DOMAIN, NOW
from tests.scenarios.evil import forged_key_package

BOB = "b" * 26
SUITES = (SUITE_HYBRID.number, [SUITE_3.number])


@pytest.fixture
def alice(tmp_path: Path) -> MemberOf:
    return MemberOf(tmp_path, "alice")


def answers_of(alice: MemberOf) -> Answers:
    return Answers(
        alice.device,
        alice.groups,
        cast(Planner, None),
        alice.reader,
        lambda: NOW,
        cast(Claims, None),
        {},
    )


def judged(alice: MemberOf, packages: list[bytes], *, now: int = NOW) -> ClientError | None:
    """Return what is wrong with these devices of bob."""
    claims = Claims(alice.device, alice.groups, cast(Planner, None), lambda: now)
    with alice.changes.change() as change:
        try:
            claims.judge_packages(change, ClaimKeyPackages("bob", *SUITES), packages)
        except ClientError as error:
            return error
    return None


def bobs(alice: MemberOf, tmp_path: Path) -> bytes:
    """Return keys of bob's device, which his account lists, as alice knows."""
    account = AnAccount("bob")
    bob = account.first(tmp_path)
    account.shown_to(alice)
    return encode(bob.key_package())


def test_a_signed_device_of_the_user_is_taken(alice: MemberOf, tmp_path: Path) -> None:
    assert judged(alice, [bobs(alice, tmp_path)]) is None


def test_d_03_while_the_server_hides_a_list_that_was_seen_nobody_is_taken(
    alice: MemberOf, tmp_path: Path
) -> None:
    package = bobs(alice, tmp_path)
    with alice.changes.change() as change:
        expect(change, "bob", 5)
    assert isinstance(judged(alice, [package]), UntrustedKeys)


def test_keys_of_devices_that_nobody_asked_for_are_refused(alice: MemberOf, tmp_path: Path) -> None:
    package = bobs(alice, tmp_path)
    claims = Claims(alice.device, alice.groups, cast(Planner, None), lambda: NOW)
    asked = ClaimKeyPackages("bob", *SUITES, clients=["z" * 26])
    with alice.changes.change() as change, pytest.raises(UntrustedKeys, match="nobody asked for"):
        claims.judge_packages(change, asked, [package])


def forged(user: str, *, now: int = NOW, claims: bytes | None = None) -> bytes:
    return forged_key_package(DOMAIN, user, BOB, claims=claims, now=now)


LIES: dict[str, Callable[[bytes], list[bytes]]] = {
    "no key package": lambda _: [b"nonsense"],
    "somebody else's": lambda _: [forged("mallory")],
    "a certificate of another key": lambda _: [forged("bob", claims=b"k" * 32)],
    "one more, of another account": lambda honest: [honest, forged("bob")],
    "a broken one beside an honest one": lambda honest: [honest, honest[:-1] + b"x"],
}


@pytest.mark.parametrize("lie", LIES)
def test_one_bad_device_refuses_them_all(alice: MemberOf, tmp_path: Path, lie: str) -> None:
    assert isinstance(judged(alice, LIES[lie](bobs(alice, tmp_path))), UntrustedKeys)


def test_another_account_key_than_the_pinned_one_is_a_change(alice: MemberOf, tmp_path: Path) -> None:
    """D-04."""
    assert judged(alice, [bobs(alice, tmp_path)]) is None

    assert isinstance(judged(alice, [forged("bob")]), IdentityChanged)


def test_an_expired_one_is_refused(alice: MemberOf, tmp_path: Path) -> None:
    assert isinstance(judged(alice, [bobs(alice, tmp_path)], now=NOW + 32 * DAY), UntrustedKeys)


def test_publication_is_what_alice_would_take(alice: MemberOf, tmp_path: Path) -> None:
    account = AnAccount("bob")
    bob = account.first(tmp_path)
    account.shown_to(alice)
    with bob.changes.change() as change:
        made = publication(change.db, bob.device, SUITE_3.number, fresh=0, has_last_resort=False, now=NOW)

    assert made is not None
    for package in (*made.packages, made.last_resort):
        assert judged(alice, [package]) is None


def test_a_commit_that_was_taken_they_say_after_the_log_went_on_is_judged_anew(
    alice: MemberOf, tmp_path: Path
) -> None:
    bob = MemberOf(tmp_path, "bob")
    alice.founds(bob)
    alice.stages(CommitPlan(update=True))
    own = staged.get(alice.store.db, alice.record.id)
    assert own is not None
    alice.reads(entry(2, "commit", bob.stages(CommitPlan(update=True)).message, epoch=1))
    answers = answers_of(alice)

    with alice.changes.change() as change:
        request = StoredRequest(1, Purpose.COMMIT, alice.record.id, own.intent, b"")
        answers.take(change, request, Appended(2))

    assert not staged.exists(alice.store.db, alice.record.id)
    assert alice.wants == [What.UPDATE]


def test_m_14_a_claim_that_comes_too_early_is_made_again_later_and_that_is_said(
    alice: MemberOf, tmp_path: Path
) -> None:
    alice.founds(MemberOf(tmp_path, "bob"))
    with alice.changes.change() as change:
        intent = intents.add(change.db, alice.record.id, What.ADD, subject="carol")
    answers = answers_of(alice)

    with alice.changes.change() as change:
        request = StoredRequest(1, Purpose.CLAIM, alice.record.id, intent, b"")
        answers.take(
            change, request, refusal("quota", "too many requests for keys of carol", retry_after=600)
        )

    waiting = intents.get(alice.store.db, intent)
    assert waiting is not None
    assert waiting.step is Step.WANTED
    assert NOW + 600 <= waiting.not_before / 1000 <= NOW + 606
    (notice,) = [event for event in alice.events if isinstance(event, Notice)]
    assert "carol again in 10 min" in notice.text


def test_d_02_who_has_to_go_is_not_kept_by_claims_that_come_too_early(
    alice: MemberOf, tmp_path: Path
) -> None:
    """Keys of who comes in their place are given again in ten minutes; the removal has one."""
    alice.founds(MemberOf(tmp_path, "bob"))
    with alice.changes.change() as change:
        wanted = intents.add(change.db, alice.record.id, What.REVOKE, subject="bob")
    answers, now = answers_of(alice), float(NOW)
    answers.claims = Claims(alice.device, alice.groups, cast(Planner, None), lambda: now)

    steps = []
    for _ in range(3):
        with alice.changes.change() as change:
            request = StoredRequest(1, Purpose.CLAIM, alice.record.id, wanted, b"")
            answers.take(change, request, refusal("quota", retry_after=600))
        going = intents.get(alice.store.db, wanted)
        assert going is not None
        steps.append(going.step)
        now += going.waits(now)

    assert steps == [Step.WANTED, Step.WANTED, Step.CLAIMED], "at last without anybody in their place"
    assert now - NOW == 30


@pytest.mark.parametrize(("head", "held"), [(1, "log_altered"), (2, "")])
def test_m_10_a_handshake_that_the_log_has_not_and_we_are_said_to_lack_holds(
    alice: MemberOf, tmp_path: Path, head: int, held: str
) -> None:
    """The server counts its log otherwise than it showed it; where it goes on, we read on first."""
    alice.founds(MemberOf(tmp_path, "bob"))
    commit = alice.stages(CommitPlan(update=True))
    own = staged.get(alice.store.db, alice.record.id)
    assert own is not None
    answers = answers_of(alice)
    record = alice.record
    assert record.group_id is not None
    body = CommitGroup(record.group_id, 1, record.handshake_head, Carried(commit.message), Carried(b"x"))

    with alice.changes.change() as change:
        request = StoredRequest(1, Purpose.COMMIT, record.id, own.intent, encoded(body))
        answers.take(change, request, refusal("behind", head=head))

    assert alice.record.held_code == held
    assert alice.wants == [What.UPDATE], "it is wanted still"


def queued_message(alice: MemberOf) -> int:
    """A message that is sealed and on its way."""
    with alice.changes.change() as change:
        queued = queue_text(change, alice.device, alice.record, "hello", now=NOW, key=None)
        history.mark_sealed(change.db, queued.local_id, sealed=b"sealed", epoch=alice.record.epoch)
    return queued.local_id


def refused_as_stale(alice: MemberOf, message: int, *, head: int) -> None:
    answers = answers_of(alice)
    record = alice.record
    assert record.group_id is not None
    body = encoded(SendMessage(record.group_id, record.epoch, b"sealed"))
    with alice.changes.change() as change:
        request = StoredRequest(1, Purpose.SEND, record.id, message, body)
        answers.take(change, request, refusal("stale_epoch", head=head))


@pytest.mark.parametrize(("head", "held"), [(1, "log_altered"), (2, "")])
def test_m_10_an_epoch_that_nothing_in_the_log_has_begun_holds(
    alice: MemberOf, tmp_path: Path, head: int, held: str
) -> None:
    """Sealed anew it would be refused for ever; where the log goes on, we read on first."""
    alice.founds(MemberOf(tmp_path, "bob"))
    message = queued_message(alice)
    refused_as_stale(alice, message, head=head)

    assert alice.record.held_code == held
    assert history.sealed_as(alice.store.db, message) is None, "it waits, to be sealed anew"


def test_m_10_who_lets_that_pass_again_and_again_is_told_of_the_message(
    alice: MemberOf, tmp_path: Path
) -> None:
    alice.founds(MemberOf(tmp_path, "bob"))
    message = queued_message(alice)
    for _ in range(MOST_HELD):
        refused_as_stale(alice, message, head=1)
        assert alice.record.held_code == "log_altered"
        with alice.changes.change() as change:
            settle_on_purpose(change, alice.groups, alice.record)
    refused_as_stale(alice, message, head=1)

    (state,) = alice.store.rows("SELECT state FROM message WHERE id = ?", (message,))
    assert state == (MessageState.REFUSED,)
