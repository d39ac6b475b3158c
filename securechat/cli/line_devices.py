"""`/devices approve CODE` in the line mode: what the command line asks for, asked beside the chat."""

import click

from securechat.cli.show import clock
from securechat.cli.surface import OnTerminal, Output
from securechat.client.commands import COMMANDS
from securechat.client.face import Face
from securechat.client.offering import offer_lines
from securechat.locale.catalogue import say, tr


async def approve_here(face: Face, surface: Output, words: tuple[str, ...]) -> str:
    """Let in the device that shows a code; return what was wrong with the command, if anything was.

    The password is typed where nothing else is read: on a terminal that can be borrowed for it.
    """
    if len(words) != 1:
        return "usage: " + COMMANDS["devices"][0]
    if not isinstance(surface, OnTerminal):
        return f"give it outside this chat: securechat devices USER approve {words[0]}"
    offer = await face.link_offer(words[0])
    for line in offer_lines(offer, clock(offer.asked)):
        surface.tell(f"* {line}")
    typed: list[str] = []
    prompt = tr("Your password, to let it in (Enter alone: no)")
    await surface.aside(
        lambda: typed.append(
            str(click.prompt(prompt, default="", show_default=False, hide_input=True, err=True))
        )
    )
    password = typed[0] if typed else ""
    if not password:
        await face.decline_link(offer.number)
        surface.tell(f"* {tr('It was not let in.')}")
        return ""
    await face.approve_link(offer.number, password)
    surface.tell(f"* {say('{name} is linked now', name=offer.name)}")
    return ""
