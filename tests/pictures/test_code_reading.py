"""U-05: QR codes in a picture are read by a process that can do nothing else, and it is not believed."""

import sys
from pathlib import Path

import pytest

from securechat.cli.qr import qr_lines
from securechat.pictures import code_reading
from securechat.pictures.code_reading import codes_in
from securechat.pictures.decoder import MAX_FILE
from securechat.pictures.decoding import NotDrawable
from tests.pictures.codes import seen
from tests.pictures.made import a_picture
from tests.pictures.test_decoding import HOSTILE, acting


def test_two_codes_in_a_picture_are_both_read(tmp_path: Path) -> None:
    both = [left + "████" + right for left, right in zip(qr_lines("ONE"), qr_lines("TWO"), strict=True)]
    (tmp_path / "photo").write_bytes(seen(both))

    assert sorted(codes_in(tmp_path / "photo")) == ["ONE", "TWO"]


def test_a_code_may_say_anything_and_moves_nothing(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(seen(qr_lines("\x1b[2J\0x")))

    assert codes_in(tmp_path / "photo") == ["\x1b[2J\0x"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_without_a_code_is_told(kind: str, tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(a_picture(kind))
    with pytest.raises(NotDrawable, match="no QR code"):
        codes_in(tmp_path / "photo")


@pytest.mark.parametrize("name", list(HOSTILE)[::4])
def test_u_05_a_hostile_picture_is_refused_and_that_is_all(name: str, tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(HOSTILE[name])
    with pytest.raises(NotDrawable):
        codes_in(tmp_path / "photo")


def test_u_05_what_is_no_picture_here_is_not_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing", Path("/dev/null")):
        with pytest.raises(NotDrawable, match="not where"):
            codes_in(path)
    (tmp_path / "text").write_text("SECURECHAT-VERIFY-1:")
    with pytest.raises(NotDrawable, match="no QR code"):
        codes_in(tmp_path / "text")
    (tmp_path / "large").write_bytes(a_picture("PNG"))
    with (tmp_path / "large").open("r+b") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(NotDrawable, match="too large"):
        codes_in(tmp_path / "large")


LIES = {
    "nothing": "exit 0",
    "less than it says": r"printf '\000\005abc'",
    "more than it says": r"printf '\000\001ab'",
    "without end": "exec cat /dev/zero",
    "and fails": r"printf '\000\001a'; exit 9",
    "and is killed": r"printf '\000\001a'; kill -9 $$",
}


@pytest.mark.parametrize("name", LIES)
def test_u_05_nothing_that_it_says_is_believed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    acting(tmp_path, monkeypatch, LIES[name])
    (tmp_path / "photo").write_bytes(a_picture("PNG"))
    with pytest.raises(NotDrawable, match="damaged"):
        codes_in(tmp_path / "photo")


def test_without_the_extra_a_person_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_reading, "find_spec", lambda _: None)
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(NotDrawable, match="securechat"):
        codes_in(tmp_path / "photo")
