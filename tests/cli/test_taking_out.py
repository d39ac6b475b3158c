"""`export` into a file."""

import errno
import os
from pathlib import Path

import pytest

from securechat.cli import taking_out


def test_a_file_that_the_disk_did_not_take_whole_is_not_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk may say so only when it is asked whether all of it is there."""

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "bob.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"), taking_out._opened(path) as file:
            file.write(b"half of it")
    assert not path.exists()

    with taking_out._opened(path) as file:
        file.write(b"all of it")
    assert path.read_bytes() == b"all of it"
