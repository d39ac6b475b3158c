"""Targets: what the key directory says, and what people show one another of it."""

from contextlib import suppress
from functools import cache
from typing import Final

from securechat.mls.codec import encode
from securechat.transparency.errors import Refused
from securechat.transparency.evidence import (
    Evidence,
    Fork,
    Sighting,
    TwoEntries,
    TwoHeads,
    Withdrawn,
    WrongRoot,
    encode_evidence,
    judge_evidence,
    read_evidence,
)
from securechat.transparency.heads import (
    HeadOffer,
    Placed,
    TrustedHead,
    extend,
    judge_head,
    read_head,
    read_offer,
)
from securechat.transparency.merkle import prove_inclusion
from securechat.transparency.search import Found, SearchAnswer, read_answer, verify_search
from tests.fuzz.judge import Target
from tests.transparency.world import BOB, CAROL, SERVER, Directory, judged, label_of, trusted, with_people


@cache
def _directory() -> tuple[Directory, TrustedHead, Found]:
    """A directory, what a client knew of it and of bob, and two entries after that."""
    directory = with_people()
    known = trusted(directory)
    seen = verify_search(known, BOB, directory.answer(BOB))
    assert isinstance(seen, Found)
    for number in (2, 3):
        directory.publish(BOB, b"bob %d" % number)
    return directory, known, seen


@cache
def _newest() -> TrustedHead:
    directory, known, _ = _directory()
    return trusted(directory, known)


def _offer(data: bytes) -> HeadOffer:
    offer = read_offer(data)
    judge_head(judged(offer, _directory()[1]))
    return offer


def _offers() -> tuple[bytes, ...]:
    directory, known, _ = _directory()
    return tuple(map(encode, (directory.offer(known), directory.offer(), Directory().offer())))


def _heads() -> tuple[bytes, ...]:
    return (encode(_directory()[0].head()),)


def _answer(data: bytes) -> SearchAnswer:
    answer = read_answer(data)
    if answer.vrf_proof != label_of(BOB)[1]:
        return answer  # 5 ms each, and tests/transparency/test_vrf.py flips every bit of it
    with suppress(Refused):  # it has decoded all the same
        verify_search(_newest(), BOB, answer, seen=_directory()[2].seen)
    return answer


def _answers() -> tuple[bytes, ...]:
    directory = _directory()[0]
    nobody = "mimi://chat.example/u/dave"
    answers = (directory.answer(BOB, after=1), directory.answer(CAROL), directory.answer(nobody))
    return tuple(map(encode, answers))


def _evidence(data: bytes) -> Evidence:
    evidence = read_evidence(data)
    judge_evidence(evidence, SERVER)
    return evidence


def _evidences() -> tuple[bytes, ...]:
    directory, known, seen = _directory()
    head = directory.head()
    last = Placed(directory.entries[-1], prove_inclusion(directory.log, head.size - 1, head.size))
    one, other = Sighting(known.head, seen.state.position, seen.placed), Sighting(head, head.size - 1, last)
    kinds: tuple[Evidence, ...] = (
        TwoHeads(known.head, head),
        Fork(known.head, head, extend(directory.log, known.head.size, head)),
        WrongRoot(head, last),
        TwoEntries(one, other),
        Withdrawn(one, other, directory.answer(BOB).prefix),
    )
    return tuple(encode_evidence(evidence) for evidence in kinds)


TARGETS: Final = (
    Target("directory-offer", _offer, (Refused,), _offers, encode),
    Target("directory-head", read_head, (Refused,), _heads, encode),
    Target("directory-answer", _answer, (Refused,), _answers, encode),
    Target("directory-evidence", _evidence, (Refused,), _evidences, encode_evidence),
)
