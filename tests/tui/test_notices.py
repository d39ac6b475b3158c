"""What makes itself heard, and what of it is told."""

import re
from base64 import b64decode, b64encode
from typing import Any

import pytest

from securechat.client.events import MessageReceived, MessageState
from securechat.tui import notices
from securechat.tui.notices import BELL, Herald, for_desktop, is_heard, notice_text, sequence
from securechat.tui.settings import Settings
from tests.tui.driving import driven
from tests.tui.fake import conversation, message, talk_of_two

LOUD = Settings()


@pytest.mark.parametrize(
    ("fields", "notify", "settings", "heard"),
    [
        ({}, "all", LOUD, True),
        ({}, "mentions", LOUD, False),
        ({"mentions_me": True}, "mentions", LOUD, True),
        ({"mentions_me": True}, "mute", LOUD, False),
        ({"own": True}, "all", LOUD, False),
        ({"state": MessageState.NOT_SHOWN}, "all", LOUD, False),
        ({"state": MessageState.UNREADABLE}, "all", LOUD, True),
        ({}, "all", Settings(do_not_disturb=True), False),
        ({}, "all", Settings(notify="off"), False),
    ],
)
def test_each_conversation_has_its_say(
    fields: dict[str, Any],
    notify: str,
    settings: Settings,
    heard: bool,  # noqa: FBT001 - a column of the table
) -> None:
    here = conversation("@bob", notify=notify)
    assert is_heard(message(1, "x", **fields), here, looked_at=False, settings=settings) is heard
    assert not is_heard(message(1, "x", **fields), here, looked_at=True, settings=settings)


def test_words_can_be_hidden() -> None:
    said = message(1, "secret\nplan", conversation="#team")
    assert notice_text(said, LOUD) == "@bob #team: secret plan"
    assert notice_text(said, Settings(hide_text=True)) == "a new message"


def test_each_way_has_its_sequence_and_tmux_hands_it_on() -> None:
    assert sequence("hi", LOUD, tmux=True) == "\a"
    assert sequence("hi", Settings(notify="osc9"), tmux=False) == "\x1b]9;securechat: hi\x1b\\"
    assert sequence("a;b", Settings(notify="osc777"), tmux=False) == (
        "\x1b]777;notify;securechat;securechat: a b\x1b\\"
    )
    assert sequence("hi", Settings(notify="osc9"), tmux=True) == (
        "\x1bPtmux;\x1b\x1b]9;securechat: hi\x1b\x1b\\\x1b\\"
    )
    assert sequence("hi", Settings(notify="desktop")) == ""


def test_kitty_gets_a_title_of_ours_and_words_that_are_part_of_no_sequence() -> None:
    """U-01: whatever is said, it is base64 of at most 2 KiB."""
    title = "\x1b]99;i=securechat:d=0:p=title;securechat\x1b\\"
    body = "\x1b]99;i=securechat:d=1:e=1:p=body;{}\x1b\\"
    osc99 = Settings(notify="osc99")
    assert sequence("hi; é", osc99, tmux=False) == title + body.format(
        b64encode("securechat: hi  é".encode()).decode()
    )
    long = sequence("\N{GRINNING FACE}\x1b]" * 5000, osc99, tmux=False)
    words = re.fullmatch(re.escape(title) + re.escape(body).replace("\\{\\}", "([A-Za-z0-9+/=]+)"), long)
    assert words is not None
    assert len(b64decode(words[1])) <= 2048
    assert b64decode(words[1]).decode().startswith("securechat: \N{GRINNING FACE}")
    through = sequence("hi", osc99, tmux=True)
    assert through.count("\x1bPtmux;") == 2
    assert through.replace("\x1bPtmux;", "").replace("\x1b\x1b", "\x1b").count("\x1b]99;") == 2


async def test_what_is_not_in_view_is_heard_and_what_is_is_not() -> None:
    async with driven(talk_of_two()) as screen:
        told: list[str] = []
        screen.chat._hear = told.append
        await screen.happen(MessageReceived(message(90, "seen")))
        await screen.sees("seen")
        await screen.happen(MessageReceived(message(91, "unseen", conversation="#team")))
        await screen.until(lambda: told)
        assert told == ["@bob #team: unseen"]
        await screen.press("f5")
        await screen.sees("do not disturb")
        await screen.happen(MessageReceived(message(92, "quiet", conversation="#team")))
        await screen.happen(MessageReceived(message(93, "marker")))
        await screen.sees("marker")
        assert told == ["@bob #team: unseen"]


async def test_a_desktop_that_takes_nothing_is_no_end_of_the_chat(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(_: str) -> None:
        raise OSError("no bus")

    monkeypatch.setattr(notices, "on_desktop", fails)
    async with driven(talk_of_two(), settings=Settings(notify="desktop")) as screen:
        written: list[str] = []
        monkeypatch.setattr(screen.app.crier, "_write", written.append)
        await screen.happen(MessageReceived(message(91, "unseen", conversation="#team")))
        await screen.until(lambda: written == [BELL])
        assert screen.app.is_running


def test_who_writes_fast_rings_once_a_second() -> None:
    now = [10.0]
    herald = Herald(lambda: now[0])
    assert herald.take("one") == "one"
    assert [herald.take(text) for text in ("two", "three", "four")] == ["", "", ""]
    now[0] = 11.0
    assert herald.take("five") == "", "what waits is told first"
    assert herald.rest() == "4 new messages"
    assert herald.rest() == ""
    assert herald.take("six") == ""
    now[0] = 12.0
    assert herald.rest() == "six"
    now[0] = 13.0
    assert herald.take("seven") == "seven"


async def test_a_flood_is_one_notification_and_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "NOTICE_SECONDS", 3600.0)
    now = [10.0]
    told: list[str] = []
    settings = Settings(notify="osc9")
    async with driven(talk_of_two(), settings=settings, clock=lambda: now[0]) as screen:
        monkeypatch.setattr(screen.app.crier, "_write", told.append)
        for at in range(50):
            await screen.happen(MessageReceived(message(100 + at, "hi", conversation="#team")))
        await screen.happen(MessageReceived(message(200, "marker")))
        await screen.sees("marker")
        now[0] = 11.0
        screen.app.crier.tell_rest()
        assert [one for one in told if "securechat" in one] == [
            "\x1b]9;securechat: @bob #team: hi\x1b\\",
            "\x1b]9;securechat: 49 new messages\x1b\\",
        ]


def test_a_desktop_that_reads_markup_gets_none() -> None:
    """U-02."""
    assert for_desktop('@bob: <b>&</b> "x"', "linux") == '@bob: &lt;b&gt;&amp;&lt;/b&gt; "x"'
    assert for_desktop("@bob: <b>", "darwin") == "@bob: <b>"
