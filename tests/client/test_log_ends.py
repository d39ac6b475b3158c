"""M-10: what is withheld at the very end of an epoch is missed with the first message of a later one."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import cast

import msgspec
import pytest

from securechat.client import incarnations, log_chain, log_ends, records, stay
from securechat.client.anchor import Anchor, Span
from securechat.client.compose import MAX_CONTENT
from securechat.client.holds import MOST_HELD, MOST_NAMED, Doubt, hold_for_doubt, settle_on_purpose
from securechat.client.kept_commits import KEPT_SECONDS
from securechat.client.log_ends import MAX_KEPT
from securechat.client.outbox import Outbox
from securechat.client.session import Session
from securechat.client.work import PADDING
from securechat.membership.chain import MAX_ENDS, VALUE_BYTES, LogEnd, LogMark, read_mark
from securechat.membership.room import LOG_ENDS_EXTENSION
from securechat.mls.framing import PrivateMessage, decode_message
from securechat.mls.staging import CommitPlan
from securechat.protocol.limits import MAX_BODY
from securechat.protocol.messages import Gap
from tests.client.members import GROUP, MemberOf, entry, message
from tests.client.parts import NOW

Trio = tuple[MemberOf, MemberOf, MemberOf]


@pytest.fixture
def trio(tmp_path: Path) -> Trio:
    alice, bob, carol = (MemberOf(tmp_path, name) for name in ("alice", "bob", "carol"))
    alice.founds(bob, carol)
    return alice, bob, carol


def renews(by: MemberOf) -> bytes:
    return by.stages(CommitPlan(update=True)).message


def claim(sealed: bytes) -> LogMark:
    opened = decode_message(sealed)
    assert isinstance(opened, PrivateMessage)
    mark = read_mark(opened.authenticated_data)
    assert mark is not None
    return mark


def ends(sealed: bytes) -> list[int]:
    return [each.epoch for each in claim(sealed).ends]


def withheld_at_the_end(trio: Trio) -> None:
    """Bob is not given the last message of epoch 1, which the others have."""
    alice, bob, carol = trio
    said = alice.seals("that bob must not read")
    commit = renews(carol)
    for member in (alice, carol):
        member.reads(message(2, said), entry(3, "commit", commit, epoch=1))
    bob.reads(entry(2, "commit", commit, epoch=1))


@pytest.mark.parametrize("speaker", ["alice", "carol"])
def test_m_10_a_message_withheld_at_the_end_of_an_epoch_is_missed_in_the_next(
    trio: Trio, speaker: str
) -> None:
    withheld_at_the_end(trio)
    bob, by = trio[1], trio[0] if speaker == "alice" else trio[2]

    bob.reads(message(3, by.seals("did you read that?"), epoch=2))

    assert bob.record.held_code == "log_altered"
    assert speaker in bob.record.held_text


def test_m_10_those_who_had_it_learn_that_another_had_not(trio: Trio) -> None:
    withheld_at_the_end(trio)
    alice, bob, _ = trio

    alice.reads(message(4, bob.seals("I read nothing"), epoch=2))

    assert alice.record.held_code == "log_altered"


def test_m_10_it_is_missed_though_nothing_is_said_in_the_epochs_between(trio: Trio) -> None:
    withheld_at_the_end(trio)
    alice, bob, carol = trio
    for epoch in (2, 3):
        commit = renews(carol)
        for place, member in ((epoch + 2, alice), (epoch + 2, carol), (epoch + 1, bob)):
            member.reads(entry(place, "commit", commit, epoch=epoch))

    bob.reads(message(5, alice.seals("at last"), epoch=4))

    assert bob.record.held_code == "log_altered"


def test_what_is_known_to_differ_is_told_once(trio: Trio) -> None:
    withheld_at_the_end(trio)
    alice, bob, carol = trio
    bob.reads(message(3, alice.seals("one"), epoch=2))
    with bob.changes.change() as change:
        settle_on_purpose(change, bob.groups, bob.record)

    bob.reads(message(4, alice.seals("two"), epoch=2), message(5, carol.seals("three"), epoch=2))

    # Carol has not seen alice's two, and says so of the present epoch only.
    assert not bob.record.held
    assert ends(bob.seals("nothing of epoch 1")) == []


def test_where_all_read_the_same_nobody_is_held(trio: Trio) -> None:
    alice, bob, carol = trio
    said, commit = alice.seals("hello"), renews(carol)
    for member in trio:
        member.reads(message(2, said), entry(3, "commit", commit, epoch=1))

    answer = carol.seals("hello again")
    for member in (alice, bob):
        member.reads(message(4, answer, epoch=2))

    assert ends(answer) == [1]
    assert not alice.record.held
    assert not bob.record.held


def speaks(by: MemberOf, place: int) -> bytes:
    """Say something that stands in the log: as the server's answer has it."""
    sealed = by.seals("something")
    by.store.db.execute(
        "INSERT INTO message (conversation, sender, own, state, content, text, timestamp, sequence, sealed)"
        " VALUES (?, 'alice', 1, 'sent', x'', '', 0, ?, ?)",
        (by.record.id, place, hashlib.sha256(sealed).digest()),
    )
    by.reads()
    return sealed


