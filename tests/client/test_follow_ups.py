"""What is said of a message counts, waits or does not, and does what it says: by the table, and no more."""

from pathlib import Path

import pytest

from securechat.client import follow_ups, history, places, said_of
from securechat.client.events import MessageKind
from securechat.client.follow_ups import CHECKS, Case, TakesBack, Target, Verdict, judge
from securechat.client.rows import MAX_REACTIONS_SHOWN
from securechat.content import message
from securechat.content.message import Frame, framed, text_part
from securechat.content.mimi import encode
from securechat.content.own_types import PollAsked
from securechat.content.saying import Changes, Closes, Reacts, Votes, Withdraws, Words
from tests.client.spoken import Spoken

ID, REACTION_ID = b"\x01" + bytes(31), b"\x01" + bytes(30) + b"\x09"


@pytest.fixture
def room(tmp_path: Path) -> Spoken:
    return Spoken(tmp_path)


def target(kind: str = "text", *, deleted: bool = False, content: bytes = b"", closed: int = 0) -> Target:
    return Target(7, ID, "bob", kind, deleted, content, closed)


CHANGE, BACK = Changes(ID, Words("x")), Withdraws(ID)
REACT, VOTE, CLOSE = Reacts(ID, ("👍",)), Votes(ID, (2,)), Closes(ID)
TEA = encode(
    message.poll(PollAsked("Tea?", ("green", "black")), Frame(salt=bytes(16), sender_uri="", room_uri=""))
)

VERDICTS = [
    (CHANGE, "bob", target(), Verdict.TAKE),
    (CHANGE, "carol", target(), Verdict.NOT_AUTHOR),
    (CHANGE, "bob", None, Verdict.WAIT),
    (CHANGE, "bob", target(deleted=True), Verdict.DROP),
    (CHANGE, "bob", target("poll"), Verdict.NOT_CHANGEABLE),
    (CHANGE, "bob", target("file"), Verdict.NOT_CHANGEABLE),
    (BACK, "bob", target(), Verdict.TAKE),
    (BACK, "bob", target("poll"), Verdict.TAKE),
    (BACK, "carol", target(), Verdict.NOT_AUTHOR),
    (BACK, "carol", target(deleted=True), Verdict.NOT_AUTHOR),
    (BACK, "bob", target(deleted=True), Verdict.DROP),
    (BACK, "bob", None, Verdict.WAIT),
    (CHANGE, "bob", target("timer"), Verdict.NOT_CHANGEABLE),
    (BACK, "bob", target("timer"), Verdict.NOT_CHANGEABLE),
    (REACT, "carol", target(), Verdict.TAKE),
    (REACT, "carol", target("poll"), Verdict.TAKE),
    (REACT, "carol", target(deleted=True), Verdict.DROP),
    (REACT, "carol", None, Verdict.WAIT),
    (TakesBack(ID, REACTION_ID, "carol"), "carol", target(), Verdict.TAKE),
    (TakesBack(ID, REACTION_ID, "carol"), "carol", None, Verdict.TAKE),
    (TakesBack(ID, REACTION_ID, "carol"), "bob", target(), Verdict.NOT_AUTHOR),
    (VOTE, "carol", target(), Verdict.DROP),
    (VOTE, "carol", target("poll"), Verdict.DROP),
    (VOTE, "carol", None, Verdict.WAIT),
    (VOTE, "carol", target("poll", content=TEA), Verdict.TAKE),
    (VOTE, "carol", target("poll", content=TEA, closed=9), Verdict.DROP),
    (VOTE, "carol", target("poll", content=TEA, closed=-1), Verdict.TAKE),
    (CLOSE, "bob", target("poll", content=TEA), Verdict.TAKE),
    (CLOSE, "carol", target("poll", content=TEA), Verdict.NOT_AUTHOR),
    (CLOSE, "bob", target("poll", content=TEA, deleted=True), Verdict.DROP),
    (CLOSE, "bob", target(), Verdict.DROP),
    (CLOSE, "bob", target("poll", content=TEA, closed=9), Verdict.DROP),
    (CLOSE, "bob", None, Verdict.WAIT),
]


@pytest.mark.parametrize(("meant", "sender", "about", "verdict"), VERDICTS)
def test_each_kind_is_judged_in_each_state(
    meant: follow_ups.Meant, sender: str, about: Target | None, verdict: Verdict
) -> None:
    assert judge(Case(meant, sender, about, sequence=10)) is verdict


def test_every_kind_has_its_checks() -> None:
    assert {type(meant) for meant, *_ in VERDICTS} == set(CHECKS)


def test_the_last_change_wins_and_says_when(room: Spoken) -> None:
    first = room.hears("bob", "lnch?")
    room.edits("bob", first, "lunch?")
    room.edits("bob", first, "lunch, @alice?")

    now = room.now(first)
    assert (now.text, now.edited) == ("lunch, @alice?", room.changed[-1].edited)
    assert room.changed[-1] == now


