"""A screen on a fake client, driven by keys; what it shows as plain text."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC
from itertools import count
from pathlib import Path
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Input

from securechat.cli.show import event_text
from securechat.client.events import Event
from securechat.tui.app import ChatApp
from securechat.tui.bridge import Bridge
from securechat.tui.chat_screen import ChatScreen
from securechat.tui.composer import Composer, When
from securechat.tui.keys import keymap
from securechat.tui.settings import Chosen, Settings
from tests.tui.fake import FakeClient

PATIENCE = 20
"""Seconds until what is not seen is a failure: the client's thread has to get its turn, too."""


@dataclass
class Driven:
    """A running screen."""

    app: ChatApp
    pilot: Pilot[Any]
    client: FakeClient

    @property
    def chat(self) -> ChatScreen:
        return next(screen for screen in self.app.screen_stack if isinstance(screen, ChatScreen))

    def rows(self) -> list[str]:
        """Return what is on the screen, row by row."""
        strips = self.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    def text(self) -> str:
        return "\n".join(self.rows())

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def type(self, text: str) -> None:
        """Put text where the cursor is, faster than keys do."""
        match self.app.screen.focused:
            case Composer() as composer:
                composer.add(text)
            case Input() as field:
                field.insert_text_at_cursor(text)
            case other:
                raise AssertionError(other)
        await self.pilot.pause()

    async def until(self, seen: Callable[[], Any]) -> None:
        """Let the screen go on until something holds."""
        given_up = time.monotonic() + PATIENCE
        while not seen():
            if time.monotonic() > given_up:
                raise AssertionError(self.text())
            await self.pilot.pause(0.01)

    async def sees(self, text: str) -> None:
        await self.until(lambda: text in self.text())

    async def happen(self, event: Event) -> None:
        """The client tells something."""
        await self.app.bridge.ask(lambda _: self.client.happen(event))


def spaced() -> When:
    """A second between one key and the next: a person's, however fast a machine presses them."""
    moments = count(1)
    return lambda _: float(next(moments))


@asynccontextmanager
async def driven(
    client: FakeClient,
    *,
    size: tuple[int, int] = (80, 24),
    settings: Settings | None = None,
    keys: dict[str, object] | None = None,
    folder: Path = Path("/nonexistent"),
    clock: Callable[[], float] = time.monotonic,
    when: When | None = None,
) -> AsyncIterator[Driven]:
    """Run a screen as `start.run` does, without a terminal."""
    chosen = Chosen(settings or Settings(), keymap(keys or {}))
    bridge = Bridge(client.opened, client.commanded, "right")
    bridge.start()
    bridge.wait_ready(10)
    app = ChatApp(
        bridge,
        chosen,
        user="alice",
        profile=folder,
        opened=client.opened,
        commanded=client.commanded,
        words=event_text,
        zone=UTC,
        clock=clock,
        when=when or spaced(),
    )
    try:
        async with app.run_test(size=size) as pilot:
            screen = Driven(app, pilot, client)
            await screen.until(lambda: client.news is not None and screen.chat.timeline.size.width)
            await screen.until(lambda: screen.chat.talk.current or not client.rooms)
            # What is pressed before the first page is there is about no message of it.
            talk = screen.chat.talk
            await screen.until(lambda: talk.window.messages or not client.said.get(talk.current))
            await pilot.pause()
            yield screen
    finally:
        app.bridge.close_now()
