"""What a message shows of its file."""

import os
from pathlib import Path

from securechat.client.events import FileInfo
from securechat.client.file_names import safe_name
from securechat.content.attached import attached_file
from securechat.content.errors import ContentError
from securechat.content.mimi import decode
from securechat.content.sealed_file import read_file_part
from securechat.text import sanitise

OFFERED, PARTIAL, SAVED, FOREIGN = "offered", "partial", "saved", "foreign"


def file_info(content: bytes, part: bytes | None, path: bytes | None) -> FileInfo | None:
    """Return what a stored message shows of its file; None if it has none.

    :param part: where it grows, if some of it was fetched
    :param path: where it lies, if all of it was
    """
    try:
        found = attached_file(decode(content).part) if content else None
    except ContentError:
        return None
    if found is None:
        return None
    external = found.part
    state = SAVED if path else PARTIAL if part else OFFERED
    try:
        size = read_file_part(external).size
    except ContentError:
        state, size = FOREIGN, external.size
    return FileInfo(
        name=sanitise(safe_name(external.filename)),
        content_type=sanitise(external.content_type),
        size=size,
        state=state,
        path=sanitise(str(Path(os.fsdecode(path)))) if path else "",
        thumbnail=found.thumbnail,
    )
