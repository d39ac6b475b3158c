"""Files in the line mode: `/file` and `/download` go on while one talks."""

import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

from securechat.cli.line_talk import Talking
from securechat.cli.show import moved_text, transfer_text
from securechat.cli.surface import Output
from securechat.client.commands import COMMANDS, Command
from securechat.client.events import FileMoved, Message
from securechat.client.face import Face
from securechat.errors import SecureChatError
from securechat.locale.catalogue import mark, say, told

TOLD_EVERY: Final = 25
"""Per cent between two lines on how far a file is."""

WORTH_TELLING: Final = 4 * 1024 * 1024
"""Bytes of a file whose progress is told: smaller ones are there at once."""


LONGEST_NUMBER: Final = 10
"""Digits below which a number is one of a file on its way."""


class LineFiles:
    """The files that one chat sends and fetches. ``piped``: each is waited for before the next line."""

    def __init__(self, face: Face, surface: Output, *, piped: bool) -> None:
        self._face = face
        self._surface = surface
        self._piped = piped
        self._tasks: set[Any] = set()
        self._told: dict[tuple[str, bool], int] = {}
        self.sent: set[int] = set()
        """Messages that this chat has made: it need not show them as somebody else's."""

    async def send(self, target: str, typed: str) -> None:
        """Send what was typed, or dropped onto the terminal: a path, and a caption after it."""
        path, caption = split(typed)
        self._surface.tell(f"* {say('sending {file} to {name}', file=path.name, name=target)}")
        await self._do(self._send(target, path, caption))

    async def fetch(self, message: str, folder: str) -> None:
        to = str(Path(folder).expanduser().absolute()) if folder else ""  # noqa: ASYNC240 - looks at no disk
        await self._do(self._fetch(message, to))

    def moved(self, event: FileMoved) -> None:
        """Say now and then how far a large file is."""
        if self._piped or event.total < WORTH_TELLING:
            return
        key, step = (event.name, event.sending), 100 * event.done // event.total // TOLD_EVERY
        if not event.stopped and step > self._told.get(key, 0) and event.done < event.total:
            self._told[key] = step
            self._surface.tell(f"* {moved_text(event)}")
        elif event.stopped or event.done == event.total:
            self._told.pop(key, None)

    async def close(self) -> None:
        if not self._tasks:
            return
        import asyncio  # noqa: PLC0415 - see `_do`

        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _do(self, work: Coroutine[Any, Any, None]) -> None:
        if self._piped:
            await work
            return
        import asyncio  # noqa: PLC0415 - a script's one command is done without an event loop

        task = asyncio.create_task(self._told_failure(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())  # cancelled before its first step

    async def _told_failure(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except SecureChatError as problem:
            self._surface.tell(f"* {told(str(problem))}")

    async def _send(self, target: str, path: Path, caption: str) -> None:
        message: Message = await self._face.send_file(target, str(path), caption=caption)
        self.sent.add(message.local_id)
        done = say(
            "{file} is at the server; its message goes to {name}", file=path.name, name=message.conversation
        )
        self._surface.tell(f"* {done}")

    async def _fetch(self, message: str, to: str) -> None:
        path = await self._face.fetch_file(message, to=to)
        self._surface.tell(f"* {say('saved as {path}', path=path)}")


async def _cancel(face: Face, surface: Output, command: Command, _target: str) -> str | None:
    """Stop a file on its way: the one of this number, or the only one."""
    moving = await face.transfers()
    if not moving:
        return "no file is on its way"
    if not command.words and len(moving) > 1:
        for each in moving:
            surface.tell(transfer_text(each))
        return "several files are on their way: say the number of the one to stop"
    typed = command.words[0] if command.words else str(moving[0].number)
    if len(command.words) > 1 or not (typed.isascii() and typed.isdecimal() and len(typed) < LONGEST_NUMBER):
        return "usage: " + COMMANDS[command.name][0]
    gone = await face.cancel_transfer(int(typed))
    sent = mark("{file} is not sent; the server removes what it has, in its time at the latest")
    fetched = mark("{file} is not fetched; nothing of it is here")
    surface.tell(f"* {say(sent if gone.sending else fetched, file=gone.name)}")
    return None


MOVING: Final[dict[str, Talking]] = {"cancel": _cancel}
"""Commands for files on their way, by their canonical names (as `line_talk.TALKING`)."""


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
