"""`register`, `recovery`, `password`, `recover`, `reset` as they are typed (A-09, N-02)."""

import re
import shutil
import stat
from pathlib import Path

import pytest

from tests.cli.shell import PASSWORD, Shell

OTHER = "another horse battery staple"
KEY = re.compile(r"^    ((?:[0-9a-z]{4}-){7}[0-9a-z]{4})$", re.MULTILINE)


def account_of(shell: Shell, *more: str, password: str = PASSWORD) -> tuple[str, ...]:
    return (
        "alice",
        "--server",
        f"localhost:{shell.port}",
        "--accept-new",
        "--password-file",
        shell.password_file(password),
        *more,
    )


def test_n_02_an_account_comes_back_with_the_key_that_was_shown_once(shell: Shell) -> None:
    made = shell.run("register", *account_of(shell))
    assert made.returncode == 0, made.stderr
    (key,) = KEY.findall(made.stderr)
    assert made.stdout == ""
    key_file = shell.folder / "typed"
    key_file.write_text(key.upper().replace("-", " ") + "\n")
    assert all(
        key not in path.read_bytes().decode("latin1") for path in shell.home.rglob("*") if path.is_file()
    )
    shutil.rmtree(shell.home)

    back = shell.run("recover", *account_of(shell, "--recovery-key-file", str(key_file), password=OTHER))

    assert back.returncode == 0, back.stderr
    assert "Which" not in back.stderr
    assert "alice is back: 0 contacts (0 verified), 0 conversations" in back.stderr
    assert shell.run("status", *account_of(shell)).returncode == 1


def test_a_key_goes_to_a_file_for_its_owner_alone_and_over_nothing(shell: Shell) -> None:
    path = shell.folder / "key"
    made = shell.run("register", *account_of(shell, "--recovery-file", str(path)))
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = path.read_text()
    assert not KEY.search(made.stderr)

    again = shell.run("recovery", *account_of(shell, "--recovery-file", str(path)))
    assert (again.returncode, path.read_text()) == (1, written)
    assert "exists already" in again.stderr
    another = shell.run("recovery", *account_of(shell, "--password-opens"))
    (key,) = KEY.findall(another.stderr)
    assert key != written.strip()
    assert "64 MiB a try" in another.stderr


def test_a_09_a_password_is_changed_and_a_reset_asks_before_it_begins_anew(shell: Shell) -> None:
    made = shell.run("register", *account_of(shell, "--no-recovery"))
    assert not KEY.search(made.stderr)
    assert "loses this account" in made.stderr
    changed = shell.run("password", *account_of(shell, "--new-password-file", shell.password_file(OTHER)))
    assert changed.returncode == 0, changed.stderr
    shutil.rmtree(shell.home)

    unasked = shell.run("reset", *account_of(shell, password=OTHER))
    assert unasked.returncode == 1
    assert "Gone for good" in unasked.stderr
    assert not (shell.home / "alice" / "account.json").exists()
    done = shell.run("reset", *account_of(shell, "--yes", password=OTHER))
    assert done.returncode == 0, done.stderr
    assert "alice has begun anew" in done.stderr
    assert KEY.search(done.stderr)


@pytest.mark.parametrize("typed", ["nonsense", "0000-0000-0000-0000-0000-0000-0000-0000"])
def test_a_slip_in_the_key_is_told_before_anything_is_sent(tmp_path: Path, typed: str) -> None:
    shell = Shell(tmp_path)
    path = tmp_path / "typed"
    path.write_text(typed)
    ended = shell.run("recover", *account_of(shell, "--recovery-key-file", str(path)))  # no server is there
    assert ended.returncode == 1
    assert "recovery key" in ended.stderr
