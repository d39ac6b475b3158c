"""What a person sets: ``keys.toml`` in the folder for settings, and in the profile's, which goes before it.

[screen]
theme = "dark"            # dark, light, contrast
notify = "bell"           # bell, osc9, osc99, osc777, desktop, off
hide_text = false         # notifications without words
do_not_disturb = false
lock_after = 0            # idle minutes; 0 never
mouse = false             # true takes the mouse away from the terminal's own selecting
pictures = "auto"         # auto, blocks, kitty, sixel, off; auto draws thumbnails unless the line is ssh's

[keys]
switch = "ctrl+k"         # or a list; the names are in F1
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from securechat.text import sanitise
from securechat.tui.keys import BadKeys, keymap

FILE: Final = "keys.toml"
MAX_BYTES: Final = 64 * 1024
"""No file of settings is longer."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table ``[screen]``."""

    theme: Literal["dark", "light", "contrast"] = "dark"
    notify: Literal["bell", "osc9", "osc99", "osc777", "desktop", "off"] = "bell"
    hide_text: bool = False
    do_not_disturb: bool = False
    lock_after: float = 0
    mouse: bool = False
    pictures: Literal["auto", "blocks", "kitty", "sixel", "off"] = "auto"


class Chosen(msgspec.Struct, frozen=True):
    """Settings, and key to action."""

    settings: Settings
    keys: dict[str, str]


def shows_thumbnails(settings: Settings, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether thumbnails stand among the messages; if nobody says, not over a line that may be slow."""
    if settings.pictures == "auto":
        return not {"SSH_CONNECTION", "SSH_TTY"} & environment.keys()
    return settings.pictures != "off"


def load(folders: Iterable[Path]) -> Chosen:
    """Read the files of these folders, the later ones before the earlier.

    :raises BadKeys: one of them says something that is not understood
    """
    screen: dict[str, Any] = {}
    keys: dict[str, Any] = {}
    for folder in folders:
        given = _read(folder / FILE)
        screen |= given.get("screen", {})
        keys |= given.get("keys", {})
    try:
        settings = msgspec.convert(screen, Settings)
    except msgspec.ValidationError as problem:
        raise BadKeys(f"{FILE}: [screen] {problem}") from problem
    if settings.notify == "desktop":
        needs_desktop(FILE)
    return Chosen(settings, keymap(keys))


def needs_desktop(asked_in: str) -> None:
    """Raise BadKeys unless what tells the desktop is installed."""
    if find_spec("desktop_notifier") is None:
        raise BadKeys(f'{asked_in}: notify = "desktop" needs the extra: pip install "securechat[desktop]"')


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            given = tomllib.loads(file.read(MAX_BYTES).decode())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise BadKeys(f"{path.name} cannot be read: {sanitise(str(problem))}") from problem
    unknown = [name for name in given if name not in {"screen", "keys"} or not isinstance(given[name], dict)]
    if unknown:
        raise BadKeys(f"{path.name}: {unknown[0]!r} is not known; there are the tables [screen] and [keys]")
    return given
