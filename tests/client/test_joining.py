"""A Welcome is believed only as a whole (M-06, D-03)."""

from pathlib import Path

import pytest

from securechat.client import records
from securechat.client.compose import conversation_for, queue_text
from securechat.client.events import Invited, Joined, Kind, Notice, Standing
from securechat.client.joining import INBOX
from securechat.mls.staging import CommitPlan, StagedCommit
from securechat.protocol.messages import Carried, InboxEntry
from tests.client.members import GROUP, MemberOf, entry
from tests.client.parts import NOW


@pytest.fixture
def alice(tmp_path: Path) -> MemberOf:
    alice = MemberOf(tmp_path, "alice")
    alice.founds()
    return alice


@pytest.fixture
def bob(tmp_path: Path) -> MemberOf:
    return MemberOf(tmp_path, "bob")


def adding(alice: MemberOf, bob: MemberOf) -> StagedCommit:
    return alice.group.stage_commit(CommitPlan(add=(bob.key_package(),)))


def give(
    bob: MemberOf,
    commit: StagedCommit,
    *,
    sequence: int = 1,
    group: bytes = GROUP,
    epoch: int = 1,
    welcome: bytes | None = None,
    tree: bytes | None = b"its own",
) -> None:
    told = InboxEntry(sequence, group, epoch, 2, "x" * 26, Carried(), NOW)
    given = commit.state.public.tree.to_bytes() if tree == b"its own" else tree
    assert commit.welcome is not None
    with bob.changes.change() as change:
        bob.joiner.take(change, told, commit.welcome if welcome is None else welcome, given)


def is_removed(member: MemberOf) -> None:
    with member.changes.change() as change:
        member.groups.drop(change, member.record.id)
        records.update(change.db, member.record.id, state=Standing.REMOVED)


def refusals(member: MemberOf) -> int:
    return sum(isinstance(event, Notice) and event.code == "welcome_refused" for event in member.events)


def test_an_invitation_waits_to_be_taken(alice: MemberOf, bob: MemberOf) -> None:
    give(bob, adding(alice, bob))

    assert bob.events == [Invited("#room", "alice")]
    assert (bob.record.state, bob.record.cursor, bob.record.handshake_head) == (Standing.INVITED, 1, 1)
    assert records.counter(bob.store.db, INBOX) == 1


def test_the_same_welcome_again_replaces_nothing(alice: MemberOf, bob: MemberOf) -> None:
    commit = adding(alice, bob)
    give(bob, commit)
    before = bob.group.epoch_bytes()

    give(bob, commit, sequence=2)

    assert refusals(bob) == 1
    assert bob.group.epoch_bytes() == before
    assert records.counter(bob.store.db, INBOX) == 2


def test_a_welcome_for_others_keys_is_skipped_and_the_inbox_goes_on(
    alice: MemberOf, bob: MemberOf, tmp_path: Path
) -> None:
    commit = adding(alice, MemberOf(tmp_path, "carol"))

    give(bob, commit)

    assert refusals(bob) == 1
    assert records.every(bob.store.db) == []
    assert records.counter(bob.store.db, INBOX) == 1


@pytest.mark.parametrize(
    "lie",
    [{"group": b"h" * 32}, {"epoch": 2}, {"tree": None}, {"tree": b""}, {"welcome": b"nonsense"}],
    ids=["another group", "another epoch", "no tree", "an empty tree", "no welcome"],
)
def test_a_welcome_with_something_wrong_about_it_makes_no_group(
    alice: MemberOf, bob: MemberOf, lie: dict[str, bytes | int | None]
) -> None:
    give(bob, adding(alice, bob), **lie)  # type: ignore[arg-type]

    assert refusals(bob) == 1
    assert records.every(bob.store.db) == []
    assert bob.store.rows("SELECT * FROM group_state") == []


def test_a_direct_conversation_must_be_of_the_two_it_says(
    alice: MemberOf, bob: MemberOf, tmp_path: Path
) -> None:
    """Its room is the one that both compute; a group that only calls itself direct is refused."""
    mallory = MemberOf(tmp_path, "mallory")
    mallory.founds(bob, kind=Kind.DIRECT)

    assert refusals(bob) == 1
    assert Joined("@mallory") not in bob.events
    assert records.every(bob.store.db) == []
    del alice


def test_after_a_removal_a_welcome_is_a_new_stay(alice: MemberOf, bob: MemberOf) -> None:
    give(bob, adding(alice, bob))
    is_removed(bob)
    alice.reads(entry(1, "commit", alice.stages(CommitPlan(update=True)).message, epoch=0))

    give(bob, adding(alice, bob), sequence=2, epoch=2)

    assert refusals(bob) == 0
    assert bob.record.state is Standing.INVITED
    assert bob.record.name == "#room"


def test_the_old_welcome_leads_nowhere_after_a_removal(alice: MemberOf, bob: MemberOf) -> None:
    """A last-resort key opens its Welcome again; the epochs of a stay that is over don't come back."""
    commit = adding(alice, bob)
    give(bob, commit)
    is_removed(bob)

    give(bob, commit, sequence=2)

    assert refusals(bob) == 1
    assert bob.record.state is Standing.REMOVED


def test_a_room_with_the_address_of_a_conversation_of_two_does_not_take_its_place(
    bob: MemberOf, tmp_path: Path
) -> None:
    """Both compute that address, and so can everybody: what was written to alice stays for alice."""
    with bob.changes.change() as change:
        record = conversation_for(change, bob.device, "@alice")
        queue_text(change, bob.device, record, "for alice", now=NOW, key=None)
    mallory = MemberOf(tmp_path, "mallory")
    mallory.founds(uri=bob.device.direct_room("alice"))

    give(bob, adding(mallory, bob))

    assert bob.events == [Invited("#room", "mallory")]
    kept = records.by_name(bob.store.db, "@alice")
    assert kept is not None
    assert (kept.state, kept.group_id, kept.invited_by) == (Standing.OPENING, None, "")


def test_a_room_with_the_address_of_one_that_was_left_is_another(
    alice: MemberOf, bob: MemberOf, tmp_path: Path
) -> None:
    give(bob, adding(alice, bob))
    is_removed(bob)
    mallory = MemberOf(tmp_path, "mallory")
    mallory.founds(uri=alice.record.room, group_id=b"m" * 32)

    give(bob, adding(mallory, bob), sequence=2, group=b"m" * 32)

    assert bob.events[-1] == Invited("#room-2", "mallory")
    assert [(each.name, each.state) for each in records.every(bob.store.db)] == [
        ("#room", Standing.REMOVED),
        ("#room-2", Standing.INVITED),
    ]


def test_a_group_that_comes_back_as_another_room_is_refused(
    alice: MemberOf, bob: MemberOf, tmp_path: Path
) -> None:
    give(bob, adding(alice, bob))
    is_removed(bob)
    mallory = MemberOf(tmp_path, "mallory")
    mallory.founds()
    mallory.reads(entry(1, "commit", mallory.stages(CommitPlan(update=True)).message, epoch=0))

    give(bob, adding(mallory, bob), sequence=2, epoch=2)

    assert refusals(bob) == 1
    assert (bob.record.state, bob.record.invited_by) == (Standing.REMOVED, "alice")
