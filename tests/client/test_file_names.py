"""Whatever a file is called by its sender, it becomes one harmless name (U-05)."""

import os
import stat
import unicodedata
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client.file_names import (
    MAX_BYTES,
    MAX_EXTENSION,
    new_part,
    numbered,
    put_in_place,
    safe_name,
)


@pytest.mark.parametrize(
    ("given_name", "ours"),
    [
        ("notes.txt", "notes.txt"),
        ("../../.ssh/authorized_keys", "authorized_keys"),
        ("/etc/passwd", "passwd"),
        ("C:\\Windows\\system.ini", "system.ini"),
        ("C:\\", "file"),
        ("C:evil.txt", "C_evil.txt"),
        ("a\0b.png", "a_b.png"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("nul .txt", "_nul .txt"),
        ("LPT1.tar.gz", "_LPT1.tar.gz"),
        ("console.txt", "console.txt"),
        ("-rf", "rf"),
        ("--help", "help"),
        (".bashrc", "bashrc"),
        ("...", "file"),
        ("..", "file"),
        ("", "file"),
        ("   ", "file"),
        ("~root", "root"),
        ("name. . .", "name"),
        ("evil\u202egnp.exe", "evil_gnp.exe"),
        ("\x1b[2Jx", "_[2Jx"),
        ("a\nb\tc", "a_b_c"),
        ("a\u2028b", "a_b"),
        ("what?.txt", "what_.txt"),
        ("\ud800", "file"),
        ("Übersicht Q3.pdf", "Übersicht Q3.pdf"),
        ("фото.jpg", "фото.jpg"),
    ],
)
def test_u_05_a_name_becomes_ours(given_name: str, ours: str) -> None:
    assert safe_name(given_name) == ours


def test_u_05_a_long_name_is_cut_and_keeps_its_extension() -> None:
    cut = safe_name("ä" * 300 + ".jpeg")
    assert len(cut.encode()) <= MAX_BYTES
    assert cut.endswith("ä.jpeg")
    assert len(safe_name("x" * 300).encode()) <= MAX_BYTES
    assert len(safe_name("x." + "y" * 300).encode()) <= MAX_BYTES


@pytest.mark.parametrize("tail", ["", ".jpeg", ". . .", "." + "\u0301" * 30_000, "." * 30_000])
def test_u_05_a_name_is_cut_before_its_marks_are_brought_into_order(
    monkeypatch: pytest.MonkeyPatch, tail: str
) -> None:
    """Which takes the square of their number: the names of a page would keep a client for minutes."""
    lengths: list[int] = []
    honest = unicodedata.normalize

    def counted(form: Literal["NFC"], text: str) -> str:
        lengths.append(len(text))
        return honest(form, text)

    monkeypatch.setattr("securechat.client.file_names.unicodedata.normalize", counted)
    ours = safe_name("a" + "\u0301\u0316" * 16_000 + tail)
    assert lengths == [pytest.approx(MAX_BYTES, abs=MAX_EXTENSION)]
    assert ours.endswith(".jpeg") == (tail == ".jpeg")


@given(st.text())
def test_u_05_whatever_comes_is_one_printable_component(name: str) -> None:
    ours = safe_name(name)
    assert 0 < len(ours.encode()) <= MAX_BYTES
    assert ours not in {".", ".."}
    assert not set(ours) & set('/\\:*?"<>|\0')
    assert ours[0] not in "-.~ "
    assert ours[-1] not in ". "
    assert not {unicodedata.category(c) for c in ours} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert safe_name(ours) == ours


def part_in(folder: Path, content: bytes = b"new") -> Path:
    part = new_part(folder)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(descriptor, content)
    os.close(descriptor)
    return part


def test_u_05_the_same_name_twice_is_numbered(tmp_path: Path) -> None:
    places = [put_in_place(part_in(tmp_path), tmp_path, "a.txt").name for _ in range(3)]
    assert places == ["a.txt", "a (2).txt", "a (3).txt"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(places)
    assert numbered("plain", 2) == "plain (2)"


@pytest.mark.parametrize("has_links", [True, False])
def test_u_05_what_is_there_stays_a_link_that_leads_nowhere_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_links: bool
) -> None:
    if not has_links:

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError

        monkeypatch.setattr("securechat.client.file_names.os.link", refuse)
    (tmp_path / "a.txt").write_bytes(b"mine")
    (tmp_path / "a (2).txt").symlink_to(tmp_path / "elsewhere")
    place = put_in_place(part_in(tmp_path), tmp_path, "a.txt")

    assert place.name == "a (3).txt"
    assert place.read_bytes() == b"new"
    assert (tmp_path / "a.txt").read_bytes() == b"mine"
    assert not (tmp_path / "elsewhere").exists()


def test_u_05_what_is_saved_is_private_and_cannot_be_run(tmp_path: Path) -> None:
    place = put_in_place(part_in(tmp_path), tmp_path, "run.sh")
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert place.stat().st_nlink == 1