def test_a_change_may_name_us_and_a_later_one_not(room: Spoken) -> None:
    first = room.hears("bob", "hello")
    named = framed(text_part("@alice!", {"alice": room.device.user_uri}), room.frame("bob"), replaces=first)
    room.comes("bob", named)
    assert (room.now(first).text, room.now(first).mentions_me) == ("@alice!", True)
    room.edits("bob", first, "nobody")
    assert not room.now(first).mentions_me


def test_what_was_changed_is_also_known_by_the_id_of_its_change(room: Spoken) -> None:
    first = room.hears("bob", "lnch?")
    changed = framed(text_part("lunch?"), room.frame("bob"), replaces=first)
    room.comes("bob", changed)
    room.reacts("carol", room.id_of("bob", changed), "👍")

    assert [each.text for each in room.now(first).reactions] == ["👍"]


def test_nobody_changes_or_withdraws_what_another_wrote(room: Spoken) -> None:
    """A malicious member: authentic, and refused by everybody (section on edits and deletes)."""
    first = room.hears("bob", "I owe you nothing")
    assert room.edits("carol", first, "I owe carol 100") is Verdict.NOT_AUTHOR
    assert room.withdraws("carol", first) is Verdict.NOT_AUTHOR
    liked = room.reacts("bob", first, "👍")
    assert room.takes_back("carol", liked) is Verdict.NOT_AUTHOR

    assert room.now(first).text == "I owe you nothing"
    assert len(room.now(first).reactions) == 1


FALSE = b"another key, certified for the same name"


def test_d_04_who_comes_by_anothers_name_changes_nothing_that_was_said_under_it(room: Spoken) -> None:
    """A server that lets a name be taken again, and a member who adds it: the keys are others."""
    first = room.hears("bob", "I owe you nothing")
    waits = b"\x01" + bytes(31)
    liked = room.reacts("bob", first, "👍")
    for target in (first, waits):
        room.edits("bob", target, "true")
    frame = room.frame("bob")
    changed = framed(text_part("I owe you 100"), frame, replaces=first)
    again = message.reaction("👎", room.frame("bob", first))
    for content in (
        changed,
        message.withdrawal(first, frame),
        message.withdrawal(liked, frame),
        again,
    ):
        assert room.comes("bob", content, key=FALSE) is Verdict.NOT_AUTHOR
    now = room.now(first)
    assert (now.text, [each.text for each in now.reactions]) == ("true", ["👍"])


def test_d_04_a_vote_stays_with_the_key_that_cast_it(room: Spoken) -> None:
    poll = room.hears_poll("alice", "green", "black")
    room.votes("bob", poll, 1)
    other = message.vote((2,), room.frame("bob", poll))
    assert room.comes("bob", other, key=FALSE) is Verdict.NOT_AUTHOR
    assert voters(room, poll) == [("bob",), ()]


def test_d_04_two_keys_of_one_name_wait_each_for_itself(room: Spoken) -> None:
    later = framed(text_part("lnch?"), room.frame("bob"))
    first = room.id_of("bob", later)
    room.edits("bob", first, "lunch?")
    room.comes("bob", message.withdrawal(first, room.frame("bob")), key=FALSE)
    room.keeps("bob", later, text="lnch?")
    assert room.now(first).text == "lunch?"


def test_an_account_whose_key_was_rotated_changes_what_it_said_before() -> None:
    old, new = b"old", b"new"
    said_then = Target(7, ID, "bob", "text", deleted=False, content=b"", account_key=old)
    assert judge(Case(CHANGE, "bob", said_then, keys=(new, old))) is Verdict.TAKE
    assert judge(Case(CHANGE, "bob", said_then, keys=(new,))) is Verdict.NOT_AUTHOR


def test_a_withdrawn_messages_words_are_nowhere_in_the_store(room: Spoken) -> None:
    """L-04: not in a row, not in its content, not in the index of words, not in what waited."""
    first = room.hears("bob", "canary-one")
    room.edits("bob", first, "canary-two")
    room.reacts("carol", first, "👍")
    assert room.everywhere("canary")
    room.withdraws("bob", first)

    now = room.now(first)
    assert (now.text, now.deleted, now.reactions) == ("", True, ())
    assert room.everywhere("canary") == []


def test_a_withdrawal_that_came_has_the_log_beside_the_store_emptied(room: Spoken) -> None:
    """L-04: also what others withdraw is not to stay there."""
    first = room.hears("bob", "canary")
    room.reacts("carol", first, "👍")
    assert not room.last_change.forgot
    room.withdraws("bob", first)
    assert room.last_change.forgot


