"""Adding to the directory, and a witness who follows every step of it."""

from collections.abc import Callable
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.mls.codec import decode, encode
from securechat.transparency import prefix_tree, update
from securechat.transparency.entries import Change, LogEntry, state_after
from securechat.transparency.errors import MissingNode, MisusedTree, Refused
from securechat.transparency.prefix_tree import PrefixProof
from securechat.transparency.update import EMPTY_DIRECTORY, DirectoryState, audit, check_audited, record
from tests.transparency import slow_trees
from tests.transparency.stores import MemoryPrefix
from tests.transparency.world import ALICE, BOB, NOW, Directory, label_of, signed, with_people

replace = msgspec.structs.replace


def followed(directory: Directory, until: int | None = None) -> DirectoryState:
    """What a witness knows that has followed the entries: each with a proof from the tree before it."""
    state = EMPTY_DIRECTORY
    for entry in directory.entries[:until]:
        proof = prefix_tree.prove(directory.prefix, state.prefix_root, entry.change.label)
        state = audit(state, entry, proof)
    return state


@settings(max_examples=25)
@given(st.lists(st.integers(0, 5), max_size=25))
def test_a_witness_comes_to_what_the_server_has(users: list[int]) -> None:
    directory = Directory()
    for number, user in enumerate(users):
        label = bytes([user]) * 32
        known = any(entry.change.label == label for entry in directory.entries)
        change = Change.DEVICE_ADDED if known else Change.ACCOUNT_REGISTERED
        serial = 1 + sum(entry.change.label == label for entry in directory.entries)
        directory.publish("", b"%d" % number, change, serial=serial, label=label)
    state = followed(directory)
    assert state == directory.state
    check_audited(state, directory.head())
    assert state.frontier.root() == slow_trees.mth(tuple(encode(entry) for entry in directory.entries))
    newest = {
        entry.change.label: state_after(entry.change, place) for place, entry in enumerate(directory.entries)
    }
    assert state.prefix_root == slow_trees.prefix_root(newest)


def test_a_state_is_a_row() -> None:
    state = with_people().state
    assert decode(DirectoryState, encode(state)) == state
    assert len(encode(state)) < 2000


def test_a_clock_that_goes_back_does_not_take_the_log_with_it() -> None:
    directory = with_people()
    directory.now -= 100
    assert directory.publish(BOB, b"bob 2").change.timestamp == NOW


def test_one_does_not_log_what_is_not_the_next_statement() -> None:
    directory = with_people()
    for changes, serial in (
        ((Change.DEVICE_ADDED,), 1),
        ((Change.DEVICE_ADDED,), 3),
        ((Change.ACCOUNT_REGISTERED,), 2),
        ((Change.RENEWED, Change.DEVICE_ADDED), 2),
    ):
        with pytest.raises(MisusedTree):
            directory.publish(BOB, b"bob 2", *changes, serial=serial)
    assert directory.state == with_people().state


def test_one_does_not_log_on_a_store_that_lost_a_node() -> None:
    directory = with_people()
    directory.prefix = MemoryPrefix()
    with pytest.raises(MissingNode):
        directory.publish(BOB, b"bob 2")


def test_a_label_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update, "MAX_REVISION", 1)
    directory = with_people()
    with pytest.raises(MisusedTree, match="revisions"):
        record(
            directory.state,
            directory.prefix,
            label_of(BOB)[0],
            changes=(Change.RENEWED,),
            serial=2,
            statement_hash=bytes(32),
            now=NOW,
        )


# -- a server that does not add as it should ---------------------------------------


def skips_a_revision(directory: Directory) -> None:
    change = directory.copied().publish(BOB, b"bob 2").change
    directory.force(replace(change, revision=3))


def forks_a_label(directory: Directory) -> None:
    """The flip: a false second statement, then the true one, as if the false one had never been."""
    honest = directory.copied()
    directory.publish(BOB, b"bob 2, by the server")
    directory.force(honest.publish(BOB, b"bob 2, by bob").change)


def goes_back_in_time(directory: Directory) -> None:
    change = directory.copied().publish(BOB, b"bob 2").change
    directory.force(replace(change, timestamp=NOW - 1))


def names_another_root(directory: Directory) -> None:
    directory.force(directory.copied().publish(BOB, b"bob 2").change, root=bytes(range(32)))


def puts_another_state(directory: Directory) -> None:
    change = directory.copied().publish(BOB, b"bob 2").change
    state = state_after(change, directory.state.frontier.size)
    directory.force(change, replace(state, statement_hash=bytes(32)))


def changes_two_labels(directory: Directory) -> None:
    """One entry, but the tree under it has a second change in it, of alice."""
    other = directory.copied()
    hidden = other.publish(ALICE, b"alice 2, by the server").change
    change = directory.copied().publish(BOB, b"bob 2").change
    alices = prefix_tree.find(directory.prefix, directory.state.prefix_root, hidden.label)
    hiding = prefix_tree.put(alices, state_after(hidden, 0))
    directory.prefix.nodes |= dict(hiding.added)
    bobs = prefix_tree.find(directory.prefix, hiding.root, change.label)
    both = prefix_tree.put(bobs, state_after(change, directory.state.frontier.size))
    directory.force(change, root=both.root)


LIES: Final[dict[Callable[[Directory], None], str]] = {
    skips_a_revision: "audit-step",
    forks_a_label: "audit-step",
    goes_back_in_time: "audit-time",
    names_another_root: "audit-root",
    puts_another_state: "audit-root",
    changes_two_labels: "audit-root",
}


@pytest.mark.parametrize(("lie", "rule"), LIES.items(), ids=lambda part: getattr(part, "__name__", part))
def test_a_witness_finds_a_step_that_is_none(lie: Callable[[Directory], None], rule: str) -> None:
    directory = with_people()
    followed(directory)
    lie(directory)
    with pytest.raises(Refused) as caught:
        followed(directory)
    assert caught.value.rule == rule


def test_a_witness_takes_no_proof_of_another_tree() -> None:
    directory = with_people()
    entry = directory.copied().publish(BOB, b"bob 2")
    old = directory.entries[-2].prefix_root
    with pytest.raises(Refused, match="prefix-proof"):
        audit(directory.state, entry, prefix_tree.prove(directory.prefix, old, label_of(BOB)[0]))
    with pytest.raises(Refused, match="prefix-proof"):
        audit(directory.state, entry, PrefixProof(None, ()))


def test_a_head_over_other_entries_is_not_the_one_that_was_followed() -> None:
    directory = with_people()
    state = followed(directory)
    check_audited(state, directory.head())
    for changes in ({"size": 5}, {"log_root": bytes(32)}, {"prefix_root": bytes(32)}):
        with pytest.raises(Refused, match="audit-head"):
            check_audited(state, signed(directory.head(), **changes))
    with pytest.raises(Refused, match="audit-head"):
        check_audited(followed(directory, until=-1), directory.head())


def test_an_entry_in_another_place_is_another_step() -> None:
    directory = with_people()
    entry = LogEntry(directory.entries[-1].change, directory.entries[-1].prefix_root)
    state = followed(directory, until=-2)
    proof = prefix_tree.prove(directory.prefix, state.prefix_root, entry.change.label)
    with pytest.raises(Refused, match="audit-root"):
        audit(state, entry, proof)
