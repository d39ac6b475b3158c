"""Searching a label: an honest answer is believed, and no other."""

from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from securechat.mls.codec import decode, encode
from securechat.mls.errors import DecodeError
from securechat.transparency.entries import Change, LogEntry, state_after
from securechat.transparency.errors import Refused
from securechat.transparency.heads import Placed, TrustedHead
from securechat.transparency.merkle import prove_inclusion
from securechat.transparency.prefix_tree import PrefixLeaf, PrefixProof, prove
from securechat.transparency.search import (
    MAX_ANSWER,
    MAX_SINCE,
    Absent,
    Found,
    SearchAnswer,
    Seen,
    follow,
    read_answer,
    verify_search,
)
from tests.transparency.stores import log_of
from tests.transparency.world import (
    ALICE,
    BOB,
    CAROL,
    Directory,
    flipped,
    label_of,
    signed,
    trusted,
    with_people,
)

replace = msgspec.structs.replace
DAVE: Final = "mimi://chat.example/u/dave"


def found(head: TrustedHead, answer: SearchAnswer, user: str = BOB, seen: Seen | None = None) -> Found:
    """Verify an answer that must be believed."""
    result = verify_search(head, user, answer, seen=seen)
    assert isinstance(result, Found)
    return result


def test_what_is_valid_is_found() -> None:
    directory = with_people()
    directory.publish(BOB, b"bob 2")
    result = found(trusted(directory), directory.answer(BOB))

    assert result.label == label_of(BOB)[0]
    assert result.state.serial == result.state.revision == 2
    assert result.names(b"bob 2")
    assert not result.names(b"mimi://chat.example/u/bob 1")
    assert result.placed.entry.change.changes == (Change.DEVICE_ADDED,)


def test_who_is_not_there_is_proven_not_to_be() -> None:
    directory = with_people()
    result = verify_search(trusted(directory), DAVE, directory.answer(DAVE))
    assert isinstance(result, Absent)
    assert isinstance(verify_search(trusted(Directory()), DAVE, Directory().answer(DAVE)), Absent)


def test_an_answer_under_an_older_head_is_of_that_time() -> None:
    directory = with_people()
    old = trusted(directory)
    directory.publish(BOB, b"bob 2")
    assert found(old, directory.answer(BOB, head=old.head)).state.revision == 1
    with pytest.raises(Refused):
        verify_search(old, BOB, directory.answer(BOB))


def test_changes_since_are_told_one_by_one() -> None:
    directory = with_people()
    first = found(trusted(directory), directory.answer(BOB))
    for number in range(2, 6):
        directory.publish(BOB, b"bob %d" % number)
    head = trusted(directory)

    later = found(head, directory.answer(BOB, after=1), seen=first.seen)
    assert [change.revision for change in later.since] == [2, 3, 4, 5]
    again = found(head, directory.answer(BOB, after=5), seen=later.seen)
    assert again.since == ()
    whole = found(head, directory.answer(BOB, after=0))
    assert [change.revision for change in whole.since] == [1, 2, 3, 4, 5]


def test_a_long_history_comes_in_parts() -> None:
    directory = with_people(others=0)
    first = found(trusted(directory), directory.answer(BOB)).seen
    for number in range(2, 12):
        directory.publish(BOB, b"bob %d" % number)
    changes = tuple(directory.changes_of(BOB))
    label = label_of(BOB)[0]

    seen = follow(label, follow(label, first, changes[1:4]), changes[4:7])
    assert found(trusted(directory), directory.answer(BOB, after=7), seen=seen).state.revision == 11
    with pytest.raises(Refused, match="history-rewritten"):
        follow(label, seen, changes[8:])
    with pytest.raises(Refused, match="history-gap"):
        follow(label, None, ())


# -- lies --------------------------------------------------------------------------


Lie = Callable[[Directory, SearchAnswer], SearchAnswer]


def of_another_user(directory: Directory, answer: SearchAnswer) -> SearchAnswer:
    return replace(answer, vrf_proof=label_of(CAROL)[1])


def another_users_answer(directory: Directory, answer: SearchAnswer) -> SearchAnswer:
    return directory.answer(CAROL)


def another_users_leaf(directory: Directory, answer: SearchAnswer) -> SearchAnswer:
    return replace(answer, prefix=directory.answer(CAROL).prefix)


def nothing_there(directory: Directory, answer: SearchAnswer) -> SearchAnswer:
    return replace(answer, prefix=PrefixProof(None, answer.prefix.siblings), newest=None)


def another_state(directory: Directory, answer: SearchAnswer) -> SearchAnswer:
    leaf = answer.prefix.leaf
    assert leaf is not None
    other = PrefixLeaf(leaf.label, replace(leaf.state, statement_hash=bytes(32)))
    return replace(answer, prefix=PrefixProof(other, answer.prefix.siblings))


