"""What a conversation makes of what accounts say of their devices (D-02, D-03)."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from securechat.client import account_news, intents, records, statements
from securechat.client.account_news import FORKED, OLDER, WITHHELD, take, take_evidence
from securechat.client.claims import NEWCOMER_WAITS, Brought, Claims
from securechat.client.contacts import contact
from securechat.client.events import Held, Kind, Released, Standing
from securechat.client.intents import Step, What
from securechat.client.people import client_of
from securechat.client.reconciling import Reconciler
from securechat.mls.codec import encode
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import ClaimKeyPackages, CommitGroup
from tests.client.account import AnAccount
from tests.client.members import MemberOf, entry
from tests.client.parts import NOW
from tests.client.test_work import Worker


class Pair:
    """Alice, whose account is in the test's hand, and bob, in one room."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.alices, self.bobs = AnAccount("alice"), AnAccount("bob")
        self.alice, self.bob = self.alices.first(folder), self.bobs.first(folder)
        self.alice.founds(self.bob)
        self.phone = self.alices.links(folder)
        self.alices.shown_to(self.alice, self.bob, self.phone)
        self.bobs.shown_to(self.alice, self.bob, self.phone)

    def with_phone(self) -> None:
        """Let alice bring her phone in."""
        commit = self.alice.stages(CommitPlan(add=(self.phone.key_package(),)))
        for member in (self.alice, self.bob):
            member.reads(entry(2, "commit", commit.message, epoch=1))
        self.phone.invited(self.alice, commit, start=3)

    def without_phone(self) -> None:
        self.with_phone()
        self.alices.revokes(self.phone.device)
        self.bob.events.clear()


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


class Looking(Worker):
    def __init__(self, member: MemberOf) -> None:
        super().__init__(member)
        self.work.reconciler = self.reconciler = Reconciler(member.device, member.groups, self._clock)
        self.changes(epoch_since=NOW)

    def knows(self, *users: str) -> None:
        """The newest statements of users were asked for."""
        self.reconciler.answered(self.member.record, users)


def wanted(member: MemberOf) -> list[tuple[What, str]]:
    return [(each.what, each.subject) for each in intents.of(member.store.db, member.record.id)]


def test_a_device_of_ours_that_is_not_here_is_asked_for_by_name(pair: Pair) -> None:
    worker = Looking(pair.alice)

    worker.acts()

    assert (What.OWN, "alice") in wanted(pair.alice)
    (claim,) = [each for each in worker.asked() if isinstance(each, ClaimKeyPackages)]
    assert (claim.user, claim.clients) == ("alice", [pair.phone.device.client])


def test_nobody_adds_a_device_of_somebody_else(pair: Pair) -> None:
    worker = Looking(pair.bob)

    worker.acts()

    assert {what for what, _ in wanted(pair.bob)} <= {What.UPDATE}


def test_a_device_that_is_no_longer_missing_needs_nothing(pair: Pair) -> None:
    worker = Looking(pair.alice)
    worker.acts()
    pair.with_phone()
    with pair.alice.changes.change() as change:
        (intent,) = [each for each in intents.of(change.db, pair.alice.record.id) if each.what is What.OWN]
        intents.put_off(change.db, intent.id, until=0)

    worker.acts()

    assert (What.OWN, "alice") not in wanted(pair.alice)


def test_keys_that_bring_nobody_are_asked_for_less_and_less(pair: Pair) -> None:
    """A server hands out those of a device that is here already, whatever it is asked."""
    worker = Looking(pair.alice)
    here = msgspec.msgpack.encode([encode(pair.alice.key_package())])
    waits = []
    for _ in range(12):
        worker.acts()
        (intent,) = [each for each in intents.of(pair.alice.store.db, 1) if each.what is What.OWN]
        with pair.alice.changes.change() as change:
            intents.step_to(change.db, intent.id, Step.CLAIMED, packages=here)
        worker.acts()
        (intent,) = [each for each in intents.of(pair.alice.store.db, 1) if each.what is What.OWN]
        waits.append(intent.waits(worker.now))
        worker.now += waits[-1]
    assert waits[:3] == [1, 2, 4]
    assert waits[-1] == intents.PUT_OFF_LONGEST


