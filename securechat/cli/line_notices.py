"""How a chat by lines makes itself heard: as the full screen does, with the same settings."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from msgspec import structs

from securechat.cli.surface import Output, Ringing
from securechat.client.events import Message
from securechat.client.face import Face
from securechat.folders import config_folder
from securechat.tui.notices import Crier, is_heard, notice_text
from securechat.tui.settings import Settings, load, needs_desktop


class LineNotices:
    """Tells a terminal of messages; where nobody can be rung, nothing."""

    def __init__(self, face: Face, surface: Output, settings: Settings) -> None:
        self._face = face
        self._settings = structs.replace(
            settings, do_not_disturb=False
        )  # a chat by lines is begun so, or not
        self._crier: Crier | None = None
        if isinstance(surface, Ringing):
            later = asyncio.get_running_loop().call_later
            self._crier = Crier(self._settings, surface.ring, later=later)

    async def heard(self, message: Message) -> None:
        """Make a message of somebody else heard, as it was chosen for its conversation."""
        if self._crier is None or message.own:
            return
        here = await self._face.conversation(message.conversation)
        if is_heard(message, here, looked_at=False, settings=self._settings):
            self._crier.hear(notice_text(message, self._settings))


def as_set(folder: Path | None, way: str = "") -> Callable[[Face, Output], LineNotices]:
    """Return how a chat begins to be heard: as the person has set it, or in this way; if neither, by a bell.

    :param folder: the profile's; None: nothing was set
    :raises BadKeys: a file says something that is not understood
    """
    settings = Settings() if folder is None else load((config_folder("securechat"), folder)).settings
    chosen = way or settings.notify
    if chosen == "desktop":
        needs_desktop("chat")
    settings = structs.replace(settings, notify="bell" if chosen == "off" else chosen)
    return lambda face, surface: LineNotices(face, surface, settings)