def test_nothing_is_done_to_what_was_withdrawn(room: Spoken) -> None:
    first = room.hears("bob", "hello")
    room.withdraws("bob", first)

    assert room.edits("bob", first, "again") is Verdict.DROP
    room.reacts("carol", first, "👍")
    assert (room.now(first).text, room.now(first).reactions) == ("", ())


@pytest.mark.parametrize("withdrawn", [False, True])
def test_what_comes_before_its_message_waits_for_it(room: Spoken, *, withdrawn: bool) -> None:
    """A server that reorders, or a member who came between: nothing is lost, and nothing counts too soon."""
    later = framed(text_part("lnch?"), room.frame("bob"))
    first = room.id_of("bob", later)
    assert room.edits("bob", first, "lunch?") is Verdict.WAIT
    room.reacts("carol", first, "👍")
    assert room.edits("carol", first, "mine now") is Verdict.WAIT
    if withdrawn:
        room.withdraws("bob", first)
        room.edits("bob", first, "too late")
    room.keeps("bob", later, text="lnch?")

    now = room.now(first)
    assert (now.text, now.deleted) == (("", True) if withdrawn else ("lunch?", False))
    assert len(now.reactions) == (0 if withdrawn else 1)
    assert room.store.value("SELECT count(*) FROM early_change") == 0
    noted = history.troubles(room.store.db, room.record.id, 5)
    assert [(each.sender, each.code, each.text) for each in noted] == [
        ("carol", "not_author", "(changed) mine now")
    ]


def test_words_about_messages_that_never_come_are_few(room: Spoken) -> None:
    """A malicious member cannot fill a store with them."""
    for number in range(100):
        nowhere = b"\x01" + number.to_bytes(31, "big")
        room.withdraws("bob", nowhere)
        room.reacts("bob", nowhere, "👍")
        room.votes("bob", nowhere, 1)
    for table in ("early_change", "reaction", "vote"):
        assert room.store.value(f"SELECT count(*) FROM {table}") == said_of.MAX_WAITING_EACH  # noqa: S608


def test_a_reaction_is_one_of_each_kind_and_user(room: Spoken) -> None:
    first = room.hears("bob", "hello")
    for user in ("bob", "carol", "bob"):
        room.reacts(user, first, "👍")
    (reaction,) = room.now(first).reactions
    assert (reaction.text, reaction.users) == ("👍", ("bob", "carol"))


def test_a_reaction_is_taken_back_by_its_last_id(room: Spoken) -> None:
    first = room.hears("bob", "hello")
    room.reacts("carol", first, "👍")
    again = room.reacts("carol", first, "👍")
    assert room.takes_back("carol", again) is Verdict.TAKE
    assert room.now(first).reactions == ()
    assert room.changed[-1].reactions == ()


def test_a_flood_of_reactions_is_bounded(room: Spoken) -> None:
    """Each user a few, and of many users' different ones so many are shown."""
    first = room.hears("bob", "hello")
    signs = [chr(0x1F400 + number) for number in range(60)]
    for sign in signs:
        room.reacts("bob", first, sign)
    assert len(room.now(first).reactions) == said_of.MAX_REACTIONS_EACH
    for number in range(10):
        for sign in signs[6 * number : 6 * number + 6]:
            room.reacts(f"user{number}", first, sign)
    assert len(room.now(first).reactions) == MAX_REACTIONS_SHOWN


def test_a_vote_is_one_of_each_user_and_the_last(room: Spoken) -> None:
    poll = room.hears_poll("bob", "green", "black")
    room.votes("carol", poll, 1, 2)
    room.votes("carol", poll, 2)
    room.votes("bob", poll, 2)
    assert room.votes("mallory", poll, 3) is Verdict.DROP

    shown = room.now(poll).poll
    assert shown is not None
    assert [each.voters for each in shown.options] == [(), ("carol", "bob")]
    room.votes("carol", poll)
    shown = room.now(poll).poll
    assert shown is not None
    assert [each.voters for each in shown.options] == [(), ("bob",)]


def voters(room: Spoken, poll: bytes) -> list[tuple[str, ...]]:
    shown = room.now(poll).poll
    assert shown is not None
    return [each.voters for each in shown.options]


def is_closed(room: Spoken, poll: bytes) -> bool:
    shown = room.now(poll).poll
    assert shown is not None
    return shown.closed


def test_a_poll_is_closed_by_its_author_and_later_votes_do_not_count(room: Spoken) -> None:
    poll = room.hears_poll("bob", "green", "black")
    room.votes("carol", poll, 1)
    assert room.closes("carol", poll) is Verdict.NOT_AUTHOR
    room.votes("carol", poll, 2)
    assert not is_closed(room, poll)

    room.closes("bob", poll)
    assert room.votes("carol", poll, 1) is Verdict.DROP
    assert room.votes("carol", poll) is Verdict.DROP
    assert (is_closed(room, poll), voters(room, poll)) == (True, [(), ("carol",)])
    assert room.changed[-1] == room.now(poll)


