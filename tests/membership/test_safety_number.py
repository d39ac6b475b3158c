"""Numbers to compare: equal for both sides, different for anyone between them."""

import re

from securechat.membership.safety_number import epoch_code, safety_number

ALICE = ("mimi://chat.example/u/alice", bytes(range(32)))
NUMBER = "73341 60634 97536 35057 70358 90166 24931 27388 43434 06246 45459 96963"
CODE = "05541 97778 33287 53431 55962 74977"
BOB = ("mimi://chat.example/u/bob", bytes(range(32, 64)))


def test_a_safety_number_is_this_one_for_both() -> None:
    assert safety_number(ALICE, BOB) == safety_number(BOB, ALICE)
    assert safety_number(ALICE, BOB) == NUMBER


def test_a_safety_number_has_twelve_groups_of_five_digits() -> None:
    assert re.fullmatch(r"(\d{5} ){11}\d{5}", safety_number(ALICE, BOB))


def test_another_key_or_name_gives_another_number() -> None:
    assert safety_number(ALICE, (BOB[0], bytes(32))) != safety_number(ALICE, BOB)
    assert safety_number(ALICE, (BOB[0] + "x", BOB[1])) != safety_number(ALICE, BOB)


def test_an_epoch_code_has_six_groups_of_five_digits() -> None:
    assert epoch_code(bytes(32)) == CODE
    assert re.fullmatch(r"(\d{5} ){5}\d{5}", CODE)
    assert epoch_code(b"\1" * 32) != CODE
