"""A QR code on a terminal is what a camera reads, in as few rows as a small one has."""

import re
from pathlib import Path

import pytest

from securechat.cli.qr import qr_lines
from securechat.membership.verification_code import verification_code
from securechat.pictures.code_reading import codes_in
from tests.pictures.codes import seen

CODE = verification_code(("mimi://chat.example/u/alice", b"k" * 32), ("mimi://chat.example/u/bob", b"l" * 32))


def test_the_code_to_verify_by_fits_the_smallest_screen() -> None:
    lines = qr_lines(CODE)

    assert (len(lines), {len(line) for line in lines}) == (19, {37})
    assert set("".join(lines)) <= set(" ▀▄█")


@pytest.mark.parametrize(
    ("light", "turned", "kind"), [(False, 0, "PNG"), (True, 0, "PNG"), (False, 8, "JPEG")]
)
def test_what_is_drawn_is_read_again(tmp_path: Path, light: bool, turned: float, kind: str) -> None:  # noqa: FBT001 - a column
    (tmp_path / "photo").write_bytes(seen(qr_lines(CODE), light_terminal=light, turned=turned, kind=kind))

    assert codes_in(tmp_path / "photo") == [CODE]


@pytest.mark.parametrize("text", ["A", "securechat://link/abcdef", "7" * 300])
def test_any_text_is_drawn_with_a_light_edge(tmp_path: Path, text: str) -> None:
    lines = qr_lines(text)

    assert {line[0] + line[-1] for line in lines[:-1]} == {"██"}
    (tmp_path / "photo").write_bytes(seen(lines))
    assert codes_in(tmp_path / "photo") == [text]


def test_with_colours_it_is_the_same_whatever_the_terminals_own_are() -> None:
    coloured = qr_lines(CODE, colours=True)

    assert [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in coloured] == qr_lines(CODE)
    assert all(line.startswith("\x1b[38;5;231;48;5;16m") and line.endswith("\x1b[0m") for line in coloured)
