import subprocess
import sys

import click
import pytest

from securechat.cli import main as main_module
from securechat.cli.main import COMMANDS, run
from securechat.errors import SecureChatError
from securechat.version import __version__


def test_the_version_is_said_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"securechat {__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_and_version_import_no_rooms(arguments: list[str]) -> None:
    """A command's room is imported inside it: what costs time stays out of `--help`."""
    script = (
        "import sys; from securechat.cli.main import run; run(sys.argv[1:]);"
        "heavy = {'asyncio', 'cryptography', 'apsw', 'prompt_toolkit', 'msgspec'};"
        "heavy |= {'securechat.client', 'securechat.server'};"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    assert f"securechat {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "line"), [([], "  securechat register alice "), (["chat"], "  @bob: hello ")]
)
def test_examples_in_the_help_keep_their_lines(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--help"]) == 0
    assert f"\n{line}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["chat"], ["server", "--port", "x"], ["--nonsense"], ["send", "alice"]]
)
def test_wrong_usage_is_one_sentence_a_hint_and_1(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 1

    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("securechat: ")
    assert "Traceback" not in output.err


def test_an_expected_failure_is_its_sentence_and_its_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Busy(SecureChatError):
        exit_code = 75

    @click.command()
    def fail() -> None:
        raise Busy("alice is in use by process 1")

    monkeypatch.setattr(main_module.cli, "get_command", lambda _ctx, _name: fail)

    assert run(["chat"]) == 75
    assert capsys.readouterr().err == "securechat: alice is in use by process 1\n"


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module.cli, "get_command", lambda _ctx, _name: interrupted)

    assert run(["chat"]) == 130


def test_a_password_on_the_command_line_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    """Secrets never come by argv, where every user of the machine can read them."""
    assert run(["chat", "alice", "--password", "x"]) == 1
    assert "No such option" in capsys.readouterr().err
