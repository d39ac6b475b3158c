"""Names of files that others chose, made into names that only name a file (U-05).

What comes out is one component, of printable characters, that no shell, no file system and no
desktop takes for anything else: no path, no option, no hidden file, no device of Windows.
"""

import os
import secrets
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Final

from securechat.private_files import FILE_MODE, sync_folder

FALLBACK: Final = "file"
MAX_BYTES: Final = 200
"""Of 255 that file systems take: there is room for a number and for what we put before a part."""

MAX_EXTENSION: Final = 16
MAX_TRIES: Final = 10_000
"""Files of one name in one folder."""

_FORBIDDEN: Final = frozenset('<>:"|?*\0')
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_AT_START: Final = "-.~ "
_AT_END: Final = ". "
_DEVICES: Final = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$", "clock$"}
    | {f"{name}{digit}" for name in ("com", "lpt") for digit in "0123456789¹²³"}
)


def safe_name(name: str) -> str:
    """Return our own name for a file that somebody called ``name``; always one that may be used."""
    last = _shortened(name.replace("\\", "/").rsplit("/", 1)[-1])
    spelled = "".join(map(_spelled, unicodedata.normalize("NFC", last)))
    trimmed = spelled.strip().lstrip(_AT_START).rstrip(_AT_END)
    short = _cut(trimmed).rstrip(_AT_END)
    if not short.strip("_ "):
        return FALLBACK
    return f"_{short}" if short.split(".", 1)[0].rstrip().casefold() in _DEVICES else short


def numbered(name: str, number: int) -> str:
    """Return ``name``, ``name (2)``, ``name (3)``..., the number before the extension."""
    if number == 1:
        return name
    stem, extension = _split(name)
    return f"{stem} ({number}){extension}"


def put_in_place(part: Path, folder: Path, name: str) -> Path:
    """Give a complete file the first free name in a folder; whatever is there stays as it is.

    :param name: a safe one
    :raises OSError: it could not be; the part is where it was
    """
    for number in range(1, MAX_TRIES):
        place = folder / numbered(name, number)
        try:
            _move(part, place)
        except FileExistsError:
            continue
        sync_folder(folder)
        return place
    raise FileExistsError(f"{folder} has too many files called {name}")


def new_part(folder: Path) -> Path:
    """Return the name of a file that is being fetched: hidden, and nobody's guess."""
    return folder / f".securechat-{secrets.token_hex(8)}.part"


def _move(part: Path, place: Path) -> None:
    """Take a free name, a link's included, in one step; never somebody's place."""
    try:
        os.link(part, place, follow_symlinks=os.link not in os.supports_follow_symlinks)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links: the name is taken first, by an empty file of ours
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
        os.close(os.open(place, flags, FILE_MODE))
        part.replace(place)
    else:
        with suppress(OSError):  # a second name of the same private file is all that stays
            part.unlink()


def _shortened(name: str) -> str:
    """No more of a name than can matter: to bring a run of marks into order takes its length squared."""
    if len(name) <= MAX_BYTES:
        return name
    name = name.rstrip(_AT_END)
    _, dot, extension = name[-MAX_EXTENSION:].rpartition(".")
    return name[:MAX_BYTES] + dot + extension if dot else name[:MAX_BYTES]


def _spelled(character: str) -> str:
    bad = character in _FORBIDDEN or unicodedata.category(character) in _HIDDEN
    return "_" if bad else " " if character.isspace() else character


def _cut(name: str) -> str:
    stem, extension = _split(name)
    room = MAX_BYTES - len(extension.encode())
    return stem.encode()[:room].decode("utf-8", "ignore") + extension


def _split(name: str) -> tuple[str, str]:
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > MAX_EXTENSION:
        return name, ""
    return stem, dot + extension
