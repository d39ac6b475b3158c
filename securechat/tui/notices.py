"""What makes itself heard, how, and with how many words. Deciding is pure; writing is one function.

A notification's text goes to the terminal in a control sequence of ours, so it has passed the sanitiser
and holds nothing that could end it. It always begins with our own name: no sender can speak to a terminal
in the first characters of one (some read numbers there as commands).
"""

import asyncio
import os
import re
import sys
import time
from base64 import b64encode
from collections.abc import Callable
from html import escape
from typing import Final

from securechat.client.events import Conversation, Message, MessageState
from securechat.locale.catalogue import tr
from securechat.pictures.terminal import through
from securechat.tui.settings import Settings
from securechat.tui.summary import summary
from securechat.tui.wrap import clean, cut

BELL: Final = "\a"
MAX_TEXT: Final = 120
"""Cells of a notification: what a desktop shows of one."""

MAX_BYTES: Final = 2048
"""Of a part of kitty's sequence, before it is base64."""

NOTICE_SECONDS: Final = 1.0
"""Between one notification and the next: whoever writes faster rings no louder."""

_NOT_TOLD: Final = re.compile(r"[\x00-\x1f\x7f-\x9f;]")
"""What may stand in no sequence of ours: controls, and the sign that parts its fields."""


def is_heard(
    message: Message, conversation: Conversation | None, *, looked_at: bool, settings: Settings
) -> bool:
    """Whether a message makes itself heard.

    :param looked_at: it is in view, in a terminal that has the focus
    """
    if message.own or looked_at or settings.do_not_disturb or settings.notify == "off":
        return False
    if message.state not in {MessageState.RECEIVED, MessageState.UNREADABLE}:
        return False
    how = conversation.notify if conversation is not None else "all"
    return how == "all" or (how == "mentions" and message.mentions_me)


def notice_text(message: Message, settings: Settings) -> str:
    """What it says: who and where, and the words unless they are hidden."""
    if settings.hide_text:
        return tr("a new message")
    where = "" if message.conversation.startswith("@") else f" {clean(message.conversation)}"
    return cut(f"@{clean(message.sender)}{where}: {summary(message)}", MAX_TEXT)


def sequence(text: str, settings: Settings, *, tmux: bool = "TMUX" in os.environ) -> str:
    """Return what the terminal is sent; for ``desktop`` nothing."""
    told = "securechat: " + _NOT_TOLD.sub(" ", text)
    match settings.notify:
        case "bell":
            return BELL
        case "osc9":
            return through(f"\x1b]9;{told}\x1b\\", tmux=tmux)
        case "osc99":
            return "".join(through(part, tmux=tmux) for part in _of_kitty(told))
        case "osc777":
            return through(f"\x1b]777;notify;securechat;{told}\x1b\\", tmux=tmux)
        case _:
            return ""


class Herald:
    """Lets one notification out in a second; what comes faster is counted, and told as a number."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = float("-inf")
        self._waiting: list[str] = []

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def take(self, text: str) -> str:
        """Return what is told now, or nothing: then it waits for `rest`, a second later."""
        if self._waiting or self._clock() - self._last < NOTICE_SECONDS:
            self._waiting.append(text)
            return ""
        self._last = self._clock()
        return text

    def rest(self) -> str:
        """Return what waits: the one notification, or how many messages; nothing if nothing does."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return ""
        self._last = self._clock()
        return waiting[0] if len(waiting) == 1 else tr("{count} new messages").format(count=len(waiting))


class Crier:
    """Makes texts heard, in the way that the settings name, however fast they come."""

    def __init__(
        self,
        settings: Settings,
        write: Callable[[str], None],
        *,
        later: Callable[[float, Callable[[], None]], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take how to ``write`` to the terminal, and how to do something so many seconds ``later``."""
        self._settings = settings
        self._write = write
        self._later = later
        self._herald = Herald(clock)
        self._telling: set[asyncio.Task[None]] = set()

    def hear(self, text: str) -> None:
        """Make a text heard, or count it with what comes in the same second."""
        if told := self._herald.take(text):
            self._tell(told)
        elif self._herald.waiting == 1:
            self._later(NOTICE_SECONDS, self.tell_rest)

    def tell_rest(self) -> None:
        """Make heard what came too fast."""
        if told := self._herald.rest():
            self._tell(told)

    def forget(self) -> None:
        """Tell nothing more of what waits."""
        self._herald.rest()

    def _tell(self, text: str) -> None:
        if self._settings.notify == "desktop":
            self._on_desktop(text)
        else:
            self._write(sequence(text, self._settings))

    def _on_desktop(self, text: str) -> None:
        """Tell the desktop; whatever it has against that, the chat goes on, with a bell."""

        def told(task: "asyncio.Task[None]") -> None:
            self._telling.discard(task)
            if not task.cancelled() and task.exception() is not None:
                self._write(BELL)

        task = asyncio.create_task(on_desktop(text))
        self._telling.add(task)
        task.add_done_callback(told)


def for_desktop(text: str, platform: str = sys.platform) -> str:
    """Return what the desktop's service is given: where it reads markup, text without any."""
    return text if platform in {"darwin", "win32"} else escape(text, quote=False)


async def on_desktop(text: str) -> None:
    """Tell the desktop's own service.

    :raises Exception: whatever that service, or what speaks to it, has to say
    """
    from desktop_notifier import DesktopNotifier  # noqa: PLC0415 - an extra, for those who have it

    await DesktopNotifier(app_name="securechat").send(title="securechat", message=for_desktop(text))


def _of_kitty(told: str) -> tuple[str, str]:
    """A title of ours and the words below it, for terminals that know kitty's sequence.

    The words are in base64, so that nothing of them is part of the sequence; one notification takes the
    place of the one before, and no answer is asked for.
    """
    words = b64encode(told.encode("utf-8", "replace")[:MAX_BYTES].decode("utf-8", "ignore").encode()).decode()
    return (
        "\x1b]99;i=securechat:d=0:p=title;securechat\x1b\\",
        f"\x1b]99;i=securechat:d=1:e=1:p=body;{words}\x1b\\",
    )
