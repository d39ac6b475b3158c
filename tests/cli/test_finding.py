"""What was said is found, taken out and brought back in a shell, without the network."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from securechat.cli.main import run
from tests.cli.shell import Shell


def as_json(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def talked(shell: Shell) -> None:
    shell.register("alice", "bob")
    said = shell.account("chat", "alice", given="@bob: lunch at the harbour\n@bob: 東京 next\nexit\n")
    assert said.returncode == 0, said.stderr


def test_what_was_said_is_found_and_listed_through_who_holds_the_account(shell: Shell) -> None:
    talked(shell)
    with shell.holding("alice"):
        (found,) = as_json(shell.run("search", "alice", "HARB", "--json").stdout)
        nothing = shell.run("search", "alice", "dinner", "--in", "@bob")
        unknown = shell.run("search", "alice", "x", "--in", "@carol")
        said = as_json(shell.run("history", "alice", "@bob", "--json").stdout)
        first = shell.run("history", "alice", "@bob", "--limit", "1", "--since", "2020-01-01")
        (contact,) = as_json(shell.run("contacts", "alice", "--json").stdout)
        devices = as_json(shell.run("devices", "alice", "@bob", "--json").stdout)
        (status,) = as_json(shell.run("status", "alice", "--json").stdout)
        (room,) = as_json(shell.run("rooms", "alice", "--json").stdout)
        busy = shell.run("logout", "alice", "--wipe", "--yes")

    assert (found["type"], found["room"], found["from"]) == ("message", "@bob", "alice")
    assert (nothing.returncode, nothing.stdout) == (8, "")
    assert unknown.returncode == 1
    assert [line["text"] for line in said] == ["lunch at the harbour", "東京 next"]
    assert first.stdout.endswith("lunch at the harbour\n")
    assert (contact["type"], contact["user"], contact["verified"]) == ("contact", "bob", False)
    assert [(each["user"], each["this"]) for each in devices] == [("alice", True), ("bob", False)]
    assert (status["type"], status["user"], status["connected"]) == ("status", "alice", True)
    assert (room["room"], room["last"], room["unread"]) == ("@bob", "@alice: 東京 next", 0)
    assert busy.returncode == 75
    assert (shell.home / "alice" / "account.json").exists()


def test_without_a_network_a_conversation_is_taken_out_and_comes_back_marked(shell: Shell) -> None:
    talked(shell)
    for child in shell.children:
        child.kill()
    file = shell.folder / "bob.jsonl"

    assert shell.account("export", "alice", "@bob", "-o", str(file)).returncode == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    unchanged = shell.account("import", "alice", str(file))
    assert (unchanged.returncode, unchanged.stderr) == (0, "0 of 2 messages taken into @bob\n")
    file.write_text(file.read_text().replace("@bob", "@carol"))
    brought = shell.account("import", "alice", str(file))
    assert brought.stderr == "2 of 2 messages taken into @carol\n", brought.stderr
    said = as_json(shell.account("history", "alice", "@carol", "--json").stdout)
    assert [(line["text"], line["verified"]) for line in said] == [
        ("lunch at the harbour", "imported"),
        ("東京 next", "imported"),
    ]


@pytest.mark.parametrize("place", ["file", "link"])
def test_nothing_is_written_over(tmp_path: Path, place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """L-01, U-05."""
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    assert run(["export", "alice", "@bob", "--output", str(tmp_path / place)]) == 1
    assert "nothing was written" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


def test_l_04_an_account_is_wiped_from_this_machine(shell: Shell) -> None:
    shell.register("alice")
    folder = shell.home / "alice"

    asked = shell.run("logout", "alice", "--wipe")
    assert (asked.returncode, "--yes" in asked.stderr, folder.exists()) == (1, True, True)
    done = shell.run("logout", "alice", "--wipe", "--yes")
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in shell.home.iterdir()) == ["pins.json", "pins.lock"]
    gone = shell.run("logout", "alice", "--wipe", "--yes")
    assert (gone.returncode, "securechat register alice" in gone.stderr) == (1, True)
