"""Rows of a width: nothing wider, nothing lost, nothing that reaches into the row's neighbours."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from securechat.text import sanitise
from securechat.tui.wrap import FSI, PDI, clean_block, cut, rows
from tests.tui.hostile import strings


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("hello there world", 11, ["hello there", "world"]),
        ("hello there world", 5, ["hello", "there", "world"]),
        ("abcdefgh", 3, ["abc", "def", "gh"]),
        ("one\n\ntwo", 9, ["one", "", "two"]),
        ("漢字漢字", 5, ["漢字", "漢字"]),
        ("漢字", 1, ["…", "…"]),
        ("👨‍👩‍👧x", 2, ["👨‍👩‍👧", "x"]),
        ("e\u0301e\u0301", 1, ["e\u0301", "e\u0301"]),
        ("", 5, [""]),
        ("a", 0, []),
    ],
)
def test_text_is_broken_at_words_and_never_inside_a_character(
    text: str, width: int, expected: list[str]
) -> None:
    assert rows(text, width) == expected


def test_right_to_left_text_is_isolated_in_every_row_by_itself() -> None:
    """U-03: beside the row stands another panel."""
    broken = rows(sanitise("שלום עולם שלום עולם"), 9)
    assert len(broken) > 1
    assert all(row[0] == FSI and row[-1] == PDI and row.count(FSI) == row.count(PDI) == 1 for row in broken)


def test_what_is_cut_says_so_and_stays_isolated() -> None:
    assert cut("hello there", 6) == "hello…"
    assert cut(sanitise("שלום עולם"), 4) == f"{FSI}שלו…{PDI}"
    assert cut("hello", 0) == ""


@settings(max_examples=150)
@given(strings(), st.integers(1, 20))
def test_no_row_is_wider_than_asked_and_every_letter_is_there(text: str, width: int) -> None:
    """U-01: whatever the text is made of."""
    clean = clean_block(text)
    broken = rows(clean, width)
    assert all(cell_len(row) <= width for row in broken)
    if width > 1:
        assert _letters("".join(broken)) == _letters(clean)
    assert cell_len(cut(clean.split("\n", maxsplit=1)[0], width)) <= width


def _letters(text: str) -> str:
    return re.sub("[\\s\u2068\u2069\u25cc]", "", text)
