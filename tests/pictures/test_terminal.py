"""A terminal is asked how it draws, and believed in what it can be believed."""

import os
import pty
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from securechat.pictures.terminal import QUESTION, Drawing, Way, asked, has_true_colour, known, understood

ABOUT = b"\x1b[?62;22c"


@pytest.mark.parametrize(
    ("answer", "means"),
    [
        (b"", Drawing()),
        (ABOUT, Drawing()),
        (b"\x1b[?62;4;22c", Drawing(Way.SIXEL)),
        (b"\x1b[?4c", Drawing()),  # the first number is the kind of terminal
        (b"\x1b_Gi=31;OK\x1b\\" + ABOUT, Drawing(Way.KITTY)),
        (b"\x1b_Gi=31;OK\x1b\\\x1b[6;20;10t\x1b[?62;4c", Drawing(Way.KITTY, (10, 20))),
        (b"\x1b_Gi=31;ENOTSUP\x1b\\" + ABOUT, Drawing()),
        (b"\x1b[6;0;0t\x1b[?64;4c", Drawing(Way.SIXEL)),
        (b"\x1b[6;99999;99999t" + ABOUT, Drawing()),
        (b"typed ahead" + ABOUT, Drawing()),
    ],
)
def test_each_answer_means_one_way(answer: bytes, means: Drawing) -> None:
    assert understood(answer) == means


@contextmanager
def a_terminal(answer: bytes) -> Iterator[tuple[int, bytearray]]:
    """A terminal that says this once it has read the question; and what it read."""
    ours, theirs = pty.openpty()
    heard = bytearray()

    def answering() -> None:
        while not heard.endswith(QUESTION[-3:].encode()):
            heard.extend(os.read(ours, 1024))
        os.write(ours, answer)

    thread = threading.Thread(target=answering, daemon=True)
    thread.start()
    try:
        yield theirs, heard
        thread.join(10)
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_terminal_is_asked_and_left_as_it_was() -> None:
    with a_terminal(b"\x1b[6;20;10t\x1b[?62;4c") as (descriptor, heard):
        before = termios.tcgetattr(descriptor)
        assert asked(descriptor, seconds=60, tmux=False) == Drawing(Way.SIXEL, (10, 20))
        assert termios.tcgetattr(descriptor) == before
    assert bytes(heard).startswith(b"\x1b_G")


def test_tmux_is_not_asked_what_it_takes_for_a_title() -> None:
    with a_terminal(b"\x1b[?62;4c") as (descriptor, heard):
        assert asked(descriptor, seconds=60, tmux=True).way is Way.SIXEL
    assert bytes(heard) == QUESTION.encode()


def test_a_terminal_that_says_nothing_draws_blocks() -> None:
    with a_terminal(b"") as (descriptor, _):
        assert asked(descriptor, seconds=0) == Drawing()


def test_a_terminal_that_never_comes_to_an_end_is_not_read_for_ever() -> None:
    with a_terminal(b"x" * 3000) as (descriptor, _):
        assert asked(descriptor, seconds=60) == Drawing()


def test_a_full_screen_takes_what_was_chosen_or_is_certain() -> None:
    assert known("kitty", {}) is Way.KITTY
    assert known("sixel", {"TERM": "xterm-kitty"}) is Way.SIXEL
    assert known("auto", {"TERM": "xterm-kitty"}) is Way.KITTY
    assert known("auto", {"TERM": "foot"}) is Way.SIXEL
    assert known("auto", {"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}) is Way.BLOCKS
    assert known("auto", {"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1"}) is Way.BLOCKS
    assert known("off", {"TERM": "xterm-kitty"}) is Way.BLOCKS


def test_true_colours_are_what_the_environment_says() -> None:
    assert has_true_colour({"COLORTERM": "truecolor"})
    assert not has_true_colour({})
