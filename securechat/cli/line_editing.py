"""The line that is being typed: its draft, its completion, the person's own editor for it.

Drafts are those of the full screen: one for each conversation, in the store, so what was begun in one
front end goes on in the other.
"""

import contextlib
from pathlib import Path
from typing import Final

from securechat.cli.surface import Editing, OnTerminal, Output
from securechat.client.commands import Command, Say, read_line
from securechat.client.events import Message
from securechat.client.face import Face
from securechat.errors import SecureChatError
from securechat.locale.catalogue import say, tr
from securechat.tui.editor import edited
from securechat.tui.emoji import with_emoji

KEEP_SECONDS: Final = 2.0
"""How much of what is typed a power cut takes: as in the full screen."""

MAX_NAMES: Final = 1000
"""Names at hand to complete from."""


class LineEditing:
    """What a line mode has of the line editor; without one drafts are there by command."""

    def __init__(self, face: Face, surface: Output, *, folder: Path | None) -> None:
        self._face = face
        self._surface = surface
        self._editor = surface if isinstance(surface, Editing) else None
        self._folder = folder
        self._target = ""
        self._stored: dict[str, str] = {}
        """What the store has, of the conversations that were talked to."""
        self._made = ""
        """Whose draft a command has made just now: what was typed to say so is none."""
        self._given_back = ""
        self._names: dict[str, None] = {}

    async def begin(self, target: str, *, left: str = "") -> None:
        """Make ready for the next line: what was begun for this conversation stands in it.

        :param left: where the line before this one was taken: it is no draft any more
        """
        if self._editor is None:
            return
        if self._stored.get(left) and self._made != left:
            await self._keep(left, "")
        self._target, self._made, given_back, self._given_back = target, "", self._given_back, ""
        self._editor.begin_with(given_back or (await self._draft(target) if target else ""))
        for conversation in await self._face.conversations():
            self._know(conversation.name, *(f"@{member.user}" for member in conversation.members))
        self._editor.complete_from(self._names)

    async def keep_on(self) -> None:
        """Keep what is typed, now and then, until it is cancelled."""
        import asyncio  # noqa: PLC0415 - a script's one command is done without an event loop

        while True:
            await asyncio.sleep(KEEP_SECONDS)
            await self.keep()

    async def keep(self) -> None:
        """Keep what is typed. What the account has against that is no matter of the person who types."""
        if self._editor is None:
            return
        to, typed = self._target, self._editor.typed()
        meant = read_line(typed)
        if not to and isinstance(meant, Say):
            to, typed = meant.target, meant.text
        if to and self._stored.get(to, "") != typed:
            with contextlib.suppress(SecureChatError):
                await self._keep(to, typed)

    def give_back(self, text: str) -> None:
        """What could not be sent stands in the next line."""
        self._given_back = text

    def meant(self, text: str) -> str:
        """Return a text as a person at a line editor means it: with signs for the short names of emoji."""
        return text if self._editor is None else with_emoji(text)

    def heard(self, message: Message) -> None:
        """Take note of names."""
        self._know(message.conversation, f"@{message.sender}")

    async def write(self, command: Command, target: str) -> str | None:
        """`/editor`: write what is said next in the person's own editor."""
        del command
        if self._editor is None or not isinstance(self._surface, OnTerminal) or self._folder is None:
            return "the editor needs a terminal with a line to edit"
        folder, found = self._folder, ""
        before = await self._draft(target) if target else ""

        def work() -> None:
            nonlocal found
            found = edited(before, folder)

        await self._surface.aside(work)
        if target:
            await self._make(target, found)
        self._given_back = found
        return None

    async def draft(self, command: Command, target: str) -> str | None:
        """`/draft`: say, keep or drop what was begun here and not sent."""
        if not target:
            return "whose draft? begin with @user or #room"
        match command.rest:
            case "":
                found = await self._draft(target)
                self._surface.tell(found or f"* {tr('no draft')}")
            case "off":
                await self._make(target, "")
                self._surface.tell(f"* {tr('no draft')}")
            case text:
                await self._make(target, text)
                self._surface.tell(f"* {say('kept for {name}; /draft shows it', name=target)}")
        return None

    async def _draft(self, target: str) -> str:
        self._stored[target] = await self._face.draft(target)
        return self._stored[target]

    async def _make(self, target: str, text: str) -> None:
        await self._keep(target, text)
        self._made = target

    async def _keep(self, target: str, text: str) -> None:
        await self._face.set_draft(target, text)
        self._stored[target] = text

    def _know(self, *names: str) -> None:
        self._names |= dict.fromkeys(names[: max(0, MAX_NAMES - len(self._names))])
