"""A database that is no longer what it was is said in a sentence at the start (C-05)."""

from pathlib import Path

import apsw
import pytest

from securechat.server.errors import StoreFailed
from tests.server.running import running_server


async def test_c_05_a_damaged_schema_is_one_clear_error(tmp_path: Path) -> None:
    async with running_server(tmp_path):
        pass
    db = apsw.Connection(str(tmp_path / "data" / "server.db"))
    db.execute("ALTER TABLE server RENAME COLUMN identity_key TO identity_kex")
    db.close()

    with pytest.raises(StoreFailed, match="is damaged or cannot be read"):
        async with running_server(tmp_path):
            pass
