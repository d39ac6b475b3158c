"""Proof that a server has lied, which convinces anybody who knows its key.

A server signs every head. Two of its words that no honest log could have led to are evidence: a value that
can be stored, sent and judged again (``judge_evidence``) by people who trust neither side. What merely can't
be proven true, such as an answer without proofs, is refused as well, but accuses nobody.

::

    struct { TreeHead first;  TreeHead second; } TwoHeads;
    struct { TreeHead first;  TreeHead second;  Extension extension; } Fork;
    struct { TreeHead head;  Placed last; } WrongRoot;
    struct { TreeHead head;  uint64 position;  Placed placed; } Sighting;
    struct { Sighting first;  Sighting second; } TwoEntries;
    struct { Sighting sighting;  Sighting later;  PrefixProof prefix; } Withdrawn;
    struct { enum { two_heads(1), fork(2), wrong_root(3), two_entries(4), withdrawn(5) } kind;
             select (kind) ...; } Evidence;

A server may begin another log in the open (``begun.py``), so what two logs say is not compared; but no head
of the log before may be of a later time than one of the log after.

None of them says which of the two words was the false one; that the server said both is enough. A server that
was restored from an old copy and signs on has done the same: it must not (docs/transparency.md).
"""

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from securechat.membership.verdict import Refusal
from securechat.mls.codec import Enum8, Shape, Tagged, Uint64, WireStruct
from securechat.mls.errors import DecodeError
from securechat.transparency import prefix_tree
from securechat.transparency.distinguished import Standing
from securechat.transparency.entries import LabelState, hash_of_change
from securechat.transparency.errors import Refused
from securechat.transparency.heads import Extension, Judged, Placed, TreeHead, TrustedHead, extends, is_signed
from securechat.transparency.prefix_tree import PrefixProof
from securechat.transparency.search import Found, SearchAnswer

MAX_EVIDENCE: Final = 32 * 1024
"""Bytes of encoded evidence: two entries with their paths take at most 4 kB, a prefix proof 9."""


class EvidenceKind(Enum8):
    TWO_HEADS = 1
    FORK = 2
    WRONG_ROOT = 3
    TWO_ENTRIES = 4
    WITHDRAWN = 5


class TwoHeads(WireStruct, frozen=True):
    """Two signed heads that contradict each other by themselves."""

    first: TreeHead
    second: TreeHead


class Fork(WireStruct, frozen=True):
    """Two signed heads, and what the second one's log was at the size of the first: something else."""

    first: TreeHead
    second: TreeHead
    extension: Extension


class WrongRoot(WireStruct, frozen=True):
    """A signed head whose prefix root is not the one in its log's last entry."""

    head: TreeHead
    last: Placed


class Sighting(WireStruct, frozen=True):
    """An entry that stands at a position of the log under a signed head."""

    head: TreeHead
    position: Uint64
    placed: Placed


class TwoEntries(WireStruct, frozen=True):
    """Two different changes of one label with the same revision."""

    first: Sighting
    second: Sighting


class Withdrawn(WireStruct, frozen=True):
    """An entry of a label, and one at its place or later whose prefix tree is behind it."""

    sighting: Sighting
    later: Sighting
    prefix: PrefixProof


Evidence = TwoHeads | Fork | WrongRoot | TwoEntries | Withdrawn

EVIDENCE: Final[Shape[Evidence]] = Shape(
    Annotated[
        Evidence,
        Tagged(
            EvidenceKind,
            {
                EvidenceKind.TWO_HEADS: TwoHeads,
                EvidenceKind.FORK: Fork,
                EvidenceKind.WRONG_ROOT: WrongRoot,
                EvidenceKind.TWO_ENTRIES: TwoEntries,
                EvidenceKind.WITHDRAWN: Withdrawn,
            },
        ),
    ]
)


class Verdict(enum.Enum):
    """What comparing two heads says."""

    AGREE = "agree"
    UNPROVEN = "unproven"
    """Nobody has shown yet that the larger log begins with the smaller one: ask the server for the
    extension. Of two logs nobody can."""
    EQUIVOCATION = "equivocation"


@dataclass(frozen=True, slots=True)
class Compared:
    """A verdict; the evidence is there exactly if it is ``EQUIVOCATION``."""

    verdict: Verdict
    evidence: Evidence | None = None


