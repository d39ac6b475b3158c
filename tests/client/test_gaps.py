"""What the server no longer has: a line where it was, a chain that goes on, no lie about it (Q-08, M-10)."""

import hashlib
from pathlib import Path

import pytest

from securechat.client import history, records
from securechat.client.compose import queue_text
from securechat.client.events import Held, MessageAcknowledged, MessageReceived, Notice
from securechat.client.intents import What
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import Entry, Gap
from tests.client.members import MemberOf, entry, message
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


def hashes(*entries: Entry) -> list[bytes]:
    return [hashlib.sha256(each.body).digest() for each in entries]


def texts(member: MemberOf) -> list[str]:
    return [event.message.text for event in member.events if isinstance(event, MessageReceived)]


def notices(member: MemberOf) -> list[str]:
    return [event.text for event in member.events if isinstance(event, Notice)]


def codes(member: MemberOf) -> list[str]:
    """Of holds."""
    return [event.code for event in member.events if isinstance(event, Held)]


def said_by(member: MemberOf, *places: int) -> list[Entry]:
    return [message(n, member.seals(f"message {n}")) for n in places]


def test_one_line_tells_how_many_are_gone_and_the_chain_goes_on(trio: Trio) -> None:
    alice, bob, carol = trio
    lost = said_by(carol, 2, 3)
    alice.reads(*lost)

    bob.reads(Gap(2, 3, hashes(*lost)), message(4, alice.seals("you missed something")))

    assert [kept.text for kept in bob.heard()] == [
        "(2 messages were kept too long on the server and are gone)",
        "you missed something",
    ]
    assert notices(bob) == ["#team: (2 messages were kept too long on the server and are gone)"]
    assert (bob.record.cursor, codes(bob)) == (4, [])


def test_a_gap_that_is_told_again_is_told_once(trio: Trio) -> None:
    _, bob, carol = trio
    lost = said_by(carol, 2, 3)

    bob.reads(Gap(2, 3, hashes(*lost)))
    bob.reads(Gap(2, 3, hashes(*lost)))

    assert len(notices(bob)) == 1


def test_a_gap_that_begins_before_the_cursor_tells_only_of_the_rest(trio: Trio) -> None:
    alice, bob, carol = trio
    lost = said_by(carol, 2, 3)
    alice.reads(*lost)
    bob.reads(lost[0])

    bob.reads(Gap(2, 3, hashes(*lost)), message(4, alice.seals("go on")))

    assert [kept.text for kept in bob.heard()][1:] == [
        "(1 message was kept too long on the server and is gone)",
        "go on",
    ]
    assert codes(bob) == []


def test_our_own_message_in_a_gap_is_one_the_server_took(trio: Trio) -> None:
    """Its answer was lost, and for a month nobody came to hear of it."""
    _, bob, _ = trio
    sealed = queued(bob, "did this arrive?")

    bob.reads(Gap(2, 2, [hashlib.sha256(sealed).digest()]))

    assert [type(event) for event in bob.events] == [MessageAcknowledged]
    assert bob.record.cursor == 2


def queued(member: MemberOf, text: str) -> bytes:
    """Seal a message as the outbox does; the server's answer is still to come."""
    with member.changes.change() as change:
        stored = queue_text(change, member.device, member.record, text, now=NOW, key=None)
        sealed = member.group.encrypt(b"its content")
        digest = hashlib.sha256(sealed).digest()
        history.mark_sealed(change.db, stored.local_id, sealed=digest, epoch=1)
        member.groups.keep_secrets(change, member.record.id, member.group)
    member.events.clear()
    return sealed


def test_while_invited_a_gap_is_kept_and_not_told(trio: Trio) -> None:
    _, bob, carol = trio
    with bob.changes.change() as change:
        records.update(change.db, bob.record.id, state="invited")

    bob.reads(Gap(2, 2, hashes(*said_by(carol, 2))))

    assert notices(bob) == []
    assert len(bob.heard()) == 1


# Where there are no hashes any more


