"""All parts together: an honest server is believed whatever happens, a lie is found by the people."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.transparency.errors import Refused
from securechat.transparency.evidence import Verdict, judge_evidence
from securechat.transparency.heads import HeadRefused
from securechat.transparency.monitor import OwnRefused
from securechat.transparency.search import Found
from tests.transparency.people import Person
from tests.transparency.world import ALICE, BOB, CAROL, SERVER, Directory

ACTS = st.tuples(
    st.sampled_from(["change", "log in", "look up", "compare", "others"]),
    st.integers(0, 2),
    st.integers(0, 2),
)


def people() -> tuple[Directory, Person, Person, Person]:
    """A directory with three people who have all logged in once."""
    directory = Directory()
    three = Person(ALICE), Person(BOB), Person(CAROL)
    for person in three:
        person.change(directory, f"{person.user} 1".encode())
    for person in three:
        person.log_in(directory)
    return directory, *three


@settings(max_examples=30)
@given(st.lists(ACTS, max_size=40))
def test_an_honest_server_is_believed_whatever_happens(acts: list[tuple[str, int, int]]) -> None:
    directory, *three = people()
    for number, (act, at, to) in enumerate(acts):
        directory.now += 1
        match act:
            case "change":
                three[at].change(directory, b"%d" % number)
            case "log in":
                three[at].log_in(directory)
            case "look up":
                assert isinstance(three[at].look_up(directory, three[to].user), Found)
            case "compare":
                assert three[at].compare(three[to], directory).verdict is Verdict.AGREE
            case _:
                for other in range(7):
                    directory.publish("", b"%d" % number, label=bytes([number, other]) * 16)
    for person in three:
        person.log_in(directory)


def test_a_server_that_shows_two_logs_is_caught_by_the_first_two_who_talk() -> None:
    directory, alice, bob, _ = people()
    other = directory.copied()
    directory.publish(BOB, b"bob's, with a ghost")
    bob.change(other, b"bob 2")
    alice.log_in(directory)
    bob.log_in(other)

    compared = alice.compare(bob, other)
    assert compared.verdict is Verdict.EQUIVOCATION
    assert compared.evidence is not None
    assert judge_evidence(compared.evidence, SERVER) is not None


def test_a_ghost_device_is_found_by_its_owner() -> None:
    directory, alice, bob, _ = people()
    directory.publish(BOB, b"bob's, with a ghost")
    alice.log_in(directory)
    alice.look_up(directory, BOB)
    with pytest.raises(OwnRefused, match="own-unknown"):
        bob.log_in(directory)


def test_a_withheld_revocation_is_found_by_its_owner() -> None:
    directory, _, bob, _ = people()
    withheld = directory.copied()
    bob.change(withheld, b"bob 2, without the phone")
    with pytest.raises(OwnRefused, match="own-missing"):
        bob.log_in(directory)


def test_a_log_that_goes_back_is_refused_by_who_saw_more() -> None:
    directory, alice, _, _ = people()
    old = directory.copied()
    alice.change(directory, b"alice 2")
    alice.log_in(directory)
    with pytest.raises(HeadRefused) as caught:
        alice.log_in(old)
    assert caught.value.rule == "head-rollback"


def test_two_stories_in_one_log_are_found_at_the_next_distinguished_size() -> None:
    """Alice is shown a ghost, bob is not: one of them logs in after the size and finds it."""
    directory, alice, bob, carol = people()
    true = directory.copied().publish(BOB, b"bob 2").change
    bob.change(directory.copied(), b"bob 2")
    directory.publish(BOB, b"bob's, with a ghost")
    alice.log_in(directory)
    alice.look_up(directory, BOB)
    directory.force(true)
    bob.log_in(directory)
    while directory.state.frontier.size < 16:
        carol.change(directory, b"carol %d" % directory.state.frontier.size)
    assert alice.compare(bob, directory).verdict is Verdict.AGREE
    with pytest.raises(Refused, match=r"history-rewritten|standing-unknown"):
        alice.log_in(directory)
