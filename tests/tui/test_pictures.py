"""U-05: pictures on the screen: small ones with their messages, a large one when somebody asks for it."""

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest

from securechat.client.events import FileInfo, Message, MessageKind
from securechat.pictures import small_png
from securechat.pictures.decoding import NotDrawable
from securechat.pictures.kitty import PLACEHOLDER
from securechat.pictures.pixels import Pixels, scaled
from securechat.tui import looking
from securechat.tui.locked import Locked
from securechat.tui.message_lines import Place, Setting, message_lines
from securechat.tui.paint import Ink, plain
from securechat.tui.picture_lines import COLUMNS, ROWS, picture_in, thumbnail_lines
from securechat.tui.picture_view import PictureView
from securechat.tui.settings import Settings, shows_thumbnails
from tests.tui.driving import Driven, driven
from tests.tui.fake import FakeClient, message, talk_of_two

RED, BLUE = b"\xff\0\0", b"\0\0\xff"
HALVES: Final = Pixels(48, 36, (RED * 24 + BLUE * 24) * 36)
SMALL: Final = small_png.write(HALVES)
SHOWN: Final = Settings(pictures="blocks")


def pictured(local_id: int = 50, **more: Any) -> Message:
    file = FileInfo(name="cat.png", content_type="image/png", size=9, state="offered", thumbnail=SMALL)
    return message(local_id, "(a file: cat.png, 9 B)\nlook", kind=MessageKind.FILE, file=file, **more)


def test_a_thumbnail_is_drawn_in_half_blocks_that_fit() -> None:
    drawn = thumbnail_lines(SMALL, 70)
    assert [plain(one) for one in drawn] == ["▀" * 21] * ROWS
    assert {piece.ink for one in drawn for piece in one} == {Ink(RED, RED), Ink(BLUE, BLUE)}
    for width in range(30):
        assert all(len(plain(one)) <= min(width, COLUMNS) for one in thumbnail_lines(SMALL, width))


def test_what_is_no_thumbnail_leaves_the_message_as_it_is() -> None:
    for evil in (b"", b"\x1b[2J", SMALL[:-1], SMALL.replace(b"IDAT", b"IDAX")):
        assert thumbnail_lines(evil, 70) == []


def test_it_stands_between_the_files_name_and_its_words() -> None:
    setting = Setting(width=60, pictures=True)
    rows = [plain(one).strip() for one in message_lines(pictured(), Place(head=False), setting)]
    assert rows[0].startswith("File: cat.png")
    assert rows[1:-1] == ["▀" * 21] * ROWS
    assert rows[-1] == "look"
    without = message_lines(pictured(), Place(head=False), Setting(width=60))
    assert [plain(one).strip() for one in without] == [rows[0], "look"]


def test_over_a_line_that_may_be_slow_only_who_says_so_has_them() -> None:
    assert shows_thumbnails(Settings(), {})
    assert not shows_thumbnails(Settings(), {"SSH_CONNECTION": "x"})
    assert not shows_thumbnails(Settings(), {"SSH_TTY": "x"})
    assert shows_thumbnails(SHOWN, {"SSH_TTY": "x"})
    assert not shows_thumbnails(Settings(pictures="off"), {})


def test_the_last_picture_is_meant_unless_another_is_named() -> None:
    plain_file = FileInfo(name="a.pdf", content_type="application/pdf", size=9)
    huge = FileInfo(name="b.png", content_type="image/png", size=1 << 30, thumbnail=SMALL)
    first, second = pictured(1), pictured(2)
    messages = [
        first,
        second,
        message(3, "words"),
        message(4, "", file=plain_file),
        message(5, "", file=huge),
        pictured(6, deleted=True),
    ]
    assert picture_in(messages) == second
    assert picture_in(messages, "1") == first
    assert picture_in(messages, first.id[:64]) == first
    assert picture_in(messages, "4") == messages[3]
    for which in ("3", "5", "6", "99"):
        assert picture_in(messages, which) is None
    assert picture_in(messages[2:]) is None


def a_talk() -> FakeClient:
    client = talk_of_two()
    client.said["@bob"].append(pictured())
    client.files[pictured().id] = "/home/alice/cat"
    return client


class Decoder:
    """Stands where pictures are decoded: by another process, which has tests of its own."""

    def __init__(self, pixels: Pixels | None) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._pixels = pixels

    def __call__(self, path: Path, *, box: tuple[int, int], colours: int) -> Pixels:
        self.asked.append((path, box, colours))
        if self._pixels is None:
            raise NotDrawable("the picture is damaged")
        return self._pixels


@pytest.fixture
def decoder(monkeypatch: pytest.MonkeyPatch) -> Decoder:
    found = Decoder(scaled(HALVES, 80, 64))
    monkeypatch.setattr(looking, "decoded_file", found)
    return found


