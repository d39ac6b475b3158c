"""`/devices` in the line mode, for the devices of one's own account: what the shell does, in a chat."""

from collections.abc import Awaitable, Callable
from typing import Final

import click

from securechat.cli.show import clock
from securechat.cli.surface import OnTerminal, Output
from securechat.client.commands import COMMANDS, Command
from securechat.client.face import Face
from securechat.client.offering import offer_lines
from securechat.client.own_devices import (
    NOT_REMOVED,
    REMOVING,
    device_and_name,
    meant,
    own_device_text,
    removed_text,
)
from securechat.locale.catalogue import say, tr

Doing = Callable[[Face, Output, str], Awaitable[str]]
"""Gets what was typed after its own word; returns what was wrong with it, if anything was."""


async def own_devices_here(face: Face, surface: Output, command: Command) -> str | None:
    """Do what the word after `/devices` says, if it is one of these; None if it is none."""
    word, _, rest = command.rest.partition(" ")
    if word not in _DOES:
        return None
    return await _DOES[word](face, surface, rest.strip())


def _usage() -> str:
    return "usage: " + COMMANDS["devices"][0]


async def _list(face: Face, surface: Output, typed: str) -> str:
    if typed:
        return _usage()
    for device in await face.own_devices():
        surface.tell(own_device_text(device, clock))
    return ""


async def _rename(face: Face, surface: Output, typed: str) -> str:
    device, name = device_and_name(typed)
    if not device or not name:
        return _usage()
    surface.tell(own_device_text(await face.rename_device(device, name), clock))
    return ""


async def _revoke(face: Face, surface: Output, typed: str) -> str:
    if not typed:
        return _usage()
    if not isinstance(surface, OnTerminal):
        return f"give it outside this chat: securechat devices USER revoke {typed}"
    device = meant(await face.own_devices(), typed.strip('"'))
    surface.tell(own_device_text(device, clock))
    password = await _password(surface, tr(REMOVING))
    if not password:
        surface.tell(f"* {tr(NOT_REMOVED)}")
        return ""
    done = await face.revoke_device(device.device, password)
    out = done.conversations - done.left
    text = removed_text(device.name or device.device[:8], out=out, conversations=done.conversations)
    surface.tell(f"* {text}")
    return ""


async def _approve(face: Face, surface: Output, typed: str) -> str:
    """Let in the device that shows a code.

    The password is typed where nothing else is read: on a terminal that can be borrowed for it.
    """
    if not typed or " " in typed:
        return _usage()
    if not isinstance(surface, OnTerminal):
        return f"give it outside this chat: securechat devices USER approve {typed}"
    offer = await face.link_offer(typed)
    for line in offer_lines(offer, clock(offer.asked)):
        surface.tell(f"* {line}")
    password = await _password(surface, tr("Your password, to let it in (Enter alone: no)"))
    if not password:
        await face.decline_link(offer.number)
        surface.tell(f"* {tr('It was not let in.')}")
        return ""
    await face.approve_link(offer.number, password)
    surface.tell(f"* {say('{name} is linked now', name=offer.name)}")
    return ""


async def _password(surface: OnTerminal, prompt: str) -> str:
    typed: list[str] = []
    await surface.aside(
        lambda: typed.append(
            str(click.prompt(prompt, default="", show_default=False, hide_input=True, err=True))
        )
    )
    return typed[0] if typed else ""


_DOES: Final[dict[str, Doing]] = {"list": _list, "approve": _approve, "rename": _rename, "revoke": _revoke}
"""By the word after `/devices`."""