def test_an_end_is_told_until_a_message_that_tells_it_stands_in_the_log(trio: Trio) -> None:
    alice, _, _ = trio
    alice.reads(entry(2, "commit", renews(alice), epoch=1))
    assert ends(alice.seals("refused")) == [1, 0]  # it has no place in the log
    alice.reads(entry(3, "commit", renews(alice), epoch=2))
    assert ends(speaks(alice, 4)) == [2, 1, 0]
    alice.reads(entry(5, "commit", renews(alice), epoch=3))

    assert ends(alice.seals("once more")) == [3]


def test_who_was_not_there_has_no_opinion(trio: Trio, tmp_path: Path) -> None:
    withheld_at_the_end(trio)
    alice, _, carol = trio
    dave = MemberOf(tmp_path, "dave")
    adding = alice.stages(CommitPlan(add=(dave.key_package(),)))
    alice.reads(entry(4, "commit", adding.message, epoch=2))
    carol.reads(entry(4, "commit", adding.message, epoch=2))
    dave.invited(alice, adding, start=5)

    dave.reads(message(5, alice.seals("welcome"), epoch=3))

    assert not dave.record.held
    assert ends(dave.seals("thank you")) == []


def test_of_an_epoch_with_a_gap_without_hashes_there_is_no_opinion(trio: Trio) -> None:
    alice, bob, carol = trio
    said, commit = alice.seals("expired"), renews(carol)
    bob.reads(Gap(2, 2, []), entry(3, "commit", commit, epoch=1))
    alice.reads(message(2, said), entry(3, "commit", commit, epoch=1))

    with bob.changes.change() as change:
        assert log_ends.differing(change.db, bob.record, claim(alice.seals("hello")).to_bytes()) == []


def test_n_03_how_an_epoch_ends_by_an_offered_commit_is_not_compared(trio: Trio) -> None:
    """Who had left it before the copy was restored may have had more of it."""
    alice, bob, carol = trio
    said, commit = alice.seals("lost by the server"), renews(carol)
    alice.reads(message(2, said), entry(3, "commit", commit, epoch=1))
    with bob.changes.change() as change:
        incarnations.leave(change.db, bob.record, 1)
    bob.reads(msgspec.structs.replace(entry(2, "commit", commit, epoch=1), offered=True))

    bob.reads(message(3, alice.seals("hello"), epoch=2))

    assert not bob.record.held
    assert ends(bob.seals("hello")) == []


def test_n_03_so_it_is_in_a_stay_that_began_after_the_restore(trio: Trio) -> None:
    alice, bob, carol = trio
    said, commit = alice.seals("lost by the server"), renews(carol)
    alice.reads(message(2, said), entry(3, "commit", commit, epoch=1))
    with bob.changes.change() as change:
        records.set_counter(change.db, records.RESTORED_AT, NOW - KEPT_SECONDS + 1)
    bob.reads(msgspec.structs.replace(entry(2, "commit", commit, epoch=1), offered=True))

    bob.reads(message(3, alice.seals("hello"), epoch=2))

    assert not bob.record.held


