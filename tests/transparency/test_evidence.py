"""Evidence: every way to contradict oneself convinces a stranger, and no honest server is ever accused."""

from collections.abc import Callable
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.transparency import prefix_tree
from securechat.transparency.errors import Refused
from securechat.transparency.evidence import (
    EVIDENCE,
    MAX_EVIDENCE,
    Compared,
    Evidence,
    EvidenceKind,
    Fork,
    Sighting,
    TwoEntries,
    TwoHeads,
    Verdict,
    Withdrawn,
    WrongRoot,
    compare_heads,
    encode_evidence,
    evidence_in_answer,
    evidence_in_head,
    judge_evidence,
    read_evidence,
)
from securechat.transparency.heads import Placed, TreeHead, extend
from securechat.transparency.merkle import prove_inclusion
from securechat.transparency.search import Found, verify_search
from tests.transparency.world import (
    ALICE,
    BOB,
    SERVER,
    VRF,
    Directory,
    judged,
    label_of,
    signed,
    trusted,
    with_people,
)

replace = msgspec.structs.replace


def two_views() -> tuple[Directory, Directory]:
    """The log as alice is shown it, and as bob is: they part after the same beginning."""
    alices = with_people()
    bobs = alices.copied()
    alices.publish(BOB, b"bob 2, by the server")
    bobs.publish(BOB, b"bob 2, by bob")
    return alices, bobs


def placed(directory: Directory, position: int) -> Placed:
    path = prove_inclusion(directory.log, position, directory.state.frontier.size)
    return Placed(directory.entries[position], path)


def newest(directory: Directory) -> Sighting:
    position = directory.state.frontier.size - 1
    return Sighting(directory.head(), position, placed(directory, position))


def two_logs() -> Evidence:
    alices, bobs = two_views()
    return TwoHeads(alices.head(), bobs.head())


def two_vrf_keys() -> Evidence:
    head = with_people().head()
    return TwoHeads(head, signed(head, vrf_key=SERVER))


def a_smaller_log_later() -> Evidence:
    directory = with_people()
    old = directory.head(timestamp=directory.now + 1)
    directory.publish(BOB, b"bob 2")
    return TwoHeads(directory.head(), old)


def a_log_that_had_ended() -> Evidence:
    """Another one had begun before this head was signed."""
    directory = with_people()
    after = directory.head(log=2)
    directory.now += 1
    return TwoHeads(directory.head(), after)


def a_fork() -> Evidence:
    alices, bobs = two_views()
    for number in range(5):
        bobs.publish(BOB, b"bob %d" % number)
    return Fork(alices.head(), bobs.head(), extend(bobs.log, alices.head().size, bobs.head()))


def a_root_of_its_own() -> Evidence:
    directory = with_people()
    head = directory.head(prefix_root=bytes(range(32)))
    return WrongRoot(head, placed(directory, head.size - 1))


def two_entries_in_two_logs() -> Evidence:
    alices, bobs = two_views()
    return TwoEntries(newest(alices), newest(bobs))


def two_entries_in_one_log() -> Evidence:
    directory = with_people()
    honest = directory.copied().publish(BOB, b"bob 2, by bob").change
    directory.publish(BOB, b"bob 2, by the server")
    first = newest(directory)
    directory.force(honest)
    return TwoEntries(first, newest(directory))


def an_account_taken_back() -> Evidence:
    """The log still has bob's entry; a later one names a prefix tree without bob."""
    directory, without = with_people(), with_people(names=(ALICE,))
    at = [entry.change.label for entry in directory.entries].index(label_of(BOB)[0])
    sighting = Sighting(directory.head(), at, placed(directory, at))
    directory.force(directory.copied().publish(ALICE, b"alice 2").change, root=without.state.prefix_root)
    prefix = prefix_tree.prove(without.prefix, without.state.prefix_root, label_of(BOB)[0])
    return Withdrawn(sighting, newest(directory), prefix)


def a_revision_taken_back() -> Evidence:
    directory, old = two_views()[0], with_people()
    sighting = newest(directory)
    directory.force(directory.copied().publish(ALICE, b"alice 2").change, root=old.state.prefix_root)
    prefix = prefix_tree.prove(old.prefix, old.state.prefix_root, label_of(BOB)[0])
    return Withdrawn(sighting, newest(directory), prefix)


