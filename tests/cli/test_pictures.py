"""Pictures in the line mode and from the shell."""

import io
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from securechat.cli import pictures
from securechat.cli.line_mode import LineMode
from securechat.cli.main import run
from securechat.client.events import FileInfo, Message
from securechat.pictures.decoding import NotDrawable
from securechat.pictures.terminal import Drawing, Way
from tests.client.holder import a_message
from tests.pictures.made import a_picture


class Surface:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def show(self, text: str) -> None:
        self.told.append(text)

    tell = show

    def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        raise NotImplementedError(prompt)


class Terminal(Surface):
    async def aside(self, work: Callable[[], None]) -> None:
        work()


def with_file(number: int, **fields: Any) -> Message:
    return structs.replace(a_message(number), file=FileInfo(name="a", **fields))


class Face:
    """Has one picture among some messages."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.on = True
        self.asked: list[str] = []

    async def timeline(self, name: str, *, limit: int) -> list[Message]:
        del name, limit
        picture = with_file(1, content_type="image/png")
        return [picture, with_file(2, content_type="application/pdf"), a_message(3)]

    async def fetch_file(self, which: str, *, to: str = "") -> str:
        del to
        self.asked.append(which)
        return str(self.place)

    async def thumbnails(self, *, on: bool | None = None) -> bool:
        self.on = self.on if on is None else on
        return self.on


async def said(face: Face, line: str, *, terminal: bool = True) -> list[str]:
    surface = Terminal() if terminal else Surface()
    await LineMode(face, surface, user="alice", piped=False).take(line, "@bob")  # type: ignore[arg-type]
    return surface.told


async def test_a_picture_is_drawn_where_there_is_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Path] = []
    monkeypatch.setattr("securechat.cli.line_pictures.draw", drawn.append)
    face = Face(tmp_path / "cat.png")
    assert await said(face, "/picture") == []
    assert await said(face, "/picture 0199aa") == []
    assert face.asked == [f"{1:064x}", "0199aa"]
    assert drawn == [face.place, face.place]
    told = await said(face, "/picture", terminal=False)
    assert told == [f"* pictures are drawn on a terminal; it is saved as {face.place}"]


async def test_whether_thumbnails_go_is_told_and_changed(tmp_path: Path) -> None:
    face = Face(tmp_path)
    told = "* small pictures go with the pictures you send: "
    assert await said(face, "/thumbnails") == [f"{told}on"]
    assert await said(face, "/thumbnails off") == [f"{told}off"]
    assert await said(face, "/thumbnails") == [f"{told}off"]
    assert await said(face, "/thumbnails maybe") == ["* usage: /thumbnails [on|off]"]


@pytest.mark.parametrize(
    ("way", "begins"), [("blocks", "\x1b[38;"), ("kitty", "\x1b_G"), ("sixel", "\x1bP0;1q")]
)
def test_it_is_drawn_in_each_way(
    way: str, begins: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cat").write_bytes(a_picture("PNG"))
    out = io.StringIO()
    monkeypatch.setattr(sys, "__stdout__", out)
    for name in ("TMUX", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pictures, "_asked", lambda: Drawing(Way(way)))
    pictures.draw(tmp_path / "cat")
    pictures.draw(tmp_path / "cat", way=way)
    assert out.getvalue().startswith(begins)
    assert out.getvalue().count(out.getvalue()[: len(out.getvalue()) // 2]) == 2


def test_what_is_no_picture_or_no_file_is_drawn_nowhere(tmp_path: Path) -> None:
    (tmp_path / "words").write_text("words")
    for place in (tmp_path / "words", tmp_path / "nowhere", tmp_path):
        with pytest.raises(NotDrawable):
            pictures.draw(place, way="blocks")


def test_a_pipe_gets_no_picture(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["picture", "alice", "0199aa"]) == 1
    assert "securechat download" in capsys.readouterr().err
