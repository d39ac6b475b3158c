"""A draft in the person's own editor: a private file in the profile's folder, wiped when they are done."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from securechat.errors import SecureChatError
from securechat.locale.catalogue import mark, tr

USUAL: Final = "vi"
MAX_BYTES: Final = 256 * 1024
"""More is read of no file that an editor left."""

_NOT_STARTED: Final = mark("the editor did not start; $VISUAL or $EDITOR names it")


class NoEditor(SecureChatError):
    """The editor could not be started, or ended badly; the draft is as it was."""


def edited(text: str, folder: Path, environment: Mapping[str, str] = os.environ) -> str:
    """Return the text as the person leaves it. Blocks until their editor ends.

    :raises NoEditor: there is none, or it failed
    """
    try:
        words = shlex.split(environment.get("VISUAL") or environment.get("EDITOR") or USUAL)
        handle, name = tempfile.mkstemp(prefix="draft-", suffix=".txt", dir=folder)  # 0600, by its definition
    except (ValueError, OSError) as problem:
        raise NoEditor(tr(_NOT_STARTED)) from problem
    path = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        try:
            done = subprocess.run([*words, name], check=False)  # noqa: S603 - the editor the person named
        except OSError as problem:
            raise NoEditor(tr(_NOT_STARTED)) from problem
        if done.returncode or not path.is_file():
            raise NoEditor(tr("the editor failed; the draft is as it was"))
        with path.open("rb") as left:
            return left.read(MAX_BYTES).decode("utf-8", "replace").rstrip("\n")
    finally:
        wipe(path)


def wipe(path: Path) -> None:
    """Overwrite a file and remove it: what a disk keeps of it beyond that is the disk's."""
    if not path.is_file():  # an editor took it away
        return
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(b"\0" * size)
        file.flush()
        os.fsync(file.fileno())
    path.unlink()
