import asyncio
import io
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from msgspec import structs

from securechat.cli.line_mode import LineMode
from securechat.cli.lines import MAX_LINE_BYTES, NOT_TEXT
from securechat.cli.surface import PlainSurface
from securechat.client.errors import CannotUpgrade
from securechat.client.events import Event, Typing
from securechat.client.face import own_face


class SilentSurface:
    """A person who never types."""

    async def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        await asyncio.Event().wait()
        yield prompt()

    def show(self, text: str) -> None:
        raise AssertionError(text)

    def tell(self, text: str) -> None:
        raise AssertionError(text)


class BrokenClient:
    """A client whose messages cannot be read any more."""

    def events(self, *, late: bool = False) -> Any:  # noqa: ARG002 - Client's
        return self

    def unshown(self, limit: int) -> list[Any]:
        raise ZeroDivisionError(limit)


async def test_a_chat_that_can_show_nothing_more_ends_and_says_why() -> None:
    surface = SilentSurface()
    chat = LineMode(own_face(BrokenClient()), surface, user="alice", piped=False)

    with pytest.raises(ZeroDivisionError):
        async with asyncio.timeout(20):
            await chat.run(surface.lines)


@pytest.mark.parametrize("length", [MAX_LINE_BYTES, MAX_LINE_BYTES + 5, 3 * MAX_LINE_BYTES])
async def test_the_rest_of_a_line_that_is_too_long_is_no_line(
    length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is refused must not be sent in pieces, to whoever was addressed last."""
    typed = io.BytesIO(b"first\n" + b"x" * length + b"\nlast\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(typed))

    lines = [line async for line in PlainSurface().lines(lambda: "")]

    assert lines == ["first", NOT_TEXT, "last"]


class TypingSurface:
    """A person who types some lines, and what is told to them."""

    def __init__(self, *lines: str) -> None:
        self.typed = lines
        self.told: list[str] = []

    async def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        for line in self.typed:
            yield line
            prompt()

    def show(self, text: str) -> None:
        raise AssertionError(text)

    def tell(self, text: str) -> None:
        self.told.append(text)


class UpgradingClient:
    """A client that notes what it is to upgrade, and cannot upgrade #large."""

    def __init__(self) -> None:
        self.upgraded: list[str] = []

    def events(self, *, late: bool = False) -> Any:  # noqa: ARG002 - Client's
        return self

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        await asyncio.Event().wait()

    def unshown(self, limit: int) -> list[Any]:
        del limit
        return []

    async def drained(self, seconds: float) -> bool:
        return seconds > 0

    async def upgrade(self, name: str) -> None:
        if name == "#large":
            raise CannotUpgrade("#large stays as it is")
        self.upgraded.append(name)


async def test_a_conversation_is_upgraded_by_name_or_as_the_one_addressed() -> None:
    client = UpgradingClient()
    surface = TypingSurface("/upgrade", "/upgrade @bob", "#team", "/upgrade", "/upgrade #large")

    code = await LineMode(own_face(client), surface, user="alice", piped=True).run(surface.lines)

    assert client.upgraded == ["@bob", "#team"]
    assert surface.told == [
        "* usage: /upgrade [@user|#room]",
        "* talking to #team",
        "* #large stays as it is",
    ]
    assert code == 1


class Happening:
    """A client to which things happen: each is told to the end before the next line is typed."""

    def __init__(self) -> None:
        self._happened: asyncio.Queue[Event] = asyncio.Queue()

    async def happen(self, *events: Event) -> None:
        for event in events:
            self._happened.put_nowait(event)
        await self._happened.join()

    async def events(self, *, late: bool = False) -> AsyncIterator[Event]:
        del late
        while True:
            yield await self._happened.get()
            self._happened.task_done()

    def unshown(self, limit: int) -> list[Any]:
        del limit
        return []

    async def drained(self, seconds: float) -> bool:
        return seconds > 0


@pytest.mark.parametrize("begun", [False, True])
async def test_who_types_is_said_when_it_was_asked_for(*, begun: bool) -> None:
    client, surface = Happening(), TypingSurface()
    bob, carol = Typing("@bob", "bob", on=True), Typing("#team", "carol", on=True)

    async def typed(prompt: Callable[[], str]) -> AsyncIterator[str]:
        del prompt
        await client.happen(bob)
        yield "/typing show"
        await client.happen(carol, structs.replace(carol, on=False))
        yield "/typing hide"
        await client.happen(carol)

    await LineMode(own_face(client), surface, user="alice", piped=False, typing=begun).run(typed)

    assert surface.told == [
        *(["* @bob types"] if begun else []),
        "* this chat says who types",
        "* @carol types in #team",
        "* this chat does not say who types",
    ]
