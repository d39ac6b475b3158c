"""`register`, `recovery`, `password`, `recover`, `reset` as they are typed (A-09, N-02)."""

import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import PASSWORD, Shell, shell_in
from tests.client.conftest import cheap_argon2 as cheap_argon2  # noqa: PLC0414 - a fixture, shared

OTHER = "another horse battery staple"
KEY = re.compile(r"^    ((?:[0-9a-z]{4}-){7}[0-9a-z]{4})$", re.MULTILINE)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A folder with a running server, for all of these: each has a person of its own."""
    with shell_in(tmp_path_factory.mktemp("shell")) as made:
        made.start_server()
        yield made


def account_of(shell: Shell, user: str, *more: str, password: str = PASSWORD) -> tuple[str, ...]:
    return (
        user,
        "--server",
        f"localhost:{shell.port}",
        "--accept-new",
        "--password-file",
        shell.password_file(password),
        *more,
    )


def test_n_02_an_account_comes_back_with_the_key_that_was_shown_once(shell: Shell) -> None:
    made = shell.run("register", *account_of(shell, "alice"))
    assert made.returncode == 0, made.stderr
    (key,) = KEY.findall(made.stderr)
    assert made.stdout == ""
    key_file = shell.folder / "typed"
    key_file.write_text(key.upper().replace("-", " ") + "\n")
    assert all(
        key not in path.read_bytes().decode("latin1") for path in shell.home.rglob("*") if path.is_file()
    )
    shutil.rmtree(shell.home)

    back = shell.run(
        "recover", *account_of(shell, "alice", "--recovery-key-file", str(key_file), password=OTHER)
    )

    assert back.returncode == 0, back.stderr
    assert "Which" not in back.stderr
    assert "alice is back: 0 contacts (0 verified), 0 conversations" in back.stderr
    assert shell.here("status", *account_of(shell, "alice")).returncode == 1


@pytest.mark.usefixtures("cheap_argon2")
def test_a_key_goes_to_a_file_for_its_owner_alone_and_over_nothing(shell: Shell) -> None:
    path = shell.folder / "key"
    made = shell.here("register", *account_of(shell, "bob", "--recovery-file", str(path)))
    assert made.returncode == 0, made.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = path.read_text()
    assert not KEY.search(made.stderr)

    again = shell.here("recovery", *account_of(shell, "bob", "--recovery-file", str(path)))
    assert (again.returncode, path.read_text()) == (1, written)
    assert "exists already" in again.stderr
    another = shell.here("recovery", *account_of(shell, "bob", "--password-opens"))
    (key,) = KEY.findall(another.stderr)
    assert key != written.strip()
    assert "64 MiB a try" in another.stderr


@pytest.mark.usefixtures("cheap_argon2")
def test_a_09_a_password_is_changed_and_a_reset_asks_before_it_begins_anew(shell: Shell) -> None:
    made = shell.here("register", *account_of(shell, "carol", "--no-recovery"))
    assert not KEY.search(made.stderr)
    assert "loses this account" in made.stderr
    changed = shell.here(
        "password", *account_of(shell, "carol", "--new-password-file", shell.password_file(OTHER))
    )
    assert changed.returncode == 0, changed.stderr
    shutil.rmtree(shell.home)

    unasked = shell.here("reset", *account_of(shell, "carol", password=OTHER))
    assert unasked.returncode == 1
    assert "Gone for good" in unasked.stderr
    assert not (shell.home / "carol" / "account.json").exists()
    done = shell.here("reset", *account_of(shell, "carol", "--yes", password=OTHER))
    assert done.returncode == 0, done.stderr
    assert "carol has begun anew" in done.stderr
    assert KEY.search(done.stderr)


@pytest.mark.parametrize("typed", ["nonsense", "0000-0000-0000-0000-0000-0000-0000-0000"])
def test_a_slip_in_the_key_is_told_before_anything_is_sent(tmp_path: Path, typed: str) -> None:
    shell = Shell(tmp_path)
    path = tmp_path / "typed"
    path.write_text(typed)
    # No server is there.
    ended = shell.here("recover", *account_of(shell, "dave", "--recovery-key-file", str(path)))
    assert ended.returncode == 1
    assert "recovery key" in ended.stderr
