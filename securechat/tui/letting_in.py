"""Letting in a new device from the screen, or removing one: what needs the password, asked for here."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from textual.app import App

from securechat.client.offering import offer_lines
from securechat.client.own_devices import NOT_REMOVED, REMOVING, meant, own_device_text, removed_text
from securechat.locale.catalogue import say, tr
from securechat.tui.bridge import Bridge
from securechat.tui.dialogs import Prompt
from securechat.tui.message_lines import clock
from securechat.tui.paint import Role
from securechat.tui.talk import Talk
from securechat.tui.wrap import clean


class Doorkeeper(Protocol):
    """The screen, as far as this needs it."""

    bridge: Bridge
    talk: Talk

    @property
    def app(self) -> "App[Any]": ...

    @property
    def run(self) -> Callable[[Coroutine[Any, Any, None]], None]: ...


def let_in(host: Doorkeeper, code: str) -> None:
    """Let in the device that shows this code, if the person gives the password."""
    host.run(_let_in(host, code))


def take_off(host: Doorkeeper, typed: str) -> None:
    """Remove a device of the account, if the person gives the password."""
    host.run(_take_off(host, typed.strip('"')))


async def _take_off(host: Doorkeeper, typed: str) -> None:
    device = meant(await host.bridge.ask(lambda client: client.own_devices()), typed)
    words = f"{own_device_text(device, clock)}\n{tr(REMOVING)}"
    password = await host.app.push_screen_wait(Prompt(words, secret=True))
    if not password:
        host.talk.tell(f"* {tr(NOT_REMOVED)}", Role.WARN)
        return
    done = await host.bridge.ask(lambda client: client.revoke_device(device.device, password))
    out = done.conversations - done.left
    text = removed_text(device.name or device.device[:8], out=out, conversations=done.conversations)
    host.talk.tell(f"* {clean(text)}")


async def _let_in(host: Doorkeeper, code: str) -> None:
    if not code:
        typed: str | None = await host.app.push_screen_wait(Prompt(tr("The code on the new device")))
        code = typed or ""
    if not code:
        return
    offer = await host.bridge.ask(lambda client: client.link_offer(code))
    words = [*offer_lines(offer, clock(offer.asked)), tr("Your password, to let it in (Enter alone: no)")]
    password = await host.app.push_screen_wait(Prompt("\n".join(words), secret=True))
    if not password:
        await host.bridge.ask(lambda client: client.decline_link(offer.number))
        host.talk.tell(f"* {tr('It was not let in.')}", Role.WARN)
        return
    await host.bridge.ask(lambda client: client.approve_link(offer.number, password))
    host.talk.tell(f"* {clean(say('{name} is linked now', name=offer.name))}")