def a_revision_exchanged() -> Evidence:
    alices, bobs = two_views()
    prefix = prefix_tree.prove(bobs.prefix, bobs.state.prefix_root, label_of(BOB)[0])
    return Withdrawn(newest(alices), newest(bobs), prefix)


PROOFS: Final[dict[Callable[[], Evidence], str]] = {
    two_logs: "equivocation",
    two_vrf_keys: "vrf-key-changed",
    a_smaller_log_later: "went-back",
    a_log_that_had_ended: "went-back",
    a_fork: "fork",
    a_root_of_its_own: "wrong-root",
    two_entries_in_two_logs: "two-entries",
    two_entries_in_one_log: "two-entries",
    an_account_taken_back: "withdrawn",
    a_revision_taken_back: "withdrawn",
    a_revision_exchanged: "withdrawn",
}


@pytest.mark.parametrize(("make", "rule"), PROOFS.items(), ids=lambda part: getattr(part, "__name__", part))
def test_a_lie_convinces_a_stranger(make: Callable[[], Evidence], rule: str) -> None:
    """A stranger has the bytes and the server's key, nothing else."""
    data = encode_evidence(make())
    verdict = judge_evidence(read_evidence(data), SERVER)
    assert verdict is not None
    assert verdict.rule == rule
    assert judge_evidence(read_evidence(data), VRF.public) is None


@pytest.mark.parametrize("make", PROOFS, ids=lambda make: make.__name__)
def test_evidence_with_a_byte_changed_proves_nothing(make: Callable[[], Evidence]) -> None:
    data = encode_evidence(make())
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        try:
            evidence = read_evidence(bytes(changed))
        except Refused:
            continue
        assert judge_evidence(evidence, SERVER) is None


def test_every_kind_of_evidence_is_tried() -> None:
    kinds = {EvidenceKind(encode_evidence(make())[0]) for make in PROOFS}
    assert kinds == set(EvidenceKind)
    assert max(len(encode_evidence(make())) for make in PROOFS) < MAX_EVIDENCE


@settings(max_examples=40)
@given(st.data())
def test_an_honest_server_is_never_accused(data: st.DataObject) -> None:
    """Of an honest log's heads, entries and proofs nothing can be put together that proves anything."""
    directory, views = Directory(), list[tuple[TreeHead, list[Placed]]]()
    for number in range(data.draw(st.integers(1, 8))):
        directory.now += data.draw(st.integers(0, 2))
        directory.publish((ALICE, BOB)[data.draw(st.integers(0, 1))], b"%d" % number)
        views.append((directory.head(), [placed(directory, at) for at in range(directory.head().size)]))
    one, other = (data.draw(st.sampled_from(views)) for _ in range(2))
    first, second = sorted((one[0], other[0]), key=lambda head: head.size)
    mine, theirs = (
        Sighting(view[0], at, view[1][at])
        for view in (one, other)
        for at in [data.draw(st.integers(0, view[0].size - 1))]
    )
    root = theirs.placed.entry.prefix_root
    prefix = prefix_tree.prove(directory.prefix, root, mine.placed.entry.change.label)
    size = data.draw(st.integers(0, second.size))
    for evidence in (
        TwoHeads(first, second),
        TwoHeads(second, first),
        Fork(first, second, extend(directory.log, first.size, second)),
        Fork(first, second, extend(directory.log, size, second)),
        WrongRoot(one[0], one[1][-1]),
        WrongRoot(one[0], data.draw(st.sampled_from(other[1]))),
        TwoEntries(mine, theirs),
        Withdrawn(mine, theirs, prefix),
    ):
        assert judge_evidence(evidence, SERVER) is None


def test_no_honest_head_is_evidence_beside_another() -> None:
    directory, heads = Directory(), list[TreeHead]()
    for number in range(10):
        heads.append(directory.head())
        directory.now += number % 2
        directory.publish(ALICE, b"%d" % number)
    for mine in heads:
        for theirs in heads:
            first, second = sorted((mine, theirs), key=lambda head: head.size)
            extension = extend(directory.log, first.size, second)
            compared = compare_heads(mine, theirs, server_key=SERVER, extension=extension)
            assert compared == Compared(Verdict.AGREE)


def test_evidence_has_limits() -> None:
    with pytest.raises(Refused, match="evidence-encoding"):
        read_evidence(bytes(MAX_EVIDENCE + 1))
    with pytest.raises(Refused, match="evidence-encoding"):
        read_evidence(encode_evidence(two_logs()) + b"\x00")
    assert EVIDENCE.decode(encode_evidence(two_logs())) == two_logs()


