"""Slash commands that find and keep: what each asks of the account, and what it prints."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from securechat.cli.line_finding import FINDING
from securechat.client.commands import COMMANDS, Command, read_line
from securechat.client.events import Contact, DeviceInfo, Message, MessageState

MESSAGE = Message(
    id="01abcdef" * 8,
    local_id=7,
    conversation="@bob",
    sender="bob",
    own=False,
    text="hello",
    timestamp=0,
    sequence=1,
    epoch=1,
    state=MessageState.RECEIVED,
    verified="known",
)
NUMBER = "11111 22222 33333"


class Account:
    """Notes what it is asked, and answers with one message."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        async def verb(*given: Any, **named: Any) -> Any:
            self.asked.append((name, *given, *named.values()))
            return {
                "bookmark": MESSAGE,
                "contacts": [
                    Contact(
                        user="bob",
                        verified=True,
                        changed=False,
                        since=1,
                        safety_number=NUMBER,
                        conversations=("@bob",),
                    )
                ],
                "devices": [DeviceInfo(user="bob", device="x", own=False, this=False, conversations=())],
            }.get(name, [MESSAGE])

        return verb


class Page:
    """What was printed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def show(self, text: str) -> None:
        self.lines.append(text)

    tell = show


async def typed(line: str, target: str = "@bob", account: Account | None = None) -> tuple[Any, Page, Account]:
    command = read_line(line)
    assert isinstance(command, Command)
    page: Any = Page()
    account = account or Account()
    face: Any = account
    return await FINDING[command.name](face, page, command, target), page, account


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ('/search lunch "at noon"', ("search", 'lunch "at noon"', 20)),
        ("/lastlog lunch", ("search", "lunch", 20)),
        ("/history", ("timeline", "@bob", 20)),
        ("/history #team 5", ("timeline", "#team", 5)),
        ("/history 999999", ("timeline", "@bob", 1000)),
        ("/mentions", ("mentions", 20)),
        ("/bookmarks", ("bookmarks", 20)),
        ("/bookmark 01abcd", ("bookmark", "01abcd")),
        ("/bookmark 01abcd off", ("bookmark", "01abcd", False)),
        ("/notify mute", ("set_notify", "@bob", "mute")),
        ("/notify #team mentions", ("set_notify", "#team", "mentions")),
        ("/contacts", ("contacts",)),
        ("/devices", ("devices", None)),
        ("/devices #team", ("devices", "#team")),
    ],
)
async def test_a_command_asks_for_what_was_typed(line: str, asked: tuple[Any, ...]) -> None:
    mistake, page, account = await typed(line)

    assert mistake is None
    assert account.asked == [asked]
    assert page.lines


@pytest.mark.parametrize(
    "line",
    [
        "/search",
        "/history many",
        "/history @bob @carol",
        "/bookmark",
        "/bookmark off",
        "/bookmark x y",
        "/notify",
        "/notify loud",
        "/notify all mute",
        "/notify #a #b mute",
        "/date",
        "/date 2026-11-22 2026-11-23",
    ],
)
async def test_a_slip_is_told_how_it_is_typed_and_nothing_is_asked(line: str) -> None:
    mistake, page, account = await typed(line)

    assert mistake == "usage: " + COMMANDS[line[1:].split(maxsplit=1)[0]][0]
    assert (page.lines, account.asked) == ([], [])


@pytest.mark.parametrize("line", ["/history", "/notify mute"])
async def test_without_somebody_to_talk_to_a_name_is_needed(line: str) -> None:
    mistake, _page, account = await typed(line, target="")

    assert mistake is not None
    assert account.asked == []


class Dated(Account):
    """An account whose conversations begin at a number."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first

    async def at_date(self, name: str, day: date) -> int:
        self.asked.append(("at_date", name, day))
        return self.first


@pytest.mark.parametrize(("first", "after"), [(7, 6), (1, -1), (-3, -4)])
async def test_a_day_is_shown_from_its_first_message_on(first: int, after: int) -> None:
    _, page, account = await typed("/goto 2026-11-22 #team", account=Dated(first))

    assert account.asked == [("at_date", "#team", date(2026, 11, 22)), ("timeline", "#team", after, 20)]
    assert page.lines[0].endswith("@bob: hello")


async def test_after_the_last_day_there_is_nothing() -> None:
    mistake, page, _ = await typed("/date 2026-11-22", account=Dated(0))
    assert (mistake, page.lines) == (None, ["* nothing"])
    assert (await typed("/date tomorrow"))[0] == "a day is written 2026-11-22"


async def test_what_is_found_stands_with_its_id_the_newest_last() -> None:
    _, page, _ = await typed("/search hello")

    assert page.lines[0].endswith("@bob: hello")
    assert page.lines[1] == "  01abcdef01ab"


def test_every_command_of_these_is_in_the_help() -> None:
    assert set(FINDING) <= set(COMMANDS)
