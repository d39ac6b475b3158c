"""A part of a file: ours alone, and nobody's number once it is closed (U-05)."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from securechat.client.errors import FileRefused
from securechat.client.part_file import PartFile
from securechat.client.source_file import Source
from securechat.content.sealed_file import PIECE, PieceCipher, SealedFile

FILE = SealedFile(
    id=b"i" * 32,
    key=bytes(range(32)),
    prefix=b"\x07" * 7,
    size=3 * PIECE,
    digest=b"h" * 32,
    name="a.txt",
    content_type="text/plain",
)
SEALED = PieceCipher(FILE.key, FILE.prefix, FILE.size).seal(0, b"p" * PIECE)


class Held:
    """A system call that a thread is kept in until the test lets go of it."""

    def __init__(self, honest: Callable[..., object]) -> None:
        self._honest = honest
        self._entered, self._gate = threading.Event(), threading.Event()
        self.order: list[str] = []

    def __call__(self, *given: object) -> object:
        self._entered.set()
        assert self._gate.wait(20)
        found = self._honest(*given)
        self.order.append("worked")
        return found

    def closed_meanwhile(self, work: Callable[[], object], close: Callable[[], None]) -> None:
        """Let one thread work and another close before that has ended."""

        def closing() -> None:
            close()
            self.order.append("closed")

        threads = [threading.Thread(target=work), threading.Thread(target=closing)]
        threads[0].start()
        assert self._entered.wait(20)
        threads[1].start()
        self._gate.set()
        for thread in threads:
            thread.join()


def test_a_part_is_closed_when_nothing_is_written_to_it_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waited for the thread is gone; its number would be that of the file that is opened next."""
    part = PartFile(tmp_path / "part", FILE)
    held = Held(os.write)
    monkeypatch.setattr("securechat.client.part_file.os.write", held)
    held.closed_meanwhile(lambda: part.add(SEALED), part.close)
    assert held.order == ["worked", "closed"]
    assert (tmp_path / "part").read_bytes() == b"p" * PIECE
    part.close()


def test_a_closed_part_is_neither_written_nor_read(tmp_path: Path) -> None:
    part = PartFile(tmp_path / "part", FILE)
    part.close()
    for work in (lambda: part.add(SEALED), part.count_step):
        with pytest.raises(FileRefused, match="closed"):
            work()
    whole = PartFile(tmp_path / "part", replace(FILE, digest=part._hash.digest()))
    whole.close()
    with pytest.raises(FileRefused, match="closed"):
        whole.finish()


def test_a_source_is_closed_when_nothing_reads_it_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").write_bytes(b"0123456789")
    source = Source.open(tmp_path / "mine")
    held = Held(os.read)
    monkeypatch.setattr("securechat.client.source_file.os.read", held)
    held.closed_meanwhile(lambda: source.read(0, 10), source.close)
    assert held.order == ["worked", "closed"]
    monkeypatch.undo()
    with pytest.raises(FileRefused, match="closed"):
        source.read(0, 10)
    source.close()


def test_u_05_a_part_with_another_name_is_the_users_and_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "part").touch(mode=0o600)
    (tmp_path / "part").write_bytes(b"p" * 2 * PIECE)
    os.link(tmp_path / "part", tmp_path / "notes.txt")
    part = PartFile(tmp_path / "part", FILE)
    assert (part.next_piece, part.had_before) == (0, False)
    part.add(SEALED)
    part.close()
    assert (tmp_path / "notes.txt").read_bytes() == b"p" * 2 * PIECE
    assert (tmp_path / "part").read_bytes() == b"p" * PIECE
