"""What the screen may send to a terminal: modes, colours, places, text; one sequence at a time."""

import re
from typing import Final

OURS: Final = re.compile(
    rb"\x1b\[(?:\?(?:1049|25|1004|2004|2026|2048|7)[hl]|\?20(?:26|48)\$p|[<>]\d*u|[\d;]*[mHJK]|>0q|16t|c)"
    rb"|\x1b\]22;default\x07|[\x20-\x7e\r\n\x80-\xff]"
)


def strange(raw: bytes) -> list[bytes]:
    """Return what is no sequence of ours, each with what follows it."""
    raw = re.sub(rb"\x1b(\[[\d;?>]*)?\Z", b"", raw)  # what was read may end inside of one
    found, at = [], 0
    while at < len(raw):
        ours = OURS.match(raw, at)
        if ours is None:
            found.append(raw[at : at + 20])
        at = ours.end() if ours is not None else at + 1
    return found