def compare_heads(
    mine: TreeHead, theirs: TreeHead, *, server_key: bytes, extension: Extension | None = None
) -> Compared:
    """Compare the head one believes with the one that somebody else was shown.

    Of two sizes, the server must say how the larger log extends the smaller one. One asks for it without
    saying what one expects, so that it can't make its answer fit.

    :param extension: the server's word on the larger head, from the size of the smaller one
    :raises Refused: ``gossip-signature``, a head is not signed by the server: its bearer's fault, or
        somebody's between
    """
    if not (is_signed(mine, server_key) and is_signed(theirs, server_key)):
        raise Refused("gossip-signature", "A head that was passed on is not signed by the server.")
    first, second = (mine, theirs) if mine.size <= theirs.size else (theirs, mine)
    for evidence in (
        TwoHeads(first, second),
        None if extension is None else Fork(first, second, extension),
    ):
        if evidence is not None and judge_evidence(evidence, server_key) is not None:
            return Compared(Verdict.EQUIVOCATION, evidence)
    if first.log != second.log:
        return Compared(Verdict.UNPROVEN)
    if first.size == second.size:
        return Compared(Verdict.AGREE)
    if extension is None or extension.size != first.size or not extends(extension, second):
        return Compared(Verdict.UNPROVEN)
    return Compared(Verdict.AGREE)


def judge_evidence(evidence: Evidence, server_key: bytes) -> Refusal | None:
    """Return what the evidence proves against the holder of ``server_key``; None if it proves nothing.

    ``rule`` is one of ``equivocation``, ``vrf-key-changed``, ``went-back``, ``fork``, ``wrong-root``,
    ``two-entries``, ``withdrawn``.
    """
    if not all(is_signed(head, server_key) for head in _heads(evidence)):
        return None
    return _JUDGES[type(evidence)](evidence)


def evidence_in_head(case: Judged) -> Evidence | None:
    """Return what an offered head proves against the server, beside what the client knows; None if nothing.

    For heads that ``judge_head`` refuses: not each refusal is evidence.
    """
    offer, candidates = case.offer, list[Evidence]()
    if case.known is not None:
        first, second = sorted((case.known.head, offer.head), key=lambda head: head.size)
        candidates.append(TwoHeads(first, second))
        if offer.extension is not None:
            candidates.append(Fork(case.known.head, offer.head, offer.extension))
    if offer.last is not None:
        candidates.append(WrongRoot(offer.head, offer.last))
    return _first_proof(candidates, case.server_key)


def evidence_in_answer(
    trusted: TrustedHead, answer: SearchAnswer, seen: Found, *, server_key: bytes
) -> Evidence | None:
    """Return what an answer proves against the server, beside what was found before; None if nothing.

    For answers that ``verify_search`` refuses with ``history-withdrawn`` or ``history-rewritten``.

    :param trusted: the head that the answer is under
    """
    head, leaf, candidates = trusted.head, answer.prefix.leaf, list[Evidence]()
    before = Sighting(seen.head, seen.state.position, seen.placed)
    if trusted.last is not None:
        candidates.append(Withdrawn(before, Sighting(head, head.size - 1, trusted.last), answer.prefix))
    if answer.newest is not None and leaf is not None:
        candidates.append(TwoEntries(before, Sighting(head, leaf.state.position, answer.newest)))
    return _first_proof(candidates, server_key)


def evidence_in_standing(
    head: TreeHead, size: int, standing: Standing, seen: Found, *, server_key: bytes
) -> Evidence | None:
    """Return what a standing proves against the server, beside what was found before; None if nothing.

    For standings that ``check_standing`` refuses to somebody who was shown the label. The owner who finds an
    entry that is not its own has no evidence by that alone: it is one word against another until the server
    shows a statement that the account key has signed, which it can't.
    """
    before = Sighting(seen.head, seen.state.position, seen.placed)
    later = Sighting(head, size - 1, standing.last)
    return _first_proof([Withdrawn(before, later, standing.prefix)], server_key)


def encode_evidence(evidence: Evidence) -> bytes:
    """Return evidence as bytes, to be kept and shown."""
    return EVIDENCE.encode(evidence)


