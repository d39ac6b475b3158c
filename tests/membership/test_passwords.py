"""Passwords: what is taken, and the keys they open (A-03, A-04, A-01's client half)."""

import unicodedata

import pytest

from securechat.membership import passwords, signing
from securechat.membership.passwords import (
    MAX_BYTES,
    PARAMETERS,
    Parameters,
    PasswordRefused,
    check_password,
    generate_passphrase,
    normalise,
    stretch,
    stretch_local,
)

GOOD = "correct horse battery"
SALT = bytes(range(16))
VAULT_KEY = "88590c5044d06fb5e1e76b8002c3a93daa24a249fc2233a95a391a3f315bd04a"
LOGIN_KEY = "92e70aab54c7f7af91233d7891cea715f7185317424d80fb27aaad9b44b05136"
LOCAL_KEY = "787fe94b817c2a37f5d2ba6007db1f07c5a521c27a0c41336a87e5ba3b773a1b"
WEAK = Parameters(1, 8, 1)


@pytest.mark.parametrize(
    "password",
    [
        "fifteen letters",
        "x1!" * 5 + "longer than it must be" * 2,
        (
            "of one hundred and twenty-eight characters, which is more than most would like to type "
            "but some keep in a manager; fine by us"
        ),
        "  spaces around it  ",
        "with\x00 a NUL inside",
        (
            "\U0001f600\U0001f680\U0001f340\U0001f3b2\U0001f9ca\U0001f60e\U0001f4a1\U0001f511"
            "\U0001f30d\U0001f98a\U0001f52d\U0001f3bb\U0001f9c0\U0001f41d\U0001f4ce\U0001f5ff"
        ),
        "naïve café où là ",
    ],
)
def test_a_03_a_long_enough_password_is_taken_as_it_is(password: str) -> None:
    check_password(password, user="alice")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("fourteen chars", "at least 15"),
        ("", "at least 15"),
        ("e\u0301" * 8 + "abcdef", "at least 15"),
        ("x" * (MAX_BYTES + 1), "at most 1024"),
        ("é" * 513, "at most 1024"),
        ("\ufdfa" * 60, "at most 1024"),
        ("fifteen letters \U000e0fff", "not known here"),
        ("fifteen letters \ud800", "not known here"),
        ("a" * 15, "too easy"),
        ("abcabcabcabcabcabc", "too easy"),
        ("alicealiceAlice123", "too easy"),
        ("securechatsecurechat1", "a name"),
        ("alice@chat.example.org", "a name"),
        ("Alice-Example-Alice", "a name"),
        ("123456789012345", "runs like"),
        ("abcdefghijklmno", "runs like"),
        ("zyxwvutsrqponml", "runs like"),
        ("qwertyuiopasdfg", "runs like"),
        ("poiuytrewqlkjhg", "runs like"),
        ("1qaz2wsx3edc4rfv", "runs like"),
        ("password1234567", "runs like"),
        ("Passwort12345678", "runs like"),
        ("aaaaaaaabbbbbbbbcd", "too easy"),
        ("passwordpassword", "repeats itself"),
        ("letmeinletmein1", "repeats itself"),
        ("iloveyou iloveyou", "repeats itself"),
        ("hunter2hunter2hunter2", "repeats itself"),
    ],
)
def test_a_03_a_04_a_password_outside_is_refused_with_the_reason(password: str, why: str) -> None:
    with pytest.raises(PasswordRefused, match=why) as refused:
        check_password(password, user="alice", host="chat.example.org")
    assert password == "" or password not in str(refused.value)


@pytest.mark.parametrize(
    "password",
    [
        "my dog has 1234 fleas",
        "the aaa battery of alice",
        "no, no, no, not that one",
        "tr0ub4dor & friends 99",
        "qwertz is a keyboard, isn't it",
        "chat.example.org is where we met",
    ],
)
def test_a_04_runs_repeats_and_names_are_no_crime(password: str) -> None:
    """No rule asks for signs or digits; what counts is what is left to guess."""
    check_password(password, user="alice", host="chat.example.org")


def test_a_04_a_short_name_is_in_any_word() -> None:
    check_password("a bad ad banana bandana", user="a")


def test_a_03_the_same_password_from_any_keyboard_is_the_same() -> None:
    composed = "naïve café où là "
    assert normalise(unicodedata.normalize("NFD", composed)) == normalise(composed)
    assert normalise("\uff46\uff55\uff4c\uff4c") == "full"


def test_a_password_opens_these_keys() -> None:
    keys = stretch(GOOD, domain="chat.example", user="alice", salt=SALT)

    assert keys.vault_key.hex() == VAULT_KEY
    assert signing.public_of(keys.login_key).hex() == LOGIN_KEY
    assert stretch_local(GOOD, salt=SALT).hex() == LOCAL_KEY
    assert keys.vault_key.hex() not in repr(keys)


@pytest.mark.parametrize(
    "other", [{"domain": "other.example"}, {"user": "bob"}, {"salt": bytes(16)}, {"password": GOOD + "!"}]
)
def test_every_part_changes_the_keys(other: dict[str, str | bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "PARAMETERS", WEAK)
    asked: dict[str, str | bytes] = {
        "password": GOOD,
        "domain": "chat.example",
        "user": "alice",
        "salt": SALT,
    }

    def vault_key(parts: dict[str, str | bytes]) -> bytes:
        return stretch(**parts, parameters=WEAK).vault_key  # type: ignore[arg-type]

    assert vault_key(asked | other) != vault_key(asked)


@pytest.mark.parametrize(
    "asked",
    [
        Parameters(2, PARAMETERS.memory_kib, 4),
        Parameters(3, PARAMETERS.memory_kib - 1, 4),
        Parameters(3, PARAMETERS.memory_kib, 3),
        Parameters(64, PARAMETERS.memory_kib, 4),
        Parameters(3, 4 * 1024 * 1024, 4),
    ],
)
def test_a_02_the_server_can_ask_for_neither_less_nor_for_too_much(asked: Parameters) -> None:
    with pytest.raises(PasswordRefused):
        stretch(GOOD, domain="chat.example", user="alice", salt=SALT, parameters=asked)


def test_a_salt_of_another_length_is_refused() -> None:
    with pytest.raises(PasswordRefused):
        stretch(GOOD, domain="chat.example", user="alice", salt=b"")


def test_a_generated_passphrase_is_taken_and_new_each_time() -> None:
    drawn = {generate_passphrase() for _ in range(50)}
    assert len(drawn) == 50
    for passphrase in drawn:
        check_password(passphrase, user="alice")
