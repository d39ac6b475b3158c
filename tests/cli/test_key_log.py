"""`securechat verify USER --log` and `securechat witness SERVER`: what was checked, in words (D-03)."""

import json
from pathlib import Path

from securechat.cli.key_log import log_lines
from securechat.client.events import HeardHead, KeyLog, KeyLogEntry, KeyLogLie
from tests.cli.shell import Shell

FOUND = KeyLog(
    kept=True,
    size=12,
    first_size=3,
    entries=(KeyLogEntry(1, ("account_registered",), 0), KeyLogEntry(2, ("device_added", "later_kind"), 0)),
    people=2,
    heard=(HeardHead("bob", 9, 0, agrees=True), HeardHead("carol", 9, 0, agrees=False)),
)
LIE = KeyLogLie("key_log_lie", "it showed bob another log than this device", "leave", 0, b"proof")


def test_what_was_checked_is_said_in_words() -> None:
    said = "\n".join(log_lines(FOUND))
    assert "12 entries" in said
    assert "account made" in said
    assert "device added, later_kind" in said
    assert "@bob was shown the same log" in said
    assert "carol" not in said
    assert "CAUGHT" not in said


def test_d_03_what_the_server_was_caught_at_is_said_too() -> None:
    said = list(log_lines(KeyLog(kept=False, caught=(LIE,))))
    assert "nothing was checked" in said[0]
    assert "another log than this device (key_log_lie)" in said[1]
    assert "--evidence" in said[2]
    assert "leave" in said[3]


def test_a_witness_needs_no_account_and_the_owner_reads_what_was_checked(
    shell: Shell, tmp_path: Path
) -> None:
    shell.register("alice")
    server = f"127.0.0.1:{shell.port}"
    for before in (1, 0):
        seen = shell.run("witness", server, "--fingerprint", shell.fingerprint, "--once")
        assert seen.returncode == 0, seen.stderr
        assert "size 1 root" in seen.stdout
        assert f"followed {before} entries" in seen.stdout
    password = ("--password-file", shell.password_file())
    file = tmp_path / "evidence"
    told = shell.run("verify", "alice", "--log", "--json", "--evidence", str(file), *password)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["type"] == "key_log"
    assert not file.exists()
    assert shell.run("verify", "alice", "@bob", "--log", *password).returncode == 1
