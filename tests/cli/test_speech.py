"""What a command says breaks between words on a terminal, and nowhere else (U-06)."""

import io
import os
import pty
import termios
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.cli.speech import INDENT, NARROWEST, _cells, by_words, columns

SENTENCE = "the server shows another list of the devices of somebody than was known; nothing is sent to them"
NUMBER = " ".join(["12345"] * 12)


def test_a_sentence_breaks_between_words() -> None:
    rows = by_words(SENTENCE, 40).split("\n")

    assert max(map(len, rows)) <= 40
    assert " ".join(row.strip() for row in rows) == SENTENCE
    assert all(row.startswith("  ") for row in rows[1:]), "what is left of a line is no line of its own"


def test_what_fits_and_what_goes_to_a_pipe_is_left_as_it_is() -> None:
    assert by_words(SENTENCE, len(SENTENCE)) == SENTENCE
    assert by_words(SENTENCE, 0) == SENTENCE
    assert by_words(SENTENCE, NARROWEST - 1) == SENTENCE


@pytest.mark.parametrize(
    ("before", "whole", "behind"),
    [
        ("take it off: ", "`securechat devices alice revoke 0123`", " and look"),
        ("the same on both sides? then: ", "securechat verify USER @bob --number DIGITS", "; if not, wait"),
        ("@bob (known): ", NUMBER, ""),
        ("server fingerprint ", "SHA256:" + 52 * "x", ""),
    ],
)
def test_what_a_person_copies_stays_whole(before: str, whole: str, behind: str) -> None:
    for width in range(max(NARROWEST, len(whole) + INDENT), 100):
        rows = by_words(before + whole + behind, width).split("\n")
        assert any(whole in row for row in rows), rows


def test_a_word_that_is_no_command_is_no_reason_to_stay_together() -> None:
    text = "ask them to update securechat and to type their password in it once; then write again"

    assert max(len(row) for row in by_words(text, 30).split("\n")) <= 30


def test_each_line_of_a_text_stands_for_itself() -> None:
    text = "* first\n    what to do: ask somebody who was there"

    assert by_words(text, 30) == "* first\n    what to do: ask somebody\n      who was there"


def test_wide_letters_take_two_columns() -> None:
    assert by_words("漢字 漢字 漢字 漢字 漢字", 20) == "漢字 漢字 漢字 漢字\n  漢字"


def test_what_is_drawn_is_left_to_the_terminal() -> None:
    text = "\x1b[7m" + 30 * "  " + "\x1b[0m"
    assert by_words(text, 40) == text


def test_right_to_left_text_has_its_marks_around_each_row() -> None:
    rows = by_words("* @bob: \u2068" + 10 * "שלום עולם " + "\u2069 it said", 40).split("\n")

    assert len(rows) > 2
    assert [row.count("\u2068") for row in rows] == [row.count("\u2069") for row in rows]


@pytest.mark.parametrize(
    "filler",
    [
        "hi " + 31 * "\u3000",
        "`" + 70 * " ",
        "securechat x" + 70 * " ",
        "hi \u2068א",
        "hi " + 60 * "\u2800",
        "漢 " * 40,
    ],
    ids=["wide blanks", "a code", "a command", "right to left", "drawn blanks", "wide letters"],
)
def test_u_06_no_row_of_somebodys_text_is_so_long_that_the_terminal_breaks_it(filler: str) -> None:
    """What follows would stand where a line of its own begins."""
    for width in range(40, 100):
        shown = by_words(f"14:01 @mallory: {filler} 14:05 @bob: yes, pay it to mallory `\u2069", width)
        assert all(
            _cells(row) <= width + row.count("\u2068") + row.count("\u2069") for row in shown.split("\n")
        )


@given(st.text(alphabet="ab `:;/@1\n漢", max_size=200), st.integers(NARROWEST, 60))
def test_breaking_loses_nothing_but_spaces_and_adds_nothing_but_rows(text: str, width: int) -> None:
    shown = by_words(text, width)

    assert "".join(shown.split()) == "".join(text.split())
    for row in shown.split("\n"):
        assert len(row) <= width or len(row.split()) <= 1 or "`" in row or "1" in row or "漢" in row


@given(st.text(max_size=100), st.integers(NARROWEST, 60))
def test_nothing_begins_where_a_line_of_ours_begins(text: str, width: int) -> None:
    line = "* @bob: " + " ".join(text.split("\n"))
    first, *rest = by_words(line, width).split("\n")

    assert first.startswith("*")
    assert all(row.startswith(" " * INDENT) for row in rest)


def test_a_terminal_says_how_wide_it_is_and_a_pipe_does_not() -> None:
    primary, secondary = pty.openpty()
    termios.tcsetwinsize(secondary, (24, 37))
    with os.fdopen(secondary, "w") as terminal, Path(os.devnull).open("w") as pipe:
        assert (columns(terminal), columns(pipe), columns(io.StringIO())) == (37, 0, 0)
    os.close(primary)