def read_evidence(data: bytes) -> Evidence:
    """Decode evidence; Refused (``evidence-encoding``) if it is none or too large."""
    if len(data) > MAX_EVIDENCE:
        raise Refused("evidence-encoding", f"Evidence has at most {MAX_EVIDENCE} bytes.")
    try:
        return EVIDENCE.decode(data)
    except DecodeError:
        raise Refused("evidence-encoding", "The evidence does not decode.") from None


def _first_proof(candidates: list[Evidence], server_key: bytes) -> Evidence | None:
    proofs = (evidence for evidence in candidates if judge_evidence(evidence, server_key) is not None)
    return next(proofs, None)


def _heads(evidence: Evidence) -> tuple[TreeHead, ...]:
    match evidence:
        case TwoHeads() | Fork():
            return evidence.first, evidence.second
        case WrongRoot():
            return (evidence.head,)
        case TwoEntries():
            return evidence.first.head, evidence.second.head
        case Withdrawn():
            return evidence.sighting.head, evidence.later.head


def _two_heads(evidence: TwoHeads) -> Refusal | None:
    one, other = evidence.first, evidence.second
    if one.vrf_key != other.vrf_key:
        return Refusal("vrf-key-changed", "The server has named two VRF keys for its labels.")
    if (one.log - other.log) * (one.timestamp - other.timestamp) < 0:
        return Refusal("went-back", "The server has signed a head of a log that had ended before.")
    if one.log != other.log:
        return None
    if one.size == other.size and (one.log_root, one.prefix_root) != (other.log_root, other.prefix_root):
        return Refusal("equivocation", f"The server has signed two different logs of {one.size} entries.")
    if (one.size - other.size) * (one.timestamp - other.timestamp) < 0:
        return Refusal("went-back", "The server has signed a smaller log after a larger one.")
    return None


def _fork(evidence: Fork) -> Refusal | None:
    first, second, extension = evidence.first, evidence.second, evidence.extension
    if (
        first.log != second.log
        or extension.size != first.size
        or not extends(extension, second)
        or extension.root == first.log_root
    ):
        return None
    return Refusal("fork", f"The server has signed two logs that differ in their first {first.size} entries.")


def _wrong_root(evidence: WrongRoot) -> Refusal | None:
    head, last = evidence.head, evidence.last
    if not last.stands(head.size - 1, head) or last.entry.prefix_root == head.prefix_root:
        return None
    return Refusal("wrong-root", "The server has signed a prefix tree that its log does not have.")


def _two_entries(evidence: TwoEntries) -> Refusal | None:
    one, other = evidence.first, evidence.second
    if one.head.log != other.head.log or not (_is_seen(one) and _is_seen(other)):
        return None
    mine, theirs = one.placed.entry.change, other.placed.entry.change
    if (mine.label, mine.revision) != (theirs.label, theirs.revision) or mine == theirs:
        return None
    return Refusal(
        "two-entries", f"The server has logged two entries of one label as revision {mine.revision}."
    )


def _withdrawn(evidence: Withdrawn) -> Refusal | None:
    sighting, later = evidence.sighting, evidence.later
    # A log that goes on to ``later`` holds the first entry before it, or it is a fork, which is no better.
    if sighting.head.log != later.head.log or later.position < sighting.position:
        return None
    if not (_is_seen(sighting) and _is_seen(later)):
        return None
    change = sighting.placed.entry.change
    try:
        state = prefix_tree.verify(later.placed.entry.prefix_root, change.label, evidence.prefix)
    except Refused:
        return None
    if state is not None and not _is_behind(state, change.revision, hash_of_change(change)):
        return None
    return Refusal("withdrawn", f"The server's prefix tree is behind revision {change.revision} of its log.")


def _is_behind(state: LabelState, revision: int, history: bytes) -> bool:
    return state.revision < revision or (state.revision == revision and state.history != history)


def _is_seen(sighting: Sighting) -> bool:
    return sighting.placed.stands(sighting.position, sighting.head)


_JUDGES: Final[dict[type, Callable[[Any], Refusal | None]]] = {
    TwoHeads: _two_heads,
    Fork: _fork,
    WrongRoot: _wrong_root,
    TwoEntries: _two_entries,
    Withdrawn: _withdrawn,
}
"""What each kind of evidence must show, its heads' signatures apart."""
