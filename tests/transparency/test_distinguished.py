"""Distinguished sizes: two people of one log who were shown two things look at the same tree."""

from typing import Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.mls.codec import decode, encode
from securechat.mls.errors import DecodeError
from securechat.transparency.distinguished import (
    SHORTEST,
    Standing,
    check_standing,
    distance,
    distinguished_sizes,
    must_stay,
    next_distinguished,
    prove_standing,
)
from securechat.transparency.entries import Change, LabelChange, state_after
from securechat.transparency.errors import MissingNode, MisusedTree, Refused
from securechat.transparency.evidence import Verdict, compare_heads, evidence_in_standing, judge_evidence
from securechat.transparency.heads import TreeHead, extend
from securechat.transparency.prefix_tree import find, put
from securechat.transparency.search import Found, verify_search
from tests.transparency.world import (
    ALICE,
    BOB,
    CAROL,
    SERVER,
    Directory,
    flipped,
    label_of,
    trusted,
    with_people,
)

replace = msgspec.structs.replace
BOBS: Final = label_of(BOB)[0]


def filled_to(directory: Directory, size: int) -> None:
    """Carol changes until the log has this size."""
    while directory.state.frontier.size < size:
        directory.publish(CAROL, b"carol %d" % directory.state.frontier.size)


def checked(
    directory: Directory, head: TreeHead, size: int, chain: list[LabelChange], reached: int = 0
) -> int:
    standing = prove_standing(directory, head, size, BOBS)
    return check_standing(head, size, standing, label=BOBS, chain=chain, reached=reached)


# -- which sizes -------------------------------------------------------------------------


def test_the_distance_grows_with_the_log() -> None:
    small = [distance(size) for size in (0, 1, 100, 32_767)]
    assert small == [SHORTEST] * 4
    assert [distance(size) for size in (32_768, 131_072, 1 << 20)] == [32, 128, 1024]
    assert [next_distinguished(size) for size in (0, 1, 16, 17, 32_767, 32_769)] == [
        16,
        16,
        16,
        32,
        32_768,
        32_800,
    ]


@given(st.integers(0, 2**36))
def test_the_next_size_is_the_first_that_its_own_distance_divides(size: int) -> None:
    found = next_distinguished(size)
    assert found >= size
    assert found % distance(found) == 0
    assert next_distinguished(found) == found
    between = range(max(size, 1), found) if found - size <= 4096 else (size, found - 1)
    assert all(other % distance(other) for other in between if other >= SHORTEST and other < found)


@given(st.integers(0, 100_000), st.integers(0, 3000))
def test_every_distinguished_size_is_listed_once(after: int, more: int) -> None:
    expected = [size for size in range(after + 1, after + more + 1) if size % distance(size) == 0]
    assert list(distinguished_sizes(after, after + more)) == expected


def test_a_doubling_has_at_most_1024_of_them() -> None:
    for power in (4, 10, 14, 15, 17, 20):
        assert len(list(distinguished_sizes(1 << power, 2 << power))) <= 1024


# -- an honest directory -----------------------------------------------------------------


def test_an_honest_server_stands_at_every_size() -> None:
    directory = with_people(others=10)
    for number in range(2, 6):
        filled_to(directory, directory.state.frontier.size + 7)
        directory.publish(BOB, b"bob %d" % number)
    head, chain, reached = directory.head(), directory.changes_of(BOB), 0
    for size in range(1, head.size + 1):
        reached = checked(directory, head, size, chain, reached)
    assert reached == len(chain)


def test_what_no_distinguished_root_reaches_may_go() -> None:
    directory, added = Directory(), dict[bytes, int]()
    for number in range(100):
        before = directory.state.prefix_root
        label = bytes([number % 23]) * 32
        known = number >= 23
        place = find(directory.prefix, before, label)
        directory.publish(
            "",
            b"%d" % number,
            Change.DEVICE_ADDED if known else Change.ACCOUNT_REGISTERED,
            serial=1 if place.state is None else place.state.serial + 1,
            label=label,
        )
        update = put(place, state_after(directory.entries[-1].change, number))
        added |= {name: number for name, _ in update.added}
        for name in update.replaced:
            if not must_stay(added[name], number):
                del directory.prefix.nodes[name]
    head = directory.head()
    for size in (*distinguished_sizes(0, 100), 100):
        for number in range(23):
            prove_standing(directory, head, size, bytes([number]) * 32)
    with pytest.raises(MissingNode):
        prove_standing(directory, head, 40, bytes(32))


def test_every_bit_of_a_standing_counts() -> None:
    directory = with_people(others=20)
    filled_to(directory, 40)
    head = directory.head()
    for data in flipped(prove_standing(directory, head, 32, BOBS)):
        try:
            standing = decode(Standing, data)
        except DecodeError:
            continue
        with pytest.raises(Refused):
            check_standing(head, 32, standing, label=BOBS, chain=directory.changes_of(BOB), reached=1)


