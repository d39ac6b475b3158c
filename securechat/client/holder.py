"""What a front end knows of a profile's holder before its first call.

Both ways to go through one begin here: `forwarding.py` on an event loop, `asking.py` without. A one-shot
imports this, hence nothing large here.
"""

import socket
from pathlib import Path
from typing import Any, Final

from securechat.client.config import ProfileFolder
from securechat.client.errors import ExitCode, HolderRefused, NoHolder, UnsafeFile
from securechat.client.private_files import check_private_folder

MAX_LINE: Final = 1024 * 1024
"""A message of 64 KiB in its longest spelling fits, and a part with several of them."""

READY: Final = "ready"
"""The notification that a holder greets with: the kernel takes connections for one that is stopped, too."""

CONNECT_SECONDS: Final = 10
"""A holder on this machine that has not greeted by then is stopped, or blocked by its terminal."""


def place_of(profile: ProfileFolder) -> Path:
    """Return where the profile's holder listens, if there is one.

    :raises NoHolder: nothing is there
    :raises UnsafeFile: others could have put it there
    """
    if not hasattr(socket, "AF_UNIX") or not profile.socket.is_socket():
        raise NoHolder(profile.user)
    check_private_folder(profile.socket.parent)
    return profile.socket


def too_busy() -> HolderRefused:
    return HolderRefused("the process that holds the account is too busy", ExitCode.RETRY_LATER)


def silent() -> HolderRefused:
    text = "the process that holds the account does not answer; it is stopped, or its terminal is"
    return HolderRefused(text, ExitCode.TIMEOUT)


def served_by_another(path: Path) -> UnsafeFile:
    return UnsafeFile(f"{path} is served by another user")


def refused(error: Any) -> HolderRefused:  # noqa: ANN401 - JSON of whoever is there
    """Return the error of an answer as ours; what is missing or of another shape has a default."""
    said = error if isinstance(error, dict) else {}
    data = said.get("data")
    of_it = data if isinstance(data, dict) else {}
    message, code, kind = said.get("message"), of_it.get("exit_code"), of_it.get("kind")
    return HolderRefused(
        message if isinstance(message, str) else "the holder refused",
        code if isinstance(code, int) and 0 < code < 256 else ExitCode.INTERNAL,
        kind=kind if isinstance(kind, str) else "",
    )
