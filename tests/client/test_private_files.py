import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from securechat.client.errors import StoreFailed, UnsafeFile
from securechat.client.private_files import (
    check_folder,
    check_private_folder,
    create_file,
    make_folder,
    read_file,
    replace_file,
)
from securechat.private_files import MAX_SMALL_FILE


@pytest.fixture(autouse=True)
def careless_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_folders_and_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    """L-01."""
    folder = tmp_path / "a" / "b" / "c"
    make_folder(folder)
    make_folder(folder)
    create_file(folder / "file", b"x")
    replace_file(folder / "file", b"y")

    assert [mode(p) for p in (folder.parent.parent, folder.parent, folder)] == [0o700] * 3
    assert mode(folder / "file") == 0o600
    assert read_file(folder / "file") == b"y"
    assert [p.name for p in folder.iterdir()] == ["file"]


def test_q_05_a_file_and_its_name_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """C-03: a key that is lost with the power takes all it seals with it."""
    synced: list[int] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", noted)
    create_file(tmp_path / "file", b"x")
    folder = tmp_path.stat().st_ino
    assert synced == [(tmp_path / "file").stat().st_ino, folder]

    synced.clear()
    replace_file(tmp_path / "file", b"y")
    assert synced == [(tmp_path / "file").stat().st_ino, folder]


def test_c_03_a_file_that_cannot_be_finished_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else an account file would be found that says nothing, and the registration could not go on."""

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreFailed, match="No space left"):
        create_file(tmp_path / "file", b"x")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_made_once(tmp_path: Path) -> None:
    create_file(tmp_path / "file", b"first")

    with pytest.raises(FileExistsError):
        create_file(tmp_path / "file", b"second")
    assert read_file(tmp_path / "file") == b"first"


def test_a_link_is_neither_followed_nor_replaced_by_a_new_file(tmp_path: Path) -> None:
    """L-01: where a link points to is not written."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "victim")

    with pytest.raises(FileExistsError):
        create_file(link, b"x")
    with pytest.raises(UnsafeFile, match="symbolic link"):
        read_file(link)
    replace_file(link, b"y")

    assert not (tmp_path / "victim").exists()
    assert read_file(link) == b"y"


def test_a_link_in_the_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    """L-01."""
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)

    with pytest.raises(UnsafeFile, match="symbolic link"):
        make_folder(tmp_path / "link")


def test_what_is_open_to_others_is_refused_with_the_command_that_closes_it(tmp_path: Path) -> None:
    make_folder(tmp_path / "folder")
    create_file(tmp_path / "folder" / "file", b"x")
    (tmp_path / "folder").chmod(0o755)
    (tmp_path / "folder" / "file").chmod(0o640)

    check_folder(tmp_path / "folder")
    with pytest.raises(UnsafeFile, match="chmod 700"):
        check_private_folder(tmp_path / "folder")
    with pytest.raises(UnsafeFile, match="chmod 600"):
        read_file(tmp_path / "folder" / "file")
    (tmp_path / "folder").chmod(0o777)
    with pytest.raises(UnsafeFile, match="chmod 700"):
        make_folder(tmp_path / "folder")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(0o700)
    create_file(tmp_path / "file", b"x")

    with pytest.raises(UnsafeFile, match="not a file"):
        read_file(tmp_path / "folder")
    with pytest.raises(UnsafeFile, match="not a folder"):
        make_folder(tmp_path / "file")
    with pytest.raises(StoreFailed, match="cannot use"):
        make_folder(tmp_path / "file" / "inside")


def test_somebody_elses_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create_file(tmp_path / "file", b"x")
    stranger = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: stranger)

    with pytest.raises(UnsafeFile, match="belongs to somebody else"):
        read_file(tmp_path / "file")


def test_a_huge_file_is_not_read_whole(tmp_path: Path) -> None:
    create_file(tmp_path / "file", bytes(MAX_SMALL_FILE + 1))

    with pytest.raises(UnsafeFile, match="larger"):
        read_file(tmp_path / "file")