def test_without_hashes_the_group_is_followed_and_entered_anew(trio: Trio) -> None:
    alice, bob, carol = trio
    alice.reads(*said_by(carol, 2, 3))
    commit = alice.stages(CommitPlan(force_path=True))

    bob.reads(Gap(2, 3, []))
    assert bob.groups.follows(bob.store.db, bob.record.id)
    assert bob.wants == [What.RESYNC]
    bob.reads(entry(4, "commit", commit.message, epoch=1))

    assert (bob.record.epoch, bob.record.cursor, codes(bob)) == (2, 4, [])
    assert notices(bob)[0] == "#team: (2 messages were kept too long on the server and are gone)"


@pytest.mark.parametrize("kind", ["commit", "proposal", "message"])
def test_where_a_commit_was_among_what_is_gone_reading_stops_and_says_so(trio: Trio, kind: str) -> None:
    """rules.md D, row 4."""
    alice, bob, carol = trio
    first = alice.stages(CommitPlan(force_path=True))
    for member in (alice, carol):
        member.reads(entry(2, "commit", first.message, epoch=1))
    bob.reads(Gap(2, 2, []), entry(3, kind, made(kind, alice, carol), epoch=2))

    assert codes(bob) == ["missing_commit"]
    assert bob.record.cursor == 2
    assert not bob.record.may_send


def made(kind: str, alice: MemberOf, carol: MemberOf) -> bytes:
    match kind:
        case "commit":
            return alice.group.stage_commit(CommitPlan(force_path=True)).message
        case "proposal":
            return carol.group.propose_self_remove()
        case _:
            return carol.seals("in the new epoch")


# What a server that lies could say (M-10)


def test_m_10_a_gap_with_a_wrong_hash_is_named_by_the_next_message(trio: Trio) -> None:
    alice, bob, carol = trio
    lost = said_by(carol, 2, 3)
    alice.reads(*lost)

    bob.reads(Gap(2, 3, [hashes(*lost)[0], bytes(32)]), message(4, alice.seals("something is wrong")))

    assert codes(bob) == ["log_altered"]
    assert not bob.record.may_send


def test_m_10_what_others_have_seen_cannot_be_left_out_of_a_gap(trio: Trio) -> None:
    """The server numbers the log anew for bob, without one of carol's messages."""
    alice, bob, carol = trio
    lost = said_by(carol, 2, 3)
    alice.reads(*lost)

    bob.reads(Gap(2, 2, hashes(lost[0])), message(3, alice.seals("did you read both?")))

    assert codes(bob) == ["log_altered"]


def test_m_10_places_that_never_were_are_noticed(trio: Trio) -> None:
    alice, bob, carol = trio
    lost = said_by(carol, 2)
    first = alice.seals("there was one")
    alice.reads(*lost, message(3, first))

    bob.reads(Gap(2, 3, [*hashes(*lost), bytes(32)]), message(4, first))
    bob.reads(message(5, alice.seals("and then mine")))

    assert codes(bob) == ["log_altered"]


def test_m_10_a_commit_hidden_among_messages_is_missed(trio: Trio) -> None:
    alice, bob, carol = trio
    commit = alice.stages(CommitPlan(force_path=True))
    carol.reads(entry(2, "commit", commit.message, epoch=1))

    bob.reads(Gap(2, 2, [hashlib.sha256(commit.message).digest()]))
    bob.reads(message(3, carol.seals("after it"), epoch=2))

    assert codes(bob) == ["missing_commit"]


@pytest.mark.parametrize(("places", "named"), [((2, 4), 2), ((2, 2), 2), ((2, 2**64 - 1), 1)])
def test_a_gap_that_cannot_count_stops_the_reading(trio: Trio, places: tuple[int, int], named: int) -> None:
    _, bob, _ = trio

    bob.reads(Gap(*places, [bytes(32)] * named))

    assert codes(bob) == ["invalid_entry"]
    assert bob.record.cursor == 1


@pytest.mark.parametrize("gap", [Gap(3, 4, [bytes(32)] * 2), Gap(5, 2, []), Gap(3, 2, []), Gap(0, 1, [])])
def test_a_gap_that_does_not_follow_changes_nothing(trio: Trio, gap: Gap) -> None:
    _, bob, _ = trio

    bob.reads(gap)

    assert (bob.record.cursor, bob.events) == (1, [])
