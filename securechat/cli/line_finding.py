"""Slash commands that find and keep: the line mode's, one function each.

Each gets the account, where to print, the command and the conversation that is talked to; it
returns the sentence of what was wrong with the command, if anything was.
"""

from collections.abc import Awaitable, Callable
from datetime import date
from typing import Final, get_args

from securechat.cli.known import contact_text, device_text
from securechat.cli.line_devices import own_devices_here
from securechat.cli.show import message_text
from securechat.cli.surface import Output
from securechat.client.commands import COMMANDS, Command
from securechat.client.events import Message, Notify
from securechat.client.face import Face
from securechat.locale.catalogue import say, tr

FOUND: Final = 20
"""Messages that one search shows: a screen of them."""

MOST: Final = 1000

Finding = Callable[[Face, Output, Command, str], Awaitable[str | None]]


def _usage(command: Command) -> str:
    return "usage: " + COMMANDS[command.name][0]


def _print(surface: Output, messages: list[Message]) -> None:
    for message in messages:
        surface.show(message_text(message))
        if message.id:
            surface.tell(f"  {message.id[:12]}")
    if not messages:
        surface.tell(f"* {tr('nothing')}")


async def _search(face: Face, surface: Output, command: Command, _target: str) -> str | None:
    if not command.rest:
        return _usage(command)
    found = await face.search(command.rest, limit=FOUND)
    _print(surface, found[::-1])  # the newest last, nearest to the next line that is typed
    return None


async def _history(face: Face, surface: Output, command: Command, target: str) -> str | None:
    names = [word for word in command.words if word[0] in "@#"] or [target]
    counts = [word for word in command.words if word[0] not in "@#"] or [str(FOUND)]
    if len(names) != 1 or not names[0] or len(counts) != 1 or not counts[0].isdecimal():
        return _usage(command)
    _print(surface, await face.timeline(names[0], limit=max(1, min(int(counts[0]), MOST))))
    return None


async def _date(face: Face, surface: Output, command: Command, target: str) -> str | None:
    names = [word for word in command.words if word[0] in "@#"] or [target]
    days = [word for word in command.words if word[0] not in "@#"]
    if len(names) != 1 or not names[0] or len(days) != 1:
        return _usage(command)
    try:
        day = date.fromisoformat(days[0])
    except ValueError:
        return "a day is written 2026-11-22"
    first = await face.at_date(names[0], day)
    # After 0 would mean: the last ones; it is nobody's number.
    _print(surface, await face.timeline(names[0], after=first - 1 or -1, limit=FOUND) if first else [])
    return None


async def _notify(face: Face, surface: Output, command: Command, target: str) -> str | None:
    ways: tuple[Notify, ...] = get_args(Notify)
    chosen = [how for how in ways if how in command.words]
    names = [word for word in command.words if word not in ways] or [target]
    if len(chosen) != 1 or len(names) != 1 or names[0][:1] not in {"@", "#"}:
        return _usage(command)
    await face.set_notify(names[0], chosen[0])
    surface.tell(f"* {say('{name} makes itself heard: {how}', name=names[0], how=chosen[0])}")
    return None


async def _bookmark(face: Face, surface: Output, command: Command, _target: str) -> str | None:
    if len(command.words) == 1 and command.words[0] != "off":
        message = await face.bookmark(command.words[0])
    elif len(command.words) == 2 and command.words[1] == "off":
        message = await face.bookmark(command.words[0], on=False)
    else:
        return _usage(command)
    surface.show(message_text(message))
    return None


async def _bookmarks(face: Face, surface: Output, _command: Command, _target: str) -> str | None:
    _print(surface, (await face.bookmarks(FOUND))[::-1])
    return None


async def _mentions(face: Face, surface: Output, _command: Command, _target: str) -> str | None:
    _print(surface, (await face.mentions(FOUND))[::-1])
    return None


async def _contacts(face: Face, surface: Output, _command: Command, _target: str) -> str | None:
    for contact in await face.contacts():
        surface.tell(contact_text(contact))
    return None


async def _devices(face: Face, surface: Output, command: Command, _target: str) -> str | None:
    done = await own_devices_here(face, surface, command)
    if done is not None:
        return done or None
    for device in await face.devices(command.words[0] if command.words else None):
        surface.tell(device_text(device))
    return None


FINDING: Final[dict[str, Finding]] = {
    "search": _search,
    "history": _history,
    "date": _date,
    "notify": _notify,
    "bookmark": _bookmark,
    "bookmarks": _bookmarks,
    "mentions": _mentions,
    "contacts": _contacts,
    "devices": _devices,
}
"""By the command's canonical name."""
