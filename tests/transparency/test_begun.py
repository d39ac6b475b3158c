"""Another log in the place of one that cannot go on: said and signed, or refused."""

from typing import Final

import msgspec
import pytest

from securechat.mls.codec import encode
from securechat.transparency.begun import MAX_BEGUN, LogBegun, check_begun, read_begun, sign_begun
from securechat.transparency.errors import Refused
from securechat.transparency.evidence import Verdict, compare_heads, evidence_in_head
from securechat.transparency.heads import HeadOffer, TreeHead
from tests.transparency.world import KEY, LOG, SERVER, VRF, judged, trusted, with_people

AFTER: Final = LOG + 7


def begun(known: TreeHead, **changes: object) -> LogBegun:
    arguments = {"log": AFTER, "before": known, "now": known.timestamp} | changes
    return sign_begun(KEY, **arguments)  # type: ignore[arg-type]


def test_a_log_that_begins_in_the_open_is_taken() -> None:
    known = with_people().head()
    check_begun(read_begun(encode(begun(known))), known, log=AFTER, server_key=SERVER)
    check_begun(begun(known, before=None), known, log=AFTER, server_key=SERVER)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"log": LOG}, "begun-again"),
        ({"log": LOG - 1, "before": None}, "begun-again"),
        ({"now": 1}, "begun-early"),
    ],
)
def test_a_log_that_is_not_later_is_refused(changes: dict[str, object], rule: str) -> None:
    known = with_people().head()
    word = begun(known, **({"before": None} | changes))
    with pytest.raises(Refused, match=rule):
        check_begun(word, known, log=word.log, server_key=SERVER)


def test_only_the_server_says_that_a_log_begins() -> None:
    known = with_people().head()
    word = begun(known)
    other = msgspec.structs.replace(known, size=known.size + 1)
    for false in (
        msgspec.structs.replace(word, timestamp=word.timestamp + 1),
        msgspec.structs.replace(word, log=word.log + 1),
        begun(other),
        begun(known, log=LOG + 1, before=msgspec.structs.replace(known, log=LOG + 1)),
    ):
        with pytest.raises(Refused, match="begun-signature"):
            check_begun(false, known, log=false.log, server_key=SERVER)
    with pytest.raises(Refused, match="begun-signature"):
        check_begun(word, known, log=AFTER, server_key=VRF.public)


def test_d_03_the_beginning_of_one_log_is_no_word_for_another() -> None:
    """Else one word would stand for as many logs as a server likes."""
    known = with_people().head()
    with pytest.raises(Refused, match="begun-signature"):
        check_begun(begun(known), known, log=AFTER + 1, server_key=SERVER)


def test_what_comes_from_the_wire_has_limits() -> None:
    word = encode(begun(with_people().head()))
    assert len(word) <= MAX_BEGUN
    for data in (b"", word[:-1], word + b"\0", bytes(MAX_BEGUN + 1)):
        with pytest.raises(Refused, match="begun-encoding"):
            read_begun(data)


def test_what_two_logs_say_is_not_compared() -> None:
    directory = with_people()
    mine = directory.head()
    directory.now += 1
    theirs = directory.head(log=AFTER, log_root=bytes(32))
    assert compare_heads(mine, theirs, server_key=SERVER).verdict is Verdict.UNPROVEN
    case = judged(HeadOffer(theirs, None, None), trusted(directory))
    assert evidence_in_head(case) is None