@pytest.mark.parametrize("restored_at", [0, NOW - KEPT_SECONDS])
def test_a_server_that_calls_a_commit_offered_without_a_restore_hides_nothing(
    trio: Trio, restored_at: int
) -> None:
    alice, bob, carol = trio
    said, commit = alice.seals("that bob must not read"), renews(carol)
    alice.reads(message(2, said), entry(3, "commit", commit, epoch=1))
    with bob.changes.change() as change:
        records.set_counter(change.db, records.RESTORED_AT, restored_at)
    bob.reads(msgspec.structs.replace(entry(2, "commit", commit, epoch=1), offered=True))

    bob.reads(message(3, alice.seals("did you read that?"), epoch=2))

    assert bob.record.held_code == "log_altered"


def lies(by: MemberOf, text: str, *, of: tuple[LogEnd, ...] = ()) -> bytes:
    """Say something with a claim that holds for nobody: of this epoch, or of how others ended."""
    with by.changes.change() as change:
        honest = read_mark(log_chain.claim(change.db, by.record.id, ()))
        assert honest is not None
        told = LogMark(honest.count, honest.value, of).to_bytes() if of else b"nonsense"
        sealed = by.group.encrypt(text.encode(), authenticated_data=told)
        by.groups.keep_secrets(change, by.record.id, by.group)
    return sealed


def test_who_lies_first_hides_nobody_who_tells_the_truth(trio: Trio) -> None:
    withheld_at_the_end(trio)
    alice, bob, carol = trio

    bob.reads(message(3, lies(carol, "it is well", of=(LogEnd(b"", 1, b"x" * VALUE_BYTES),)), epoch=2))
    assert bob.record.held_text.startswith("the server's record differs from what carol saw")
    bob.reads(message(4, alice.seals("did you read that?"), epoch=2))

    assert bob.record.held_text.startswith("the server's record differs from what alice, carol saw")
    with bob.changes.change() as change:
        settle_on_purpose(change, bob.groups, bob.record)
    bob.reads(message(5, alice.seals("did you?"), epoch=2))
    assert not bob.record.held


def test_a_lie_within_an_epoch_hides_nothing_of_how_it_ends(trio: Trio) -> None:
    alice, bob, carol = trio
    lie = lies(carol, "it is well")
    bob.reads(message(2, lie))
    with bob.changes.change() as change:
        settle_on_purpose(change, bob.groups, bob.record)
    said, commit = alice.seals("that bob must not read"), renews(carol)
    alice.reads(message(2, lie), message(3, said), entry(4, "commit", commit, epoch=1))
    bob.reads(entry(3, "commit", commit, epoch=1))
    value = alice.store.value("SELECT value FROM log_end WHERE epoch = 1")
    assert isinstance(value, bytes)

    bob.reads(message(4, lies(alice, "did you read?", of=(LogEnd(b"", 1, value),)), epoch=2))

    assert "what alice saw" in bob.record.held_text


def test_who_goes_on_lying_stops_nobody_before_the_next_commit(trio: Trio) -> None:
    _, bob, carol = trio
    for place in range(2, MOST_HELD + 4):
        bob.reads(message(place, lies(carol, "hello")))
        assert bob.record.held == (place < MOST_HELD + 2)
        with bob.changes.change() as change:
            settle_on_purpose(change, bob.groups, bob.record)
    codes = bob.store.rows("SELECT code FROM message WHERE state = 'not_shown'")
    assert codes == [("log_altered",)] * MOST_HELD

    place = MOST_HELD + 4
    bob.reads(
        entry(place, "commit", renews(carol), epoch=1), message(place + 1, lies(carol, "hello"), epoch=2)
    )
    assert bob.record.held