def the_state_before(directory: Directory, answer: SearchAnswer) -> SearchAnswer:
    """Bob's first statement, under the prefix tree that it was in."""
    old = directory.entries[-2].prefix_root
    first = directory.changes_of(BOB)[0]
    position = [entry.change for entry in directory.entries].index(first)
    path = prove_inclusion(directory.log, position, directory.state.frontier.size)
    return replace(
        answer,
        prefix=prove(directory.prefix, old, label_of(BOB)[0]),
        newest=Placed(directory.entries[position], path),
    )


def no_entry(directory: Directory, answer: SearchAnswer) -> SearchAnswer:
    return replace(answer, newest=None)


def another_entry(directory: Directory, answer: SearchAnswer) -> SearchAnswer:
    assert answer.newest is not None
    return replace(answer, newest=replace(answer.newest, entry=directory.entries[0]))


def an_entry_with_another_root(directory: Directory, answer: SearchAnswer) -> SearchAnswer:
    assert answer.newest is not None
    other = LogEntry(answer.newest.entry.change, bytes(range(32)))
    return replace(answer, newest=replace(answer.newest, entry=other))


def another_path(directory: Directory, answer: SearchAnswer) -> SearchAnswer:
    assert answer.newest is not None
    return replace(answer, newest=replace(answer.newest, path=answer.newest.path[::-1]))


def changes_since_nothing(directory: Directory, answer: SearchAnswer) -> SearchAnswer:
    return replace(answer, since=tuple(directory.changes_of(BOB)[1:]))


LIES: Final[dict[Lie, str]] = {
    of_another_user: "label-proof",
    another_users_answer: "label-proof",
    another_users_leaf: "prefix-proof",
    nothing_there: "prefix-proof",
    another_state: "prefix-proof",
    the_state_before: "prefix-proof",
    no_entry: "entry-missing",
    another_entry: "entry-place",
    an_entry_with_another_root: "entry-place",
    another_path: "entry-place",
    changes_since_nothing: "history-rewritten",
}


@pytest.mark.parametrize(("lie", "rule"), LIES.items(), ids=lambda part: getattr(part, "__name__", part))
def test_an_answer_that_lies_is_refused_by_name(lie: Lie, rule: str) -> None:
    directory = with_people()
    directory.publish(BOB, b"bob 2")
    head = trusted(directory)
    with pytest.raises(Refused) as caught:
        verify_search(head, BOB, lie(directory, directory.answer(BOB)))
    assert caught.value.rule == rule


def test_an_entry_of_somebody_who_is_not_there_is_refused() -> None:
    directory = with_people()
    answer = replace(directory.answer(DAVE), newest=directory.answer(BOB).newest)
    with pytest.raises(Refused, match="entry-extra"):
        verify_search(trusted(directory), DAVE, answer)


FALSE_STATES: Final[dict[str, object]] = {
    "serial": 7,
    "statement_hash": bytes(32),
    "revision": 1,
    "history": bytes(32),
}


@pytest.mark.parametrize(("field", "value"), FALSE_STATES.items())
def test_a_state_that_its_entry_does_not_make_is_refused(field: str, value: object) -> None:
    """The server signs it, the prefix tree has it, the log has an entry there, but it says otherwise."""
    directory = with_people()
    change = directory.copied().publish(BOB, b"bob 2").change
    honest = state_after(change, directory.state.frontier.size)
    directory.force(change, replace(honest, **{field: value}))
    with pytest.raises(Refused, match="entry-state"):
        verify_search(trusted(directory), BOB, directory.answer(BOB))


def test_an_entry_of_another_label_makes_no_state() -> None:
    directory = with_people()
    stolen = directory.copied().publish(CAROL, b"carol 2")
    place = directory.state.frontier.size
    directory.force(replace(stolen.change, label=label_of(BOB)[0]), state_after(stolen.change, place))
    bobs = directory.answer(BOB)
    directory.entries[place] = LogEntry(stolen.change, directory.entries[place].prefix_root)
    directory.log, frontier = log_of(tuple(encode(entry) for entry in directory.entries))
    directory.state = replace(directory.state, frontier=frontier)
    answer = replace(directory.answer(BOB), prefix=bobs.prefix)
    with pytest.raises(Refused, match="entry-state"):
        verify_search(trusted(directory), BOB, answer)


def test_an_entry_with_a_flaw_makes_no_state() -> None:
    directory = with_people()
    change = directory.copied().publish(BOB, b"bob 2").change
    directory.force(replace(change, changes=()))
    with pytest.raises(Refused, match="entry-flaw"):
        verify_search(trusted(directory), BOB, directory.answer(BOB))


