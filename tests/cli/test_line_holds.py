"""Who writes where nothing is sent now is told that it is kept, and why it waits (D-04)."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from msgspec import structs

from securechat.cli.line_mode import LineMode
from securechat.client.events import Conversation, Held, Message, MessageState, Released, Standing
from tests.client.holder import a_conversation, a_message

CHANGED = "the keys of bob have changed; nothing is sent until you /accept them"


class Holding:
    """An account in which @bob is on hold from the start, and others come to be when they are written to."""

    def __init__(self, code: str = "identity_changed", late: str = "") -> None:
        self.code = code
        self.late = late
        self.looks: list[str] = []
        self.kept: list[str] = []
        self.holds: Any = None

    async def conversation(self, name: str) -> Conversation:
        self.looks.append(name)
        found = a_conversation(name)
        if name != "@bob":
            return found
        return structs.replace(found, state=Standing.HELD, held_code=self.code, held_text=CHANGED)

    async def send(self, to: str, text: str) -> Message:
        self.kept.append(text)
        if to == self.late:
            self.holds.happened(Held(to, "not_verified", "nothing is sent here"))
        state = MessageState.SENT if to == "@carol" else MessageState.QUEUED
        return structs.replace(a_message(len(self.kept), text, state), conversation=to, own=True)

    async def drained(self, seconds: float) -> bool:
        return seconds < 0

    async def events(self) -> AsyncIterator[Any]:
        return self._none()

    async def _none(self) -> AsyncIterator[Any]:
        return
        yield

    async def unshown(self, limit: int) -> list[Message]:
        del limit
        return []


class Page:
    def __init__(self, *lines: str) -> None:
        self.typed = lines
        self.lines_told: list[str] = []

    async def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        del prompt
        for line in self.typed:
            yield line

    def tell(self, text: str) -> None:
        self.lines_told.append(text)

    show = tell


async def chatted(account: Holding, *lines: str, piped: bool = True) -> tuple[int, list[str]]:
    face: Any = account
    page = Page(*lines)
    mode = LineMode(face, page, user="alice", piped=piped)
    account.holds = mode._holds
    return await mode.run(page.lines), page.lines_told


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        ("identity_changed", 4),
        ("other_keys", 4),
        ("not_verified", 4),
        ("suite_forbidden", 6),
        ("restored_gap", 3),
    ],
)
async def test_what_is_written_to_a_conversation_on_hold_is_kept_and_said_to_wait(
    code: str, ends: int
) -> None:
    account = Holding(code)

    exit_code, told = await chatted(account, "@bob: one", "@carol: two", "@bob: three")

    assert told[:2] == [f"* kept here, and not sent to @bob before that is settled: {CHANGED}"] * 2
    assert account.kept == ["one", "two", "three"]
    assert account.looks == ["@bob"], "once: what comes later is told by events"
    assert exit_code == ends


async def test_a_hold_that_begins_with_what_was_written_is_the_exit_code() -> None:
    account = Holding(late="#team")

    exit_code, told = await chatted(account, "#team: one")

    assert exit_code == 4
    assert told[0].startswith("* kept here, and not sent to #team")


async def test_what_went_on_waits_for_nobody() -> None:
    account = Holding()
    face: Any = account
    mode = LineMode(face, Page(), user="alice", piped=True)
    await mode.take("@bob: one", "")
    mode._holds.happened(Released("@bob"))

    assert mode._holds.exit_code == 0
    assert await mode._holds.wrote(await account.send("@bob", "two")) == 0


async def test_what_waits_for_the_line_alone_is_sent_later() -> None:
    exit_code, told = await chatted(Holding(), "@dan: one")

    assert exit_code == 75
    assert "goes out at the next connection" in told[0]
