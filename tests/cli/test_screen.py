"""What the full screen is given: an account that is opened, and commands."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from securechat.cli import screen
from securechat.cli.options import Account
from securechat.cli.screen import Commands
from securechat.client import keystore
from securechat.client.client import Client
from securechat.client.errors import IdentityChanged, ProfileBusy, WrongPassword
from securechat.client.events import Conversation
from securechat.tui import start
from securechat.tui.backend import Opened
from tests.tui.fake import conversation


class SlowInvitations:
    """An account whose server takes its time with an invitation."""

    def __init__(self) -> None:
        self.asked, self.answers = asyncio.Event(), asyncio.Event()

    async def invite(self, room: str, user: str) -> None:
        del room, user
        self.asked.set()
        await self.answers.wait()

    async def create_room(self, name: str, **more: Any) -> Conversation:
        del more
        return conversation(name)


class Unreleasable:
    """An account that holds a conversation until somebody compares numbers."""

    async def release(self, name: str) -> None:
        raise IdentityChanged(name)


async def test_lines_that_are_done_at_a_time_each_lead_where_they_lead() -> None:
    """Q-07: an invitation that takes its time is still one of the conversation it was typed in."""
    face = SlowInvitations()
    commands = Commands("alice", cast(Any, face), print)

    inviting = asyncio.create_task(commands.take("/invite @carol #team", "@bob"))
    await face.asked.wait()
    assert await commands.take("/create #garden", "#team") == "#garden"
    face.answers.set()

    assert await inviting == "@bob"


async def test_a_hold_that_release_does_not_end_says_what_does() -> None:
    told: list[str] = []
    commands = Commands("alice", cast(Any, Unreleasable()), told.append)
    assert await commands.take("/release", "@bob") == "@bob"
    assert told == [f"* {IdentityChanged('@bob')}"]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Opened:
    """How the screen opens an account that another process holds, and hands out without a password."""
    given: list[Opened] = []

    @asynccontextmanager
    async def held(_: Account) -> AsyncIterator[str]:
        yield "held"

    async def is_busy(*_: Any, **__: Any) -> None:
        raise ProfileBusy("alice", 1)

    def unlock(_: Any, password: str) -> None:
        if password != "right":
            raise WrongPassword("alice")

    def run(opened: Opened, *_: Any, **__: Any) -> int:
        given.append(opened)
        return 0

    monkeypatch.setattr(screen, "keep_memory_to_itself", lambda: None)
    monkeypatch.setattr(screen, "held_face", held)
    monkeypatch.setattr(Client, "open", is_busy)
    monkeypatch.setattr(keystore, "unlock", unlock)
    monkeypatch.setattr(start, "run", run)
    assert screen.open_screen(an_account(tmp_path)) == 0
    return given[0]


def an_account(home: Path) -> Account:
    return Account(
        user="alice",
        home=home,
        server="localhost:1",
        cafile=None,
        fingerprint=None,
        accept_new=False,
        password_file=None,
        password_fd=None,
    )


async def yes(_: str) -> bool:
    return True


async def test_a_locked_screen_opens_with_the_password_alone_whoever_holds_the_account(
    opened: Opened,
) -> None:
    """L-04: an agent hands out what it holds without a password; a locked screen asks for it all the same."""
    held: Any
    async with opened("", yes) as held:
        assert held == "held"
    for wrong in ("", "left"):
        with pytest.raises(WrongPassword):
            async with opened(wrong, yes):
                pass
    async with opened("right", yes) as held:
        assert held == "held"