# -- gossip ----------------------------------------------------------------------------


def test_two_people_who_were_shown_two_logs_of_one_size_have_evidence() -> None:
    alices, bobs = two_views()
    compared = compare_heads(alices.head(), bobs.head(), server_key=SERVER)
    assert compared.verdict is Verdict.EQUIVOCATION
    assert compared.evidence == TwoHeads(alices.head(), bobs.head())


def test_two_people_who_were_shown_logs_of_two_sizes_ask_the_server() -> None:
    """Whatever it answers on the larger head is either no proof, or proves the fork."""
    alices, bobs = two_views()
    bobs.publish(ALICE, b"alice 2")
    mine, theirs = alices.head(), bobs.head()
    assert compare_heads(mine, theirs, server_key=SERVER).verdict is Verdict.UNPROVEN
    answers = [
        (extend(bobs.log, mine.size, theirs), Verdict.EQUIVOCATION),
        (extend(bobs.log, mine.size - 1, theirs), Verdict.UNPROVEN),
        (extend(alices.log, mine.size, mine), Verdict.UNPROVEN),
        (replace(extend(bobs.log, mine.size, theirs), root=mine.log_root), Verdict.UNPROVEN),
    ]
    for extension, verdict in answers:
        for pair in ((mine, theirs), (theirs, mine)):
            compared = compare_heads(*pair, server_key=SERVER, extension=extension)
            assert compared.verdict is verdict
            assert (compared.evidence is None) == (verdict is Verdict.UNPROVEN)


def test_a_head_that_somebody_made_up_accuses_nobody() -> None:
    head = with_people().head()
    made_up = replace(head, log_root=bytes(32))
    for pair in ((head, made_up), (made_up, head)):
        with pytest.raises(Refused, match="gossip-signature"):
            compare_heads(*pair, server_key=SERVER)


# -- what a client holds when it refuses ---------------------------------------------------


def test_a_refused_head_is_evidence_where_it_can_be() -> None:
    alices, bobs = two_views()
    known = trusted(alices)
    assert isinstance(evidence_in_head(judged(bobs.offer(known), known)), TwoHeads)
    bobs.publish(ALICE, b"alice 2")
    assert isinstance(evidence_in_head(judged(bobs.offer(known), known)), Fork)

    root = alices.head(prefix_root=bytes(range(32)))
    assert isinstance(evidence_in_head(judged(alices.offer(head=root))), WrongRoot)
    silent = replace(bobs.offer(known), extension=None)
    assert evidence_in_head(judged(silent, known)) is None
    assert evidence_in_head(judged(alices.offer(known), known)) is None


def test_a_refused_answer_is_evidence() -> None:
    """Alice has seen the server's statement of bob; now it shows her another, under a log that forks."""
    alices, bobs = two_views()
    seen = verify_search(trusted(alices), BOB, alices.answer(BOB))
    assert isinstance(seen, Found)
    answer = bobs.answer(BOB, after=2)
    evidence = evidence_in_answer(trusted(bobs), answer, seen, server_key=SERVER)
    assert evidence is not None
    assert judge_evidence(evidence, SERVER) is not None

    honest = alices.answer(BOB, after=2)
    assert evidence_in_answer(trusted(alices), honest, seen, server_key=SERVER) is None


def test_a_flip_in_one_log_is_evidence_too() -> None:
    """No fork: both entries stand in one log, and the newest prefix tree has forgotten the first."""
    directory = with_people()
    honest = directory.copied().publish(BOB, b"bob 2, by bob").change
    directory.publish(BOB, b"bob 2, by the server")
    known = trusted(directory)
    seen = verify_search(known, BOB, directory.answer(BOB))
    assert isinstance(seen, Found)
    directory.force(honest)
    head = trusted(directory, known)
    answer = replace(directory.answer(BOB), since=())

    with pytest.raises(Refused, match="history-rewritten"):
        verify_search(head, BOB, answer, seen=seen.seen)
    evidence = evidence_in_answer(head, answer, seen, server_key=SERVER)
    assert evidence is not None
    verdict = judge_evidence(evidence, SERVER)
    assert verdict is not None
    assert verdict.rule in {"withdrawn", "two-entries"}
