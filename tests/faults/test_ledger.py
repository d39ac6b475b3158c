"""The checker catches what it is there for: loss, doubles, disorder, invention (Q-01)."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.faults.ledger import Kind, Ledger, told

ROOM = "#team"


def ledger_of(promised: str) -> tuple[Ledger, list[str]]:
    """Alice says so many things to bob; those with a plus are acknowledged."""
    ledger = Ledger()
    texts = [ledger.says(ROOM, "alice", ["bob"]) for _ in promised]
    for text, kept in zip(texts, promised, strict=True):
        if kept == "+":
            ledger.acknowledged(ROOM, "alice", text)
    return ledger, texts


def show(ledger: Ledger, *texts: str, to: str = "bob") -> list[Kind]:
    for text in texts:
        ledger.shown(ROOM, to, "alice", text)
    return [violation.kind for violation in ledger.verdict()]


def test_what_is_promised_and_shown_once_in_order_is_right() -> None:
    ledger, texts = ledger_of("+++")
    assert show(ledger, *texts) == []
    assert ledger.counts["shown"] == 3


def test_a_promised_message_that_is_not_shown_is_lost() -> None:
    ledger, texts = ledger_of("+++")
    assert show(ledger, texts[0], texts[2]) == [Kind.LOST]


def test_a_message_without_promise_may_be_shown_or_not() -> None:
    ledger, texts = ledger_of("--")
    assert show(ledger, texts[1]) == []


def test_a_message_without_promise_is_not_shown_twice_either() -> None:
    ledger, texts = ledger_of("-")
    assert show(ledger, *texts, *texts) == [Kind.TWICE]


def test_a_double_is_seen_wherever_it_comes() -> None:
    ledger, texts = ledger_of("++")
    assert show(ledger, *texts, texts[0]) == [Kind.TWICE]


def test_a_swap_is_seen() -> None:
    ledger, texts = ledger_of("++")
    assert show(ledger, *reversed(texts)) == [Kind.DISORDER]


@pytest.mark.parametrize("text", ["alice 1", "alice 01", "alice -1", "alice ", "bob 0", "", "alice ¹"])
def test_what_nobody_said_is_invented(text: str) -> None:
    ledger, texts = ledger_of("+")
    assert show(ledger, *texts, text) == [Kind.INVENTED]


def test_the_words_of_one_in_the_mouth_of_another_are_invented() -> None:
    ledger, texts = ledger_of("-")
    ledger.shown(ROOM, "bob", "carol", texts[0])
    assert [violation.kind for violation in ledger.verdict()] == [Kind.INVENTED]


def test_the_words_of_one_place_in_another_are_invented() -> None:
    ledger, texts = ledger_of("-")
    ledger.shown("#other", "bob", "alice", texts[0])
    assert [violation.kind for violation in ledger.verdict()] == [Kind.INVENTED]


def test_what_is_shown_to_somebody_else_has_strayed() -> None:
    ledger, texts = ledger_of("-")
    assert show(ledger, *texts, to="eve") == [Kind.STRAYED]


def test_each_recipient_counts() -> None:
    ledger = Ledger()
    text = ledger.says(ROOM, "alice", ["bob", "carol"])
    ledger.acknowledged(ROOM, "alice", text)
    ledger.shown(ROOM, "carol", "alice", text)
    (violation,) = ledger.verdict()
    assert (violation.kind, violation.recipient) == (Kind.LOST, "bob")


def test_a_promise_for_what_was_never_said_is_the_harness_s_fault() -> None:
    ledger, _ = ledger_of("+")
    with pytest.raises(KeyError):
        ledger.acknowledged(ROOM, "alice", "alice 7")


@given(st.text("+-", min_size=1, max_size=12), st.data())
def test_only_a_list_that_rises_and_holds_all_promised_is_right(promised: str, data: st.DataObject) -> None:
    ledger, texts = ledger_of(promised)
    numbers = data.draw(st.lists(st.integers(0, len(promised) - 1), max_size=14))
    rises = all(first < second for first, second in itertools.pairwise(numbers))
    whole = all(number in numbers for number, kept in enumerate(promised) if kept == "+")
    assert (show(ledger, *(texts[number] for number in numbers)) == []) == (rises and whole)


def test_violations_are_told_with_their_number_and_not_all() -> None:
    ledger, _ = ledger_of("+" * 50)
    lines = told(ledger.verdict()).splitlines()
    assert lines[0] == "50 x lost"
    assert len(lines) == 11
    assert told([]) == "nothing is wrong"
