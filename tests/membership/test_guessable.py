"""Where exactly a password begins to be too easy: one step on either side of each bound (A-03, A-04)."""

import unicodedata

import pytest

from securechat.membership import passwords
from securechat.membership.login import FingerprintRefused, fingerprint, parse_fingerprint
from securechat.membership.passwords import (
    MAX_BYTES,
    Parameters,
    PasswordKeys,
    PasswordRefused,
    check_password,
    generate_passphrase,
    normalise,
)
from securechat.membership.signing import new_key


@pytest.mark.parametrize(
    "password",
    [
        "alice2bq7tzx9fm4",  # eleven besides the name
        "z321321abcdp!zq",  # eleven are left of the runs
        "zhgfaaabcaaaaba",
        "7wxkcdm2xkcdzxk",  # a repeat ends where it ends
        "321xkcdxkcdacez",
        "xkcdpaaaaba123z",  # a run ends where it ends
        "pxkcdpbaxkxkcd7",
        "aaaaaxkcdace123",
        "aaponmlqweacexk",  # steps of two are no run, up or down
        "aaponmlqweecaxk",
        "m2ewq!abcdhgfm2",
        "igaaciaeaegigggi",  # five letters
    ],
)
def test_a_04_what_is_just_hard_enough_is_taken(password: str) -> None:
    check_password(password, user="alice", host="chat.example.org")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("alice2bq7tzx9fm", "mostly a name"),  # ten besides the name
        ("cbaaaaa!example", "mostly a name"),
        ("ccegaageccgggccc", "itself or a name"),  # four letters, however they are mixed
        ("abcdabcbahgfexa", "has runs"),  # runs of three count as two
        ("321qwechatxkcde", "has runs"),
        ("!zq7m9vchatzq7m", "repeats itself"),  # a repeat of four, at the very end
        ("zq7mqwehgfzq7mb", "repeats itself"),
    ],
)
def test_a_04_what_is_just_too_easy_is_refused_with_the_reason(password: str, why: str) -> None:
    with pytest.raises(PasswordRefused, match=why):
        check_password(password, user="alice", host="chat.example.org")


def test_a_04_a_name_counts_from_three_letters_on() -> None:
    with pytest.raises(PasswordRefused, match="mostly a name"):
        check_password("bob2q7zbobx9fbob", user="bob")
    check_password("bo2q7zbox9f!kbo", user="bo")


def test_a_03_as_many_bytes_as_may_be_are_taken() -> None:
    assert normalise("x" * MAX_BYTES) == "x" * MAX_BYTES
    assert normalise("é" * (MAX_BYTES // 2)) == "é" * (MAX_BYTES // 2)
    with pytest.raises(PasswordRefused, match="at most"):
        normalise("é" * (MAX_BYTES // 2) + "x")


def test_a_03_too_many_code_points_are_refused_before_they_are_normalised() -> None:
    """Marks that vanish into their letters are work all the same."""
    password = "a\u0308\u0304" * (MAX_BYTES // 3 + 1)
    assert len(unicodedata.normalize("NFKC", password).encode()) <= MAX_BYTES < len(password)
    with pytest.raises(PasswordRefused, match="at most"):
        normalise(password)


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        (Parameters(3, 64 * 1024, 4), True),
        (Parameters(2, 64 * 1024, 4), False),
        (Parameters(3, 64 * 1024 - 1, 4), False),
        (Parameters(3, 64 * 1024, 3), False),
        (Parameters(16, 1024 * 1024, 16), True),
        (Parameters(17, 1024 * 1024, 16), False),
        (Parameters(16, 1024 * 1024 + 1, 16), False),
        (Parameters(16, 1024 * 1024, 17), False),
    ],
)
def test_a_02_the_cost_has_these_bounds(asked: Parameters, taken: bool) -> None:  # noqa: FBT001 - a table
    assert passwords._acceptable(asked) is taken


def test_a_03_a_generated_passphrase_has_84_bits() -> None:
    """Seven words of two syllables; six bits a syllable."""
    words = generate_passphrase().split("-")
    assert [len(word) for word in words] == [4] * 7
    assert len(passwords._CONSONANTS) * len(passwords._VOWELS) == 2**6


def test_neither_key_of_a_password_is_shown() -> None:
    shown = repr(PasswordKeys(b"v" * 32, new_key()))
    assert shown == "PasswordKeys()"


@pytest.mark.parametrize("mark", [" ", "!", "\n", "-"])
def test_t_02_a_fingerprint_holds_nothing_but_its_letters(mark: str) -> None:
    right = fingerprint(b"k" * 32)
    assert parse_fingerprint(right) == right
    with pytest.raises(FingerprintRefused):
        parse_fingerprint(right[:20] + mark + right[20:])
