"""What `why` says is read from the store: the hold, since when, and the last troubles (Q-06)."""

from pathlib import Path

import pytest

from securechat.cli.show import explanation_text
from securechat.cli.why import explanation_json
from securechat.client import history, notes, records
from securechat.client.events import Explanation, Held, Kind, Notice, Standing
from securechat.client.holds import hold, settle, settle_on_purpose, start_over
from securechat.client.reasons import REASONS
from securechat.client.why import MOST_TROUBLES, explain, explain_all
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import Carried, InboxEntry
from tests.client.members import GROUP, MemberOf, entry, message
from tests.client.parts import NOW


@pytest.fixture
def pair(tmp_path: Path) -> tuple[MemberOf, MemberOf]:
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    alice.founds(bob)
    for member in (alice, bob):
        member.events.clear()
    return alice, bob


def why(member: MemberOf) -> Explanation:
    return explain(member.store.db, member.groups, member.record)


def held(member: MemberOf, code: str) -> None:
    with member.changes.change() as change:
        hold(change, member.record, code, who="bob")


def flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def test_where_all_is_well_nothing_is_explained(pair: tuple[MemberOf, MemberOf]) -> None:
    alice, bob = pair
    bob.reads(message(2, alice.seals("hello")))

    explained = why(bob)

    assert (explained.state, explained.code, explained.text, explained.troubles) == (
        Standing.JOINED,
        "",
        "",
        (),
    )
    assert explain_all(bob.store.db, bob.groups, records.every(bob.store.db)) == []


def test_a_hold_is_explained_with_its_own_words_its_time_and_what_to_do(
    pair: tuple[MemberOf, MemberOf],
) -> None:
    alice, _ = pair
    held(alice, "log_altered")

    explained = why(alice)

    (told,) = alice.events
    assert isinstance(told, Held)
    assert (explained.state, explained.code, explained.text) == (Standing.HELD, "log_altered", told.text)
    assert "bob" in explained.text
    assert explained.advice == REASONS["log_altered"].advice
    assert explained.since == NOW
    assert explained.troubles == ()
    assert [each.conversation for each in explain_all(alice.store.db, alice.groups, [alice.record])] == [
        "#team"
    ]


def test_a_hold_that_ended_is_among_what_went_wrong(pair: tuple[MemberOf, MemberOf]) -> None:
    alice, _ = pair
    held(alice, "log_altered")
    with alice.changes.change() as change:
        settle_on_purpose(change, alice.groups, alice.record)

    explained = why(alice)

    assert (explained.state, explained.code, explained.since) == (Standing.JOINED, "", 0)
    assert [(each.code, each.timestamp) for each in explained.troubles] == [("log_altered", NOW)]


def test_a_hold_of_before_notes_were_kept_is_explained_without_a_time(
    pair: tuple[MemberOf, MemberOf],
) -> None:
    alice, _ = pair
    with alice.changes.change() as change:
        change.db.execute("INSERT INTO hold VALUES (?, 'missing_commit', 'gone', 0)", (alice.record.id,))
        settle(change, alice.groups, hold(change, alice.record, "server_older"), {"server_older"})

    assert (why(alice).code, why(alice).text, why(alice).since) == ("missing_commit", "gone", 0)


def test_every_reason_of_a_hold_is_explained_and_none_is_a_trouble_beside_it(
    pair: tuple[MemberOf, MemberOf],
) -> None:
    alice, _ = pair
    for code in ("identity_changed", "log_altered"):
        held(alice, code)

    explained = why(alice)

    assert (explained.code, explained.troubles) == ("log_altered", ())
    (other,) = explained.others
    assert (other.code, other.since, other.advice) == (
        "identity_changed",
        NOW,
        REASONS["identity_changed"].advice,
    )
    assert other.text in explanation_text(explained)
    assert [line["code"] for line in explanation_json(explained)] == ["log_altered", "identity_changed"]


def test_q_06_a_message_that_does_not_open_is_explained_with_its_place(
    pair: tuple[MemberOf, MemberOf],
) -> None:
    alice, bob = pair
    bob.reads(message(2, flipped(alice.seals("hello"))))

    (trouble,) = why(bob).troubles

    assert (trouble.epoch, trouble.sequence, trouble.timestamp) == (1, 2, NOW)
    assert (trouble.code, trouble.text) == ("aead", REASONS["aead"].sentence)
    assert why(bob).code == "log_altered"


