"""Stopping a file on its way, from the screen: which one, and whether one is sure."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from textual.app import App

from securechat.client.events import Transfer
from securechat.locale.catalogue import tr
from securechat.tui.bridge import Bridge
from securechat.tui.dialogs import WIDTH, Choice, Chooser, Question
from securechat.tui.paint import Role, line
from securechat.tui.talk import Talk
from securechat.tui.wrap import clean, cut


class Stopper(Protocol):
    """The screen, as far as this needs it."""

    bridge: Bridge
    talk: Talk

    @property
    def app(self) -> "App[Any]": ...

    @property
    def run(self) -> Callable[[Coroutine[Any, Any, None]], None]: ...


def stop_one(host: Stopper) -> None:
    """Stop the file that is on its way, or the one that is chosen of several, if one is sure."""
    host.run(_stopped(host))


async def _stopped(host: Stopper) -> None:
    moving = await host.bridge.ask(lambda client: client.transfers())
    if not moving:
        host.talk.tell(f"* {tr('no file is on its way')}", Role.WARN)
        return
    number = moving[0].number if len(moving) == 1 else await _which(host, moving)
    chosen = next((one for one in moving if one.number == number), None)
    if chosen is not None and await _sure(host, chosen):
        await host.bridge.ask(lambda client: client.cancel_transfer(chosen.number))
        host.talk.tell(f"* {tr('stopped')}: {clean(chosen.name)}")


async def _which(host: Stopper, moving: Sequence[Transfer]) -> int:
    async def find(wanted: str) -> Sequence[Choice]:
        letters = wanted.strip().lower()
        return [
            Choice(str(one.number), line(clean(f"{one.name} {one.conversation}")))
            for one in moving
            if letters in one.name.lower()
        ]

    chosen = await host.app.push_screen_wait(Chooser(tr("Stop which file?"), find))
    return int(chosen) if chosen else 0


async def _sure(host: Stopper, chosen: Transfer) -> bool:
    question = f"{tr('Stop this file for good?')}\n{cut(clean(chosen.name), WIDTH - 8)}"
    sure: bool = await host.app.push_screen_wait(Question(question))
    return sure
