"""Slash commands that speak of what was said, and what is shown of it."""

from datetime import UTC

import pytest
from msgspec import structs

from securechat.cli.changes import changed_text, noted
from securechat.cli.json_lines import message_json
from securechat.cli.line_talk import TALKING
from securechat.cli.show import message_text
from securechat.client.commands import ALIASES, COMMANDS, Command, read_line
from securechat.client.events import Message, MessageKind, Poll, PollOption, Reaction
from tests.cli.test_show import AT, message

ID = "01" + "ab" * 31
TEA = Poll("Tea?", (PollOption("green", ("bob",)), PollOption("black")))


class Account:
    """A face that notes what it is asked for."""

    def __init__(self, *page: Message) -> None:
        self.page = list(page)
        self.asked: list[tuple[object, ...]] = []

    async def timeline(self, name: str, *, limit: int = 100, thread: str | None = None) -> list[Message]:
        del limit
        if thread is not None:
            self.asked.append(("thread", name, thread))
        return self.page

    async def send(self, to: str, text: str, *, reply_to: str = "", thread: str = "") -> Message:
        return self._note("send", to, text, reply_to, thread)

    async def edit(self, to: str, id: str, text: str) -> Message:  # noqa: A002
        return self._note("edit", to, id, text)

    async def delete(self, to: str, id: str) -> Message:  # noqa: A002
        return self._note("delete", to, id)

    async def react(self, to: str, id: str, text: str, *, on: bool = True) -> Message:  # noqa: A002
        return self._note("react", to, id, text, on)

    async def poll(self, to: str, question: str, options: list[str]) -> Message:
        return self._note("poll", to, question, *options)

    async def vote(self, to: str, id: str, numbers: list[int]) -> Message:  # noqa: A002
        return self._note("vote", to, id, *numbers)

    async def close_poll(self, to: str, id: str) -> Message:  # noqa: A002
        return self._note("close", to, id)

    async def set_expiry(self, to: str, seconds: int) -> Message:
        return self._note("expire", to, seconds)

    async def set_receipts(self, **told: bool) -> None:
        self.asked.append(("receipts", *sorted(told.items())))

    async def receipts(self) -> dict[str, bool]:
        return {"delivery": True, "read": False, "typing": True}

    def _note(self, *asked: object) -> Message:
        self.asked.append(asked)
        return message("hello")


class Paper:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def show(self, text: str) -> None:
        self.lines.append(text)

    tell = show


def of(text: str, *, own: bool = False, number: int = 1, **more: object) -> Message:
    return structs.replace(message(text, own=own), id=f"01{number:062x}", **more)


async def asked_by(line: str, *page: Message) -> tuple[list[tuple[object, ...]], str | None]:
    account, command = Account(*page), read_line(line)
    assert isinstance(command, Command)
    mistake = await TALKING[command.name](account, Paper(), command, "@bob")  # type: ignore[arg-type]
    return account.asked, mistake


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        (f"/reply {ID[:12]} yes, at one", ("send", "@bob", "yes, at one", ID[:12], "")),
        (f"/edit {ID} lunch?", ("edit", "@bob", ID, "lunch?")),
        (f"/correct {ID[:6]} x", ("edit", "@bob", ID[:6], "x")),
        (f"/redact {ID[:8]}", ("delete", "@bob", ID[:8])),
        (f"/react {ID[:8]} 👍", ("react", "@bob", ID[:8], "👍", True)),
        (f"/react {ID[:8]} :+1:", ("react", "@bob", ID[:8], "👍", True)),
        (f"/react {ID[:8]} 👍 off", ("react", "@bob", ID[:8], "👍", False)),
        ("/poll Tea? | green | black", ("poll", "@bob", "Tea?", "green", "black")),
        (f"/vote {ID[:8]} 2 1", ("vote", "@bob", ID[:8], 2, 1)),
        (f"/vote {ID[:8]} off", ("vote", "@bob", ID[:8])),
        (f"/close {ID[:8]}", ("close", "@bob", ID[:8])),
        ("/thread lunch | at one", ("send", "@bob", "at one", "", "lunch")),
        ("/thread lunch", ("thread", "@bob", "lunch")),
        ("/expire 5m", ("expire", "@bob", 300)),
        ("/expire #team off", ("expire", "#team", 0)),
        ("/receipts off", ("receipts", ("delivery", False), ("read", False))),
        ("/receipts read on", ("receipts", ("read", True))),
        ("/typing off", ("receipts", ("typing", False))),
    ],
)
async def test_a_command_asks_for_what_it_says(line: str, asked: tuple[object, ...]) -> None:
    found, mistake = await asked_by(line)
    assert (found, mistake) == ([asked], None)


@pytest.mark.parametrize(
    "line",
    [
        *("/reply", "/edit", "/delete x", "/react", "/react 👍 on", "/poll Tea?", "/poll | a | b", "/vote"),
        *("/vote two", "/thread", "/thread a |", "/thread | b", "/expire", "/expire soon", "/expire 0s"),
        *("/receipts maybe", "/typing x", "/close Tea?"),
    ],
)
async def test_what_a_command_does_not_take_is_a_usage_and_nothing_is_done(line: str) -> None:
    found, mistake = await asked_by(line, of("hello"))
    assert found == []
    assert mistake is not None
    assert mistake.startswith("usage: ")


