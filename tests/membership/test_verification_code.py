"""A code to scan says yes or no: of both people, their keys and in this direction (D-04)."""

import base64
import hashlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.membership.verification_code import Match, NoCode, compare, read_code, verification_code

ALICE = ("mimi://chat.example/u/alice", bytes(range(32)))
BOB = ("mimi://chat.example/u/bob", bytes(range(32, 64)))
CAROL = ("mimi://chat.example/u/carol", bytes(range(64, 96)))
OTHER = bytes(32)


def by_hand(user: str, key: bytes) -> bytes:
    """One person, written from the text: lengths below 64 are one byte (RFC 9420 section 2.1.2)."""
    name = bytes([len(user)]) + user.encode()
    whose = hashlib.sha256(b"securechat/1 verified user" + name).digest()[:4]
    key_of = hashlib.sha256(b"securechat/1 verified key" + name + bytes([len(key)]) + key).digest()[:21]
    return whose + key_of


def test_a_code_is_this_one() -> None:
    letters = base64.b32encode(by_hand(*ALICE) + by_hand(*BOB)).decode()

    assert verification_code(ALICE, BOB) == f"SECURECHAT-VERIFY-1:{letters}"
    assert len(letters) == 80, "50 bytes: no padding, and nothing left over"


@pytest.mark.parametrize(
    ("shown_by", "shown_to", "match"),
    [
        (BOB, ALICE, Match.SAME),
        ((BOB[0], OTHER), ALICE, Match.OTHER_KEY_OF_THEIRS),
        (BOB, (ALICE[0], OTHER), Match.OTHER_KEY_OF_OURS),
        ((BOB[0], OTHER), (ALICE[0], OTHER), Match.OTHER_KEY_OF_THEIRS),
        (ALICE, BOB, Match.OWN),
        (ALICE, (BOB[0], OTHER), Match.OWN),
        (CAROL, ALICE, Match.OF_OTHERS),
        (BOB, CAROL, Match.OF_OTHERS),
        ((CAROL[0], BOB[1]), ALICE, Match.OF_OTHERS),
        ((BOB[0].replace("chat.", "evil."), BOB[1]), ALICE, Match.OF_OTHERS),
    ],
)
def test_a_scan_has_a_definite_answer(
    shown_by: tuple[str, bytes], shown_to: tuple[str, bytes], match: Match
) -> None:
    code = read_code(verification_code(shown_by, shown_to))

    assert compare(code, ours=ALICE, theirs=BOB) is match


def test_how_it_was_pasted_does_not_matter() -> None:
    code = verification_code(BOB, ALICE)
    pasted = "\n".join(code[at : at + 20].lower() for at in range(0, len(code), 20)) + "  \n"

    assert read_code(pasted) == read_code(code)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no code"),
        ("https://example.org/SECURECHAT-VERIFY-1:AAAA", "no code"),
        ("SECURECHAT-VERIFY-1", "no code"),
        ("SECURECHAT-LINK-1:" + "A" * 80, "no code"),
        ("SECURECHAT-VERIFY-2:" + "A" * 80, "later"),
        ("SECURECHAT-VERIFY-1:" + "A" * 79, "damaged"),
        ("SECURECHAT-VERIFY-1:" + "A" * 72 + "========", "damaged"),
        ("SECURECHAT-VERIFY-1:" + "1" * 80, "damaged"),
        ("SECURECHAT-VERIFY-1:" + "ß" * 80, "damaged"),
        (verification_code(BOB, ALICE) + "A", "damaged"),
    ],
)
def test_what_is_no_code_is_refused(text: str, why: str) -> None:
    with pytest.raises(NoCode, match=why):
        read_code(text)


@given(st.text(max_size=200).map(lambda end: "SECURECHAT-VERIFY-1:" + end))
def test_any_text_is_a_code_or_refused(text: str) -> None:
    with suppress(NoCode):
        assert compare(read_code(text), ours=ALICE, theirs=BOB) is Match.OF_OTHERS


def test_one_changed_letter_never_matches() -> None:
    code = verification_code(BOB, ALICE)
    start = len("SECURECHAT-VERIFY-1:")
    for at in range(start, len(code)):
        bent = code[:at] + ("A" if code[at] != "A" else "B") + code[at + 1 :]
        assert compare(read_code(bent), ours=ALICE, theirs=BOB) is not Match.SAME