def test_votes_before_our_end_of_a_poll_count_whenever_they_are_read(room: Spoken) -> None:
    """The server's answer to our words may come before what stands before them in the log."""
    poll = room.hears_poll("alice", "green", "black")
    end = room.says(message.closing(room.frame("alice", poll)), poll)
    assert is_closed(room, poll)
    room.comes("carol", message.vote((1,), room.frame("carol", poll)), sequence=8)
    room.is_placed(end, 10)
    room.comes("dave", message.vote((2,), room.frame("dave", poll)), sequence=9)
    room.comes("bob", message.vote((2,), room.frame("bob", poll)), sequence=11)

    assert voters(room, poll) == [("carol",), ("dave",)]


def test_our_vote_that_reaches_the_log_after_the_end_of_its_poll_is_undone(room: Spoken) -> None:
    poll = room.hears_poll("bob", "green", "black")
    first = room.says(message.vote((1,), room.frame("alice", poll)), poll)
    room.is_placed(first, 4)
    late = room.says(message.vote((2,), room.frame("alice", poll)), poll)
    assert voters(room, poll) == [(), ("alice",)]
    room.comes("bob", message.closing(room.frame("bob", poll)), sequence=5)
    room.is_placed(late, 6)

    assert voters(room, poll) == [("alice",), ()]
    assert room.changed[-1] == room.now(poll)


def test_a_first_vote_that_comes_too_late_is_none(room: Spoken) -> None:
    poll = room.hears_poll("bob", "green", "black")
    late = room.says(message.vote((2,), room.frame("alice", poll)), poll)
    room.comes("bob", message.closing(room.frame("bob", poll)), sequence=5)
    room.is_placed(late, 6)

    assert voters(room, poll) == [(), ()]
    assert room.store.rows("SELECT 1 FROM vote") == []


def test_our_vote_taken_back_in_time_stays_taken_back(room: Spoken) -> None:
    poll = room.hears_poll("bob", "green", "black")
    room.is_placed(room.says(message.vote((1,), room.frame("alice", poll)), poll), 3)
    room.is_placed(room.says(message.vote((), room.frame("alice", poll)), poll), 4)

    assert room.store.rows("SELECT 1 FROM vote") == []


def test_a_poll_whose_end_was_not_taken_goes_on(room: Spoken) -> None:
    poll = room.hears_poll("alice", "green", "black")
    end = room.says(message.closing(room.frame("alice", poll)), poll)
    with room.changes.change() as change:
        follow_ups.refused(change, room.record.id, end)

    assert not is_closed(room, poll)
    assert room.changed[-1] == room.now(poll)


def test_a_poll_that_is_closed_twice_is_closed_from_the_first_on(room: Spoken) -> None:
    poll = room.hears_poll("alice", "green", "black")
    end = room.says(message.closing(room.frame("alice", poll)), poll)
    room.comes("alice", message.closing(room.frame("alice", poll)), sequence=5)
    room.is_placed(end, 9)

    assert room.comes("bob", message.vote((1,), room.frame("bob", poll)), sequence=7) is Verdict.DROP


def test_the_end_of_a_poll_that_is_not_here_waits_for_it(room: Spoken) -> None:
    content = message.poll(PollAsked("Tea?", ("green", "black")), room.frame("bob"))
    poll = room.id_of("bob", content)
    assert room.closes("bob", poll) is Verdict.WAIT
    room.keeps("bob", content, text="Tea?", kind=MessageKind.POLL)

    assert is_closed(room, poll)


def test_a_poll_that_is_closed_stays_so_in_a_new_group(room: Spoken) -> None:
    """Its log begins at one again."""
    poll = room.hears_poll("bob", "green", "black")
    room.comes("bob", message.closing(room.frame("bob", poll)), sequence=90)
    with room.changes.change() as change:
        places.forget_places(change.db, room.record.id)

    assert room.comes("carol", message.vote((1,), room.frame("carol", poll)), sequence=3) is Verdict.DROP


def test_a_vote_for_what_is_no_poll_is_nothing(room: Spoken) -> None:
    assert room.votes("carol", room.hears("bob", "Tea?"), 1) is Verdict.DROP


def test_votes_that_waited_count_if_the_poll_has_such_options(room: Spoken) -> None:
    content = message.poll(PollAsked("Tea?", ("green", "black")), room.frame("bob"))
    poll = room.id_of("bob", content)
    room.votes("carol", poll, 2)
    room.votes("dave", poll, 9)
    room.keeps("bob", content, text="Tea?", kind=MessageKind.POLL)
    shown = room.now(poll).poll
    assert shown is not None
    assert [each.voters for each in shown.options] == [(), ("carol",)]