def test_an_insiders_bad_path_is_explained_with_who_made_it(pair: tuple[MemberOf, MemberOf]) -> None:
    """M-15: the notice is gone when somebody asks; the note is not."""
    alice, bob = pair
    commit = alice.stages(CommitPlan(update=True)).message
    bob.reads(entry(2, "commit", flipped(commit), epoch=1))

    explained = why(bob)

    (told,) = [event for event in bob.events if isinstance(event, Notice)]
    (trouble,) = explained.troubles
    assert explained.code == "rejoining"
    assert (trouble.sender, trouble.epoch, trouble.sequence) == ("alice", 1, 2)
    assert (trouble.code, trouble.text) == (told.code, told.text)


def test_a_copied_profile_says_in_each_conversation_what_happened(pair: tuple[MemberOf, MemberOf]) -> None:
    """D-06."""
    alice, _ = pair
    with alice.changes.change() as change:
        start_over(change, alice.groups)

    assert why(alice).code == "rejoining"
    assert [each.code for each in why(alice).troubles] == ["conflict"]


def test_a_welcome_into_a_group_that_is_here_is_explained_in_it(pair: tuple[MemberOf, MemberOf]) -> None:
    _, bob = pair
    with bob.changes.change() as change:
        bob.joiner.take(change, InboxEntry(2, GROUP, 1, 2, "x" * 26, Carried(), NOW), b"none", None)

    assert [each.code for each in why(bob).troubles] == ["welcome_refused"]


def test_a_welcome_into_no_group_that_is_here_is_explained_by_itself(
    pair: tuple[MemberOf, MemberOf],
) -> None:
    """Q-06: nobody may be looking when it is told."""
    _, bob = pair
    with bob.changes.change() as change:
        bob.joiner.take(change, InboxEntry(2, b"o" * 32, 7, 2, "x" * 26, Carried(), NOW), b"none", None)

    (explained,) = explain_all(bob.store.db, bob.groups, records.every(bob.store.db))

    (told,) = [event for event in bob.events if isinstance(event, Notice)]
    (trouble,) = explained.troubles
    assert (trouble.code, trouble.text, trouble.epoch, trouble.timestamp) == (told.code, told.text, 7, NOW)
    assert trouble.advice == REASONS["welcome_refused"].advice
    assert explained.conversation == ""
    assert trouble.text in explanation_text(explained)


def test_only_the_last_invitations_that_came_to_nothing_are_kept(pair: tuple[MemberOf, MemberOf]) -> None:
    alice, _ = pair
    with alice.changes.change() as change:
        for number in range(notes.MOST_KEPT + 2):
            notes.tell_account(change, "invitation_expired", str(number))

    kept = notes.of_account(alice.store.db)
    assert [each.text for each in kept] == [str(number) for number in range(2, notes.MOST_KEPT + 2)]


def test_what_may_not_be_said_is_explained_and_not_repeated(tmp_path: Path) -> None:
    alice, bob, carol = (MemberOf(tmp_path, user) for user in ("alice", "bob", "carol"))
    alice.founds(bob, carol, kind=Kind.ANNOUNCEMENT)
    carol.reads(message(2, bob.seals("I am only a reader")))

    (trouble,) = why(carol).troubles

    assert (trouble.sender, trouble.code) == ("bob", "may_not_speak")
    assert trouble.text == REASONS["may_not_speak"].sentence


def test_only_the_last_troubles_are_told_oldest_first(pair: tuple[MemberOf, MemberOf]) -> None:
    _, bob = pair
    with bob.changes.change() as change:
        bob.groups.follow(change, bob.record.id, bob.group.public)
    count = MOST_TROUBLES + 3
    bob.reads(*(message(2 + number, b"sealed") for number in range(count)))

    places = [each.sequence for each in why(bob).troubles]

    assert places == list(range(2 + count - MOST_TROUBLES, 2 + count))


def test_a_note_is_no_message(pair: tuple[MemberOf, MemberOf]) -> None:
    alice, _ = pair
    held(alice, "log_altered")

    assert alice.heard() == []
    assert history.unmarked(alice.store.db, history.Mark.SHOWN, 9) == []
    assert history.received_after(alice.store.db, alice.record.id, 0, limit=9) == []


def test_an_open_conversation_that_waits_says_so(pair: tuple[MemberOf, MemberOf]) -> None:
    alice, _ = pair
    with alice.changes.change() as change:
        record = records.insert(
            change.db, name="@carol", kind=Kind.DIRECT, state=Standing.OPENING, room="r", peer="carol"
        )
    assert explain(alice.store.db, alice.groups, record).code == ""

    with alice.changes.change() as change:
        change.db.execute(
            "INSERT INTO intent (conversation, kind, step) VALUES (?, 'open', 'wanted')", (record.id,)
        )
    assert explain(alice.store.db, alice.groups, record).code == "opening"
