import asyncio
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from securechat.cli import main as main_module
from securechat.cli.main import COMMANDS, run
from securechat.cli.pipes import ReaderGone
from securechat.client.config import Home
from securechat.client.local_socket import serving
from securechat.errors import SecureChatError
from securechat.version import __version__
from tests.client.holder import ListHolder, a_message


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


@pytest.mark.parametrize(
    ("problem", "code", "word"),
    [
        (PermissionError(13, "Permission denied", b"/x/\xff"), 1, "Permission denied"),
        (OSError(28, "No space left on device"), 1, "No space left"),
        (ConnectionResetError(), 1, "ConnectionResetError"),
        ("\udcff".encode, 1, "not UTF-8"),
        (IndexError("list index out of range"), 2, "a fault of ours (IndexError)"),
    ],
)
def test_no_failure_is_a_traceback(
    problem: Exception | Callable[[], bytes],
    code: int,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    @click.command()
    def fail() -> None:
        if isinstance(problem, Exception):
            raise problem
        problem()

    monkeypatch.setattr(main_module.cli, "get_command", lambda _ctx, _name: fail)

    assert run(["chat"]) == code
    said = capsys.readouterr().err
    assert word in said
    assert "Traceback" not in said


def test_where_nobody_reads_the_output_the_end_is_quiet_and_says_if_something_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def gone() -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    @click.command()
    def busy() -> None:
        raise ReaderGone(75)

    monkeypatch.setattr(main_module, "_quiet_pipe", lambda: None)
    commands = {"rooms": gone, "receive": busy}
    monkeypatch.setattr(main_module.cli, "get_command", lambda _ctx, name: commands[name])

    assert (run(["rooms"]), run(["receive"])) == (0, 75)
    assert capsys.readouterr().err == ""


async def test_what_is_printed_is_utf_8_wherever(tmp_path: Path) -> None:
    """A sign that some encoding lacks must not stop what comes after it."""
    profile = Home(tmp_path).profile("alice")
    profile.folder.mkdir(0o700)
    holder = ListHolder()
    holder.arrive(a_message(1, "\N{SNOWMAN}"), a_message(2))
    command = [
        sys.executable,
        "-m",
        "securechat",
        "receive",
        "alice",
        "--count",
        "2",
        "--home",
        str(tmp_path),
    ]
    async with serving(profile, holder):
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONIOENCODING": "latin-1"}
        )
        out, _err = await process.communicate()

    assert process.returncode == 0
    assert "\N{SNOWMAN}".encode() in out
    assert holder.waiting == []


def test_a_file_that_cannot_be_gone_through_twice_is_refused_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR)
    try:
        assert run(["import", "alice", str(tmp_path / "pipe"), "--home", str(tmp_path)]) == 1
    finally:
        os.close(writer)
    assert "save it first" in capsys.readouterr().err


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
