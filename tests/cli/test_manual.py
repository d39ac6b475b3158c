"""What shells and `man` are given: made of the commands themselves, and well formed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from securechat.cli.main import COMMANDS, run
from securechat.cli.manual import _roff


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("man")
    assert run(["man", "--output", str(folder)]) == 0
    return folder


def test_every_command_has_a_page(folder: Path) -> None:
    names = {path.name for path in folder.iterdir()}

    assert names >= {"securechat.1", *(f"securechat-{name}.1" for name in COMMANDS)}
    assert "securechat-admin-invite.1" in names


def test_a_page_has_its_parts_and_no_request_of_its_text(folder: Path) -> None:
    requests = {".TH", ".SH", ".PP", ".TP", ".B", ".nf", ".fi"}
    for path in folder.iterdir():
        lines = path.read_text().splitlines()
        assert lines[0].startswith(".TH ")
        assert ".SH NAME" in lines
        assert ".SH SYNOPSIS" in lines
        for line in lines:
            assert not line.startswith("'"), (path, line)
            if line.startswith("."):
                assert line.split()[0] in requests, (path, line)
            assert not re.search(r"(?<!\\)-", line.removeprefix(lines[0])), (path, line)


@pytest.mark.parametrize(
    ("text", "safe"),
    [(".ig", "\\&.ig"), ("'x", "\\&'x"), ("a\\n", "a\\en"), ("--json", "\\-\\-json"), ("a\n.x", "a\n\\&.x")],
)
def test_text_is_no_markup(text: str, safe: str) -> None:
    assert _roff(text) == safe


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_script_is_one_of_its_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0

    script = capsys.readouterr().out
    assert f"_SECURECHAT_COMPLETE={shell}_complete" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, check=True, timeout=30)


def completed(words: str) -> str:
    count = len(words.split(" ")) - 1
    asked = {"_SECURECHAT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    script = "from securechat.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script], env=asked, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout


def test_commands_and_options_complete() -> None:
    assert "plain,search" in completed("securechat sea")
    assert "plain,--limit" in completed("securechat search alice x --l")
