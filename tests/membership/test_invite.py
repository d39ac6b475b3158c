"""Invite tokens: drawn, read as people type them, slips told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.membership.invite import LETTERS, InviteRefused, new_invite, read_invite


def test_a_token_is_read_as_it_was_made() -> None:
    invite = new_invite()
    assert read_invite(invite.token) == invite
    assert len(invite.token) == 34


def test_what_people_make_of_a_token_is_still_it() -> None:
    invite = new_invite()
    lookalike = invite.token.replace("1", "I").replace("0", "O").replace("v", "U")
    for typed in (
        invite.token.upper(),
        invite.token.replace("-", ""),
        f" {invite.token} ".replace("-", " "),
        lookalike,
    ):
        assert read_invite(typed) == invite


def test_a_token_has_130_random_bits() -> None:
    drawn = {new_invite().token for _ in range(200)}
    assert len(drawn) == 200
    for place in range(26):
        assert len({token.replace("-", "")[place] for token in drawn}) > len(LETTERS) // 2


def test_nearly_every_slip_is_told() -> None:
    token = new_invite().token.replace("-", "")
    slips = [
        token[:place] + letter + token[place + 1 :]
        for place in range(28)
        for letter in LETTERS
        if letter != token[place]
    ]
    assert sum(map(_is_refused, slips)) > 0.98 * len(slips)


@given(st.text(max_size=80))
def test_any_text_is_a_token_or_one_error(typed: str) -> None:
    _is_refused(typed)


@pytest.mark.parametrize("typed", ["", "x", "é" * 28, "\u0660" * 28])
def test_what_is_no_token_is_refused_and_not_repeated(typed: str) -> None:
    with pytest.raises(InviteRefused) as refused:
        read_invite(typed)
    assert not typed or typed not in str(refused.value).split()


def test_g_01_a_token_hides_in_repr() -> None:
    invite = new_invite()
    assert invite.token not in repr(invite)


def _is_refused(typed: str) -> bool:
    try:
        read_invite(typed)
    except InviteRefused:
        return True
    return False
