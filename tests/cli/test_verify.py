"""`securechat verify` in a shell: one number on both sides, a picture that is scanned, exit codes (D-04)."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from securechat.cli.main import run
from securechat.cli.qr import qr_lines
from tests.cli.shell import Shell
from tests.pictures.codes import seen


def as_json(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


Said = tuple[int, str, str]


def test_d_04_two_people_verify_each_other_by_number_and_by_picture(
    shell: Shell, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECURECHAT_HOME", str(shell.home))

    def verify(*arguments: str) -> Said:
        code = run(["verify", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    shell.register("alice", "bob")
    with shell.holding("alice"), shell.holding("bob"):
        unknown = verify("alice", "@bob")
        sent = shell.run("send", "alice", "@bob", "hello")
        heard = shell.run("receive", "bob", "--timeout", "30", "--count", "1")
        assert (sent.returncode, heard.returncode) == (0, 0), sent.stderr + heard.stderr
        theirs = as_json(verify("bob", "@alice", "--json")[1])
        (tmp_path / "photo").write_bytes(seen(qr_lines(theirs["code"])))
        shown = verify("alice", "@bob")
        wrong = verify("alice", "@bob", "--number", "00000 00000")
        scanned = verify("alice", "@bob", "--scan", str(tmp_path / "photo"))
        listed = verify("alice", "--list")
        by_number = verify("bob", "@alice", "--number", theirs["safety_number"])
        back = as_json(verify("alice", "@bob", "--unverify", "--json")[1])
        monkeypatch.setattr("sys.stdin", io.StringIO(theirs["code"] + "\n"))
        pasted = verify("alice", "@bob", "--code", "-")
        own = verify("bob", "@alice", "--code", theirs["code"])

    assert (unknown[0], "no keys of bob are known here yet" in unknown[2]) == (1, True)
    head, *rows = shown[1].splitlines()
    assert (shown[0], head[:18]) == (0, "@bob: known since ")
    assert " ".join(" ".join(rows[:3]).split()) == theirs["safety_number"], "the same on both sides"
    assert rows[3].startswith("SECURECHAT-VERIFY-1:")
    assert "█" not in shown[1], "nobody looks at a pipe"
    assert (wrong[0], "not the safety number" in wrong[2]) == (4, True)
    assert (scanned[0], scanned[1][:20]) == (0, "@bob: verified since")
    assert listed[1] == f"@bob (verified): {theirs['safety_number']}\n"
    assert (by_number[0], by_number[1][:22]) == (0, "@alice: verified since")
    assert (back["identity"], back["verified"], back["verified_since"]) == ("known", False, 0)
    assert (pasted[0], pasted[1][:14]) == (0, "@bob: verified")
    assert (own[0], "that you show" in own[2]) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "whom?"),
        (["bob"], "no @user"),
        (["@bob", "--number", "11111", "--list"], "give one of"),
        (["@bob", "--code", "x", "--unverify"], "give one of"),
    ],
)
def test_a_slip_is_told_before_anything_is_opened(
    arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["verify", "alice", *arguments]) == 1
    assert why in capsys.readouterr().err
