"""Recovery keys: drawn, read as people type them, slips told before anything is sent (N-02)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.membership.invite import LETTERS
from securechat.membership.recovery_key import (
    RecoveryKey,
    RecoveryKeyRefused,
    derive,
    new_recovery_key,
    read_recovery_key,
)
from securechat.membership.signing import public_of


def test_a_key_is_read_as_it_was_made() -> None:
    key = new_recovery_key()
    assert read_recovery_key(key.text) == key
    assert [len(group) for group in key.text.split("-")] == [4] * 8


def test_a_key_has_140_random_bits() -> None:
    drawn = [new_recovery_key().text.replace("-", "") for _ in range(200)]
    assert len(set(drawn)) == 200
    for place in range(28):
        assert len({letters[place] for letters in drawn}) > len(LETTERS) // 2


@given(
    st.sampled_from(["-", "", " ", "  ", "\u2013", "\u2011", "\n", " - "]),
    st.sampled_from([str.lower, str.upper]),
    st.sampled_from([("0", "O"), ("0", "o"), ("1", "I"), ("1", "l"), ("1", "L"), ("v", "U")]),
)
def test_what_people_make_of_a_key_is_still_it(dash: str, case: object, look: tuple[str, str]) -> None:
    key = new_recovery_key()
    typed = key.text.replace("-", dash)
    typed = typed.upper() if case is str.upper else typed
    assert read_recovery_key(f" {typed.replace(*look)}\n") == key


def test_every_single_slip_and_every_swap_of_neighbours_is_told() -> None:
    letters = RecoveryKey(new_recovery_key().text).text.replace("-", "")
    slips = {
        letters[:place] + other + letters[place + 1 :]
        for place in range(32)
        for other in LETTERS
        if other != letters[place]
    }
    slips |= {
        letters[:place] + letters[place + 1] + letters[place] + letters[place + 2 :]
        for place in range(31)
        if letters[place] != letters[place + 1]
    }
    read = 0
    for slip in slips:
        try:
            read_recovery_key(slip)
        except RecoveryKeyRefused:
            continue
        read += 1
    assert read <= 1  # of a million one passes, and then opens nothing


@pytest.mark.parametrize("typed", ["", "abcd", "x" * 129, "0" * 31, "0" * 33, "!" * 32, "\u00e9" * 32])
def test_what_is_no_key_is_told_and_not_repeated(typed: str) -> None:
    with pytest.raises(RecoveryKeyRefused) as refused:
        read_recovery_key(typed)
    assert not typed or typed not in str(refused.value)


def test_a_key_opens_one_account_at_one_server() -> None:
    key = new_recovery_key()
    alice = derive(key, domain="chat.example", user="alice")

    again = derive(read_recovery_key(key.text.upper()), domain="chat.example", user="alice")
    assert (again.vault_key, public_of(again.login_key)) == (alice.vault_key, public_of(alice.login_key))
    others = [
        derive(key, domain="other.example", user="alice"),
        derive(key, domain="chat.example", user="bob"),
        derive(new_recovery_key(), domain="chat.example", user="alice"),
    ]
    assert alice.vault_key not in [other.vault_key for other in others]
    assert public_of(alice.login_key) not in [public_of(other.login_key) for other in others]


def test_nothing_of_a_key_is_in_what_is_printed_of_it() -> None:
    key = new_recovery_key()
    keys = derive(key, domain="chat.example", user="alice")
    assert key.text not in repr(key)
    assert keys.vault_key.hex() not in repr(keys)
    assert repr(keys) == "RecoveryKeys()"