def test_who_is_not_in_a_room_yet_brings_nobody_in(pair: Pair) -> None:
    worker = Looking(pair.alice)
    worker.changes(state=Standing.INVITED)

    worker.acts()

    assert wanted(pair.alice) == []


def test_d_02_a_revoked_device_holds_until_it_is_out_and_any_member_takes_it_out(pair: Pair) -> None:
    pair.without_phone()
    pair.alices.shown_to(pair.bob)
    worker = Looking(pair.bob)

    worker.acts()
    held = [event for event in pair.bob.events if isinstance(event, Held)]
    assert [(event.code, "alice" in event.text) for event in held] == [("revoked_device", True)]
    assert wanted(pair.bob) == [(What.REVOKE, "alice")]
    worker.now += 60
    worker.acts()

    (commit,) = [each for each in worker.asked() if isinstance(each, CommitGroup)]
    pair.bob.reads(entry(3, "commit", commit.commit.body, epoch=2))
    worker.acts()
    assert pair.bob.record.held_code == ""
    assert any(isinstance(event, Released) for event in pair.bob.events)
    assert pair.bob.group.public.tree.member_count == 2


def test_d_02_the_commit_brings_the_statement_to_who_has_not_heard_of_it(pair: Pair) -> None:
    pair.without_phone()
    pair.alices.shown_to(pair.alice)
    worker = Looking(pair.alice)
    worker.acts()
    worker.acts()
    (commit,) = [each for each in worker.asked() if isinstance(each, CommitGroup)]

    pair.bob.reads(entry(3, "commit", commit.commit.body, epoch=2))

    assert statements.known_serial(pair.bob.store.db, "alice") == 3


def test_other_peoples_devices_are_left_to_one_of_several(pair: Pair) -> None:
    """Not everybody commits at once; but it is over in good time (D-02)."""
    pair.without_phone()
    pair.alices.shown_to(pair.alice, pair.bob)

    Looking(pair.bob).acts()
    Looking(pair.alice).acts()

    (bobs,) = intents.of(pair.bob.store.db, pair.bob.record.id)
    (own,) = [
        each for each in intents.of(pair.alice.store.db, pair.alice.record.id) if each.what is What.REVOKE
    ]
    assert 0 <= bobs.not_before / 1000 - NOW <= 20
    assert own.not_before == 0


def with_another_device_only(folder: Path) -> tuple[AnAccount, MemberOf, MemberOf]:
    """Alice's account, her new device, and bob, in whose conversation with her only her removed one is."""
    alices, bobs = AnAccount("alice"), AnAccount("bob")
    alice, bob = alices.first(folder), bobs.first(folder)
    alice.founds(bob, kind=Kind.DIRECT, uri=alice.device.direct_room("bob"))
    new = alices.links(folder)
    alices.revokes(alice.device)
    alices.shown_to(bob)
    bobs.shown_to(bob)
    return alices, new, bob


def test_who_would_have_no_device_left_gets_the_new_ones_with_the_same_commit(tmp_path: Path) -> None:
    """A recovered account: all its devices are others, and a conversation of two goes on."""
    alices, new, bob = with_another_device_only(tmp_path)
    worker = Looking(bob)
    worker.acts()
    worker.now += 60
    worker.acts()
    (claim,) = [each for each in worker.asked() if isinstance(each, ClaimKeyPackages)]
    assert (claim.user, claim.clients) == ("alice", [])

    claims = Claims(bob.device, bob.groups, worker.work.planner, lambda: NOW)
    new.device.renew(alices.reissued[new.device.client])
    with bob.changes.change() as change:
        (intent,) = [each for each in intents.of(change.db, bob.record.id) if each.what is What.REVOKE]
        claims.brought(change, bob.record, intent, claim, [encode(new.key_package())])
        (intent,) = [each for each in intents.of(change.db, bob.record.id) if each.what is What.REVOKE]
        claims.judge(change, bob.record, intent)
    worker.acts()

    (commit,) = [each for each in worker.asked() if isinstance(each, CommitGroup)]
    bob.reads(entry(2, "commit", commit.commit.body, epoch=1))
    there = {client_of(leaf) for _, leaf in bob.group.public.tree.leaves()}
    assert there == {bob.device.client, new.device.client}


