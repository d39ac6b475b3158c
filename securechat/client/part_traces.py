"""Where files are being fetched to, in clear beside the store: for a wipe, which has no password.

What has been fetched of a file lies open in a folder of the user's, under a name that only the sealed store
knows. A trace says no more than where; a wipe believes it only for a name that we give.
"""

import os
import re
from pathlib import Path
from typing import Final

from securechat.client.private_files import create_file, make_folder, open_private, read_file
from securechat.errors import SecureChatError

FOLDER: Final = "fetching"

_NAME: Final = re.compile(r"\.securechat-[0-9a-f]{16}\.part")


def leave_trace(profile: Path, part: Path) -> None:
    """Blocks: for threads. Make a new part, empty, and say where it is; of what has gone it is said no more.

    :raises FileExistsError, StoreFailed, UnsafeFile: it can't be made, or not be said
    """
    folder = profile / FOLDER
    make_folder(folder)
    os.close(open_private(part, os.O_RDWR | os.O_CREAT | os.O_EXCL))
    for trace in folder.iterdir():
        if not any(os.path.lexists(each) for each in _where(trace)):
            trace.unlink(missing_ok=True)
    create_file(folder / part.name, os.fsencode(part.absolute()))


def traced(profile: Path) -> list[Path]:
    """Return where parts may lie; nothing that is not named like one."""
    folder = profile / FOLDER
    return [each for trace in sorted(folder.iterdir()) for each in _where(trace)] if folder.is_dir() else []


def _where(trace: Path) -> list[Path]:
    try:
        part = Path(os.fsdecode(read_file(trace)))
    except (SecureChatError, OSError, ValueError):  # nothing of ours: it is removed with the folder
        return []
    is_ours = part.is_absolute() and part.name == trace.name and _NAME.fullmatch(part.name) is not None
    return [part] if is_ours else []
