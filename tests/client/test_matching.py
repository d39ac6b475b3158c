"""A few letters mean a name: in order, the beginnings of words first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client.matching import matches, score

NAMES = ["@bob", "@bobby", "#team-berlin", "#berlin", "@albert", "#random", "#Straße"]


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("bob", "@bob"),
        ("@bobb", "@bobby"),
        ("tb", "#team-berlin"),
        ("ber", "#berlin"),
        ("team b", "#team-berlin"),
        ("RND", "#random"),
        ("strasse", "#Straße"),
    ],
)
def test_the_name_that_is_meant_comes_first(typed: str, first: str) -> None:
    assert matches(typed, NAMES)[0] == first


def test_names_without_the_letters_are_left_out() -> None:
    assert matches("xyz", NAMES) == []
    assert matches("bbbb", ["@bobby"]) == []


def test_nothing_typed_keeps_all_in_their_order() -> None:
    assert matches("  ", NAMES) == NAMES


@given(st.text(max_size=30), st.text(max_size=30))
def test_a_name_fits_exactly_when_it_has_the_letters_in_order(typed: str, name: str) -> None:
    rest = iter(name.casefold())
    in_order = all(letter in rest for letter in "".join(typed.casefold().split()))

    assert (score(typed, name) is not None) == in_order