def inks(screen: Driven) -> set[tuple[str, str]]:
    """The colours of every half-block that is on the screen."""
    strips = screen.app.screen._compositor.render_strips()
    segments = [segment for strip in strips for segment in strip if "▀" in segment.text]
    return {
        (
            str(segment.style.color and segment.style.color.name),
            str(segment.style.bgcolor and segment.style.bgcolor.name),
        )
        for segment in segments
        if segment.style is not None
    }


async def test_a_thumbnail_is_on_the_screen_in_its_colours_and_nothing_is_fetched(decoder: Decoder) -> None:
    client = a_talk()
    async with driven(client, settings=SHOWN) as screen:
        await screen.sees("▀" * 21)
        assert inks(screen) == {("#ff0000", "#ff0000"), ("#0000ff", "#0000ff")}
        assert [did for did in client.did if did[0] == "fetch"] == decoder.asked == []


async def test_a_picture_is_looked_at_when_somebody_asks(decoder: Decoder) -> None:
    client = a_talk()
    async with driven(client, settings=SHOWN) as screen:
        await screen.press("alt+i")
        await screen.until(lambda: isinstance(screen.app.screen, PictureView))
        await screen.sees("▀" * 55)
        assert "cat.png" in screen.rows()[0]
        assert ("fetch", pictured().id) in client.did
        assert decoder.asked == [(Path("/home/alice/cat"), (78, 42), 0)]
        await screen.press("escape")
        await screen.until(lambda: screen.app.screen is screen.chat)


async def test_a_picture_that_took_a_while_covers_nobodys_typing(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = a_talk()
    fetched = asyncio.Event()

    async def fetch(id: str, *, to: str = "") -> str:  # noqa: A002 - the client's name
        del to
        await fetched.wait()
        return client.files[id]

    monkeypatch.setattr(client, "fetch_file", fetch)
    async with driven(client, settings=SHOWN) as screen:
        await screen.press("alt+i")
        await screen.type("meanwhile")
        await screen.app.bridge.ask(lambda _: fetched.set())
        await screen.sees("the picture is here")
        assert screen.app.screen is screen.chat
        assert screen.chat.composer.text == "meanwhile"
        assert len(decoder.asked) == 1


async def test_a_hostile_picture_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "decoded_file", Decoder(None))
    async with driven(a_talk(), settings=SHOWN) as screen:
        await screen.type("/picture 50")
        await screen.press("enter")
        await screen.sees("the picture is damaged")
        await screen.type("/picture 1")
        await screen.press("enter")
        await screen.sees("there is no picture in it")


@pytest.mark.parametrize(
    ("way", "begins"), [("kitty", "\x1b_Ga=T,U=1,i="), ("sixel", '\x1b7\x1b[2;2H\x1bP0;1q"')]
)
@pytest.mark.usefixtures("decoder")
async def test_a_terminal_that_draws_is_given_pixels_of_ours(
    way: Any, begins: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    async with driven(a_talk(), settings=Settings(pictures=way)) as screen:
        written: list[str] = []
        screen.chat.write = written.append
        await screen.press("alt+i")
        await screen.until(lambda: isinstance(screen.app.screen, PictureView) and written)
        assert written[0].startswith(begins)
        assert written[0].count("\x1b\\") == 1
        assert (PLACEHOLDER in screen.text()) is (way == "kitty")
        await screen.press("q")
        await screen.until(lambda: screen.app.screen is screen.chat)
        if way == "kitty":
            await screen.until(lambda: written[-1].startswith("\x1b_Ga=d,d=I,"))
            assert written[-1] == f"\x1b_Ga=d,d=I,{written[0].split(',')[2]},q=2\x1b\\"


@pytest.mark.usefixtures("decoder")
async def test_a_sixel_picture_is_there_again_after_a_repaint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    async with driven(a_talk(), settings=Settings(pictures="sixel")) as screen:
        written: list[str] = []
        screen.chat.write = written.append
        await screen.press("alt+i")
        await screen.until(lambda: isinstance(screen.app.screen, PictureView) and written)
        before = len(written)
        screen.app.refresh(repaint=True, layout=True)
        await screen.until(lambda: len(written) > before)
        assert written[-1] == written[0]


@pytest.mark.usefixtures("decoder")
async def test_a_lock_leaves_nothing_of_a_picture_on_the_screen() -> None:
    async with driven(a_talk(), settings=Settings(pictures="kitty")) as screen:
        written: list[str] = []
        screen.chat.write = written.append
        await screen.press("alt+i")
        await screen.until(lambda: isinstance(screen.app.screen, PictureView) and written)
        await screen.app.lock()
        await screen.until(lambda: isinstance(screen.app.screen, Locked))
        await screen.until(lambda: written[-1].startswith("\x1b_Ga=d,d=I,"))
        assert PLACEHOLDER not in screen.text()
        assert "▀" not in screen.text()
