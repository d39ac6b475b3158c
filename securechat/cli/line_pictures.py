"""Slash commands of pictures: the line mode's, one function each (as `line_finding`)."""

from pathlib import Path
from typing import Final

from securechat.cli.line_finding import Finding
from securechat.cli.pictures import draw
from securechat.cli.surface import OnTerminal, Output
from securechat.client.commands import COMMANDS, Command
from securechat.client.face import Face
from securechat.locale.catalogue import say

LOOKED_BACK: Final = 200
"""Messages among which the last picture is looked for."""


async def _picture(face: Face, surface: Output, command: Command, target: str) -> str | None:
    which = command.rest or await _last(face, target)
    if not which:
        return "there is no picture"
    place = Path(await face.fetch_file(which))
    if isinstance(surface, OnTerminal):
        await surface.aside(lambda: draw(place))
    else:
        saved = say("pictures are drawn on a terminal; it is saved as {path}", path=place)
        surface.tell(f"* {saved}")
    return None


async def _last(face: Face, target: str) -> str:
    """The id of the last picture of a conversation: what is one by its thumbnail, or says that it is."""
    for message in reversed(await face.timeline(target, limit=LOOKED_BACK) if target else []):
        file = message.file
        if file is not None and (file.thumbnail or file.content_type.startswith("image/")):
            return message.id
    return ""


async def _thumbnails(face: Face, surface: Output, command: Command, _target: str) -> str | None:
    if command.words not in {(), ("on",), ("off",)}:
        return "usage: " + COMMANDS[command.name][0]
    on = await face.thumbnails(on=command.words == ("on",) if command.words else None)
    how = say("small pictures go with the pictures you send: {how}", how="on" if on else "off")
    surface.tell(f"* {how}")
    return None


PICTURES: Final[dict[str, Finding]] = {"picture": _picture, "thumbnails": _thumbnails}
"""By the command's canonical name."""