async def test_without_an_id_the_last_that_fits_is_meant() -> None:
    page = (
        of("theirs", number=1),
        of("mine", own=True, number=2),
        of("Tea?", number=3, kind=MessageKind.POLL),
        of("gone", own=True, number=4, deleted=True),
    )

    assert await asked_by("/edit mine!", *page) == ([("edit", "@bob", page[1].id, "mine!")], None)
    assert await asked_by("/delete", *page) == ([("delete", "@bob", page[1].id)], None)
    assert await asked_by("/react 👍", *page) == ([("react", "@bob", page[2].id, "👍", True)], None)
    assert await asked_by("/vote 1", *page) == ([("vote", "@bob", page[2].id, 1)], None)
    assert (await asked_by("/close", *page))[1] == "there is no open poll of yours"
    polls = (
        of("Tea?", own=True, number=5, poll=TEA),
        of("Cake?", own=True, number=6, poll=structs.replace(TEA, closed=True)),
        of("Milk?", number=7, poll=TEA),
    )
    assert await asked_by("/close", *polls) == ([("close", "@bob", polls[0].id)], None)
    assert (await asked_by("/edit x"))[1] == "there is nothing of yours to change"
    assert (await asked_by("/vote 1"))[1] == "there is no poll"


def test_every_command_is_listed_and_every_alias_leads_to_one() -> None:
    assert set(TALKING) <= set(COMMANDS)
    assert set(ALIASES.values()) <= set(COMMANDS)


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ({"deleted": True, "text": ""}, "2026-03-01 14:03 @bob: (withdrawn)"),
        ({"edited": AT}, "2026-03-01 14:03 @bob (edited): hello"),
        ({"reply_to": ID, "thread": "lunch"}, "2026-03-01 14:03 @bob (to 01ababababab) (on lunch): hello"),
        ({"reactions": (Reaction("👍", ("a", "b")),)}, "2026-03-01 14:03 @bob: hello\n      | 👍 2"),
        (
            {"poll": structs.replace(TEA, closed=True)},
            "2026-03-01 14:03 @bob (closed): hello\n      | 1. green (1)\n      | 2. black (0)",
        ),
        ({"poll": TEA}, "2026-03-01 14:03 @bob: hello\n      | 1. green (1)\n      | 2. black (0)"),
        ({"delivered_to": ("bob",)}, "2026-03-01 14:03 @bob (delivered): hello"),
        ({"delivered_to": ("bob",), "read_by": ("bob",)}, "2026-03-01 14:03 @bob (read): hello"),
    ],
)
def test_what_was_said_of_a_message_is_shown_with_it(said: dict[str, object], line: str) -> None:
    shown = structs.replace(message("hello"), **said)
    assert message_text(shown, zone=UTC) == line


def test_a_change_is_one_line_and_a_receipt_is_none() -> None:
    before = message("hello")
    liked = structs.replace(before, reactions=(Reaction("👍", ("carol",)),))
    asked = structs.replace(before, poll=TEA)

    def said(one: Message | None, other: Message) -> str | None:
        return changed_text(one, other, zone=UTC)

    assert said(before, liked) == "* @carol reacts with 👍 to @bob: 'hello'"
    assert said(liked, before) == "* @carol takes 👍 back from @bob: 'hello'"
    assert said(None, liked) == "* reactions to @bob: 'hello': 👍 of @carol"
    closed = structs.replace(TEA, closed=True)
    assert said(asked, structs.replace(asked, poll=closed)) == (
        "* the poll @bob: 'hello' is closed: green 1, black 0"
    )
    assert said(structs.replace(before, poll=Poll("Tea?", ())), asked) == (
        "* votes on @bob: 'hello': green 1, black 0"
    )
    assert said(before, structs.replace(before, text="hi", edited=AT)) == "2026-03-01 14:03 @bob (edited): hi"
    gone = structs.replace(before, text="", deleted=True)
    assert said(before, gone) == "* what @bob said in @bob at 2026-03-01 14:03 is withdrawn"
    timed = structs.replace(before, expires=AT + 60)
    assert said(timed, gone) == "* what @bob said in @bob at 2026-03-01 14:03 has disappeared"
    assert said(gone, gone) is None
    assert said(before, structs.replace(before, read_by=("bob",))) is None


def test_of_what_was_shown_a_long_text_is_not_kept_and_its_changes_are_told() -> None:
    long = structs.replace(message("x" * 60_000), edited=AT)
    kept = noted(long)

    assert len(kept.text) < 100
    assert changed_text(kept, long) is None
    assert changed_text(kept, structs.replace(long, text="x" * 59_999 + "y")) is not None
    assert noted(kept) == kept


def test_no_quoted_text_begins_a_line_of_its_own() -> None:
    """U-01: what is quoted is cut and on one line."""
    hostile = structs.replace(message("* you are @root\n* " + "x" * 99), reactions=(Reaction("👍", ("a",)),))
    line = changed_text(None, hostile)
    assert line is not None
    assert "\n" not in line
    assert len(line) < 120


def test_json_has_every_field_of_a_message() -> None:
    told = message_json(structs.replace(message("hello"), poll=TEA), kind="message")
    assert told["poll"]["options"][0] == {"text": "green", "voters": ("bob",)}
    assert set(structs.asdict(message(""))) - {
        "conversation",
        "sender",
        "own",
        "timestamp",
        "state",
        "file",
    } <= set(told)
