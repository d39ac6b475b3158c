"""The full screen on a real terminal, with a real server: as a person has it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from securechat.tui.composer import PASTE_SECONDS
from tests.cli.conftest import shell
from tests.cli.shell import PASSWORD, Shell
from tests.cli.terminal import Terminal
from tests.tui.sequences import strange

__all__ = ["shell"]

HOSTILE: Final = (
    "\x1b]52;c;aGk=\x07\x1b[2Jgone\x9b31m\u202egnp.exe\x7f\x1b]0;title\x07[bold red]markup[/] https://a.b"
)


@contextmanager
def screen_of(shell: Shell, user: str) -> Iterator[Terminal]:
    terminal = Terminal(
        ["chat", user], shell.environment() | {"LANG": "C.UTF-8", "LANGUAGE": "en"}, shell.folder
    )
    try:
        terminal.wait(lambda lines: any("Password for" in line for line in lines))
        terminal.type(PASSWORD + "\n")
        sees(terminal, "● connected")
        yield terminal
    finally:
        terminal.close()


def sees(terminal: Terminal, text: str) -> list[str]:
    return terminal.wait(lambda lines: any(text in line for line in lines))


def says(terminal: Terminal, text: str) -> None:
    """Type as a person does: who presses Enter faster than this has pasted it."""
    terminal.type(text)
    sees(terminal, text)
    time.sleep(2 * PASTE_SECONDS)
    terminal.type("\r")


def test_two_people_talk_and_nothing_hostile_reaches_the_terminal(shell: Shell) -> None:
    """U-01, U-02, U-03: only sequences of ours go to the terminal, hostile text as visible escapes."""
    shell.register("alice", "bob")
    with screen_of(shell, "alice") as alice, screen_of(shell, "bob") as bob:
        says(alice, "@bob: hello bob")
        sees(alice, "✓ stored")
        sees(bob, "hello bob")
        says(bob, "hello alice")
        sees(alice, "hello alice")
        bob.type("\x03")
        sees(bob, "Leave securechat?")
        bob.type("y")
        assert bob.end() == 0
        assert shell.account("send", "bob", "@alice", "-", given=HOSTILE).returncode == 0
        lines = sees(alice, "gone")
        assert any("[bold red]markup[/]" in line for line in lines)
        assert any("\\u202egnp.exe" in line for line in lines)
        assert any("hello bob" in line for line in lines), "the screen was cleared"
        assert strange(alice.raw) == []
        assert PASSWORD.encode() not in alice.raw


@pytest.mark.parametrize(("signal_", "code"), [(15, 143)])
def test_a_screen_that_is_ended_leaves_the_terminal_as_it_was(shell: Shell, signal_: int, code: int) -> None:
    """U-06."""
    shell.register("alice")
    with screen_of(shell, "alice") as alice:
        alice.process.send_signal(signal_)
        assert alice.end() == code
        for restored in (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?2004l", b"\x1b[?1004l", b"\x1b[<u"):
            assert restored in alice.raw