@pytest.mark.parametrize("ghost", [True, False], ids=["none of alice's", "of before"])
def test_d_02_keys_that_are_refused_keep_nobody_in(tmp_path: Path, *, ghost: bool) -> None:
    """A server's own device brings nobody in; a certificate of before may be renewed in a moment."""
    _, new, bob = with_another_device_only(tmp_path)
    worker = Looking(bob)
    worker.acts()
    worker.now += 60
    worker.acts()
    (claim,) = [each for each in worker.asked() if isinstance(each, ClaimKeyPackages)]
    claims = Claims(bob.device, bob.groups, worker.work.planner, worker._clock)
    shown = MemberOf(tmp_path, "alice", folder_name="ghost") if ghost else new
    seen: list[tuple[Step, float]] = []
    while not seen or seen[-1][0] is not Step.CLAIMED:
        with bob.changes.change() as change:
            (intent,) = [each for each in intents.of(change.db, bob.record.id) if each.what is What.REVOKE]
            claims.brought(change, bob.record, intent, claim, [encode(shown.key_package())])
            (intent,) = [each for each in intents.of(change.db, bob.record.id) if each.what is What.REVOKE]
            change.woken.clear()
            claims.judge(change, bob.record, intent)
            assert change.woken == {bob.record.id}, "or it would stay as it is"
            (intent,) = [each for each in intents.of(change.db, bob.record.id) if each.what is What.REVOKE]
            seen.append((intent.step, intent.waits(worker.now)))

    wanted = [(Step.WANTED, 0), (Step.WANTED, NEWCOMER_WAITS[1])]
    assert seen == [*([] if ghost else wanted), (Step.CLAIMED, seen[-1][1])]


def test_n_02_a_new_device_that_has_left_no_keys_yet_is_waited_for_and_not_for_long(tmp_path: Path) -> None:
    """Else an account that is being brought back would lose its conversations of two to who is online."""
    _, _, bob = with_another_device_only(tmp_path)
    worker = Looking(bob)
    claims = Claims(bob.device, bob.groups, worker.work.planner, worker._clock)
    worker.acts()
    began, asked = worker.now, 0
    while not [each for each in worker.asked() if isinstance(each, CommitGroup)]:
        (intent,) = [each for each in intents.of(bob.store.db, bob.record.id) if each.what is What.REVOKE]
        worker.now += intent.waits(worker.now)
        worker.acts()
        found = [each for each in worker.asked() if isinstance(each, ClaimKeyPackages)]
        if len(found) > asked:
            asked = len(found)
            with bob.changes.change() as change:
                claims.brought(change, bob.record, intent, found[-1], [])

    assert asked == 3
    assert 30 <= worker.now - began < 50, "it is out within a minute"


def test_where_we_may_add_nobody_a_new_device_has_time_to_come_by_itself(pair: Pair) -> None:
    pair.with_phone()
    pair.alices.links(pair.folder)
    pair.alices.revokes(pair.alice.device, pair.phone.device)
    pair.alices.shown_to(pair.bob)

    Looking(pair.bob).acts()

    (intent,) = intents.of(pair.bob.store.db, pair.bob.record.id)
    assert 30 <= intent.not_before / 1000 - NOW <= 60


def test_d_03_a_device_whose_statement_is_not_here_is_asked_about_and_then_held_for(pair: Pair) -> None:
    pair.with_phone()
    pair.alices.shown_to(pair.bob, serial=1)
    worker = Looking(pair.bob)

    assert worker.acts().ask == {"alice"}
    assert pair.bob.record.held_code == ""
    worker.knows("alice")
    worker.acts()
    assert pair.bob.record.held_code == WITHHELD

    pair.alices.shown_to(pair.bob)
    with pair.bob.changes.change() as change:
        account_news.stir(change)
    worker.acts()
    assert pair.bob.record.held_code == ""


def shown(member: MemberOf, user: str, *chain: bytes) -> str:
    """Return what is wrong with what the server shows of a user."""
    with member.changes.change() as change:
        take(change, member.device, user, list(chain))
    return account_news.trouble(member.store.db, user).code


LIES: dict[str, tuple[Callable[[Pair], list[bytes]], str]] = {
    "the known one and what follows": (lambda pair: pair.alices.statements[1:], ""),
    "nothing": (lambda _: [], OLDER),
    "only older ones": (lambda pair: pair.alices.statements[:1], FORKED),
    "only newer ones": (lambda pair: pair.alices.statements[2:], FORKED),
    "another of its serial": (lambda pair: [forked(pair)], FORKED),
    "what does not follow": (lambda pair: [pair.alices.statements[1], forked(pair)], FORKED),
}


