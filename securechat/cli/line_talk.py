"""Slash commands that speak of what was said: the line mode's, one function each (as `line_finding`).

A message is named by the beginning of its id, as `/history` shows it; without one the last that
fits is meant.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Final

from securechat.cli.show import message_text
from securechat.cli.surface import Output, Redrawn
from securechat.client.commands import COMMANDS, Command
from securechat.client.events import Message, MessageKind
from securechat.client.face import Face
from securechat.locale.catalogue import say
from securechat.tui.emoji import with_emoji

Talking = Callable[[Face, Output, Command, str], Awaitable[str | None]]
Fits = Callable[[Message], bool]

LOOKED_BACK: Final = 200
"""Messages among which the last that fits is looked for."""

_ID: Final = re.compile(r"01[0-9a-f]{4,62}")
"""How an id begins: so that few words of a text pass for one."""

_SPAN: Final = re.compile(r"([1-9][0-9]{0,8})([smhdw])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_ON: Final = {"on": True, "off": False}


def _usage(command: Command) -> str:
    return "usage: " + COMMANDS[command.name][0]


def _split(command: Command) -> tuple[str, str]:
    """Return the id that a command begins with, if any, and the rest as it was typed."""
    first, _, rest = command.rest.partition(" ")
    return (first.lower(), rest.strip()) if _ID.fullmatch(first.lower()) else ("", command.rest)


async def _named(face: Face, target: str, typed: str, fits: Fits) -> str:
    """Return the id that was typed, or that of the last message that fits; empty if none does."""
    if typed:
        return typed
    page = await face.timeline(target, limit=LOOKED_BACK)
    return next((each.id for each in reversed(page) if each.id and not each.deleted and fits(each)), "")


def _show_changed(surface: Output, message: Message) -> None:
    """Show what a message is now, where it is not drawn anew by itself."""
    if not isinstance(surface, Redrawn):
        surface.show(message_text(message))


def _of_others(message: Message) -> bool:
    return not message.own


def _own_text(message: Message) -> bool:
    return message.own and message.kind is MessageKind.TEXT


async def _reply(face: Face, _surface: Output, command: Command, target: str) -> str | None:
    typed, text = _split(command)
    if not target or not text:
        return _usage(command)
    named = await _named(face, target, typed, _of_others)
    if not named:
        return "there is nothing to answer"
    await face.send(target, text, reply_to=named)
    return None


async def _edit(face: Face, surface: Output, command: Command, target: str) -> str | None:
    typed, text = _split(command)
    if not target or not text:
        return _usage(command)
    named = await _named(face, target, typed, _own_text)
    if not named:
        return "there is nothing of yours to change"
    _show_changed(surface, await face.edit(target, named, text))
    return None


async def _delete(face: Face, surface: Output, command: Command, target: str) -> str | None:
    typed, rest = _split(command)
    if not target or rest:
        return _usage(command)
    named = await _named(face, target, typed, lambda message: message.own)
    if not named:
        return "there is nothing of yours to withdraw"
    _show_changed(surface, await face.delete(target, named))
    return None


async def _react(face: Face, surface: Output, command: Command, target: str) -> str | None:
    typed, text = _split(command)
    sign, _, off = with_emoji(text).partition(" ")
    if not target or not sign or off not in {"", "off"}:
        return _usage(command)
    named = await _named(face, target, typed, _of_others)
    if not named:
        return "there is nothing to react to"
    _show_changed(surface, await face.react(target, named, sign, on=not off))
    return None


async def _poll(face: Face, _surface: Output, command: Command, target: str) -> str | None:
    question, *options = (part.strip() for part in command.rest.split("|"))
    if not target or not question or len(options) < 2:
        return _usage(command)
    await face.poll(target, question, options)
    return None


async def _vote(face: Face, surface: Output, command: Command, target: str) -> str | None:
    typed, rest = _split(command)
    numbers = [] if rest == "off" else rest.split()
    if not target or not rest or not all(each.isdecimal() and len(each) < 4 for each in numbers):
        return _usage(command)
    named = await _named(face, target, typed, lambda message: message.kind is MessageKind.POLL)
    if not named:
        return "there is no poll"
    _show_changed(surface, await face.vote(target, named, [int(each) for each in numbers]))
    return None


def _own_open_poll(message: Message) -> bool:
    return message.own and message.poll is not None and not message.poll.closed


async def _close(face: Face, surface: Output, command: Command, target: str) -> str | None:
    typed, rest = _split(command)
    if not target or rest:
        return _usage(command)
    named = await _named(face, target, typed, _own_open_poll)
    if not named:
        return "there is no open poll of yours"
    _show_changed(surface, await face.close_poll(target, named))
    return None


async def _thread(face: Face, surface: Output, command: Command, target: str) -> str | None:
    topic, said, text = (part.strip() for part in command.rest.partition("|"))
    if not target or not topic or bool(said) is not bool(text):
        return _usage(command)
    if text:
        await face.send(target, text, thread=topic)
        return None
    for message in await face.timeline(target, thread=topic):
        surface.show(message_text(message))
    return None


async def _expire(face: Face, _surface: Output, command: Command, target: str) -> str | None:
    names = [word for word in command.words if word[0] in "@#"] or [target]
    spans = [word.lower() for word in command.words if word[0] not in "@#"]
    span = _SPAN.fullmatch(spans[0]) if len(spans) == 1 else None
    if len(names) != 1 or not names[0] or (span is None and spans != ["off"]):
        return _usage(command)
    seconds = int(span[1]) * _SECONDS[span[2]] if span is not None else 0
    await face.set_expiry(names[0], seconds)
    return None


async def _receipts(face: Face, surface: Output, command: Command, _target: str) -> str | None:
    match command.words:
        case ():
            pass
        case ("read", ("on" | "off") as how):
            await face.set_receipts(read=_ON[how])
        case ("delivery", ("on" | "off") as how):
            await face.set_receipts(delivery=_ON[how])
        case (("on" | "off") as how,):
            await face.set_receipts(read=_ON[how], delivery=_ON[how])
        case _:
            return _usage(command)
    await _tell_signals(face, surface)
    return None


async def _typing(face: Face, surface: Output, command: Command, _target: str) -> str | None:
    if command.words:
        if len(command.words) != 1 or command.words[0] not in _ON:
            return _usage(command)
        await face.set_receipts(typing=_ON[command.words[0]])
    await _tell_signals(face, surface)
    return None


async def _tell_signals(face: Face, surface: Output) -> None:
    signals = (await face.receipts()).items()
    listed = ", ".join(f"{name} {'on' if on else 'off'}" for name, on in signals)
    surface.tell(f"* {say('people you have written to are told: {signals}', signals=listed)}")


TALKING: Final[dict[str, Talking]] = {
    "reply": _reply,
    "edit": _edit,
    "delete": _delete,
    "react": _react,
    "poll": _poll,
    "vote": _vote,
    "close": _close,
    "thread": _thread,
    "expire": _expire,
    "receipts": _receipts,
    "typing": _typing,
}
"""By the command's canonical name."""
