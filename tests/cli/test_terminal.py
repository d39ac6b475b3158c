"""The line mode on a terminal, as a person has it."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.cli.shell import PASSWORD, Shell
from tests.cli.terminal import Terminal


@contextmanager
def chat(shell: Shell, user: str) -> Iterator[Terminal]:
    terminal = Terminal(["chat", user, "--line"], shell.environment(), shell.folder)
    try:
        terminal.wait(lambda lines: any("Password for" in line for line in lines))
        terminal.type(PASSWORD + "\n")
        terminal.wait(lambda lines: any(line.startswith("* connected to") for line in lines))
        terminal.wait(lambda lines: f"{user}>" in lines)  # from here on each key is the line editor's
        yield terminal
    finally:
        terminal.close()


def has(lines: list[str], text: str) -> bool:
    return any(line.endswith(f"@alice: {text}") for line in lines)


def test_what_comes_in_never_garbles_what_is_being_typed(shell: Shell) -> None:
    shell.register("alice", "bob")
    with chat(shell, "bob") as bob:
        bob.type("half a sentence")
        bob.wait(lambda lines: "bob> half a sentence" in lines)

        assert shell.account("send", "alice", "@bob", "in between").returncode == 0
        lines = bob.wait(lambda lines: lines[-1] == "bob> half a sentence" and has(lines, "in between"))

        assert sum("half a sentence" in line for line in lines) == 1
        assert PASSWORD not in "\n".join(lines)


def test_a_hostile_message_moves_nothing_on_the_screen(shell: Shell) -> None:
    """U-01, U-03: escape sequences, controls and bidi arrive as visible escapes."""
    shell.register("alice", "bob")
    hostile = "\x1b]52;c;aGk=\x07\x1b[2Jgone\x9b31m\u202egnp.exe\x7f"
    with chat(shell, "bob") as bob:
        before = len(bob.raw)
        assert shell.account("send", "alice", "@bob", "-", given=hostile).returncode == 0
        lines = bob.wait(lambda lines: any("@alice:" in line for line in lines))
        shown = bob.raw[before:]

        assert any(line.startswith("* connected to") for line in lines), "the screen was cleared"
        assert any("gone" in line for line in lines)
        for sequence in (b"\x1b]52", b"\x1b[2J", b"\x07", b"\x7f", "\x9b".encode(), "\u202e".encode()):
            assert sequence not in shown


def test_a_person_says_exit_and_the_screen_is_theirs_again(shell: Shell) -> None:
    shell.register("alice")
    with chat(shell, "alice") as alice:
        alice.type("exit\r")
        assert alice.end() == 0


def test_control_c_is_130(shell: Shell) -> None:
    shell.register("alice")
    with chat(shell, "alice") as alice:
        alice.type("\x03")
        assert alice.end() == 130


def test_a_draft_survives_the_end_and_the_lock_takes_the_screen(shell: Shell) -> None:
    """L-04: what was on the terminal is gone, and nobody goes on without the password."""
    shell.register("alice", "bob")
    with chat(shell, "alice") as alice:
        alice.type("@bob\r")
        alice.wait(lambda lines: lines[-1] == "@bob>")
        alice.type("half a thought")
        alice.wait(lambda lines: lines[-1] == "@bob> half a thought")
        alice.type("\x03")
        assert alice.end() == 130
    with chat(shell, "alice") as alice:
        alice.type("@bob\r")
        alice.wait(lambda lines: lines[-1] == "@bob> half a thought")
        alice.type("\x15/lock\r")
        lines = alice.wait(lambda lines: lines[-1:] == ["Password for alice:"])
        assert lines == ["Password for alice:"]
        alice.type("somebody else's guess\n")
        alice.wait(lambda lines: "the password of alice is wrong" in lines)
        alice.wait(lambda lines: lines[-1:] == ["Password for alice:"])
        alice.type(PASSWORD + "\n")
        alice.wait(lambda lines: lines[-1] == "@bob>")
        alice.type("exit\r")
        assert alice.end() == 0