def test_a_standing_is_of_its_own_size() -> None:
    directory = with_people(others=20)
    head, standing = directory.head(), prove_standing(directory, directory.head(), 16, BOBS)
    for size in (0, 15, 17, head.size + 1):
        with pytest.raises(Refused, match="standing-place"):
            check_standing(head, size, standing, label=BOBS, chain=[], reached=0)
    for size in (0, head.size + 1):
        with pytest.raises(MisusedTree):
            prove_standing(directory, head, size, BOBS)


# -- the attack that comparing heads can't see -----------------------------------------------


class Swinging(Directory):
    """One log, two stories: which of bob's second statements its prefix tree has depends on the moment."""

    def swing(self, story: LabelChange) -> None:
        """Log one more entry of bob's label, which follows his first as if there were no other."""
        self.force(replace(story, timestamp=self.now))


def swinging() -> tuple[Swinging, LabelChange, LabelChange]:
    directory = Swinging()
    for number in range(10):
        directory.publish("", b"%d" % number, label=bytes([number]) * 32)
    for name in (ALICE, BOB, CAROL):
        directory.publish(name, b"1")
    return (
        directory,
        directory.copied().publish(BOB, b"bob 2, by bob").change,
        directory.copied().publish(BOB, b"bob 2, by the server").change,
    )


def test_one_log_can_tell_two_stories_and_comparing_heads_does_not_show_it() -> None:
    directory, true, false = swinging()
    directory.swing(false)
    shown_to_alice = trusted(directory)
    alices = verify_search(shown_to_alice, BOB, directory.answer(BOB))
    directory.swing(true)
    shown_to_bob = trusted(directory, shown_to_alice)
    bobs = verify_search(shown_to_bob, BOB, directory.answer(BOB))

    assert isinstance(alices, Found)
    assert isinstance(bobs, Found)
    assert alices.names(b"bob 2, by the server")
    assert bobs.names(b"bob 2, by bob")
    extension = extend(directory.log, shown_to_alice.head.size, shown_to_bob.head)
    compared = compare_heads(shown_to_alice.head, shown_to_bob.head, server_key=SERVER, extension=extension)
    assert compared.verdict is Verdict.AGREE


@pytest.mark.parametrize("story_at_the_size", ["true", "false"])
def test_at_the_next_distinguished_size_one_of_the_two_finds_it(story_at_the_size: str) -> None:
    """Whatever the tree says there: alice misses what she was shown, or bob finds what he did not do."""
    directory, true, false = swinging()
    first = directory.changes_of(BOB)[0]
    directory.swing(false)  # alice looks here
    directory.swing(true)  # bob looks here
    if story_at_the_size == "false":
        directory.swing(false)
    filled_to(directory, 20)
    head = directory.head()
    (size,) = distinguished_sizes(0, head.size)
    told = {"alice": [first, false], "bob": [first, true]}
    refused = []
    for who, chain in told.items():
        try:
            checked(directory, head, size, chain, reached=2 if who == "alice" else 0)
        except Refused as error:
            refused.append((who, error.rule))
    assert refused == [("alice" if story_at_the_size == "true" else "bob", "standing-unknown")]


def test_what_alice_misses_at_the_size_is_evidence() -> None:
    directory, true, false = swinging()
    directory.swing(false)
    seen = verify_search(trusted(directory), BOB, directory.answer(BOB))
    assert isinstance(seen, Found)
    directory.swing(true)
    filled_to(directory, 16)
    head = directory.head()
    evidence = evidence_in_standing(
        head, 16, prove_standing(directory, head, 16, BOBS), seen, server_key=SERVER
    )
    assert evidence is not None
    verdict = judge_evidence(evidence, SERVER)
    assert verdict is not None
    assert verdict.rule == "withdrawn"

    directory.swing(false)
    honest = prove_standing(directory, directory.head(), directory.head().size, BOBS)
    size = directory.head().size
    assert evidence_in_standing(directory.head(), size, honest, seen, server_key=SERVER) is None


def test_a_tree_that_forgets_what_was_shown_is_found() -> None:
    directory, _, false = swinging()
    first = directory.changes_of(BOB)[0]
    directory.swing(false)
    directory.swing(first)
    filled_to(directory, 16)
    with pytest.raises(Refused, match="standing-withdrawn"):
        checked(directory, directory.head(), 16, [first, false], reached=2)


def test_a_revocation_that_is_left_out_is_found() -> None:
    """Bob's second statement is logged, but at the distinguished size the tree still has his first."""
    directory, true, _ = swinging()
    first = directory.changes_of(BOB)[0]
    directory.swing(true)
    directory.now += 60
    directory.force(first)
    filled_to(directory, 16)
    with pytest.raises(Refused, match="standing-behind"):
        checked(directory, directory.head(), 16, [first, true], reached=1)


def test_a_standing_is_bytes() -> None:
    directory = with_people(others=20)
    standing = prove_standing(directory, directory.head(), 16, BOBS)
    assert decode(Standing, encode(standing)) == standing
