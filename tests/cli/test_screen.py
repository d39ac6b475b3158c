"""What the full screen is given: an account that is opened, and commands."""

import asyncio
from typing import Any, cast

from securechat.cli.line_mode import LineMode
from securechat.cli.screen import Commands
from securechat.client.events import Conversation
from securechat.client.face import Face
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


class Told:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.tell = self.show = self.lines.append


async def test_lines_that_are_done_at_a_time_each_lead_where_they_lead() -> None:
    """Q-07: an invitation that takes its time is still one of the conversation it was typed in."""
    face = SlowInvitations()
    commands = Commands(LineMode(cast(Face, face), cast(Any, Told()), user="alice", piped=False))

    inviting = asyncio.create_task(commands.take("/invite @carol #team", "@bob"))
    await face.asked.wait()
    assert await commands.take("/create #garden", "#team") == "#garden"
    face.answers.set()

    assert await inviting == "@bob"
