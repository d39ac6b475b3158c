"""L-04: `logout --wipe` wipes whatever hinders the keyring, and says what that may still have."""

import sys
from pathlib import Path

import pytest

from securechat.cli import logout
from securechat.cli.main import run
from securechat.client.config import Home, ProfileFolder
from securechat.client.remembered import NoKeyring

ENTRY = "alice@chat.example 0123456789abcdef"


@pytest.fixture
def profile(tmp_path: Path) -> ProfileFolder:
    profile = Home(tmp_path).profile("alice")
    profile.folder.mkdir(0o700)
    for path, data in (
        (profile.account, b"{"),
        (profile.database, b"pages"),
        (profile.remembered, ENTRY.encode()),
    ):
        path.write_bytes(data)
        path.chmod(0o600)
    return profile


def wiped(profile: ProfileFolder) -> int:
    return run(["logout", "alice", "--wipe", "--yes", "--home", str(profile.folder.parent)])


def test_a_keyring_that_is_not_there_hinders_no_wipe_and_is_said_with_its_entry(
    profile: ProfileFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)

    assert wiped(profile) == 1
    assert not profile.folder.exists()
    said = capsys.readouterr().err
    assert ENTRY in said
    assert "a key that is gone" not in said


def test_neither_does_damage(profile: ProfileFolder, capsys: pytest.CaptureFixture[str]) -> None:
    """An account file that a first wipe had overwritten, and a mark likewise."""
    profile.remembered.write_bytes(b"\x00" * len(ENTRY))

    assert wiped(profile) == 1
    assert not profile.folder.exists()
    assert "keyring" in capsys.readouterr().err


def test_what_the_keyring_has_forgotten_is_not_spoken_of(
    profile: ProfileFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forgotten(_profile: ProfileFolder) -> None:
        pass

    monkeypatch.setattr(logout, "forget", forgotten)

    assert wiped(profile) == 0
    assert "keyring" not in capsys.readouterr().err


def test_a_keyring_that_fails_while_nothing_is_wiped_is_an_error(
    profile: ProfileFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_profile: ProfileFolder) -> None:
        raise NoKeyring("locked")

    monkeypatch.setattr(logout, "forget", locked)

    assert run(["logout", "alice", "--home", str(profile.folder.parent)]) == 1
    assert profile.database.exists()