def test_so_many_who_doubt_are_named(trio: Trio) -> None:
    _, bob, _ = trio
    for number in range(MOST_NAMED + 2):
        with bob.changes.change() as change:
            hold_for_doubt(change, bob.record, Doubt(f"u{number}", ((log_ends.present(bob.record), b""),)))
    assert "what u0, u1, u2, u3, u4, 2 more saw" in bob.record.held_text


@pytest.mark.parametrize(("began", "kept"), [(3, [1]), (4, [])])
def test_n_03_a_restored_log_may_have_ended_epochs_otherwise_before_our_commit(
    trio: Trio, began: int, kept: list[int]
) -> None:
    alice, bob, _ = trio
    commit = renews(alice)
    bob.reads(entry(2, "commit", commit, epoch=1))
    with bob.changes.change() as change:
        anchor = Anchor(bob.changes, cast(Session, None), cast(Outbox, None), bob.groups, lambda: 0.0)
        anchor._anchor(change, bob.record, Span(sure=3, began=began, place=began, matched=0))

    assert ends(bob.seals("hello")) == kept


def of_before(member: MemberOf) -> None:
    """Make it a client that knows nothing of claims about earlier epochs."""
    identity = member.device.identity
    known = tuple(each for each in identity.capabilities.extensions if each != LOG_ENDS_EXTENSION)
    able = msgspec.structs.replace(identity.capabilities, extensions=known)
    member.device = replace(member.device, identity=replace(identity, capabilities=able))


def test_nothing_is_told_where_somebody_would_not_understand(tmp_path: Path) -> None:
    """C-07: a client of before takes a longer claim for none that holds."""
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    of_before(bob)
    alice.founds(bob)
    alice.reads(entry(2, "commit", renews(alice), epoch=1))
    sealed = alice.seals("hello")

    assert ends(sealed) == []
    assert len(claim(sealed).to_bytes()) == 4 + VALUE_BYTES


def test_the_log_of_the_group_before_is_told_in_the_one_it_goes_on_as(trio: Trio) -> None:
    withheld_at_the_end(trio)
    alice, bob, _ = trio
    for member in (alice, bob):
        with member.changes.change() as change:
            records.update(change.db, member.record.id, group_id=b"n" * 32, epoch=1)
    with alice.changes.change() as change:
        (end, *_) = log_ends.to_tell(change.db, alice.record, alice.group.public.tree)
    assert (end.group, end.epoch) == (GROUP, 1)

    with bob.changes.change() as change:
        of_before, of_now = (LogMark(0, bytes(16), (LogEnd(group, 1, end.value),)) for group in (GROUP, b""))
        ((about, value),) = log_ends.differing(change.db, bob.record, of_before.to_bytes())
        assert (about, value) == (GROUP + (1).to_bytes(8), end.value)
        assert log_ends.differing(change.db, bob.record, of_now.to_bytes()) == []


def test_a_stay_that_is_over_is_not_compared(trio: Trio) -> None:
    _, bob, _ = trio
    withheld_at_the_end(trio)
    with bob.changes.change() as change:
        stay.end_stay(change, bob.groups, bob.record.id)

    assert bob.store.rows("SELECT * FROM log_end") == []


def test_so_many_are_kept_and_no_more_are_told_at_once(trio: Trio) -> None:
    alice, _, _ = trio
    with alice.changes.change() as change:
        for epoch in range(2, MAX_KEPT + 9):
            records.update(change.db, alice.record.id, epoch=epoch)
            log_ends.close(change.db, records.by_id(change.db, alice.record.id), alice.group.public.tree)

    assert alice.store.value("SELECT count(*) FROM log_end") == MAX_KEPT
    assert len(ends(alice.seals("hello"))) == MAX_ENDS


def test_the_largest_message_with_the_longest_claim_fits_a_frame(trio: Trio) -> None:
    alice, _, _ = trio
    longest = LogMark(1, bytes(16), (LogEnd(bytes(64), 1, bytes(16)),) * MAX_ENDS).to_bytes()

    sealed = alice.group.encrypt(bytes(MAX_CONTENT), authenticated_data=longest, padding=PADDING)

    assert len(sealed) <= MAX_BODY
