"""Where a user's things lie: where they lay before, as `platformdirs` finds them too."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from securechat import folders

VARIABLES = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_DOWNLOAD_DIR")
ENVIRONMENTS: dict[str, dict[str, str]] = {
    "none set": {},
    "all set": {name: f"/elsewhere/{name.lower()}" for name in VARIABLES},
    "set to nothing": dict.fromkeys(VARIABLES, "  "),
    "relative": dict.fromkeys(VARIABLES, "some/folder"),
}


@pytest.fixture(params=ENVIRONMENTS)
def home(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in ENVIRONMENTS[request.param].items():
        monkeypatch.setenv(name, value)
    return tmp_path


@pytest.mark.parametrize(("platform", "others"), [("linux", Unix), ("darwin", MacOS)])
def test_nobodys_profile_is_looked_for_elsewhere_than_before(
    home: Path, platform: str, others: Callable[..., Unix | MacOS], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = others("securechat", appauthor=False)
    data, config, state, down = (
        expected.user_data_dir,
        expected.user_config_dir,
        expected.user_state_dir,
        expected.user_downloads_dir,
    )
    monkeypatch.setattr(sys, "platform", platform)
    assert str(folders.data_folder("securechat")) == data
    assert str(folders.config_folder("securechat")) == config
    assert str(folders.state_folder("securechat")) == state
    assert str(folders.downloads()) == down


@pytest.mark.parametrize(
    "lines",
    [
        'XDG_DOWNLOAD_DIR="$HOME/Herunter geladen"\n',
        '# XDG_DOWNLOAD_DIR="$HOME/no"\nXDG_DESKTOP_DIR="$HOME/Desktop"\nXDG_DOWNLOAD_DIR="/data/down"\n',
        'XDG_DOWNLOAD_DIR="$HOME/one"\n  XDG_DOWNLOAD_DIR = "$HOME/two"\n',
        'XDG_DOWNLOAD_DIR="$HOME/a \\"quoted\\" \\$name"\n',
        'XDG_DOWNLOAD_DIR="$HOME"\n',
        'XDG_DOWNLOAD_DIR="relative"\n',
        'XDG_DOWNLOAD_DIR="$HOMER/no"\n',
        'XDG_DOWNLOAD_DIR="unfinished\n',
        "",
    ],
)
def test_what_a_desktop_calls_the_folder_of_downloads_counts(
    lines: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".config").mkdir()
    (tmp_path / ".config" / "user-dirs.dirs").write_text(lines)
    assert folders.downloads() == Path(Unix().user_downloads_dir)
