"""Looking at a picture: found, fetched because somebody asks, decoded by another process, shown."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Protocol

from textual.app import App

from securechat.locale.catalogue import tr
from securechat.pictures.decoding import decoded_file
from securechat.pictures.showing import box_of
from securechat.tui.answers import Ways
from securechat.tui.bridge import Bridge
from securechat.tui.composer import Composer
from securechat.tui.paint import Role
from securechat.tui.picture_lines import picture_in
from securechat.tui.picture_view import PictureView, Write
from securechat.tui.settings import Settings
from securechat.tui.talk import Talk
from securechat.tui.timeline import Timeline
from securechat.tui.wrap import clean, cut


class Host(Protocol):
    """The screen, as far as this needs it."""

    bridge: Bridge
    talk: Talk
    settings: Settings
    write: Write
    drawing: Ways

    @property
    def app(self) -> "App[Any]": ...
    @property
    def timeline(self) -> Timeline: ...
    @property
    def composer(self) -> Composer: ...

    def run(self, work: Coroutine[Any, Any, None]) -> None: ...


def look_at(host: Host, which: str) -> None:
    """Show the picture of a message: the one named, else the chosen one's, else the last there is."""
    chosen = host.timeline.chosen_message()
    messages = host.talk.window.messages if which or chosen is None else [chosen]
    found = picture_in(messages, which)
    if found is None:
        text = tr("there is no picture in it") if which or chosen else tr("there is no picture here")
        host.talk.tell(f"* {text}", Role.WARN)
        return
    name = found.file.name if found.file is not None else ""

    async def looked() -> None:
        before = host.talk.current, host.composer.text
        drawing = await host.drawing(host.settings.pictures)
        size = host.app.size
        box, colours = box_of(drawing, columns=size.width - 2, rows=size.height - 3)
        path = await host.bridge.ask(lambda client: client.fetch_file(found.id))
        pixels = await asyncio.to_thread(decoded_file, Path(path), box=box, colours=colours)
        if before != (host.talk.current, host.composer.text):
            host.talk.tell(f"* {tr('the picture is here; /picture shows it')}: {cut(clean(name), 40)}")
            return  # it took a while: nothing covers what somebody does meanwhile
        await host.app.push_screen_wait(PictureView(name, pixels, drawing, host.write))

    host.run(looked())
