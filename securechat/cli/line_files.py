"""Files in the line mode: `/file` and `/download` go on while one talks."""

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from securechat.cli.show import moved_text
from securechat.cli.surface import Surface
from securechat.client.events import FileMoved, Message
from securechat.client.face import Face
from securechat.errors import SecureChatError

TOLD_EVERY: Final = 25
"""Per cent between two lines on how far a file is."""

WORTH_TELLING: Final = 4 * 1024 * 1024
"""Bytes of a file whose progress is told: smaller ones are there at once."""


class LineFiles:
    """The files that one chat sends and fetches. ``piped``: each is waited for before the next line."""

    def __init__(self, face: Face, surface: Surface, *, piped: bool) -> None:
        self._face = face
        self._surface = surface
        self._piped = piped
        self._tasks: set[asyncio.Task[None]] = set()
        self._told: dict[tuple[str, bool], int] = {}
        self.sent: set[int] = set()
        """Messages that this chat has made: it need not show them as somebody else's."""

    async def send(self, target: str, typed: str) -> None:
        """Send what was typed, or dropped onto the terminal: a path, and a caption after it."""
        path, caption = split(typed)
        self._surface.tell(f"* sending {path.name} to {target}")
        await self._do(self._send(target, path, caption))

    async def fetch(self, message: str, folder: str) -> None:
        to = str(Path(folder).expanduser().absolute()) if folder else ""  # noqa: ASYNC240 - looks at no disk
        await self._do(self._fetch(message, to))

    def moved(self, event: FileMoved) -> None:
        """Say now and then how far a large file is."""
        if self._piped or event.total < WORTH_TELLING:
            return
        key, step = (event.name, event.sending), 100 * event.done // event.total // TOLD_EVERY
        if step > self._told.get(key, 0) and event.done < event.total:
            self._told[key] = step
            self._surface.tell(f"* {moved_text(event)}")
        elif event.done == event.total:
            self._told.pop(key, None)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _do(self, work: Coroutine[Any, Any, None]) -> None:
        if self._piped:
            await work
            return
        task = asyncio.create_task(self._told_failure(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # cancelled before its first step

    async def _told_failure(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except SecureChatError as problem:
            self._surface.tell(f"* {problem}")

    async def _send(self, target: str, path: Path, caption: str) -> None:
        message: Message = await self._face.send_file(target, str(path), caption=caption)
        self.sent.add(message.local_id)
        self._surface.tell(f"* {path.name} is at the server; its message goes to {message.conversation}")

    async def _fetch(self, message: str, to: str) -> None:
        self._surface.tell(f"* saved as {await self._face.fetch_file(message, to=to)}")


def split(typed: str) -> tuple[Path, str]:
    """Return the path and the caption in what was typed: all of it a path, if there is such a file."""
    whole = Path(typed).expanduser().absolute()
    if whole.is_file():
        return whole, ""
    path, caption = _first_word(typed)
    return Path(path).expanduser().absolute(), caption


def _first_word(typed: str) -> tuple[str, str]:
    """The first word as a terminal spells a file that is dropped on it: in quotes, or spaces escaped."""
    if typed[:1] in {"'", '"'} and (end := typed.find(typed[0], 1)) > 0:
        return typed[1:end], typed[end + 1 :].strip()
    word, at = "", 0
    while at < len(typed) and not typed[at].isspace():
        at += typed[at] == "\\" and os.sep == "/" and at + 1 < len(typed)
        word, at = word + typed[at], at + 1
    return word, typed[at:].strip()
