"""Where the vectors of others are: $SECURECHAT_VECTORS, else ``../shared`` beside the project.

They are not copied into the project. In CI, and where the variable says that they are there, having none
is a failure; elsewhere the golden bytes under ``golden`` stand in. Where the variable leads, every file
is run, whatever its name; in ``../shared`` the known ones must be there, and what is beside them is run too.
"""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

import pytest

PROJECT: Final = Path(__file__).parents[2]
GOLDEN: Final = Path(__file__).parent / "golden"


def shared_folder() -> Path:
    return Path(os.environ.get("SECURECHAT_VECTORS") or PROJECT.parent / "shared")


def required() -> bool:
    """Whether the vectors of others must be there."""
    return bool(os.environ.get("CI") or os.environ.get("SECURECHAT_VECTORS"))


def folder(name: str) -> Path | None:
    """Return the folder of vectors of this name; None if it is not there and need not be."""
    for candidate in (shared_folder() / name, shared_folder()):
        if _files(name, candidate):
            return candidate
    if required():
        pytest.fail(f"the vectors {name} are not at {shared_folder()}")
    return None


def folder_or_skip(name: str) -> Path:
    found = folder(name)
    if found is None:
        pytest.skip(f"{name} is not at {shared_folder()}")
    return found


def names_of(name: str, known: Collection[str]) -> list[str]:
    """Return the files of this folder to be run: the known ones, or what lies where the variable leads."""
    there = _files(name, shared_folder() / name) or _files(name, shared_folder())
    return sorted(there if there and os.environ.get("SECURECHAT_VECTORS") else there | {*known})


def _files(name: str, place: Path) -> set[str]:
    """Return the files of this kind in a folder and below it; Wycheproof's are told by their ending."""
    found = {str(path.relative_to(place)) for path in place.rglob("*.json")}
    return {file for file in found if file.endswith("_test.json") == (name == "wycheproof")}
