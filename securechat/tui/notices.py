"""What makes itself heard, how, and with how many words. Deciding is pure; writing is one function.

A notification's text goes to the terminal in a control sequence of ours, so it has passed the sanitiser
and holds nothing that could end it. It always begins with our own name: no sender can speak to a terminal
in the first characters of one (some read numbers there as commands).
"""

import os
import re
from typing import Final

from securechat.client.events import Conversation, Message, MessageState
from securechat.locale.catalogue import tr
from securechat.tui.message_lines import summary
from securechat.tui.settings import Settings
from securechat.tui.wrap import clean, cut

BELL: Final = "\a"
MAX_TEXT: Final = 120
"""Cells of a notification: what a desktop shows of one."""

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
            return _through(f"\x1b]9;{told}\x1b\\", tmux=tmux)
        case "osc777":
            return _through(f"\x1b]777;notify;securechat;{told}\x1b\\", tmux=tmux)
        case _:
            return ""


def _through(sent: str, *, tmux: bool) -> str:
    """Have tmux hand a sequence on to the terminal outside; the bell it hands on by itself."""
    doubled = sent.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{doubled}\x1b\\" if tmux else sent
