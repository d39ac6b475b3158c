"""What a server that lies can do: hooks into the real one."""

import msgspec
import pytest

from securechat.protocol.messages import Entry
from securechat.server import ordering


class FlippedTags:
    """Breaks the membership tag of commits while ``on``: their last byte, which no hash of the group covers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = False
        self.flipped = 0
        monkeypatch.setattr(ordering, "Entry", self._entry)

    def _entry(self, *fields: object) -> Entry:
        entry = msgspec.convert(dict(zip(Entry.__struct_fields__, fields, strict=False)), Entry)
        if not self.on or entry.kind != "commit" or not entry.body:
            return entry
        self.flipped += 1
        return msgspec.structs.replace(entry, body=entry.body[:-1] + bytes([entry.body[-1] ^ 1]))