def test_every_bit_of_an_answer_counts() -> None:
    directory = with_people()
    seen = found(trusted(directory), directory.answer(BOB)).seen
    for number in (2, 3):
        directory.publish(BOB, b"bob %d" % number)
    head = trusted(directory)
    answer = directory.answer(BOB, after=1)
    assert len(found(head, answer, seen=seen).since) == 2
    without_vrf = 8 * (len(encode(answer)) - 80)  # test_vrf.py has those
    for data in flipped(answer)[:without_vrf]:
        try:
            read = read_answer(data)
        except Refused:
            continue
        with pytest.raises(Refused):
            verify_search(head, BOB, read, seen=seen)


def test_an_answer_has_limits() -> None:
    directory = with_people()
    answer = directory.answer(BOB)
    with pytest.raises(Refused, match="answer-encoding"):
        read_answer(encode(answer) + bytes(MAX_ANSWER))
    with pytest.raises(Refused, match="answer-encoding"):
        read_answer(encode(answer) + b"\x00")
    long = replace(answer, since=tuple(directory.changes_of(BOB)) * (MAX_SINCE + 1))
    with pytest.raises(DecodeError):
        decode(SearchAnswer, encode(long))
    assert read_answer(encode(answer)) == answer


# -- what was seen before ------------------------------------------------------------


def seen_twice() -> tuple[Directory, Directory, Found]:
    """A server that shows alice a second statement of bob's, and a copy of it from before that."""
    directory = with_people()
    before = directory.copied()
    directory.publish(BOB, b"bob 2, by the server")
    return directory, before, found(trusted(directory), directory.answer(BOB))


def test_an_entry_that_was_taken_back_is_missed() -> None:
    _, before, seen = seen_twice()
    with pytest.raises(Refused, match="history-withdrawn"):
        verify_search(trusted(before), BOB, before.answer(BOB, after=2), seen=seen.seen)


def test_an_account_that_is_gone_is_missed() -> None:
    _, _, seen = seen_twice()
    empty = with_people(names=(ALICE,))
    with pytest.raises(Refused, match="history-withdrawn"):
        verify_search(trusted(empty), BOB, empty.answer(BOB), seen=seen.seen)


def test_an_entry_that_was_replaced_is_missed() -> None:
    """The flip: alice was shown one second statement, later everybody is shown another."""
    _, before, seen = seen_twice()
    before.publish(BOB, b"bob 2, by bob")
    head = trusted(before)
    with pytest.raises(Refused, match="history-rewritten"):
        verify_search(head, BOB, before.answer(BOB, after=2), seen=seen.seen)
    before.publish(BOB, b"bob 3, by bob")
    with pytest.raises(Refused, match="history-rewritten"):
        verify_search(trusted(before), BOB, before.answer(BOB, after=2), seen=seen.seen)


def test_changes_left_out_are_missed() -> None:
    directory = with_people()
    seen = found(trusted(directory), directory.answer(BOB)).seen
    for number in range(2, 6):
        directory.publish(BOB, b"bob %d" % number)
    head, answer = trusted(directory), directory.answer(BOB, after=1)
    for since, rule in (
        ((), "history-gap"),
        (answer.since[:-1], "history-gap"),
        (answer.since[1:], "history-rewritten"),
        ((*answer.since[:1], *answer.since[2:]), "history-rewritten"),
        ((*answer.since, answer.since[-1]), "history-rewritten"),
        (tuple(directory.changes_of(CAROL)), "history-rewritten"),
    ):
        with pytest.raises(Refused, match=rule):
            verify_search(head, BOB, replace(answer, since=since), seen=seen)


def test_a_label_that_changed_is_refused() -> None:
    directory = with_people()
    seen = found(trusted(directory), directory.answer(CAROL), CAROL).seen
    with pytest.raises(Refused, match="label-proof"):
        verify_search(trusted(directory), BOB, directory.answer(BOB, after=1), seen=seen)


def test_a_newest_entry_before_one_that_was_seen_is_refused() -> None:
    directory = with_people()
    result = found(trusted(directory), directory.answer(BOB))
    later = Seen(result.label, replace(result.state, position=result.state.position + 1))
    with pytest.raises(Refused, match="history-rewritten"):
        verify_search(trusted(directory), BOB, directory.answer(BOB, after=1), seen=later)


def test_an_entry_later_than_its_head_is_refused() -> None:
    directory = with_people()
    head = trusted(directory)
    early = TrustedHead(signed(head.head, timestamp=head.head.timestamp - 1), head.last)
    with pytest.raises(Refused, match="entry-time"):
        verify_search(early, BOB, directory.answer(BOB))


def test_a_state_is_what_its_entry_makes_of_it() -> None:
    directory = with_people()
    result = found(trusted(directory), directory.answer(BOB))
    assert result.state == state_after(result.placed.entry.change, result.state.position)
