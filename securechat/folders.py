"""Where the system keeps what is a user's: settings, data, state, and what was downloaded.

As the XDG base directory specification has it, on macOS too where somebody has set its variables; else as
the system does. Profiles lie there, so no release moves them.
"""

import os
import re
import sys
from pathlib import Path
from typing import Final

_DOWNLOADS: Final = re.compile(r'\s*XDG_DOWNLOAD_DIR\s*=\s*"(?P<path>(?:[^"\\\n]|\\.)*)"')
"""A line of `user-dirs.dirs`, which desktops write: below ``$HOME``, or absolute."""


def config_folder(name: str) -> Path:
    """Return where the settings of a program of this name lie."""
    return _base("XDG_CONFIG_HOME", ".config") / name


def data_folder(name: str) -> Path:
    return _base("XDG_DATA_HOME", ".local/share") / name


def state_folder(name: str) -> Path:
    return _base("XDG_STATE_HOME", ".local/state") / name


def downloads() -> Path:
    """Return where a person finds what was downloaded."""
    return _named("XDG_DOWNLOAD_DIR") or _of_the_desktop() or Path.home() / "Downloads"


def _base(variable: str, of_linux: str) -> Path:
    named = _named(variable)
    if named is not None:
        return named
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support"
    if sys.platform == "win32":
        return _named("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    return Path.home() / of_linux


def _named(variable: str) -> Path | None:
    """Return the folder that a variable names; a relative one names none, says the specification."""
    path = Path(os.environ.get(variable, "").strip())
    return path if path.is_absolute() else None


def _of_the_desktop() -> Path | None:
    if sys.platform in {"darwin", "win32"}:
        return None
    try:
        lines = (_base("XDG_CONFIG_HOME", ".config") / "user-dirs.dirs").read_text(errors="surrogateescape")
    except OSError:
        return None
    found = None
    for line in lines.split("\n"):
        if match := _DOWNLOADS.match(line):
            found = _below_home(match["path"]) or found
    return found


def _below_home(value: str) -> Path | None:
    path = re.sub(r"\\(.)", r"\1", value.removeprefix("$HOME"))
    if value == "$HOME" or value.startswith("$HOME/"):
        return Path.home() / path.lstrip("/")
    return Path(path) if value.startswith("/") else None
