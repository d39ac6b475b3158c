"""The line mode: a chat whose lines are done as they are typed, and whose events become lines."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Protocol

from securechat.cli.changes import changed_text, noted
from securechat.cli.line_commands import LineCommands
from securechat.cli.show import (
    Connection,
    event_text,
    message_text,
)
from securechat.cli.surface import Output, Typed
from securechat.client.events import (
    Connected,
    Disconnected,
    Event,
    FileMoved,
    Joined,
    Message,
    MessageAcknowledged,
    MessageChanged,
    MessageReceived,
    Notice,
    Typing,
    Undecryptable,
)
from securechat.client.face import Face

SHOWN_AT_ONCE: Final = 200
"""Messages between two marks: what a crash in between shows a second time."""

SEEN: Final = 20_000
"""Messages whose event may still wait to be told: twice what a listener keeps."""


class Noticing(Protocol):
    """Who makes messages heard."""

    async def heard(self, message: Message) -> None:
        """Make a message of somebody else heard, as it was chosen for its conversation."""
        ...


Beginning = Callable[[Face, Output], Noticing]
"""How a chat begins to be heard."""


class LineMode(LineCommands):
    """One person's chat.

    ``typing``: it says who begins to type, until `/typing hide`. ``notices``: how it makes itself heard,
    until `/dnd on`. The rest is as `LineCommands` has it.
    """

    def __init__(  # noqa: PLR0913 - how a chat may be
        self,
        face: Face,
        surface: Output,
        *,
        user: str,
        piped: bool,
        typing: bool = False,
        notices: Beginning | None = None,
        folder: Path | None = None,
        target: str = "",
    ) -> None:
        super().__init__(face, surface, user=user, piped=piped, folder=folder, target=target)
        self._shows_typing = typing
        self._rings = notices is not None
        self._begin = notices
        self._notices: Noticing | None = None
        self._folder = folder
        self._seen: dict[int, Message] = {}
        self._connection = Connection()

    async def run(self, typed: Typed) -> int:
        """Read and show until the person leaves or the input ends; return the exit code."""
        printing = asyncio.create_task(self._print_events())
        reading = asyncio.current_task()

        def ended(task: asyncio.Task[None]) -> None:
            if reading is not None and not task.cancelled() and task.exception() is not None:
                reading.cancel()  # nothing more would be shown: `await printing` below says why

        printing.add_done_callback(ended)
        keeping = asyncio.create_task(self._editing.keep_on())
        try:
            await self._editing.begin(self.target)
            async for line in typed(self._prompt):
                was = self.target
                if not await self._take(line):
                    break
                await self._editing.begin(self.target, left=was)
            return await self._part()
        finally:
            keeping.cancel()
            await self._editing.keep()
            await self._files.close()
            printing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await printing

    def _prompt(self) -> str:
        return f"{self.target or self._user}> "

    async def _print_events(self) -> None:
        events = await self._face.events()
        await self._show_waiting()
        async for event in events:
            if isinstance(event, FileMoved):
                self._files.moved(event)
            else:
                await self._print_event(event)

    async def _print_event(self, event: Event) -> None:
        self._holds.happened(event)
        match event:
            case MessageReceived(message=message):
                if message.local_id not in self._seen:
                    await self._show_waiting()
                if message.local_id not in self._seen:  # another chat of this account was faster
                    self._show([message])
                await self._ring(message)
                return
            case MessageAcknowledged(message=message):
                if message.local_id not in self._typed | self._files.sent:  # sent through another front end
                    self._surface.show(message_text(message))
                return
            case Undecryptable():
                text = None if await self._show_waiting() else event_text(event)
            case _:
                text = self._text_of(event)
        if text is not None:
            self._surface.tell(text)
        if isinstance(event, Joined) or (isinstance(event, Notice) and event.code == "events_dropped"):
            await self._show_waiting()

    def _text_of(self, event: Event) -> str | None:
        match event:
            case MessageChanged(message=message):
                before = self._seen.get(message.local_id)
                self._remember(message)
                return changed_text(before, message)
            case Connected() | Disconnected():
                return self._connection.text(event)
            case Typing() if not self._shows_typing:
                return None
            case _:
                return event_text(event)

    async def _ring(self, message: Message) -> None:
        if not self._rings:
            return
        self._make_heard()
        if self._notices is not None:
            await self._notices.heard(message)

    def _make_heard(self) -> None:
        if self._notices is not None:
            return
        from securechat.cli.line_notices import as_set  # noqa: PLC0415 - most chats by lines are silent

        begin = self._begin or as_set(self._folder)
        self._notices = begin(self._face, self._surface)

    async def _show_waiting(self) -> bool:
        """Show what no chat has shown yet, in the log's order, then mark it: at least once, should we die."""
        found = False
        while messages := await self._face.unshown(SHOWN_AT_ONCE):
            found = True
            self._show(messages)
            await self._face.mark_shown([message.local_id for message in messages])
        return found

    def _show(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._surface.show(message_text(message))
            self._remember(message)
            self._editing.heard(message)
            if not message.own and message.conversation != self.target:
                self._new[message.conversation] = self._new.get(message.conversation, 0) + 1

    def _remember(self, message: Message) -> None:
        self._seen[message.local_id] = noted(message)
        while len(self._seen) > SEEN:
            del self._seen[next(iter(self._seen))]
