"""The threads that read: what a bad moment of the disk costs them."""

from pathlib import Path

import apsw
import pytest

from securechat.server.errors import StoreFailed
from securechat.server.store import reader
from securechat.server.store.reader import Readers
from securechat.server.store.sqlite import open_database


async def test_c_04_a_disk_that_was_mended_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first reading met a disk that could not be read: only that one fails, not all after it."""
    path = tmp_path / "server.db"
    open_database(path).close()

    def broken(_path: Path) -> apsw.Connection:
        raise StoreFailed("the disk")

    readers = Readers(path)
    try:
        with monkeypatch.context() as bad_disk:
            bad_disk.setattr(reader, "open_for_reading", broken)
            for _ in range(reader.THREADS + 1):
                with pytest.raises(StoreFailed, match="the disk"):
                    await readers.run(lambda db: db.execute("SELECT 1").fetchone())
        for _ in range(reader.THREADS + 1):
            assert await readers.run(lambda db: db.execute("SELECT 1").fetchone()) == (1,)
    finally:
        readers.close()
