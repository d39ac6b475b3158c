"""Numbers to compare: equal for both sides, different for anyone between them (D-04)."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.membership.safety_number import epoch_code, safety_number
from securechat.names import fold_user, user_uri

ALICE = ("mimi://chat.example/u/alice", bytes(range(32)))
NUMBER = "73341 60634 97536 35057 70358 90166 24931 27388 43434 06246 45459 96963"
CODE = "05541 97778 33287 53431 55962 74977"
BOB = ("mimi://chat.example/u/bob", bytes(range(32, 64)))

PEOPLE = st.tuples(st.text(min_size=1, max_size=12), st.binary(min_size=1, max_size=40))


def with_length(content: bytes) -> bytes:
    """opaque<V> by hand (RFC 9420 section 2.1.2): one byte of length below 64, two with a mark above."""
    length = len(content)
    return (bytes([length]) if length < 64 else (0x4000 | length).to_bytes(2, "big")) + content


def by_hand(*people: tuple[str, bytes]) -> str:
    """The number written from rules.md, with nothing of ours."""
    content = b"securechat/1 safety number"
    for user, key in sorted((user.encode(), key) for user, key in people):
        content += with_length(user) + with_length(key)
    digest = hashlib.sha512(content).digest()
    return " ".join(
        str(int.from_bytes(digest[at : at + 5], "big") % 100_000).zfill(5) for at in range(0, 60, 5)
    )


def test_a_safety_number_is_this_one_for_both() -> None:
    assert safety_number(ALICE, BOB) == safety_number(BOB, ALICE)
    assert safety_number(ALICE, BOB) == NUMBER


@pytest.mark.parametrize(
    "people",
    [
        (ALICE, BOB),
        (BOB, ALICE),
        (("mimi://" + "x" * 70 + "/u/bob", b"k" * 32), ALICE),
        (("mimi://a/u/x", b"\xff" * 32), ("mimi://a/u/x.y", b"\0" * 32)),
    ],
)
def test_a_safety_number_is_what_the_rules_say(people: tuple[tuple[str, bytes], tuple[str, bytes]]) -> None:
    assert safety_number(*people) == by_hand(*people)


@given(PEOPLE, PEOPLE)
def test_the_order_of_the_two_changes_nothing(a: tuple[str, bytes], b: tuple[str, bytes]) -> None:
    assert safety_number(a, b) == safety_number(b, a) == by_hand(a, b)


def test_a_safety_number_has_twelve_groups_of_five_digits() -> None:
    assert re.fullmatch(r"(\d{5} ){11}\d{5}", safety_number(ALICE, BOB))


def test_another_key_or_name_gives_another_number() -> None:
    assert safety_number(ALICE, (BOB[0], bytes(32))) != safety_number(ALICE, BOB)
    assert safety_number(ALICE, (BOB[0] + "x", BOB[1])) != safety_number(ALICE, BOB)
    assert safety_number(ALICE, (BOB[0], ALICE[1])) != safety_number((ALICE[0], BOB[1]), BOB)


def test_a_name_has_one_number_however_it_is_typed_and_each_server_its_own() -> None:
    def number(user: str, domain: str) -> str:
        return safety_number(ALICE, (user_uri(domain, fold_user(user)), BOB[1]))

    assert number("BOB", "chat.example") == number("bob", "chat.example") == NUMBER
    assert number("bob", "other.example") != NUMBER


def test_an_epoch_code_has_six_groups_of_five_digits() -> None:
    digest = hashlib.sha512(b"securechat/1 epoch code" + with_length(bytes(32))).digest()
    parts = [int.from_bytes(digest[at : at + 5], "big") % 100_000 for at in range(0, 30, 5)]

    assert epoch_code(bytes(32)) == CODE == " ".join(f"{part:05}" for part in parts)
    assert re.fullmatch(r"(\d{5} ){5}\d{5}", CODE)
    assert epoch_code(b"\1" * 32) != CODE