def forked(pair: Pair) -> bytes:
    """A second statement of serial 2, signed by the account's own key."""
    other = AnAccount("alice")
    other.key = pair.alices.key
    other.statements = pair.alices.statements[:1]
    other.devices = pair.alices.devices[:1]
    other.links(pair.folder / "other")
    return other.newest


@pytest.mark.parametrize("lie", LIES)
def test_d_03_what_a_server_shows_is_held_to_what_was_known(pair: Pair, lie: str) -> None:
    (pair.folder / "other").mkdir()
    pair.without_phone()
    pair.alices.shown_to(pair.bob, serial=2)
    chain, wrong = LIES[lie]

    assert shown(pair.bob, "alice", *chain(pair)) == wrong

    expected = 2 if wrong else 3
    assert statements.known_serial(pair.bob.store.db, "alice") == expected
    worker = Looking(pair.bob)
    worker.acts()
    assert pair.bob.record.held_code == (wrong or "revoked_device")


def test_what_was_wrong_is_over_when_the_server_shows_the_chain_again(pair: Pair) -> None:
    assert shown(pair.bob, "alice") == OLDER
    assert shown(pair.bob, "alice", pair.alices.newest) == ""


def test_d_04_the_statement_of_another_account_is_a_change_of_keys(pair: Pair) -> None:
    other = AnAccount("alice")
    (pair.folder / "other").mkdir()
    other.first(pair.folder / "other")

    assert shown(pair.bob, "alice", pair.alices.newest, other.newest) == ""

    known = contact(pair.bob.store.db, "alice")
    assert known is not None
    assert known.changed_to is not None


def test_evidence_that_skips_a_statement_has_it_asked_for(pair: Pair) -> None:
    pair.without_phone()
    pair.alices.shown_to(pair.bob, serial=1)
    with pair.bob.changes.change() as change:
        take_evidence(change, pair.bob.device, pair.alices.newest)

    assert account_news.is_behind(pair.bob.store.db, "alice")
    assert shown(pair.bob, "alice", pair.alices.statements[0]) == WITHHELD
    assert shown(pair.bob, "alice", *pair.alices.statements) == ""
    assert not account_news.is_behind(pair.bob.store.db, "alice")


def test_what_is_no_statement_or_of_a_stranger_is_no_news(pair: Pair) -> None:
    stranger = AnAccount("alice")
    (pair.folder / "other").mkdir()
    stranger.first(pair.folder / "other")

    with pair.bob.changes.change() as change:
        for data in (b"", b"nonsense", stranger.newest):
            take_evidence(change, pair.bob.device, data)

    assert account_news.version(pair.bob.store.db) == 0


def test_d_03_keys_with_a_certificate_of_before_are_asked_for_once_more_and_then_refused(pair: Pair) -> None:
    """They may have been claimed just before the account changed."""
    worker = Looking(pair.bob)
    claims = Claims(pair.bob.device, pair.bob.groups, worker.work.planner, lambda: NOW)
    old = encode(pair.alice.key_package())
    pair.alices.revokes(pair.phone.device)
    pair.alices.shown_to(pair.bob)
    with pair.bob.changes.change() as change:
        number = intents.add(change.db, pair.bob.record.id, What.ADD, subject="alice")

    for steps in ([Step.WANTED], []):
        with pair.bob.changes.change() as change:
            intent = intents.get(change.db, number)
            assert intent is not None
            asked = ClaimKeyPackages("alice", pair.alice.device.suites[0])
            claims.brought(change, pair.bob.record, intent, asked, [old])
            intent = intents.get(change.db, number)
            assert intent is not None
            assert intent.step is Step.BROUGHT
            claims.judge(change, records.by_id(change.db, pair.bob.record.id), intent)
        left = intents.get(pair.bob.store.db, number)
        assert [each.step for each in (left,) if each is not None] == steps


def test_what_a_claim_brought_outlives_the_process(pair: Pair) -> None:
    asked = ClaimKeyPackages("alice", 3, clients=["a" * 26])
    kept = Brought(asked, [b"one"], [b"before"])

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(kept), type=Brought) == kept
