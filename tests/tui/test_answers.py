"""What a terminal answers is no word of a draft, whenever it comes; what it cannot do is not asked of it."""

import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from textual._xterm_parser import XTermParser
from textual.drivers import linux_driver

from securechat.pictures.terminal import OF_KITTY, Drawing, Way
from securechat.tui.answers import NAME, Answers, hear
from tests.cli.terminal import Terminal

ASKED: Final = f"{NAME}\x1b[16t\x1b[c"
KITTY: Final = "\x1bP>|kitty(0.35.2)\x1b\\", "\x1b[6;20;10t\x1b[?62;c", "\x1b_Gi=31;OK\x1b\\\x1b[?62;c"
FOOT: Final = ("\x1bP>|foot(1.16.2)\x1b\\\x1b[6;18;9t\x1b[?62;4;22c",)
WEZTERM: Final = ("\x1bP>|WezTerm 2024\x1b\\\x1b[6;18;9t\x1b[?65;6;18;22c",)
SAYS_NO_NAME: Final = ("\x1b[?1;2c",)


def is_whole_key(begun: str) -> bool:
    """Whether somebody may have pressed Escape, or Alt and a key: that is never held back."""
    return begun.endswith(("\x1b", "\x1b[", "\x1bP", "\x1b[6"))


@pytest.mark.parametrize("place", [at for at in range(len(FOOT[0]) + 1) if not is_whole_key(FOOT[0][:at])])
def test_an_answer_is_taken_out_wherever_it_is_cut(place: int) -> None:
    answers = Answers()
    sent = "hé" + FOOT[0] + "\x1b[A!"
    place += 2

    assert answers.take(sent[:place]) + answers.take(sent[place:]) == "hé\x1b[A!"


@pytest.mark.parametrize(
    "keys",
    [
        *("\x1b", "\x1b[A", "\x1b[5~", "\x1b[6~", "\x1b[6;5~", "\x1bp", "\x1bP", "\x1b_", "\x1b[I"),
        *("\x1b[200~a\x1b[201~", "\x1b[?1;0$y", "\x1b[?2026;2$y", "\x1b[12;40R", "[?62;4c"),
    ],
)
def test_keys_and_what_textual_asked_for_are_left(keys: str) -> None:
    assert Answers().take(keys) == keys


def test_what_only_began_as_an_answer_comes_with_the_next_key() -> None:
    answers = Answers()
    assert [answers.take(text) for text in ("\x1b[?6", "hello")] == ["", "\x1b[?6hello"]


@pytest.mark.parametrize(
    ("came", "chosen", "drawing"),
    [
        (KITTY, "auto", Drawing(Way.KITTY, (10, 20))),
        (FOOT, "auto", Drawing(Way.SIXEL, (9, 18))),
        (WEZTERM, "auto", Drawing(Way.BLOCKS, (9, 18))),
        (SAYS_NO_NAME, "auto", Drawing(Way.BLOCKS)),
        (FOOT, "blocks", Drawing(Way.BLOCKS, (9, 18))),
        (SAYS_NO_NAME, "sixel", Drawing(Way.SIXEL)),
        (FOOT, "off", Drawing(Way.BLOCKS)),
    ],
)
async def test_a_picture_is_drawn_as_the_terminal_says_or_a_person_does(
    came: tuple[str, ...], chosen: str, drawing: Drawing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    written: list[str] = []
    answers = Answers()
    answers.ask(written.append, tmux=False)
    for answer in came:
        answers.came(answer)

    assert await answers.drawing(chosen) == drawing
    assert written == [ASKED] + ([OF_KITTY + "\x1b[c"] if came is KITTY else [])


async def test_a_terminal_that_does_not_answer_is_waited_for_so_long_and_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "foot")
    answers = Answers()
    assert await answers.drawing("auto") == Drawing(Way.SIXEL), "nobody was asked: a test, or Windows"
    answers.ask(lambda _: None, tmux=False)
    assert await answers.drawing("auto", seconds=0) == Drawing(Way.SIXEL)
    answers.came(SAYS_NO_NAME[0])
    answers.came(FOOT[0])
    assert await answers.drawing("auto") == Drawing(Way.SIXEL, (9, 18))


async def test_inside_tmux_kitty_is_not_asked_for_its_pictures() -> None:
    written: list[str] = []
    answers = Answers()
    answers.ask(written.append, tmux=True)
    answers.came(KITTY[0] + KITTY[1])

    assert written == [ASKED]
    assert await answers.drawing("auto") == Drawing(Way.BLOCKS, (10, 20))


def test_what_textual_reads_passes_here_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linux_driver, "XTermParser", XTermParser)
    hear(Answers())
    parser = vars(linux_driver)["XTermParser"]()

    keys = [getattr(event, "key", "") for event in parser.feed("a" + FOOT[0] + "b")]

    assert keys == ["a", "b"]
    assert list(parser.feed(FOOT[0])) == []
    assert [getattr(event, "key", "") for event in parser.feed("c")] == ["c"]


class Answering(Terminal):
    """A terminal of this kind, on which somebody types."""

    def reply(self, answer: str) -> None:
        os.write(self._primary, answer.encode())

    def has_asked(self) -> None:
        while ASKED.encode() not in self.raw:
            assert select.select([self._primary], [], [], 60)[0]
            self._read(1)


def at_once(terminal: Answering) -> None:
    terminal.has_asked()
    terminal.reply("he" + FOOT[0] + "llo")


def never(terminal: Answering) -> None:
    terminal.has_asked()
    terminal.reply("hello")


def late(terminal: Answering) -> None:
    terminal.has_asked()
    terminal.reply("hel")
    terminal.wait(lambda lines: any("hel" in line for line in lines[-3:]))
    terminal.reply(FOOT[0] + "lo")


@pytest.mark.parametrize("answers", [at_once, never, late])
def test_nothing_that_is_typed_is_lost_and_nothing_else_is_in_the_draft(
    answers: Callable[[Answering], None], tmp_path: Path
) -> None:
    environment = dict(os.environ) | {"LANG": "C.UTF-8", "LANGUAGE": "en", "XDG_CONFIG_HOME": str(tmp_path)}
    terminal = Answering(["1", "1"], environment, Path.cwd(), module="tests.tui.hostile_screen")
    try:
        answers(terminal)
        lines = terminal.wait(lambda lines: any(line.rstrip().endswith("hello") for line in lines[-3:]))
        assert "62;4" not in "\n".join(lines)
        assert b"\x1b_G" not in terminal.raw
    finally:
        terminal.close()
