"""A chat by lines makes itself heard as the full screen does, by the same settings."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from securechat.cli import line_notices
from securechat.cli.line_notices import as_set
from securechat.cli.main import run
from securechat.client.errors import ExitCode
from securechat.client.events import Message
from securechat.client.face import own_face
from securechat.tui.keys import BadKeys
from tests.cli.test_line_editing import Drafting, Edited
from tests.client.holder import a_message


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(line_notices, "config_folder", lambda _name: tmp_path / "none")
    monkeypatch.delenv("TMUX", raising=False)
    return tmp_path


async def heard(folder: Path, way: str, *messages: Message) -> str:
    surface = Edited()
    telling = as_set(folder, way)(own_face(Drafting()), surface)
    for message in messages:
        await telling.heard(message)
    return surface.heard


@pytest.mark.parametrize(
    ("file", "way", "sent"),
    [
        ("", "", "\a"),
        ("", "osc9", "\x1b]9;securechat: @bob: hello\x1b\\"),
        ('notify = "osc777"', "", "\x1b]777;notify;securechat;securechat: @bob: hello\x1b\\"),
        ('notify = "osc777"', "bell", "\a"),
        ('notify = "off"\ndo_not_disturb = true', "", "\a"),
        ("hide_text = true", "osc9", "\x1b]9;securechat: a new message\x1b\\"),
    ],
)
async def test_the_way_is_the_one_that_was_asked_for_or_set(
    folder: Path, file: str, way: str, sent: str
) -> None:
    (folder / "keys.toml").write_text(f"[screen]\n{file}\n")
    assert await heard(folder, way, a_message(1)) == sent


async def test_u_01_what_somebody_says_ends_no_sequence(folder: Path) -> None:
    sent = await heard(folder, "osc9", a_message(1, "a\x1b\\\x07\x9c;\u202eb"))
    assert sent.startswith("\x1b]9;securechat: @bob: ")
    assert sent.endswith("\x1b\\")
    assert not set(sent[4:-2]) & set("\x07\x1b\x9c;\u202e")


async def test_what_comes_too_fast_is_told_as_a_number(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later: list[Callable[[], None]] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_later", lambda _seconds, tell: later.append(tell))
    surface = Edited()
    telling = as_set(folder, "osc9")(own_face(Drafting()), surface)
    monkeypatch.undo()
    for number in range(5):
        await telling.heard(a_message(number + 1))
    (tell_rest,) = later
    tell_rest()
    assert (surface.rang, surface.heard) == (2, "\x1b]9;securechat: 4 new messages\x1b\\")


def test_what_is_not_understood_is_refused_before_the_chat_opens(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "keys.toml").write_text('[screen]\nnotify = "trumpet"\n')
    with pytest.raises(BadKeys):
        as_set(folder)
    (folder / "keys.toml").unlink()
    monkeypatch.setattr("securechat.tui.settings.find_spec", lambda _name: None)
    home = ["--home", str(folder)]
    assert run(["chat", "alice", "--line", "--notify", "desktop", *home]) == ExitCode.USAGE
    assert "securechat[desktop]" in capsys.readouterr().err
