"""Where the vectors of others are: $SECURECHAT_VECTORS, else ``../shared`` beside the project.

They are not copied into the project. Where they must be there (in CI, or when the variable says
where) a missing file is a failure; elsewhere the golden bytes under ``golden`` stand in.
"""

import os
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
        if candidate.is_dir() and any(candidate.glob("*.json")):
            return candidate
    if required():
        pytest.fail(f"the vectors {name} are not at {shared_folder()}")
    return None


def folder_or_skip(name: str) -> Path:
    found = folder(name)
    if found is None:
        pytest.skip(f"{name} is not at {shared_folder()}")
    return found
